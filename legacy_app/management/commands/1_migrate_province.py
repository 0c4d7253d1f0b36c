from legacy_app.imports import provinces
from rehome.management.importing import ImportCommand


class Command(ImportCommand):
    help = "Import the provinces of the older database; run it again to bring over what has changed."
    imports = [provinces]
