"""The tables of history. All but the last are partitioned by months, which only `partitions` knows.

A printer is a number here and no foreign key: the history of a printer that is deleted is found by nobody any more,
and goes with its months, instead of keeping whoever deletes waiting for a year of rows.
"""

from django.db import models
from django.db.models import CompositePrimaryKey

from printers.states import State


class StateChange(models.Model):
    """From this moment on the printer was in this state."""

    pk = CompositePrimaryKey("printer_id", "at")
    printer_id = models.IntegerField()
    at = models.DateTimeField()
    state = models.CharField(max_length=20, choices=State)
    times = models.SmallIntegerField(default=1, db_default=1, help_text="How many changes it stands for.")

    def __str__(self) -> str:
        return f"{State(self.state).word} since {self.at:%Y-%m-%d %H:%M}"


class Temperature(models.Model):
    """From this moment on a part had this temperature, until the next row; empty where the printer says nothing."""

    pk = CompositePrimaryKey("printer_id", "part", "at")
    printer_id = models.IntegerField()
    part = models.CharField(max_length=20)
    at = models.DateTimeField()
    actual = models.FloatField(null=True)
    target = models.FloatField(null=True)

    def __str__(self) -> str:
        return f"{self.part} {self.actual} °C at {self.at:%Y-%m-%d %H:%M}"


class Quarter(models.Model):
    """What temperatures are rolled up to: a quarter of an hour of a part, as it began here.

    A quarter in which nothing moved since the one before has no row, save the first of each day by UTC.
    """

    # No such key is in the database, whose index would be larger than the rows.
    pk = CompositePrimaryKey("printer_id", "part", "at")
    at = models.DateTimeField()
    printer_id = models.IntegerField()
    low = models.FloatField(null=True)
    mean = models.FloatField(null=True, help_text="By the time that each temperature lasted.")
    high = models.FloatField(null=True)
    target = models.FloatField(null=True)
    part = models.CharField(max_length=20)

    def __str__(self) -> str:
        return f"{self.part} {self.mean} °C from {self.at:%Y-%m-%d %H:%M}"


class RolledUp(models.Model):
    """One row: until when history is rolled up. Who rolls up holds a lock on it."""

    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"until {self.until:%Y-%m-%d %H:%M}"
