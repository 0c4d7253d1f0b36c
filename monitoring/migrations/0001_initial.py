import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

KINDS = [("octoprint", "OctoPrint"), ("moonraker", "Moonraker"), ("prusalink", "PrusaLink")]

# What had ended before anybody recorded prints waits for somebody, as it did.
ENDED = """
INSERT INTO monitoring_print (printer_id, file, started_at, seen_running, ended_at, outcome, reason, found_by, verdict,
    bad_reason)
SELECT printer_id, file, since, true, since, state, '', 'polling', '', '' FROM fleet_lastseen
WHERE state IN ('finished', 'failed', 'cancelled');
UPDATE fleet_lastseen SET waits = state WHERE state IN ('finished', 'failed', 'cancelled');
"""

# What pages show of the farm. The printers' own table moves, so it has no trigger: whoever adds or deletes a printer
# also writes one of these.
WATCHED = (
    "fleet_machine",
    "fleet_lastseen",
    "fleet_printergroup",
    "fleet_membership",
    "fleet_role",
    "monitoring_print",
)
EVENTS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}

# A statement that found nothing to change is no change. It runs under the path of the migration, whoever writes.
FUNCTION = """
CREATE OR REPLACE FUNCTION monitoring_note_change() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT FROM changed) THEN
        INSERT INTO monitoring_fleetchange (number) VALUES (1);
    END IF;
    RETURN NULL;
END
$$
"""
TRIGGER = """
CREATE TRIGGER monitoring_note_{event} AFTER {event} ON {table}
    REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION monitoring_note_change()
"""


def triggers() -> list[migrations.RunSQL]:
    return [
        migrations.RunSQL(
            TRIGGER.format(event=event, table=table, rows=rows),
            f"DROP TRIGGER IF EXISTS monitoring_note_{event} ON {table}",
        )
        for table in WATCHED
        for event, rows in EVENTS.items()
    ]


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        # Not a later one of printers: this would be unapplied before the move, with every print.
        ("fleet", "0004_misses_and_waits"),
        ("printers", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Lease",
            fields=[
                ("kind", models.CharField(choices=KINDS, max_length=20, primary_key=True, serialize=False)),
                ("holder", models.CharField(max_length=100)),
                ("until", models.DateTimeField()),
                (
                    "polled_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When a round began that has asked every printer that answers.",
                        null=True,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Shard",
            fields=[
                ("number", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("polled_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Print",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("file", models.CharField(blank=True, max_length=1000)),
                ("started_at", models.DateTimeField()),
                (
                    "seen_running",
                    models.BooleanField(default=True, help_text="Whether a look has found it running."),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("finished", "Finished"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                            ("lost", "Lost"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "reason",
                    models.CharField(blank=True, help_text="What the machine said at its end.", max_length=1000),
                ),
                ("seconds", models.FloatField(blank=True, null=True)),
                ("filament_mm", models.FloatField(blank=True, null=True)),
                (
                    "found_by",
                    models.CharField(
                        choices=[("control", "The portal"), ("polling", "Polling"), ("agent", "An agent")],
                        default="polling",
                        max_length=10,
                    ),
                ),
                ("signed_off_at", models.DateTimeField(blank=True, null=True)),
                (
                    "verdict",
                    models.CharField(blank=True, choices=[("good", "Good"), ("bad", "Bad")], max_length=4),
                ),
                (
                    "bad_count",
                    models.PositiveIntegerField(blank=True, help_text="How many of its parts were bad.", null=True),
                ),
                ("bad_reason", models.CharField(blank=True, max_length=500)),
                (
                    "printer",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="prints",
                        to="printers.printer",
                    ),
                ),
                (
                    "signed_off_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "started_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["printer", "-started_at", "-id"], name="monitoring_print_latest"),
                    models.Index(fields=["-started_at", "-id"], name="monitoring_print_newest"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("printer",),
                        name="monitoring_print_one_open",
                    )
                ],
            },
        ),
        migrations.RunSQL(ENDED, migrations.RunSQL.noop),
        migrations.CreateModel(
            name="FleetChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField(default=1, help_text="How many changes it stands for.")),
            ],
        ),
        migrations.RunSQL(FUNCTION, "DROP FUNCTION IF EXISTS monitoring_note_change()"),
        *triggers(),
    ]
