"""Settings that work in development, and in production keep something from working or somebody from being told."""

import ipaddress
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import ManifestFilesMixin, staticfiles_storage
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from rehome.postgres import conf

Found = list[CheckMessage]
PRINTED = "django.core.mail.backends.console.EmailBackend"


@register(Tags.security, deploy=True)
def environment(**_: Any) -> Found:
    if settings.PRODUCTION:
        return []
    return [
        Warning(
            "DJANGO_ENV is development: pages show errors with their source, and cookies travel without TLS.",
            hint="Set DJANGO_ENV=production.",
            id="farm.W001",
        )
    ]


@register(Tags.caches, deploy=True)
def shared_cache(**_: Any) -> Found:
    if settings.CACHE_URL:
        return []
    return [
        Warning(
            "CACHE_URL is empty: each process has a cache of its own, so limits of requests and of logins are counted "
            "by each alone, and are higher than they say.",
            hint="Set CACHE_URL=redis://USER:PASSWORD@HOST:PORT/NUMBER.",
            id="farm.W002",
        )
    ]


@register(deploy=True)
def mail(**_: Any) -> Found:
    if mail_backend() == PRINTED:
        return [
            Warning(
                "EMAIL_URL is empty: mail is printed, so nobody can confirm an address or set a new password.",
                hint="Set EMAIL_URL=smtp+tls://USER:PASSWORD@HOST:PORT.",
                id="farm.W003",
            )
        ]
    if settings.DEFAULT_FROM_EMAIL.rstrip("> ").endswith("@localhost"):
        return [
            Warning(
                f"DEFAULT_FROM_EMAIL is {settings.DEFAULT_FROM_EMAIL}: most servers refuse mail that comes from there.",
                hint="Set DEFAULT_FROM_EMAIL to an address of your own domain.",
                id="farm.W004",
            )
        ]
    return []


def mail_backend() -> str:
    """As this Django keeps it."""
    mailers = getattr(settings, "MAILERS", None)
    return str(mailers["default"]["BACKEND"] if mailers else settings.EMAIL_BACKEND)


@register(deploy=True)
def told_of_faults(**_: Any) -> Found:
    if settings.ADMINS or settings.SLACK_WEBHOOK_URL:
        return []
    return [
        Warning(
            "ADMINS and SLACK_WEBHOOK_URL are empty: nobody is told when something fails.",
            hint="Set ADMINS to addresses, separated by commas, or SLACK_WEBHOOK_URL to one of a channel.",
            id="farm.W005",
        )
    ]


@register(deploy=True)
def portal_url(**_: Any) -> Found:
    if settings.PORTAL_URL.startswith("https://"):
        return []
    return [
        Warning(
            f"PORTAL_URL is {settings.PORTAL_URL!r}: mail and alerts lead nowhere, or to a page without TLS.",
            hint="Set PORTAL_URL to where people find the portal, such as https://farm.example.com.",
            id="farm.W006",
        )
    ]


@register(Tags.security, deploy=True)
def proxy(**_: Any) -> Found:
    if not settings.SECURE_SSL_REDIRECT or settings.SECURE_PROXY_SSL_HEADER:
        return []
    return [
        Warning(
            "BEHIND_TLS_PROXY is not set: behind a proxy that is not on gunicorn's own machine, every page leads to "
            "itself.",
            hint="Put a proxy in front that ends TLS and sets X-Forwarded-Proto, and set BEHIND_TLS_PROXY=true.",
            id="farm.W007",
        )
    ]


@register(Tags.security, deploy=True)
def any_host(**_: Any) -> Found:
    if "*" not in settings.ALLOWED_HOSTS:
        return []
    return [
        Warning(
            "ALLOWED_HOSTS has *: links in mail lead wherever the one who asked for it says.",
            hint="Set ALLOWED_HOSTS to the host names that the portal is reached by.",
            id="farm.W008",
        )
    ]


@register(Tags.security, deploy=True)
def own_machine(**_: Any) -> Found:
    loopback = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]
    inside = [str(one) for one in settings.PRINTER_NETWORKS if any(overlap(one, own) for own in loopback)]
    if not inside:
        return []
    return [
        Warning(
            f"PRINTER_NETWORKS has {', '.join(inside)}: whoever may add a printer can have the portal call services of "
            "its own machine, such as a database.",
            hint="Set PRINTER_NETWORKS to the networks that printers are in.",
            id="farm.W009",
        )
    ]


def overlap(one: Any, other: Any) -> bool:
    return one.version == other.version and bool(one.overlaps(other))


@register(Tags.staticfiles, deploy=True)
def static_files(**_: Any) -> Found:
    if not isinstance(staticfiles_storage, ManifestFilesMixin) or staticfiles_storage.hashed_files:
        return []
    return [
        Error(
            f"Static files are not collected in {settings.STATIC_ROOT}: every page fails.",
            hint="Run `manage.py collectstatic`.",
            id="farm.E010",
        )
    ]


@register(deploy=True)
def backup_before_moves(**_: Any) -> Found:
    if conf.require_backup():
        return []
    return [
        Warning(
            "REHOME_REQUIRE_BACKUP is not set: `migrate` begins to move rows also where no backup was ever restored.",
            hint="Set REHOME_REQUIRE_BACKUP=24, and have `backup` and `checkbackup` run every night.",
            id="farm.W016",
        )
    ]
