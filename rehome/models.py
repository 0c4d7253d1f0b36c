"""MoveRun: one row for each time that a move began on this database. ImportRun: one for each import that ran."""

from django.db import models


class Phase(models.TextChoices):
    """Where a run stands; it goes down this list, leaves out what its way does not need, and ends at BACK.

    PREPARED  the empty target's foreign keys and secondary indexes are put away; no row has been copied
    COPYING   online: the source's writes are carried to the fenced target, and batches of its blocks are copied
    BUILDING  online: every row is copied; indexes and foreign keys are being built, then every row compared
    MOVED     rows copied, compared and in step; foreign keys not yet added or validated
    LIVE      foreign keys validated, statistics gathered; both tables are used and in step
    IN_PLACE  the source's table has the target's name; the old name is a view of it
    RETIRED   the target alone has the rows; the old name is a view of it
    BACK      the source has everything again; the target is empty and fenced
    """

    PREPARED = "prepared"
    COPYING = "copying"
    BUILDING = "building"
    MOVED = "moved"
    LIVE = "live"
    IN_PLACE = "in place"
    RETIRED = "retired"
    BACK = "back"


class MoveRun(models.Model):
    """Written by rehome.plan.ledger alone, and made by it as django_migrations is: unmanaged, so that `flush`,
    which empties what the models describe, leaves it alone.
    """

    id = models.BigIntegerField(primary_key=True)
    """Counted by the ledger: a sequence would go on counting runs of which nothing else was left."""
    move = models.CharField(max_length=255)
    source_table = models.CharField(max_length=255)
    target_table = models.CharField(max_length=255)
    phase = models.CharField(max_length=16, choices=Phase)
    started_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    rows = models.BigIntegerField(null=True)
    kept = models.JSONField(default=dict)
    """What the way back, or the next run after a crash, needs to restore."""
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
    """A hash of what was declared: what came by another declaration may lack rows that this one takes."""
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
