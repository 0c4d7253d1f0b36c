from django.db import models


class Check(models.Model):
    """The last verification of a move that staff have asked for; what it found is in rehome's own record."""

    move = models.CharField(max_length=255, primary_key=True)
    by = models.CharField(max_length=150, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    said = models.TextField(blank=True, help_text="What verifymoves said; empty when the tables are equal.")

    def __str__(self) -> str:
        return f"{self.move}, asked by {self.by}"


class Discrepancy(models.Model):
    """What verifications of a move found, from the first that found something to the first that found nothing more."""

    move = models.CharField(max_length=255, db_index=True)
    found_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="The last verification that still found it.")
    ended_at = models.DateTimeField(null=True, help_text="The first verification that found nothing more.")
    missing = models.BigIntegerField(default=0)
    extra = models.BigIntegerField(default=0)
    different = models.BigIntegerField(default=0)
    orphans = models.BigIntegerField(default=0)
    rows = models.JSONField(
        default=list, help_text="The first rows: table, key and columns, never what stands in them."
    )

    class Meta:
        verbose_name_plural = "discrepancies"

    def __str__(self) -> str:
        return f"{self.move}, {self.found_at:%Y-%m-%d %H:%M}"

    @property
    def counts(self) -> str:
        """In words; a discrepancy without rows is one of triggers, sequences or rights."""
        named = [("missing", self.missing), ("extra", self.extra), ("different", self.different)]
        said = [
            f"{number:,} {name}" for name, number in [*named, ("with a key that leads nowhere", self.orphans)] if number
        ]
        return ", ".join(said) or "no row differs, but triggers, sequences or rights do"
