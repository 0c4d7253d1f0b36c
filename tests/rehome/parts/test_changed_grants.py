"""The statements by which a table comes to have other grants, as text: what a REVOKE takes along is granted again."""

from rehome.parts import grants
from rehome.postgres.sql import Identifier
from rehome.postgres.tables import Grant

PLACE = Identifier("public", "thing")
BOSS = Grant("boss", "SELECT", grantable=True, column="")
CLERK = Grant("clerk", "SELECT", grantable=True, column="", grantor="boss")
INTERN = Grant("intern", "SELECT", grantable=False, column="name", grantor="clerk")


def change(before: list[Grant], after: list[Grant]) -> list[str]:
    """A statement as the role that granted it before is a block."""
    found = [statement.as_string().replace('"', "") for statement in grants.change("TABLE", PLACE, before, after)]
    return [text.removesuffix(" ON TABLE public.thing") for text in found if not text.startswith("DO ")]


def test_whoever_passes_on_comes_after_whoever_lets_him() -> None:
    assert grants.in_order([INTERN, CLERK, BOSS]) == [BOSS, CLERK, INTERN]


def test_what_nobody_could_pass_on_comes_from_the_owner() -> None:
    alone, again = grants.in_order([INTERN, INTERN]), Grant("intern", "SELECT", grantable=False, column="name")
    assert alone == [again]
    circle = [Grant("a", "SELECT", True, "", "b"), Grant("b", "SELECT", True, "", "a")]
    assert {one.grantor for one in grants.in_order(circle)} == {""}


def test_nothing_is_said_where_nothing_changes() -> None:
    assert change([BOSS, CLERK, INTERN], [BOSS, CLERK, INTERN]) == []


def test_the_columns_that_were_passed_on_go_with_the_right_to_the_table() -> None:
    assert change([BOSS, CLERK, INTERN], []) == [
        "GRANT SELECT (name) ON TABLE public.thing TO clerk WITH GRANT OPTION",
        "REVOKE SELECT (name) ON TABLE public.thing FROM clerk CASCADE",
        "REVOKE SELECT ON TABLE public.thing FROM boss CASCADE",
    ]


def test_what_stays_of_what_a_revoke_takes_along_is_granted_again() -> None:
    stays = Grant("intern", "SELECT", grantable=False, column="name")
    assert change([BOSS, CLERK, INTERN], [stays])[-1] == "GRANT SELECT (name) ON TABLE public.thing TO intern"


def test_an_option_alone_is_revoked_with_what_was_passed_on_under_it() -> None:
    weaker = Grant("boss", "SELECT", grantable=False, column="")
    assert change([BOSS, CLERK], [weaker]) == ["REVOKE GRANT OPTION FOR SELECT ON TABLE public.thing FROM boss CASCADE"]
