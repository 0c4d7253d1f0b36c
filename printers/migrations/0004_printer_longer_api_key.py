from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("printers", "0003_printer_printing_index"),
        ("portal", "0002_printer_longer_api_key"),  # the source first
    ]
    operations = [
        migrations.AlterField(
            model_name="printer",
            name="api_key",
            field=models.CharField(
                blank=True,
                help_text="The key that the printer's server made for this portal.",
                max_length=128,
                verbose_name="API key",
            ),
        ),
    ]
