import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_profile_organization_index"),
        ("core", "0001_province"),
    ]

    operations = [
        migrations.AddField(
            model_name="profile",
            name="province",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="profiles",
                to="core.province",
            ),
        ),
    ]
