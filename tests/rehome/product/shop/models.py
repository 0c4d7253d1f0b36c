from django.conf import settings
from django.db import models


class Item(models.Model):
    name = models.TextField()
    code = models.IntegerField(unique=True)
    size = models.IntegerField(db_index=True, default=1, db_default=1)
    note = models.TextField(null=True)
    holder = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    within = models.ForeignKey("self", models.CASCADE, null=True, related_name="+")
    watchers = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")

    def __str__(self) -> str:
        return self.name


class Box(models.Model):
    name = models.TextField()

    def __str__(self) -> str:
        return self.name
