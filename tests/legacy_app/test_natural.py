"""Persian names compare however they were typed, and different names stay different."""

import itertools

import pytest
from django.db import connection
from django.db.models import CharField, Value

from accounts.models import Profile
from legacy_app.natural import IGNORED, persian
from legacy_app.provinces import CODES
from tests.legacy_app.ostans import FEATURES, TYPED

pytestmark = pytest.mark.django_db


def normal(text: str | None) -> str | None:
    Profile.objects.get_or_create(pk=1)
    return Profile.objects.annotate(found=persian(Value(text, output_field=CharField()))).get(pk=1).found


@pytest.mark.parametrize(
    "typed",
    [
        "کرمان شاهی",
        "\u0643رمان شاه\u064a",
        "کرمان\u200cشاهی",
        " کرمان \u00a0 شاهی\t",
        "کرمانشاهی",
        "کـرمـان شاهی",
        "\ufedb\ufeae\ufee3\ufe8e\ufee5\u2003شاه\u0649",
        "\u202bکرمان شاهی\u202c\ufeff",
    ],
)
def test_spellings_of_one_name_are_equal(typed: str) -> None:
    assert normal(typed) == "کرمانشاهی"


def test_what_is_left_out_is_left_out_alone() -> None:
    assert normal(f"a{IGNORED}b") == "ab"
    assert normal("۱۲ آلمان, Qom-2 %s") == "۱۲آلمان,Qom-2%s"
    assert normal(None) is None
    assert normal("") == ""


def test_different_names_stay_different() -> None:
    Profile.objects.bulk_create([Profile(name=name) for name in CODES])
    found = list(Profile.objects.filter(name__in=CODES).annotate(found=persian("name")).values_list("found", flat=True))
    assert len(set(found)) == len(found) == 31
    assert all(normal(one) != normal(other) for one, other in itertools.pairwise(["آبان", "ابان", "اَبان"]))


def test_exact_matching_misses_14_of_31_provinces_and_this_none() -> None:
    old = [TYPED.get(name, name) for name in (feature["properties"]["name:fa"] for feature in FEATURES)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM unnest(%s::text[]) AS old WHERE old <> ALL (%s)", [old, list(CODES)])
        assert (len(old), cursor.fetchone()[0]) == (31, 14)
    Profile.objects.bulk_create([Profile(name=name, username="iso") for name in CODES])
    Profile.objects.bulk_create([Profile(name=name, username="old") for name in old])
    iso, typed = (
        set(Profile.objects.filter(username=side).annotate(found=persian("name")).values_list("found", flat=True))
        for side in ("iso", "old")
    )
    assert iso == typed
