from django.utils import timezone

from monitoring.history import partitions, rolling


def tidy() -> None:
    """What whoever polls does once a minute: make months ahead, roll up what is a day old, drop what is too old."""
    now = timezone.now()
    partitions.make_ahead(now)
    rolling.roll_up(now)
    partitions.drop_old(now)
