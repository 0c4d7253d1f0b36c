"""Imports run one way, each room says what it is, and SQL is written where the tables are known."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.draw_rooms import read_floors
from tests.conftest import ROOT

REHOME = ROOT / "rehome"
CONFIG = ROOT / "pyproject.toml"
PUBLIC = {"__init__", "apps", "models", "errors", "constraints", "move", "terminal"}
MOST_PACKAGES = 11
MOST_FLOORS = 9
WITHOUT_SQL = ["plan", "moves", "graph", "management"]


def find_packages() -> list[str]:
    return sorted(path.parent.name for path in REHOME.glob("*/__init__.py"))


def report(config: Path) -> str:
    """What import-linter says of the package beside a configuration: a process, for it turns off the loggers of its."""
    command = [str(Path(sys.executable).parent / "lint-imports"), str(config), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=config.parent, capture_output=True, text=True).stdout


# ----- imports


def test_imports_run_one_way() -> None:
    said = report(CONFIG)

    assert re.search(r"^Contracts: \d+ kept, 0 broken\.$", said, re.MULTILINE), said


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A package under the same contracts, with a room for each of theirs, empty but for what the contracts name."""
    root = tmp_path / "house"
    for room in [room for floor in read_floors() for room in floor]:
        (root / room).mkdir(parents=True)
        (root / room / "__init__.py").touch()
    public = ["from house.importing.declaration import Import", "from house.importing.readonly import read_only"]
    (root / "__init__.py").write_text("\n".join(public))
    for name in ("declaration", "readonly"):
        (root / "importing" / f"{name}.py").touch()
    (root / "graph" / "faking.py").write_text("from house.checkschema import compare")
    (tmp_path / "pyproject.toml").write_text(CONFIG.read_text().replace("rehome", "house"))
    return root


def test_a_house_that_keeps_the_contracts_passes(house: Path) -> None:
    (house / "management" / "run.py").write_text("from house.importing.declaration import Import")
    (house / "plan" / "fields.py").write_text("from house.plan import record\nfrom house.postgres import sql")
    (house / "plan" / "record.py").touch()

    assert " 0 broken." in report(house.parent / "pyproject.toml")


FLOORS, CIRCLE, FRONT_DOOR = "lower floors", "No circle", "itself offers"
IMPORTING, CHECKSCHEMA = "Commands alone import", "Commands alone compare"


@pytest.mark.parametrize(
    ("broken", "files"),
    [
        pytest.param(FLOORS, {"plan/a.py": "from house.moves import back"}, id="upwards"),
        pytest.param(FLOORS, {"plan/a.py": "def late():\n    from house import parts"}, id="upwards in a function"),
        pytest.param(FLOORS, {"errors/a.py": "if TYPE_CHECKING:\n    import house.plan"}, id="upwards for types"),
        pytest.param(FLOORS, {"verify/a.py": "import house.preflight"}, id="sideways"),
        pytest.param(FLOORS, {"utils/__init__.py": ""}, id="a package without a floor"),
        pytest.param(FLOORS, {"helpers.py": ""}, id="a module without a floor"),
        pytest.param(CIRCLE, {"plan/a.py": "import house.plan.b", "plan/b.py": "import house.plan.a"}, id="circle"),
        pytest.param(
            CIRCLE,
            {"plan/a.py": "import house.plan.b", "plan/b.py": "if TYPE_CHECKING:\n    import house.plan.a"},
            id="circle for types",
        ),
        pytest.param(
            CIRCLE,
            {
                "plan/a/__init__.py": "",
                "plan/a/x.py": "import house.plan.b.x",
                "plan/a/y.py": "",
                "plan/b/__init__.py": "",
                "plan/b/x.py": "import house.plan.a.y",
            },
            id="circle of packages",
        ),
        pytest.param(FRONT_DOOR, {"graph/a.py": "from house import Move"}, id="circle through the front door"),
        pytest.param(IMPORTING, {"graph/a.py": "import house.importing"}, id="importing in graph"),
        pytest.param(CHECKSCHEMA, {"graph/a.py": "import house.checkschema"}, id="checkschema in graph"),
    ],
)
def test_each_kind_of_wrong_import_is_found(house: Path, broken: str, files: dict[str, str]) -> None:
    for name, source in files.items():
        (house / name).parent.mkdir(exist_ok=True)
        (house / name).write_text(source)

    said = report(house.parent / "pyproject.toml")

    assert re.search(rf"{broken}.* BROKEN", said), said
    assert " 1 broken." in said


def test_the_house_stays_small() -> None:
    packages = set(find_packages())

    assert len(packages) <= MOST_PACKAGES
    assert {path.stem for path in REHOME.glob("*.py")} == PUBLIC
    assert len([floor for floor in read_floors() if packages & set(floor)]) <= MOST_FLOORS


# ----- what a room says of itself


def count_sentences(text: str | None) -> int:
    return len(re.findall(r"[.!?](?=\s|$)", text or ""))


def test_each_package_says_in_a_few_sentences_what_it_is() -> None:
    """What lives there, what may be used from it, what it may import."""
    said = {name: ast.get_docstring(ast.parse((REHOME / name / "__init__.py").read_text())) for name in find_packages()}

    wrong = [name for name, text in said.items() if count_sentences(text) not in {2, 3}]
    assert not wrong, f"Two or three sentences are wanted of: {', '.join(wrong)}"


# ----- SQL

VERB = re.compile(
    r"^\s*(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH|VALUES|CREATE|ALTER|DROP|TRUNCATE|COMMENT ON|GRANT|REVOKE|SET"
    r"|RESET|SHOW|LOCK|COPY|VACUUM|ANALYZE|EXPLAIN|CALL|DO)\s+(?=\S)"
    r"|\b(?:FROM pg_|::reg|FOREIGN KEY|NOT VALID|OWNER TO)",
    re.MULTILINE,
)
RUNNERS = {"SQL", "execute", "executemany", "query", "rows", "RawSQL", "RunSQL"}


def find_sql(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of each literal that is SQL, or is handed to something that runs it."""
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    calls = [node for node in nodes if isinstance(node, ast.Call) and node.args]
    run = {id(call.args[0]) for call in calls if ast.unparse(call.func).rpartition(".")[2] in RUNNERS}
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)) if id(node) in run or (id(node) not in docstrings and VERB.search(text)):
                yield node.lineno, text
            case ast.JoinedStr() if id(node) in run:
                yield node.lineno, ast.unparse(node)


def test_sql_is_written_where_the_tables_are_known() -> None:
    files = [path for package in WITHOUT_SQL for path in sorted((REHOME / package).rglob("*.py"))]
    found = [f"{path.relative_to(ROOT)}:{line} {text}" for path in files for line, text in find_sql(path.read_text())]

    assert files
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        'SQL("{} = {}")',
        'sql.SQL(", ")',
        'cursor.execute("BEGIN")',
        'asking.query(connection, "SELECT 1")',
        'session.rows(f"{what}")',
        'QUESTION = """\nSELECT name FROM pg_settings\n"""',
        'statement = f"DROP TABLE {table}"',
        'definition = "FOREIGN KEY (a) REFERENCES b"',
    ],
)
def test_no_spelling_of_sql_escapes(source: str) -> None:
    assert list(find_sql(source))


@pytest.mark.parametrize(
    "source",
    [
        '"""SELECT in a docstring."""',
        'print("Set it to 1.")',
        'help = "Drop what was set aside."',
        "asking.query(connection, text)",
        "cursor.execute(sql.lock(tables).as_string())",
    ],
)
def test_what_is_no_sql_is_let_through(source: str) -> None:
    assert list(find_sql(source)) == []
