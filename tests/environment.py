"""Loaded by pytest before the settings are: tests do not depend on a developer's environment."""

import os

os.environ["DJANGO_ENV"] = "development"
os.environ["DEBUG"] = "false"
# Never the developer's own data.
os.environ.setdefault("EMBEDDED_POSTGRES_DIR", "var/test-postgres")
os.environ.setdefault("BACKUP_DIR", "var/test-backups")
# Nor an older database of the developer's: tests that want one bring their own.
os.environ["LEGACY_DB_DB"] = ""
# Nor what the make above was told: another one that a test starts would take it for its own.
for name in [*os.environ]:
    if name in ("MFLAGS", "ARGS") or name.startswith("MAKE"):
        del os.environ[name]
