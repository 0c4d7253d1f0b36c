from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # an index can't be built concurrently inside a transaction
    dependencies = [("printers", "0002_migrate_printer_data")]
    operations = [
        AddIndexConcurrently(
            "printer",
            models.Index(
                fields=["profile"],
                condition=models.Q(printing=True),
                name="printers_printer_printing_idx",
            ),
        )
    ]
