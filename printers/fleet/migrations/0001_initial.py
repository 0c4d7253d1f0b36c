import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        # Not a later one: this would be unapplied before the move, with everything that is known of the printers.
        ("printers", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="LastSeen",
            fields=[
                (
                    "printer",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="last_seen",
                        serialize=False,
                        to="printers.printer",
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("finished", "Finished"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                            ("error", "Error"),
                            ("attention", "Attention"),
                            ("refused", "Key refused"),
                            ("printing", "Printing"),
                            ("heating", "Heating"),
                            ("paused", "Paused"),
                            ("ready", "Ready"),
                            ("disconnected", "Disconnected"),
                            ("unreachable", "Unreachable"),
                            ("outoforder", "Out of order"),
                        ],
                        max_length=20,
                    ),
                ),
                ("since", models.DateTimeField(help_text="When this state began.")),
                (
                    "seen_at",
                    models.DateTimeField(
                        blank=True, help_text="When the server last answered; empty for never.", null=True
                    ),
                ),
                ("asked_at", models.DateTimeField(help_text="When it was last asked.")),
                ("file", models.CharField(blank=True, max_length=1000)),
                ("progress", models.FloatField(blank=True, help_text="In per cent.", null=True)),
                ("ends_at", models.DateTimeField(blank=True, null=True)),
                (
                    "temperatures",
                    models.JSONField(blank=True, default=dict, help_text="By part, such as tool0: actual and target."),
                ),
                (
                    "message",
                    models.CharField(blank=True, help_text="What the machine or its server says.", max_length=1000),
                ),
            ],
            options={
                "verbose_name_plural": "last seen",
            },
        ),
        migrations.CreateModel(
            name="Machine",
            fields=[
                (
                    "printer",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="machine",
                        serialize=False,
                        to="printers.printer",
                    ),
                ),
                ("name", models.CharField(blank=True, help_text="What people call it.", max_length=200)),
                (
                    "kind",
                    models.CharField(
                        choices=[("octoprint", "OctoPrint"), ("moonraker", "Moonraker"), ("prusalink", "PrusaLink")],
                        db_default="octoprint",
                        default="octoprint",
                        max_length=20,
                    ),
                ),
                (
                    "place",
                    models.CharField(blank=True, help_text="Where it stands, such as Hall A, rack 1.", max_length=200),
                ),
                (
                    "tags",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50),
                        blank=True,
                        default=list,
                        help_text="Separated by commas.",
                        size=None,
                    ),
                ),
                ("notes", models.TextField(blank=True)),
                ("model", models.CharField(blank=True, help_text="Such as Prusa MK4S.", max_length=200)),
                (
                    "user",
                    models.CharField(
                        blank=True, help_text="For PrusaLink: who logs in there, often maker.", max_length=100
                    ),
                ),
                ("password", models.CharField(blank=True, help_text="For PrusaLink.", max_length=200)),
                (
                    "camera",
                    models.URLField(
                        blank=True,
                        help_text="An address that sends a picture.",
                        max_length=500,
                        verbose_name="camera snapshot",
                    ),
                ),
                ("out_of_order_since", models.DateTimeField(blank=True, null=True)),
                (
                    "out_of_order_why",
                    models.CharField(blank=True, max_length=500, verbose_name="why it is out of order"),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "printer",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to="printers.printer",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PrinterGroup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200, unique=True)),
                (
                    "printers",
                    models.ManyToManyField(
                        related_name="printer_groups", through="fleet.Membership", to="printers.printer"
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.AddField(
            model_name="membership",
            name="group",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="memberships", to="fleet.printergroup"
            ),
        ),
        migrations.CreateModel(
            name="Role",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("view", "View"),
                            ("operate", "Operate: start, pause, resume, cancel, out of order"),
                            ("manage", "Manage: edit, delete"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "printer_group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="roles", to="fleet.printergroup"
                    ),
                ),
                (
                    "user_group",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="printer_roles", to="auth.group"
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(fields=("group", "printer"), name="fleet_membership_once"),
        ),
        migrations.AddConstraint(
            model_name="role",
            constraint=models.UniqueConstraint(fields=("user_group", "printer_group"), name="fleet_role_once"),
        ),
    ]
