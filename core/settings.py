"""Settings, read from the environment and from an optional .env file; .env.example names every variable."""

from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from core.database import database_config
from core.legacy import ALIAS, APP, legacy_config
from core.logs import logging_config
from core.outside import admins, cache_config, mail_config, mail_settings, networks, slack_webhook

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(BASE_DIR / ".env", encoding="utf-8")

ENVIRONMENT = env.str("DJANGO_ENV", default="development")
if ENVIRONMENT not in ("development", "production"):
    raise ImproperlyConfigured(
        f"DJANGO_ENV is {ENVIRONMENT!r}, which is not an environment; set it to development or production."
    )
PRODUCTION = ENVIRONMENT == "production"

SECRET_KEY = env.str("SECRET_KEY", default="" if PRODUCTION else "only-for-development-and-known-to-everyone")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set, and production does not start without one; give it 50 random characters."
    )

DEBUG = env.bool("DEBUG", default=not PRODUCTION)

# With DEBUG on, Django itself adds localhost to an empty list.
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[])
if PRODUCTION and not ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "ALLOWED_HOSTS is empty, and production would refuse every request; "
        "set it to the host names it is reached by, such as farm.example.com."
    )
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django_htmx",
    "import_export",
    "rehome",
    "core",
    "portal",
    "accounts",
    "accounts.people",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "printers",
    "printers.fleet",
    "monitoring",
    "monitoring.alerts",
    "monitoring.maintenance",
    "monitoring.history",
    "rest_framework",
    "django_filters",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "api",
    "django_prometheus",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "core.logs.RequestLog",
    "api.problems.ProblemsMiddleware",
    "core.refusing.NoNulMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.people.look.LookMiddleware",
    "core.caching.PrivateMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "core.typed.TypedMiddleware",
    "core.sides.middleware.SidesMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

FORM_RENDERER = "core.forms.Renderer"
CSRF_FAILURE_VIEW = "core.typed.csrf_failure"

ROOT_URLCONF = "core.urls"
WSGI_APPLICATION = "core.wsgi.application"
ASGI_APPLICATION = "core.asgi.application"

DATABASES = {"default": database_config(env, production=PRODUCTION)}
if legacy := legacy_config(env):
    DATABASES[ALIAS] = legacy
    DATABASE_ROUTERS = ["rehome.ReadOnlyRouter"]
    INSTALLED_APPS.append(APP)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHE_URL = env.str("CACHE_URL", default="")
CACHES = {"default": cache_config(env)}

vars().update(mail_settings(mail_config(env)))
SERVER_EMAIL = DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Print farm <farm@localhost>")
EMAIL_SUBJECT_PREFIX = "[Print farm] "

LOGGING = logging_config(production=PRODUCTION)
# Who is told of faults, and where the portal is that the message leads to.
ADMINS = admins(env)
SLACK_WEBHOOK_URL = slack_webhook(env)
PORTAL_URL = env.str("PORTAL_URL", default="" if PRODUCTION else "http://localhost:8000")

# How many of everybody are on the new side until staff choose. Production sends nobody over without being told to.
CUTOVER_PERCENT = env.int("CUTOVER_PERCENT", default=0 if PRODUCTION else 100)
# How old the last comparison of a live move may be before /readyz and the page of moves call it overdue.
VERIFICATION_DUE_HOURS = env.int("VERIFICATION_DUE_HOURS", default=24)

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "farm"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email", "username"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CHANGE_EMAIL = True
# Whether anybody may make an account. Whoever has an invitation may all the same.
SIGN_UP_OPEN = env.bool("SIGN_UP_OPEN", default=True)
# A link goes to each address that somebody gives, also to those of others.
ACCOUNT_RATE_LIMITS = {"manage_email": "10/h/user"}
# Whoever is at somebody's open session changes no address, password or second factor in silence.
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_EMAIL_SUBJECT_PREFIX = EMAIL_SUBJECT_PREFIX
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Print farm"
# Browsers allow passkeys on localhost without TLS.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

