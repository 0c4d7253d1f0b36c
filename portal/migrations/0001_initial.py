import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import core.validators


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Profile",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(blank=True, max_length=200, null=True)),
                ("username", models.CharField(blank=True, max_length=200, null=True)),
                ("organization", models.CharField(blank=True, max_length=200, null=True)),
                ("email", models.EmailField(blank=True, max_length=500, null=True)),
                (
                    "user",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="portal_profile",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Printer",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                (
                    "ip_address",
                    models.CharField(
                        help_text="An IP address, or a URL with http:// or https:// and a host.",
                        max_length=255,
                        validators=[core.validators.validate_printer_address],
                    ),
                ),
                (
                    "api_key",
                    models.CharField(
                        help_text="The key OctoPrint made for this portal.",
                        max_length=32,
                        verbose_name="API key",
                    ),
                ),
                (
                    "ping",
                    models.BooleanField(default=False, help_text="Whether the last reachability check found it."),
                ),
                ("printing", models.BooleanField(default=False, help_text="Whether it is printing now.")),
                (
                    "profile",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="printers",
                        to="portal.profile",
                    ),
                ),
            ],
            options={
                "unique_together": {("ip_address", "api_key")},
            },
        ),
    ]
