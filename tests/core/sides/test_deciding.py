"""Who is on which side: a choice for the user, else for a group, else the percentage; and since when."""

import subprocess
import sys
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from core.sides import deciding, sending
from core.sides.deciding import bucket, decide, decide_all, side_of
from core.sides.models import Choice, Side
from core.sides.reading import count_sides
from tests.conftest import ROOT

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nobody_is_over(settings: Settings) -> None:
    settings.CUTOVER_PERCENT = 0


def user(name: str, *groups: Group) -> User:
    made = User.objects.create_user(name)
    made.groups.add(*groups)
    return made


def group(name: str) -> Group:
    return Group.objects.create(name=name)


def ago(hours: int, choice: Choice) -> Choice:
    choice.since = timezone.now() - timedelta(hours=hours)
    choice.save()
    return choice


def test_everybody_begins_on_the_old_side_in_production() -> None:
    decision = decide(user("ada"))

    assert (decision.side, decision.because, decision.since) == (Side.OLD, None, None)


def test_a_choice_for_the_user_is_before_one_for_a_group_and_that_before_the_percentage() -> None:
    crew = group("crew")
    ada, bob, eve = user("ada", crew), user("bob", crew), user("eve")
    sending.send_percentage(100)
    sending.send_group(crew, Side.OLD)
    sending.send_user(ada, Side.NEW)

    assert [side_of(one) for one in (ada, bob, eve)] == [Side.NEW, Side.OLD, Side.NEW]


def test_who_is_in_two_groups_is_on_the_old_side_while_one_of_them_is() -> None:
    over, kept = group("over"), group("kept")
    sending.send_group(over, Side.NEW)
    sending.send_group(kept, Side.OLD)

    assert side_of(user("ada", over, kept)) is Side.OLD


def test_the_percentage_takes_about_so_many_and_nobody_back_when_it_grows() -> None:
    over: set[int] = set()
    for percent in (0, 1, 20, 50, 100):
        now = {pk for pk in range(1, 5001) if bucket(pk) < percent}
        assert over <= now
        assert len(now) == pytest.approx(50 * percent, abs=150)
        over = now


def test_the_hash_is_the_same_in_another_process_and_in_another_version() -> None:
    code = "from core.sides.deciding import bucket; print([bucket(pk) for pk in range(1, 11)])"
    code = f"import django, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'core.settings'; django.setup(); {code}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str([bucket(pk) for pk in range(1, 11)]) == str(BUCKETS)


BUCKETS = [56, 17, 84, 8, 52, 18, 4, 88, 92, 47]
"""Written down: a change would send people to another side."""


def test_since_is_the_change_that_brought_the_user_over(settings: Settings) -> None:
    ada = user("ada")
    number = bucket(ada.pk)
    ago(9, sending.send_percentage(100))
    ago(8, sending.send_percentage(0))
    brought = ago(7, sending.send_percentage(number + 1))
    ago(6, sending.send_percentage(100))

    decision = decide(ada)

    assert (decision.side, decision.since) == (Side.NEW, brought.since)


def test_who_is_sent_over_twice_is_over_since_the_first_time() -> None:
    ada = user("ada")
    first = ago(5, sending.send_user(ada, Side.NEW)).since
    sending.send_user(ada, Side.NEW)
    assert decide(ada).since == first

    sending.send_user(ada, Side.OLD, reason="until the fair is over")
    assert decide(ada).since > first
    assert decide(ada).because.reason == "until the fair is over"


def test_everybody_goes_back_without_exception_and_who_was_kept_stays() -> None:
    crew = group("crew")
    ada, bob, kept = user("ada"), user("bob", crew), user("kept")
    sending.send_percentage(100)
    sending.send_user(ada, Side.NEW)
    sending.send_group(crew, Side.NEW)
    sending.send_user(kept, Side.OLD)
    assert not deciding.is_everybody_over()

    sending.send_everybody_back(by="Ines")

    assert {side_of(one) for one in (ada, bob, kept)} == {Side.OLD}
    sending.send_percentage(100)
    assert side_of(kept) is Side.OLD


def test_the_percentage_decides_again_when_a_choice_is_forgotten() -> None:
    ada = user("ada")
    sending.send_user(ada, Side.NEW)

    assert sending.let_percentage_decide(ada)
    assert not sending.let_percentage_decide(ada)
    assert side_of(ada) is Side.OLD


def test_everybody_is_over_at_100_percent_with_nobody_kept() -> None:
    sending.send_percentage(99)
    assert not deciding.is_everybody_over()
    sending.send_percentage(100)
    assert deciding.is_everybody_over()


def test_one_and_many_are_decided_alike_in_as_many_queries_for_many(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    crew, other = group("crew"), group("other")
    sending.send_percentage(40)
    sending.send_group(crew, Side.NEW)
    sending.send_group(other, Side.OLD)
    people = [user(f"p{n}", *([crew] if n % 3 == 0 else []), *([other] if n % 5 == 0 else [])) for n in range(40)]
    sending.send_user(people[0], Side.NEW)
    sending.send_user(people[1], Side.OLD)

    with django_assert_num_queries(2):
        found = decide_all(one.pk for one in people)

    assert found == {one.pk: decide(one) for one in people}
    with django_assert_num_queries(1):
        decide(people[0])


def test_the_effect_of_a_percentage_leaves_out_who_was_chosen() -> None:
    people = [user(f"p{n}") for n in range(30)]
    sending.send_user(people[0], Side.NEW)
    decisions = decide_all(one.pk for one in people)

    over, back = deciding.effect_of(60, decisions)

    sending.send_percentage(60)
    assert (count_sides().new, back) == (over + 1, 0)
    assert deciding.effect_of(0, decide_all(one.pk for one in people)) == (0, over)


@pytest.mark.parametrize(
    "fields", [{}, {"percent": 101}, {"percent": 5, "side": "old"}, {"user": True, "percent": 5}]
)  # fmt: skip
def test_the_table_takes_no_choice_that_means_nothing(fields: dict[str, object]) -> None:
    if "user" in fields:
        fields = fields | {"user": user("ada")}
    with pytest.raises(IntegrityError), transaction.atomic():
        Choice.objects.create(**fields)


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_percentage_is_from_0_to_100(percent: int) -> None:
    with pytest.raises(ValueError, match="give a number from 0 to 100"):
        sending.send_percentage(percent)