LOOPBACK = [] if PRODUCTION else ["127.0.0.0/8", "::1/128"]
# Where the portal calls printers and cameras. In development also this machine, on which samples of printers run.
PRINTER_NETWORKS = networks(
    env, "PRINTER_NETWORKS", ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", *LOOPBACK]
)
# Where alerts may go besides the internet. In development also this machine.
ALERT_NETWORKS = networks(env, "ALERT_NETWORKS", LOOPBACK)

# For how many whole months history is kept, besides the current one.
HISTORY_MONTHS = env.int("HISTORY_MONTHS", default=12)
if HISTORY_MONTHS < 1:
    raise ImproperlyConfigured(f"HISTORY_MONTHS is {HISTORY_MONTHS}; give the number of months, 1 or more.")

# Who may read /metrics: whoever sends this token, and whoever asks from these networks. Nobody else, staff neither.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
METRICS_NETWORKS = networks(env, "METRICS_NETWORKS", [])

# For farms that one process can't poll: workers that share the printers among them.
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="redis://127.0.0.1:6379/0")
# What a worker had begun when its machine went down is begun again after a minute, unless its time is over by then.
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Nothing is due so seldom that a file would have to remember when it was done.
CELERY_BEAT_SCHEDULER = "celery.beat:Scheduler"
CELERY_BEAT_SCHEDULE = {
    "poll": {"task": "monitoring.tasks.poll", "schedule": 10.0, "options": {"expires": 10}},
    "tidy": {"task": "monitoring.tasks.tidy", "schedule": 60.0, "options": {"expires": 60}},
}
# Parts that a round is cut into; some more than there are processes of workers.
POLL_SHARDS = env.int("POLL_SHARDS", default=8)

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
# Names with a hash of the content, so that browsers keep them for good: only where `collectstatic` has run.
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
    # Archives of the whole database, with everybody's passwords and keys: for the farm's own user alone.
    "backups": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": BASE_DIR / env.str("BACKUP_DIR", default="var/backups"),
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}

# Elsewhere files come from where they are written, as they are now.
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = not PRODUCTION

# Scripts, styles and pictures come from here alone, and no page holds any of its own.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# Production is served over TLS alone. Health checks and metrics are asked from inside, where there is none.
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^(health/|healthz|readyz|metrics)$"]
SESSION_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_SECURE = PRODUCTION
if env.bool("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # Attempts to log in are counted for each address. Without this all people would share the proxy's.
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
# An hour: long enough to protect a visit, short enough to undo a mistake.
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=3600 if PRODUCTION else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = env.bool("SECURE_HSTS_SUBDOMAINS", default=PRODUCTION)

# Tokens are the API's own model: they have a name, and may be for reading alone.
KNOX_TOKEN_MODEL = "api.Token"  # noqa: S105
MIGRATION_MODULES = {"knox": None}  # It would make the table of its own model all the same.
REST_KNOX = {"TOKEN_MODEL": KNOX_TOKEN_MODEL, "AUTH_HEADER_PREFIX": "Bearer", "TOKEN_PREFIX": "pf_"}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.TokenAuthentication",
        "api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["api.permissions.SignedIn", "api.permissions.MayWrite"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["api.parsing.Parser"],
    "DEFAULT_THROTTLE_CLASSES": ["api.throttling.Throttle"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "api.problems.handle",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "URL_FORMAT_OVERRIDE": None,
}
# Of each user. An agent that tells of a hundred printers sends a report every few seconds for each.
API_PER_MINUTE = env.int("API_PER_MINUTE", default=600)
API_REPORTS_PER_MINUTE = env.int("API_REPORTS_PER_MINUTE", default=6000)
SPECTACULAR_SETTINGS = {
    "TITLE": "Print farm",
    "DESCRIPTION": "Printers of the farm seen and driven by programs, with the rights of the pages.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_PERMISSIONS": ["api.permissions.SignedIn"],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "StateEnum": "printers.states.State",
        "KindEnum": "printers.fleet.models.Kind",
        "SideEnum": "core.sides.models.Side",
    },
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "api.schema.add_problems"],
}

# Whoever may add printers in the admin may import them, and whoever may see them may export them.
IMPORT_EXPORT_IMPORT_PERMISSION_CODE = "add"
IMPORT_EXPORT_EXPORT_PERMISSION_CODE = "view"
