import pytest
from django.contrib.auth.models import User

from accounts.models import Profile


@pytest.mark.parametrize(
    ("profile", "shown"),
    [
        (Profile(pk=7, name="Ada", username="ada"), "Ada"),
        (Profile(pk=7, name="", username="ada"), "ada"),
        (Profile(pk=7), "Profile 7"),
    ],
)
def test_a_profile_is_shown_by_the_best_name_it_has(profile: Profile, shown: str) -> None:
    assert str(profile) == shown


@pytest.mark.django_db
def test_a_profile_ends_with_its_user_and_needs_none() -> None:
    user = User.objects.create_user("ada")
    profile = Profile.objects.create(user=user)
    without = Profile.objects.create()

    assert user.profile == profile
    user.delete()
    assert list(Profile.objects.all()) == [without]
