from django.db import migrations, models


class Migration(migrations.Migration):
    # The source first: what new code writes into the target must fit here.
    dependencies = [("portal", "0001_initial")]
    operations = [
        migrations.AlterField(
            model_name="printer",
            name="api_key",
            field=models.CharField(
                help_text="The key OctoPrint made for this portal.", max_length=128, verbose_name="API key"
            ),
        ),
    ]
