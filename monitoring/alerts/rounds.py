"""What a round of the poller does for alerts: decide, then deliver."""

from django.utils import timezone

from monitoring.alerts import judging, sending


def work() -> tuple[int, int]:
    """How many messages were made, and how many were tried. Two at once share the work."""
    made = judging.judge(timezone.now())
    tried = sending.deliver()
    sending.forget(timezone.now())
    return made, tried
