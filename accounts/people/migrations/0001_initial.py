import django.db.models.deletion
from django.db import migrations, models

import accounts.people.models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        # Not a later one: this would be unapplied before the move, with everything that is known of the people.
        ("accounts", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Person",
            fields=[
                (
                    "profile",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="person",
                        serialize=False,
                        to="accounts.profile",
                    ),
                ),
                (
                    "theme",
                    models.CharField(
                        blank=True, choices=[("", "As the device"), ("light", "Light"), ("dark", "Dark")], max_length=10
                    ),
                ),
                (
                    "density",
                    models.CharField(blank=True, choices=[("", "Comfortable"), ("compact", "Compact")], max_length=10),
                ),
                (
                    "time_zone",
                    models.CharField(
                        default="UTC", max_length=64, validators=[accounts.people.models.validate_time_zone]
                    ),
                ),
                (
                    "shares_printers",
                    models.BooleanField(
                        default=False,
                        help_text="They see them, and change nothing.",
                        verbose_name="Members of my organization may see my printers",
                    ),
                ),
                ("confirmed_organization", models.CharField(blank=True, max_length=200)),
                ("confirmed_at", models.DateTimeField(blank=True, null=True)),
                ("confirmed_by", models.CharField(blank=True, max_length=150)),
            ],
            options={
                "verbose_name_plural": "people",
            },
        ),
    ]
