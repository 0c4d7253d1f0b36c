"""The pages of printers have a user, a client and a way to make printers; so have these."""

from tests.printers.pages.conftest import make as make
from tests.printers.pages.conftest import maren as maren
from tests.printers.pages.conftest import page as page
from tests.printers.pages.conftest import serve as serve
