"""Settings for Django's runtests.py; the server and the kind of view are in the environment."""

import os

SERVER = {key: os.environ[f"BEHIND_{key}"] for key in ("HOST", "PORT", "USER")}

DATABASES = {
    "default": {"ENGINE": "scripts.behind_views", "NAME": "behind", **SERVER},
    "other": {"ENGINE": "django.db.backends.postgresql", "NAME": "beside", **SERVER},
}
SECRET_KEY = "for tests alone"  # noqa: S105
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
