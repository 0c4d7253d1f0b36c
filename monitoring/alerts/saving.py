"""Saves a channel from a form that was found to be right, and deletes channels and rules: pages and the API."""

from django.contrib.auth import get_user_model
from django.db import transaction

from monitoring.alerts.forms import MOST_CHANNELS, ChannelForm
from monitoring.alerts.models import Channel, Rule


class Refused(Exception):
    """The channel is not saved; `same` is the one that leads there already."""

    def __init__(self, sentence: str, same: Channel | None = None) -> None:
        super().__init__(sentence)
        self.sentence, self.same = sentence, same


def save(form: ChannelForm) -> Channel:
    """What was typed, and nothing else. Raises Refused, or Channel.DoesNotExist where it was deleted meanwhile.

    Of two at once of one user the second waits: what is sent twice is saved once.
    """
    typed = form.instance
    with transaction.atomic():
        get_user_model().objects.select_for_update(no_key=True).get(pk=typed.user_id)
        refuse_what_is_there(form)
        channel = typed if typed.pk is None else Channel.objects.select_for_update(no_key=True).get(pk=typed.pk)
        for name in changed_in(form):
            setattr(channel, name, getattr(typed, name))
        channel.save()
    return channel


def refuse_what_is_there(form: ChannelForm) -> None:
    typed = form.instance
    mine = Channel.objects.filter(user=typed.user_id, kind=Channel.Kind.SERVICE).exclude(pk=typed.pk)
    if "address" in form.changed_data and (same := mine.filter(address=typed.address).first()):
        raise Refused(f"{same} leads there already.", same)
    if typed.pk is None and mine.count() >= MOST_CHANNELS:
        raise Refused(f"You have {MOST_CHANNELS} channels. Delete one that is not needed any more.")


def changed_in(form: ChannelForm) -> list[str]:
    """The service is found out from the address."""
    return [*form.changed_data, "service"] if "address" in form.changed_data else form.changed_data


@transaction.atomic
def delete(one: Channel | Rule) -> None:
    """Locked first: whoever saves it just now, or a rule that leads to it, is done, or finds it gone."""
    type(one).objects.select_for_update().filter(pk=one.pk).first()
    one.delete()
