from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("fleet", "0003_password_for"),
    ]

    operations = [
        migrations.AddField(
            model_name="lastseen",
            name="misses",
            field=models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="Looks in a row that nobody answered; three are enough."
            ),
        ),
        migrations.AddField(
            model_name="lastseen",
            name="waits",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="How the print ended that nobody signed off.",
                max_length=20,
            ),
        ),
    ]
