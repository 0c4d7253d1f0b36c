from django.db import migrations

from rehome import Move

printer = Move("portal.Printer", "printers.Printer")


class Migration(migrations.Migration):
    atomic = False  # rehome opens its own transactions
    dependencies = [
        ("printers", "0001_initial"),
        ("accounts", "0002_migrate_profile_data"),
        ("portal", "0001_initial"),
    ]
    operations = [migrations.RunPython(printer.forwards, printer.backwards)]
