"""Tables of the older database: unmanaged, under their own names, and read through the router."""

from django.contrib.gis.db import models


class Ostans(models.Model):
    """Iran's provinces, as the older application has them."""

    name_fa = models.CharField(max_length=100, null=True, unique=True)
    name_en = models.CharField(max_length=100, null=True, unique=True)
    border = models.MultiPolygonField(srid=4326)

    class Meta:
        managed = False
        db_table = "prjapi_ostans"
        default_permissions = ()  # Nobody edits it here.

    def __str__(self) -> str:
        return self.name_en or self.name_fa or f"Ostan {self.pk}"
