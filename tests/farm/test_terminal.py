"""How a refusal reads to whoever runs `migrate`."""

from tests.database import url
from tests.farm import farm
from tests.manage import manage


def test_a_refused_move_is_a_sentence_and_its_cure_on_the_last_line(monolith: None) -> None:
    farm.sql("CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'")
    farm.sql("CREATE TRIGGER stamp BEFORE UPDATE ON portal_printer EXECUTE FUNCTION stamp()")

    done = manage("migrate", DATABASE_URL=url())

    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].strip() == "Applying printers.0002_migrate_printer_data..."
    assert done.stderr.splitlines()[-1] == (
        "Refused: The trigger 'stamp' of public.portal_printer fires once for a statement, and writes are carried to "
        "the other table row by row: it would fire once for each row. Let it see each row once, with REFERENCING NEW "
        "TABLE or OLD TABLE; or move in place; or run DROP TRIGGER stamp ON public.portal_printer first."
    )
    assert "Traceback" not in done.stderr
    farm.sql("DROP TRIGGER stamp ON public.portal_printer")
    farm.migrate()
    farm.assert_in_step()
