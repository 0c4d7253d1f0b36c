from rest_framework import serializers

from accounts.people.models import Density, Theme
from api.serializers.fields import Flag, Integer, Key, Text
from core.sides.deciding import percent_in_force
from core.sides.models import Side
from core.sides.reading import Counted


class GroupSerializer(serializers.Serializer):
    id = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    printers = serializers.IntegerField(source="counted", help_text="How many of them you may see.")
    may = serializers.ListField(child=serializers.CharField(), help_text="What you may do with its printers.")


class ProfileSerializer(serializers.Serializer):
    """Somebody who owns printers."""

    id = serializers.IntegerField(source="pk")
    name = serializers.CharField(allow_null=True)
    username = serializers.CharField(allow_null=True)
    organization = serializers.CharField(allow_null=True)
    email = serializers.CharField(allow_null=True)


class OwnProfileSerializer(ProfileSerializer):
    theme = serializers.ChoiceField(Theme.choices, source="person.theme", help_text="Empty: as the device.")
    density = serializers.ChoiceField(Density.choices, source="person.density")
    time_zone = serializers.CharField(source="person.time_zone")
    shares_printers = serializers.BooleanField(source="person.shares_printers")
    groups = serializers.ListField(child=serializers.CharField(), help_text="User groups.")


class ProfileChangeSerializer(serializers.Serializer):
    """What is left out stays as it is. Another e-mail address is confirmed on the page of the profile."""

    name = Text(max_length=200, required=False, allow_blank=True)
    organization = Text(max_length=200, required=False, allow_blank=True)
    theme = serializers.ChoiceField(Theme.choices, required=False)
    density = serializers.ChoiceField(Density.choices, required=False)
    time_zone = Text(max_length=64, required=False, help_text="Such as Europe/Oslo.")
    shares_printers = Flag(required=False)


class CutoverSerializer(serializers.Serializer):
    """How many people are on which side."""

    percent = serializers.SerializerMethodField(help_text="The percentage in force.")
    total = serializers.IntegerField()
    old = serializers.IntegerField()
    new = serializers.IntegerField()
    new_by_percentage = serializers.IntegerField(source="by_percentage")
    new_by_group = serializers.IntegerField(source="by_group")
    new_by_name = serializers.IntegerField(source="by_name")
    kept_old = serializers.IntegerField(source="kept")

    def get_percent(self, counted: Counted) -> int:
        return percent_in_force()


class SendSerializer(serializers.Serializer):
    what = serializers.ChoiceField(
        ["percent", "group", "user", "unchoose", "back"],
        help_text="Which field counts. unchoose: groups and the percentage decide for the user; back: everybody.",
    )
    percent = Integer(min_value=0, max_value=100, required=False)
    group = Key(required=False, help_text="The id of a user group.")
    user = Key(required=False)
    side = serializers.ChoiceField(Side.choices, required=False)
    reason = Text(max_length=200, required=False, allow_blank=True)


class SentSerializer(CutoverSerializer):
    sentence = serializers.CharField()


class PersonSerializer(serializers.Serializer):
    """A user, the side they are on, and because of what."""

    id = serializers.IntegerField(source="user.pk")
    username = serializers.CharField(source="user.username")
    name = serializers.CharField()
    side = serializers.ChoiceField(Side.choices)
    because = serializers.CharField()
    since = serializers.DateTimeField(allow_null=True)
    errors = serializers.IntegerField(help_text="Of the last days, as the page counts them.")
