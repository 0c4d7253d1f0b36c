from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # an index can't be built concurrently inside a transaction
    dependencies = [("accounts", "0002_migrate_profile_data")]
    operations = [
        AddIndexConcurrently("profile", models.Index(fields=["organization"], name="accounts_profile_org_idx"))
    ]
