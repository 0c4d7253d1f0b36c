"""The imports from the older database, in their order."""

from django.contrib.gis.db.models.functions import AsGeoJSON
from django.db.models import Value
from django.db.models.functions import Coalesce

from legacy_app.natural import persian
from legacy_app.provinces import CODES
from rehome import Import, Lookup

provinces = Import(
    "legacy_app.Ostans",
    "core.Province",
    key={"legacy_id": "id"},
    fields={
        "name": "name_fa",
        "name_en": Coalesce("name_en", Value("")),
        "code": "name_fa",
        # Seven digits are a centimetre.
        "border": AsGeoJSON("border", precision=7),
    },
    lookups={
        # In Persian letters, whatever the older application's keyboards had.
        "name": Lookup({name: name for name in CODES}, normalise=persian),
        "code": Lookup(CODES, normalise=persian),
    },
)
