from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Province",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(help_text="As its people write it.", max_length=100)),
                ("name_en", models.CharField(blank=True, max_length=100, verbose_name="English name")),
                (
                    "code",
                    models.CharField(
                        help_text="Such as IR-23.", max_length=6, unique=True, verbose_name="ISO 3166-2 code"
                    ),
                ),
                (
                    "border",
                    models.JSONField(blank=True, help_text="A GeoJSON geometry, in degrees.", null=True),
                ),
                (
                    "legacy_id",
                    models.IntegerField(blank=True, null=True, unique=True, verbose_name="key in the older database"),
                ),
            ],
            options={"ordering": ["code"]},
        ),
    ]
