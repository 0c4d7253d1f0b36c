from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0002_draft"),
    ]

    operations = [
        migrations.AddField(
            model_name="machine",
            name="password_for",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="The address it is sent to.",
                max_length=255,
            ),
        ),
    ]
