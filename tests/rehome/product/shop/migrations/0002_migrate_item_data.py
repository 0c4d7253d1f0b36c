from django.db import migrations

from rehome import Move

item = Move("warehouse.Item", "shop.Item")


class Migration(migrations.Migration):
    atomic = False  # rehome opens its own transactions
    dependencies = [("shop", "0001_initial"), ("warehouse", "0001_initial")]
    operations = [migrations.RunPython(item.forwards, item.backwards)]
