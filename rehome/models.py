"""MoveRun: one row for each run of a move on this database. ImportRun: one for each import that ran."""

from django.db import models


class Phase(models.TextChoices):
    """How far a run has come. A run goes down this list, skips what its way does not need, and ends at BACK.

    PREPARED  the empty target's foreign keys are dropped, and online its indexes; no row is copied
    COPYING   online: triggers carry the source's writes to the fenced target, and batches of its blocks are copied
    BUILDING  online: every row is copied; indexes and foreign keys are built, then every row is compared
    MOVED     rows are copied, compared and in sync; foreign keys are not yet added or validated
    LIVE      foreign keys are validated, statistics gathered; both tables are in use and in sync
    FROZEN    the same of a move without a way back: the target is in use, the source read-only
    IN_PLACE  the source's table has the target's name; the old name is a view of it
    RETIRED   the target alone has the rows; the old name is a view of it
    BACK      the source has every row again; the target is empty and fenced
    ENDED     nothing is left of the source: the target alone is in use, and there is no way back
    """

    PREPARED = "prepared"
    COPYING = "copying"
    BUILDING = "building"
    MOVED = "moved"
    LIVE = "live"
    FROZEN = "frozen"
    IN_PLACE = "in place"
    RETIRED = "retired"
    BACK = "back"
    ENDED = "ended"


class MoveRun(models.Model):
    """Written by rehome.plan.ledger alone, which makes the table as Django makes django_migrations: unmanaged, so that
    `flush` does not empty it.
    """

    id = models.BigIntegerField(primary_key=True)
    """Counted by the ledger: a sequence would also count runs whose records are deleted."""
    move = models.CharField(max_length=255)
    source_table = models.CharField(max_length=255)
    target_table = models.CharField(max_length=255)
    phase = models.CharField(max_length=16, choices=Phase)
    started_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    rows = models.BigIntegerField(null=True)
    kept = models.JSONField(default=dict)
    """What the way back, or the next run after a crash, needs to know."""
    verified_at = models.DateTimeField(null=True)
    verification = models.JSONField(null=True)

    class Meta:
        managed = False
        db_table = "rehome_moverun"

    def __str__(self) -> str:
        return f"{self.move}: {self.phase}"


class ImportRun(models.Model):
    """The last run of an import; written by rehome.importing.ledger alone, in the transaction of the import."""

    name = models.TextField(primary_key=True)
    source = models.TextField()
    """The alias of the database that was read."""
    declaration = models.CharField(max_length=64)
    """A hash of what was declared: an import by another declaration may lack rows of this one."""
    ran_at = models.DateTimeField()
    counts = models.JSONField()
    watermark = models.TextField(null=True)
    """The largest value that `changed` had when the source was read."""
    verified_at = models.DateTimeField(null=True)
    verification = models.JSONField(null=True)

    class Meta:
        managed = False
        db_table = "rehome_importrun"

    def __str__(self) -> str:
        return self.name
