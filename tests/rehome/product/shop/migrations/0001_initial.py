from django.conf import settings
from django.db import migrations, models

KEY = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


class Migration(migrations.Migration):
    initial = True
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(name="Box", fields=[KEY, ("name", models.TextField())]),
        migrations.CreateModel(
            name="Item",
            fields=[
                KEY,
                ("name", models.TextField()),
                ("code", models.IntegerField(unique=True)),
                ("size", models.IntegerField(db_default=1, db_index=True, default=1)),
                ("note", models.TextField(null=True)),
                ("holder", models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")),
                ("within", models.ForeignKey("shop.item", models.CASCADE, null=True, related_name="+")),
                ("watchers", models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")),
            ],
        ),
    ]
