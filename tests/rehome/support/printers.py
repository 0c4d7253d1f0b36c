"""One model with everything that a model can have, before it moves, and after its class was cut or copied."""

HEAD = """\
from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
"""
TAG = """

class Tag(models.Model):
    name = models.CharField(max_length=20)
"""
OWNER = """

class Owner(models.Model):
    name = models.CharField(max_length=20)
    favourite = models.ForeignKey("Printer", models.SET_NULL, null=True, related_name="fans")
"""
PRINTER = """

class Printer(models.Model):
    owner = models.ForeignKey(Owner, models.CASCADE, related_name="printers")
    keeper = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="printers")
    parent = models.ForeignKey("self", models.SET_NULL, null=True)
    tags = models.ManyToManyField("portal.Tag")
    labels = models.ManyToManyField("portal.Tag", through="Labelling", related_name="labelled")
    serial = models.CharField(max_length=20)
    period = DateTimeRangeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["owner", "serial"], name="printer_once"),
            models.UniqueConstraint(fields=["serial"], condition=models.Q(parent=None), name="printer_top"),
            models.CheckConstraint(condition=~models.Q(serial=""), name="printer_named"),
            ExclusionConstraint(name="printer_period", expressions=[("period", "&&")]),
        ]
        indexes = [models.Index(fields=["serial"], name="printer_index_of_30_characters")]
        permissions = [("lend_printer", "Can lend")]
"""
LABELLING = """

class Labelling(models.Model):
    printer = models.ForeignKey(Printer, models.CASCADE)
    tag = models.ForeignKey("portal.Tag", models.CASCADE)
"""
FAST = """

class FastPrinter(Printer):
    class Meta:
        proxy = True
"""
SLOW = """

class SlowPrinter(Printer):
    class Meta:
        proxy = True
"""
BILLING = """\
from django.db import models


class Invoice(models.Model):
    printer = models.ForeignKey("portal.Printer", models.CASCADE)
    via = models.ForeignKey("portal.SlowPrinter", models.CASCADE, related_name="+")
    fast = models.ForeignKey("portal.FastPrinter", models.CASCADE, related_name="+")
"""
JOBS = """\
from django.db import models
from portal.models import Printer


class Job(models.Model):
    printers = models.ManyToManyField(Printer)
    printer = models.ForeignKey(Printer, models.SET_NULL, null=True, related_name="jobs")


class ColourPrinter(Printer):
    colours = models.IntegerField(default=4)


class Cartridge(models.Model):
    printer = models.ForeignKey(ColourPrinter, models.CASCADE)
"""
APPS = ("portal", "printers", "billing", "jobs")
BEFORE = {
    "portal/models.py": HEAD + TAG + OWNER + PRINTER + LABELLING + FAST + SLOW,
    "billing/models.py": BILLING,
    "jobs/models.py": JOBS,
}
POINTING = {
    "billing/models.py": BILLING.replace("portal.Printer", "printers.Printer").replace(
        "portal.FastPrinter", "printers.FastPrinter"
    ),
    "jobs/models.py": JOBS.replace("portal.models", "printers.models"),
}
CUT = {
    # Fast printers go along, slow ones stay.
    "printers/models.py": HEAD + OWNER + PRINTER + LABELLING + FAST,
    "portal/models.py": f"from django.db import models\nfrom printers.models import Printer\n{TAG}{SLOW}",
    **POINTING,
}
MOVED = ("Printer", "Owner", "Labelling")
COMMAND = "makemove " + " ".join(f"portal.{name} printers.{name}" for name in MOVED)


ROWS = """
INSERT INTO portal_tag (name) VALUES ('red'), ('blue');
INSERT INTO portal_owner (name) SELECT 'owner ' || n FROM generate_series(1, 3) n;
INSERT INTO portal_printer (owner_id, serial, parent_id)
SELECT 1 + n % 3, 'serial ' || n, nullif(n - 1, 0) FROM generate_series(1, 8) n;
UPDATE portal_owner SET favourite_id = id;
INSERT INTO portal_printer_tags (printer_id, tag_id) SELECT n, 1 + n % 2 FROM generate_series(1, 8) n;
INSERT INTO portal_labelling (printer_id, tag_id) SELECT n, 1 FROM generate_series(1, 8) n;
INSERT INTO billing_invoice (printer_id, via_id, fast_id) SELECT n, n, n FROM generate_series(1, 8) n;
INSERT INTO jobs_job (printer_id) VALUES (1), (2);
INSERT INTO jobs_job_printers (job_id, printer_id) VALUES (1, 3), (2, 4);
INSERT INTO jobs_colourprinter (printer_ptr_id, colours) VALUES (5, 6);
INSERT INTO jobs_cartridge (printer_id) VALUES (5);
INSERT INTO auth_group (name) VALUES ('lenders');
INSERT INTO auth_group_permissions (group_id, permission_id)
SELECT 1, id FROM auth_permission WHERE codename IN ('lend_printer', 'view_fastprinter', 'view_slowprinter');
"""
ENDS = """
SELECT conrelid::regclass::text, (SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]),
       confrelid::regclass::text, convalidated
  FROM pg_constraint
 WHERE contype = 'f' AND confrelid::regclass::text ~ '^(portal|printers)_(printer|owner)$'
   AND conrelid::regclass::text ~ '^(billing|jobs)_'
 ORDER BY 1, 2
"""
"""Where foreign keys of other apps lead."""
GRANTED = """
SELECT app_label || '.' || codename
  FROM auth_group_permissions g JOIN auth_permission p ON p.id = g.permission_id
  JOIN django_content_type t ON t.id = p.content_type_id
 ORDER BY 1
"""
INDEXES = """
SELECT indexrelid::regclass::text FROM pg_index
 WHERE indrelid = to_regclass('{table}') AND indexrelid::regclass::text !~ '_pkey$' ORDER BY 1
"""
