from django.db import migrations

from rehome import Move

profile = Move("portal.Profile", "accounts.Profile")


class Migration(migrations.Migration):
    atomic = False  # rehome opens its own transactions
    dependencies = [("accounts", "0001_initial"), ("portal", "0001_initial")]
    operations = [migrations.RunPython(profile.forwards, profile.backwards)]
