"""Which migrations are refused while a move stands, in which phase, and with which cure; read from states alone."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.migrations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterField,
    AlterModelOptions,
    AlterModelTable,
    AlterOrderWithRespectTo,
    AlterUniqueTogether,
    CreateModel,
    DeleteModel,
    RemoveField,
    RenameField,
    RenameModel,
    RunPython,
    RunSQL,
    SeparateDatabaseAndState,
)
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models.functions import Lower
from pytest_django import Settings

from rehome import Move
from rehome.graph import breaking
from rehome.graph.rules import Finding
from rehome.models import Phase
from tests.rehome.support.graph import graph_of

MOVE = Move("vault.Book", "annex.Book")
LIVE, IN_PLACE, RETIRED = Phase.LIVE, Phase.IN_PLACE, Phase.RETIRED
POSITIVE = models.CheckConstraint(condition=models.Q(year__gt=0), name="positive")
ONE_CODE = models.UniqueConstraint(fields=["code"], name="one_code")


def book(**fields: models.Field) -> CreateModel:
    common: dict[str, models.Field] = {
        "id": models.BigAutoField(primary_key=True),
        "title": models.CharField(max_length=50),
        "year": models.IntegerField(default=1),
        "code": models.CharField(max_length=20, unique=True),
        "price": models.DecimalField(max_digits=6, decimal_places=2),
        "note": models.TextField(null=True),
        "tags": models.ManyToManyField("vault.Tag", related_name="+"),
    }
    return CreateModel("Book", list({**common, **fields}.items()))


def tag() -> CreateModel:
    return CreateModel("Tag", [("id", models.BigAutoField(primary_key=True))])


def run(move: Move) -> RunPython:
    return RunPython(move.forwards, move.backwards)


def project(
    vault: Sequence[list[Operation]] = (),
    annex: Sequence[list[Operation]] = (),
    move: Move = MOVE,
    **apps: Any,
) -> MigrationLoader:
    """vault.0001, annex.0001 and the move in annex.0002, and what comes later."""
    return graph_of(vault=[[tag(), book()], *vault], annex=[[book()], [run(move)], *annex], **apps)


def judge(app: str, *operations: Operation, phase: Phase = LIVE, move: Move = MOVE) -> list[Finding]:
    """What is said of one migration of `app` on a database where the move is in `phase`."""
    loader = project(**{app: [list(operations)]}, move=move)
    coming = [key for key in loader.graph.nodes if key == (app, "0002" if app == "vault" else "0003")]
    loader.applied_migrations = {key: None for key in loader.graph.nodes if key not in coming}
    plan = [(loader.graph.nodes[key], False) for key in coming]
    return breaking.in_plan(plan, loader, connection, {str(move): phase})


def field(**changed: models.Field) -> AlterField:
    ((name, one),) = changed.items()
    return AlterField("Book", name, one)


ORDINARY = models.IntegerField()
LONGER = field(title=models.CharField(max_length=80))

REFUSED: list[tuple[str, Operation, Phase, str, str]] = [
    # ----- tables
    *(("vault", DeleteModel("Book"), phase, "E001", "DeleteModel(\"Book\")])") for phase in (LIVE, RETIRED, IN_PLACE)),
    *(("annex", DeleteModel("Book"), phase, "E001", "`manage.py migrate annex 0001`") for phase in (LIVE, RETIRED)),
    ("vault", RenameModel("Book", "Volume"), LIVE, "E001", "renames vault_book to vault_volume"),
    ("annex", RenameModel("Book", "Volume"), LIVE, "E001", "renames annex_book to annex_volume"),
    ("annex", AlterModelTable("Book", "books"), LIVE, "E001", "renames annex_book to books"),
    ("vault", AlterModelTable("Book", "books"), LIVE, "E001", "renames vault_book to books"),
    ("vault", RunSQL("DROP TABLE vault_book CASCADE"), LIVE, "E001", "drops vault_book"),
    ("vault", RenameModel("Tag", "Label"), LIVE, "E002", "renames vault_book_tags.tag_id to label_id"),
    ("annex", RemoveField("Book", "tags"), LIVE, "E001", "drops annex_book_tags"),
    ("vault", RemoveField("Book", "tags"), RETIRED, "E001", "drops vault_book_tags"),
    # ----- columns
    *((app, RemoveField("Book", "year"), LIVE, "E002", f"drops {app}_book.year") for app in ("vault", "annex")),
    *((app, RenameField("Book", "title", "name"), LIVE, "E002", 'db_column="title"') for app in ("vault", "annex")),
    ("annex", RemoveField("Book", "year"), RETIRED, "E002", "drops annex_book.year"),
    ("annex", RenameField("Book", "title", "name"), IN_PLACE, "E002", "renames annex_book.title to name"),
    ("annex", field(title=models.CharField(max_length=50, db_column="name")), LIVE, "E002", "title to name"),
    # ----- types
    ("annex", LONGER, LIVE, "E003", "Widen vault.Book.title first, in a migration of vault"),
    ("annex", LONGER, RETIRED, "E003", "`manage.py retiremoves annex.Book --undo`"),
    ("annex", LONGER, IN_PLACE, "E003", "which a view shows under the old name"),
    ("annex", field(title=models.TextField()), LIVE, "E003", "vault.Book.title is varchar(50)"),
    ("annex", field(title=models.CharField(max_length=30)), LIVE, "E003", "what old code writes may not fit"),
    ("vault", field(title=models.CharField(max_length=30)), LIVE, "E003", "what new code writes may not fit"),
    ("vault", LONGER, RETIRED, "E008", "which is a view of annex_book now"),
    ("annex", field(year=models.BigIntegerField(default=1)), LIVE, "E003", "makes bigint of annex_book.year"),
    ("vault", field(year=models.TextField()), LIVE, "E003", "makes text of vault_book.year, which is integer"),
    ("annex", field(year=models.DateField(null=True)), LIVE, "E003", "makes date of annex_book.year"),
    ("annex", field(price=models.DecimalField(max_digits=9, decimal_places=4)), LIVE, "E003", "numeric(9, 4)"),
    ("annex", field(price=models.DecimalField(max_digits=9, decimal_places=2)), LIVE, "E003", "Widen vault.Book.price"),
    # ----- values that rows of the other code lack
    ("annex", AddField("Book", "stars", models.IntegerField(default=0)), LIVE, "E004", "db_default=0"),
    ("annex", AddField("Book", "stars", models.IntegerField(default=0)), RETIRED, "E004", "old code knows no value"),
    ("vault", AddField("Book", "stars", models.CharField(default="x")), LIVE, "E004", "db_default='x'"),
    ("annex", AlterOrderWithRespectTo("Book", "tags"), LIVE, "E004", "annex_book._order NOT NULL"),
    # ----- restrictions
    ("annex", field(note=models.TextField()), LIVE, "E005", "NOT NULL of note"),
    ("vault", field(note=models.TextField()), LIVE, "E005", "rows that new code writes"),
    ("annex", field(note=models.TextField(null=True, unique=True)), LIVE, "E005", "UNIQUE (note)"),
    ("annex", field(year=models.PositiveIntegerField(default=1)), LIVE, "E005", "CHECK (year)"),
    ("annex", AddConstraint("Book", POSITIVE), LIVE, "E005", "CheckConstraint over"),
    ("annex", AddConstraint("Book", POSITIVE), RETIRED, "E005", "rows that old code writes to vault.Book may violate"),
    ("annex", AlterUniqueTogether("Book", {("title", "year")}), LIVE, "E005", "UNIQUE (title, year)"),
    ("annex", AddConstraint("Book", models.UniqueConstraint(Lower("title"), name="u")), LIVE, "E005", "title"),
    ("annex", field(code=models.CharField(max_length=20)), LIVE, "W001", "Remove it from vault.Book first"),
    ("annex", field(title=models.CharField(max_length=50, null=True)), LIVE, "W001", "removes NOT NULL of title"),
    ("annex", field(code=models.CharField(max_length=20, unique=True, db_collation="C")), LIVE, "E005", "collation"),
    # ----- the key, and what points elsewhere
    ("annex", field(id=models.BigIntegerField()), LIVE, "E006", "changes the primary key of annex_book"),
    ("annex", field(tags=models.ManyToManyField("annex.Book", related_name="+")), LIVE, "E", "annex_book_tags"),
    ("vault", AddIndex("Book", models.Index(fields=["year"], name="y")), RETIRED, "E008", "change the state alone"),
]  # fmt: skip


@pytest.mark.parametrize(("app", "operation", "phase", "id", "said"), REFUSED)
def test_refused(app: str, operation: Operation, phase: Phase, id: str, said: str) -> None:
    found = judge(app, operation, phase=phase)

    assert found
    assert found[0].id.startswith(f"rehome.{id}")
    assert said in str(found[0])
    assert (app, "0002" if app == "vault" else "0003") == found[0].key


STATE_ALONE = [
    SeparateDatabaseAndState(state_operations=[o]) for o in (DeleteModel("Book"), RemoveField("Book", "year"))
]
BY_HAND = SeparateDatabaseAndState(
    database_operations=[RunSQL("DROP FUNCTION rehome_forward_0() CASCADE; DROP TABLE vault_book")],
    state_operations=[DeleteModel("Book")],
)
VIEW_DROPPED = SeparateDatabaseAndState(
    database_operations=[RunSQL("DROP VIEW vault_book")], state_operations=[DeleteModel("Book")]
)

NULLABLE = AddField("Book", "stars", models.IntegerField(null=True))

ALLOWED: list[tuple[str, list[Operation], Phase]] = [
    *(("vault", [one], phase) for one in STATE_ALONE for phase in (LIVE, RETIRED, IN_PLACE)),
    ("vault", [BY_HAND], LIVE),
    ("vault", [VIEW_DROPPED], IN_PLACE),
    ("vault", [LONGER], LIVE),
    ("vault", [field(title=models.TextField())], LIVE),
    ("vault", [field(year=models.BigIntegerField(default=1))], LIVE),
    ("vault", [field(note=models.TextField(null=True, db_collation="C"))], LIVE),
    ("vault", [field(title=models.CharField(max_length=50, null=True))], LIVE),
    ("vault", [field(code=models.CharField(max_length=20))], LIVE),
    ("vault", [AddField("Book", "stars", models.IntegerField(null=True))], LIVE),
    ("vault", [AddIndex("Book", models.Index(fields=["year"], name="y"))], LIVE),
    ("vault", [field(title=models.CharField("The title", max_length=50, default="?"))], RETIRED),
    ("vault", [AlterModelOptions("Book", {"ordering": ["title"]})], RETIRED),
    *(("annex", [NULLABLE], phase) for phase in (LIVE, RETIRED, IN_PLACE)),
    ("annex", [AddField("Book", "stars", models.IntegerField(db_default=0))], RETIRED),
    ("annex", [AddField("Book", "isbn", models.TextField(null=True, unique=True))], LIVE),
    ("annex", [AddField("Book", "stars", models.IntegerField(default=0)),
               AlterField("Book", "stars", models.IntegerField(db_default=0))], LIVE),
    ("annex", [AddField("Book", "stars", models.IntegerField(null=True)), RemoveField("Book", "stars")], LIVE),
    ("annex", [field(title=models.CharField(max_length=50, db_column="title")),
               RenameField("Book", "title", "name")], LIVE),
    ("annex", [field(note=models.TextField()), field(note=models.TextField(null=True))], LIVE),
    ("annex", [field(code=models.CharField(max_length=20))], RETIRED),
    ("annex", [field(title=models.CharField(max_length=50, null=True))], RETIRED),
    ("annex", [AddIndex("Book", models.Index(fields=["year"], name="y"))], RETIRED),
    ("annex", [AddField("Book", "more", models.ManyToManyField("vault.Tag", related_name="+"))], LIVE),
    ("annex", [field(code=models.CharField(max_length=20)), AddConstraint("Book", ONE_CODE)], LIVE),
    ("annex", [CreateModel("Other", [("id", models.BigAutoField(primary_key=True))]), DeleteModel("Other")], LIVE),
]  # fmt: skip


@pytest.mark.parametrize(("app", "operations", "phase"), ALLOWED)
def test_allowed(app: str, operations: list[Operation], phase: Phase) -> None:
    assert [str(one) for one in judge(app, *operations, phase=phase)] == []


# ----- the plan as a whole


def plan_of(loader: MigrationLoader, *applied: tuple[str, str], phase: Phase | None = LIVE) -> list[Finding]:
    loader.applied_migrations = dict.fromkeys(applied)  # type: ignore[assignment]
    coming = [one for one in breaking.in_order(loader) if (one.app_label, one.name) not in applied]
    phases = {str(MOVE): phase} if phase else {}
    return breaking.in_plan([(migration, False) for migration in coming], loader, connection, phases)


BASE = ("vault", "0001"), ("annex", "0001"), ("annex", "0002")


def test_the_source_first_and_then_the_target() -> None:
    loader = project(vault=[[LONGER]], annex=[[LONGER]])
    assert [one.key for one in plan_of(loader, *BASE)] == [("annex", "0003")]

    loader.graph.add_dependency(None, ("annex", "0003"), ("vault", "0002"))
    assert plan_of(loader, *BASE) == []
    assert plan_of(loader, *BASE, ("vault", "0002")) == []


def test_a_move_in_the_same_plan_is_judged_from_its_own_migration_on() -> None:
    loader = project(vault=[[RemoveField("Book", "year")]])
    loader.graph.add_dependency(None, ("annex", "0002"), ("vault", "0002"))
    assert plan_of(loader, phase=None) == []

    loader = project(vault=[[DeleteModel("Book")]])
    assert [one.id for one in plan_of(loader, phase=None)] == ["rehome.E001"]


def test_a_new_database_goes_through_a_whole_life() -> None:
    assert plan_of(project(vault=[[DeleteModel("Tag"), BY_HAND]], annex=[[LONGER]]), phase=None) == []


def test_what_is_applied_already_counts_and_is_not_judged() -> None:
    loader = project(vault=[[LONGER]], annex=[[LONGER], [RemoveField("Book", "year")]])
    found = plan_of(loader, *BASE, ("vault", "0002"), ("annex", "0003"))
    assert [one.key for one in found] == [("annex", "0004")]


def test_a_plan_that_goes_back_is_nobodys_to_judge() -> None:
    loader = project(vault=[[DeleteModel("Book")]])
    loader.applied_migrations = dict.fromkeys(loader.graph.nodes)
    plan = [(loader.graph.nodes["vault", "0002"], True)]
    assert breaking.in_plan(plan, loader, connection, {str(MOVE): LIVE}) == []


def test_a_move_without_a_way_back_has_nothing_that_breaks() -> None:
    move = Move("vault.Book", "annex.Book", fields={"title": Lower("title")})
    assert judge("vault", DeleteModel("Book"), move=move) == []


def test_a_renamed_field_is_followed_to_its_counterpart() -> None:
    move = Move("vault.Book", "annex.Book", fields={"note": "title", "title": "note"})
    assert judge("annex", LONGER, move=move) == []
    (found,) = judge("vault", field(note=models.CharField(max_length=20, null=True)), move=move)
    assert "annex.Book.title is varchar(50)" in found.problem


def test_sql_of_the_projects_is_taken_at_its_word() -> None:
    by_hand = SeparateDatabaseAndState(
        database_operations=[RunSQL("ALTER TABLE annex_book ADD stars integer NOT NULL DEFAULT 0")],
        state_operations=[AddField("Book", "stars", models.IntegerField(default=0))],
    )
    assert judge("annex", by_hand) == []
    widened = RunSQL("ALTER TABLE vault_book ALTER title TYPE varchar(80)", state_operations=[LONGER])
    loader = project(vault=[[widened]], annex=[[LONGER]])
    loader.graph.add_dependency(None, ("annex", "0003"), ("vault", "0002"))
    assert plan_of(loader, *BASE) == []


def test_what_the_database_does_within_an_operation_for_both_is_judged() -> None:
    both = SeparateDatabaseAndState(database_operations=[DeleteModel("Book")], state_operations=[DeleteModel("Book")])
    assert [one.id for one in judge("vault", both)] == ["rehome.E001"]


def test_a_foreign_key_to_the_old_name_is_led_to_the_rows() -> None:
    item = CreateModel("Item", [("id", models.BigAutoField(primary_key=True)), ("book", points_at("vault.Book"))])
    for phase in (LIVE, RETIRED):
        assert judge("vault", item, phase=phase) == []


def points_at(label: str, **options: Any) -> models.ForeignKey:
    return models.ForeignKey(label, models.CASCADE, related_name="+", **options)


class Elsewhere:
    """No migration of the app `vault`, or of both, is for this database."""

    def __init__(self, *apps: str) -> None:
        self.apps = apps

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return False if app_label in self.apps else None


def test_what_routers_keep_from_the_database_breaks_nothing_there(settings: Settings) -> None:
    settings.DATABASE_ROUTERS = [Elsewhere("vault")]
    assert judge("vault", DeleteModel("Book")) == []
    assert judge("annex", DeleteModel("Book")) != []
    settings.DATABASE_ROUTERS = [Elsewhere("vault", "annex")]
    loader = project(basket=[[item()], [REPOINTED]])
    assert plan_of(loader, ("vault", "0001"), phase=None) == []


# ----- re-pointed before the move


def item(**options: Any) -> CreateModel:
    return CreateModel(
        "Item", [("id", models.BigAutoField(primary_key=True)), ("book", points_at("vault.Book", **options))]
    )


REPOINTED = AlterField("Item", "book", points_at("annex.Book"))
EARLY = 'Add ("annex", "0002") to the dependencies of basket.0002.'


def test_re_pointed_without_the_move() -> None:
    loader = project(basket=[[item()], [REPOINTED]])
    loader.applied_migrations = {("vault", "0001"): None, ("basket", "0001"): None}  # type: ignore[dict-item]
    alone = [(loader.graph.nodes["annex", "0001"], False), (loader.graph.nodes["basket", "0002"], False)]

    (found,) = breaking.in_plan(alone, loader, connection, {})

    assert (found.id, found.cure) == ("rehome.E007", EARLY)
    assert [one.cure for one in breaking.in_graph(loader, connection)] == [EARLY]
    loader.graph.add_dependency(None, ("basket", "0002"), ("annex", "0002"))
    assert breaking.in_graph(loader, connection) == []


def test_the_same_field_under_another_definition_is_not_re_pointed() -> None:
    again = AlterField("Item", "book", points_at("annex.Book", null=True))
    loader = project(basket=[[item()], [REPOINTED], [again]])
    loader.graph.add_dependency(None, ("basket", "0002"), ("annex", "0002"))
    assert breaking.in_graph(loader, connection) == []


def test_a_new_model_may_point_at_the_target_at_any_time() -> None:
    new = CreateModel("Item", [("id", models.BigAutoField(primary_key=True)), ("book", points_at("annex.Book"))])
    assert (
        breaking.in_graph(
            project(basket=[[new, AddField("Item", "other", points_at("annex.Book", null=True))]]), connection
        )
        == []
    )


def test_re_pointed_by_a_migration_that_the_move_needs() -> None:
    loader = project(vault=[[item()], [REPOINTED]])
    loader.graph.add_dependency(None, ("annex", "0002"), ("vault", "0003"))
    loader.graph.add_dependency(None, ("vault", "0003"), ("annex", "0001"))
    (found,) = breaking.in_graph(loader, connection)
    assert found.cure == (
        'Add ("annex", "0002") to the dependencies of vault.0003, and take vault.0003 out of those of annex.0002, '
        "which needs an earlier migration of vault."
    )


def test_the_source_is_gone_before_the_move_on_a_new_database() -> None:
    alone = SeparateDatabaseAndState(state_operations=[DeleteModel("Book")])
    loader = graph_of(attic=[[tag(), book()], [alone]], bureau=[[book()], [run(Move("attic.Book", "bureau.Book"))]])
    loader.applied_migrations = {}
    every = [(migration, False) for migration in breaking.in_order(loader)]
    cure = 'Add ("bureau", "0002") to the dependencies of attic.0002.'
    for found in (breaking.in_plan(every, loader, connection, {}), breaking.in_graph(loader, connection)):
        assert [(one.id, one.key, one.cure) for one in found] == [("rehome.E007", ("attic", "0002"), cure)]
    loader.graph.add_dependency(None, ("attic", "0002"), ("bureau", "0002"))
    assert breaking.in_graph(loader, connection) == []


@pytest.mark.parametrize("known", [True, False], ids=["made before the move", "made after it"])
def test_the_source_is_gone_before_the_last_key_leads_away_on_a_new_database(known: bool) -> None:
    """As the apps are in the order of their names; one that is called otherwise is lucky."""
    alone = SeparateDatabaseAndState(state_operations=[DeleteModel("Book")])
    loader = project(vault=[[alone]], zoo=[[item()], [REPOINTED]])
    after = [(("vault", "0002"), ("annex", "0002")), (("zoo", "0002"), ("annex", "0002"))]
    for child, parent in [*after, *([(("annex", "0002"), ("zoo", "0001"))] if known else [])]:
        loader.graph.add_dependency(None, child, parent)
    every = [(migration, False) for migration in breaking.in_order(loader)]
    for found in (breaking.in_plan(every, loader, connection, {}), breaking.in_graph(loader, connection)):
        assert [(one.id, one.problem, one.cure) for one in found] == [
            (
                "rehome.E007",
                "vault.0002 removes vault.Book, and on a new database zoo.Item.book would still lead there.",
                'Add ("zoo", "0002") to the dependencies of vault.0002: it leads away from vault.Book.',
            )
        ]
    loader.graph.add_dependency(None, ("vault", "0002"), ("zoo", "0002"))
    assert breaking.in_graph(loader, connection) == []


def test_a_field_more_than_the_move_knows_on_a_new_database() -> None:
    more = AddField("Book", "stars", models.IntegerField(null=True))
    loader = graph_of(attic=[[tag(), book()], [more]], bureau=[[book()], [run(Move("attic.Book", "bureau.Book"))]])
    (found,) = breaking.in_graph(loader, connection)
    assert found.problem.startswith("attic.0002 changes the fields of attic.Book and does not depend on bureau.0002")


def test_the_cure_has_the_dependency_that_is_missing() -> None:
    (found,) = judge("vault", DeleteModel("Book"))
    assert found.cure.endswith('in place of DeleteModel, and add ("annex", "0002") to the dependencies.')


# ----- the graph alone


def test_the_graph_says_the_same_of_every_migration_that_the_move_does_not_need() -> None:
    found = breaking.in_graph(project(vault=[[DeleteModel("Book")]], annex=[[LONGER]]), connection)
    assert {(one.id, one.key) for one in found} == {
        ("rehome.E001", ("vault", "0002")),
        ("rehome.E003", ("annex", "0003")),
    }


def test_what_a_retired_move_may_do_is_a_warning() -> None:
    (found,) = breaking.in_graph(project(annex=[[field(code=models.CharField(max_length=20))]]), connection)
    assert found.id == "rehome.W001"


def test_after_the_end_nothing_is_said() -> None:
    gone = [RemoveField("Book", "year")]
    assert breaking.in_graph(project(vault=[[BY_HAND]], annex=[gone]), connection) == []
    loader = project(vault=[[BY_HAND]], annex=[gone])
    loader.graph.add_dependency(None, ("vault", "0002"), ("annex", "0003"))
    assert [one.key for one in breaking.in_graph(loader, connection)] == [("annex", "0003")]


def test_only_what_is_left_of_the_damage_is_told() -> None:
    loader = project(annex=[
        [AddField("Book", "stars", models.IntegerField(default=0))],
        [field(year=models.TextField(default=""))],
        [AlterField("Book", "stars", models.IntegerField(null=True))],
    ])  # fmt: skip
    loader.applied_migrations = dict.fromkeys(loader.graph.nodes)
    (declared,) = breaking.find_moves(loader)
    found = breaking.applied_already(declared, loader, connection, LIVE)
    assert [one.key for one in found] == [("annex", "0004")]


# ----- fields of every kind


def test_fields_of_every_kind_are_read() -> None:
    twice = models.F("row") * 2

    def shelf() -> CreateModel:
        return CreateModel(
            "Shelf",
            [
                ("room", models.IntegerField()),
                ("row", models.IntegerField()),
                ("pk", models.CompositePrimaryKey("room", "row")),
                ("twice", models.GeneratedField(expression=twice, output_field=models.IntegerField(), db_persist=True)),
                ("names", ArrayField(models.CharField(max_length=10))),
                ("within", points_at("self", null=True, db_constraint=False)),
                ("owner", models.OneToOneField("auth.User", models.CASCADE, related_name="+")),
                ("size", models.PositiveSmallIntegerField(db_default=1)),
                ("key", models.UUIDField(unique=True)),
                ("file", models.FileField()),
                ("more", models.JSONField(null=True)),
            ],
            options={"unique_together": {("room", "size")}, "indexes": [models.Index(fields=["size"], name="s")]},
        )  # fmt: skip

    move = Move("vault.Shelf", "annex.Shelf")
    longer = AlterField("Shelf", "names", ArrayField(models.CharField(max_length=20)))
    loader = graph_of(vault=[[shelf()], [longer]], annex=[[shelf()], [run(move)], [longer]])
    loader.applied_migrations = dict.fromkeys(BASE)  # type: ignore[assignment, misc]
    plan = [(loader.graph.nodes["annex", "0003"], False)]
    (found,) = breaking.in_plan(plan, loader, connection, {str(move): LIVE})
    assert "makes varchar(20)[] of annex_shelf.names, and vault.Shelf.names is varchar(10)[]" in found.problem
    loader.graph.add_dependency(None, ("annex", "0003"), ("vault", "0002"))
    assert breaking.in_graph(loader, connection) == []


def test_a_field_that_asks_for_its_model_is_left_out() -> None:
    class Odd(models.Field):
        def db_type(self, connection: Any) -> str:
            return str(self.model._meta.db_table)

    found = judge(
        "annex", AddField("Book", "odd", Odd(null=True)), AddField("Book", "other", models.TextField(default=""))
    )
    assert [one.subject for one in found] == ["other"]


def test_a_foreign_key_of_the_target_follows_the_move_of_what_it_points_at() -> None:
    first = Move("vault.Tag", "annex.Tag")
    keys = {"tag": points_at("vault.Tag", null=True)}
    loader = graph_of(
        vault=[[tag(), book(**keys)]],
        annex=[[tag(), book(**keys)], [run(MOVE)], [run(first)], [field(tag=points_at("annex.Tag", null=True))]],
    )
    assert plan_of(loader, *BASE, ("annex", "0003")) == []
    loader = project(annex=[[field(code=points_at("auth.User"))]])
    assert plan_of(loader, *BASE)
