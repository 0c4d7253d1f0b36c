"""What the project uses besides its database: a cache, mail, Slack. Read from the environment; connects to nothing."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import django
import environ
from django.core.exceptions import ImproperlyConfigured

LOCAL_MEMORY = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
REDIS = {"BACKEND": "django.core.cache.backends.redis.RedisCache"}
# Nobody waits for a cache longer than for what it saves.
REDIS_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 2}
MAIL_TIMEOUT_S = 10


def cache_config(env: environ.Env) -> dict[str, Any]:
    """The value for CACHES["default"]: Redis where CACHE_URL names one, else this process's memory."""
    url = env.str("CACHE_URL", default="")
    if not url:
        return dict(LOCAL_MEMORY)
    # The rest of the URL may hold a password, so only its beginning is repeated.
    scheme = url.partition(":")[0]
    if scheme not in ("redis", "rediss", "unix"):
        raise ImproperlyConfigured(
            f"CACHE_URL begins with {scheme!r}, which is no cache that this project uses; "
            "set it to redis://USER:PASSWORD@HOST:PORT/NUMBER, or leave it out."
        )
    return REDIS | {"LOCATION": url, "KEY_PREFIX": "farm", "OPTIONS": dict(REDIS_OPTIONS)}


def mail_config(env: environ.Env) -> dict[str, Any]:
    """The settings EMAIL_…: a server's where EMAIL_URL names one, else mail is printed."""
    url = env.str("EMAIL_URL", default="") or "consolemail://"
    try:
        return env.email_url_config(url) | {"EMAIL_TIMEOUT": MAIL_TIMEOUT_S}
    except (ImproperlyConfigured, ValueError):
        raise ImproperlyConfigured(
            f"EMAIL_URL begins with {url.partition(':')[0]!r}, and can't be read; "
            "set it to smtp+tls://USER:PASSWORD@HOST:PORT, or leave it out to print mail."
        ) from None


def mail_settings(config: dict[str, Any]) -> dict[str, Any]:
    """What mail_config says, as this Django reads it: settings EMAIL_… before 6.1, MAILERS since."""
    if django.VERSION < (6, 1):
        return config
    names = {
        "host": "EMAIL_HOST",
        "port": "EMAIL_PORT",
        "username": "EMAIL_HOST_USER",
        "password": "EMAIL_HOST_PASSWORD",
        "use_tls": "EMAIL_USE_TLS",
        "use_ssl": "EMAIL_USE_SSL",
        "timeout": "EMAIL_TIMEOUT",
    }
    options = {option: config[name] for option, name in names.items() if config.get(name)}
    # What prints mail knows of no server.
    return {
        "MAILERS": {"default": {"BACKEND": config["EMAIL_BACKEND"], "OPTIONS": options if "host" in options else {}}}
    }


def admins(env: environ.Env) -> list[tuple[str, str]]:
    """The value for ADMINS."""
    return [(address, address) for address in map(str.strip, env.list("ADMINS", default=[])) if address]


def slack_webhook(env: environ.Env) -> str:
    """Whoever has the address can write to the channel, so a wrong one is not repeated."""
    url: str = env.str("SLACK_WEBHOOK_URL", default="")
    if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
        raise ImproperlyConfigured(
            "SLACK_WEBHOOK_URL is not an address that begins with https:// and has a host; "
            "copy it from Slack's page of the webhook, or leave it out."
        )
    return url


def networks(env: environ.Env, name: str, default: list[str]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The value of a setting that names networks."""
    try:
        return [ipaddress.ip_network(network) for network in env.list(name, default=default)]
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} is wrong: {error}; separate networks such as 10.20.0.0/16 by commas."
        ) from error
