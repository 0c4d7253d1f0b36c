"""The commands of the guide, as somebody types them on the farm whose moves are live."""

from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.database import url
from tests.pages import checkout, commands, reading
from tests.test_blocks import RUN

GUIDE = [page for page, module in RUN.items() if module == __name__]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_command_of_the_guide(live: str, tmp_path: Path) -> None:
    folder = checkout(tmp_path)

    with reading("docs/guide/troubleshooting.md", folder, DATABASE_URL=url()) as reader:
        assert "\nEqual.\n" in reader.run("python manage.py showmoves\npython manage.py verifymoves")
    with reading("docs/guide/back.md", folder, DATABASE_URL=url()) as reader:
        assert "portal.Printer -> printers.Printer: moving back" in reader.run("python manage.py migrate printers 0001")
    with reading("docs/guide/online.md", folder, DATABASE_URL=url()) as reader:
        assert "switch: sequences, triggers, permissions" in reader.run("REHOME_ONLINE=1 python manage.py migrate")
    with reading("docs/guide/retire-and-end.md", folder, DATABASE_URL=url()) as reader:
        assert "is retired: views of" in reader.run("python manage.py showmoves\npython manage.py retiremoves")


def test_no_page_of_the_guide_is_left_out() -> None:
    with_commands = {f"docs/guide/{page.name}" for page in (ROOT / "docs/guide").glob("*.md")}
    assert {page for page in with_commands if commands(page)} == {*GUIDE, "docs/guide/new-features.md"}
