"""manage.py, but it kills itself without warning: python -m tests.rehome.support.doomed before|after NAME COMMAND...

Before or after the first call of the function of that name, such as rehome.ops.backups.store.Store.save.
"""

import functools
import os
import pkgutil
import signal
import sys
from typing import Any

import django
from django.core.management import call_command


def main(moment: str, name: str, *command: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")
    django.setup()
    place, _, attribute = name.rpartition(".")
    owner = pkgutil.resolve_name(place)
    function = getattr(owner, attribute)

    @functools.wraps(function)
    def doomed(*args: Any, **kwargs: Any) -> Any:
        if moment == "after":
            function(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, attribute, doomed)
    call_command(*command)


if __name__ == "__main__":
    main(*sys.argv[1:])
