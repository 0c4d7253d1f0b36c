import environ
import pytest
from django.core.exceptions import ImproperlyConfigured

from core import outside


def env(**values: str) -> environ.Env:
    found = environ.Env()
    found.ENVIRON = values
    return found


def test_without_settings_everything_stays_within_the_process() -> None:
    nothing = env()

    assert outside.cache_config(nothing) == outside.LOCAL_MEMORY
    assert outside.mail_config(nothing)["EMAIL_BACKEND"] == "django.core.mail.backends.console.EmailBackend"
    assert outside.admins(nothing) == []
    assert outside.slack_webhook(nothing) == ""


def test_a_cache_is_redis_with_time_limits() -> None:
    config = outside.cache_config(env(CACHE_URL="redis://farm:secret@cache.example.com:6379/1"))

    assert config["BACKEND"] == "django.core.cache.backends.redis.RedisCache"
    assert config["LOCATION"] == "redis://farm:secret@cache.example.com:6379/1"
    assert config["OPTIONS"] == {"socket_connect_timeout": 2, "socket_timeout": 2}


def test_every_django_reads_the_same_server(monkeypatch: pytest.MonkeyPatch) -> None:
    config = outside.mail_config(env(EMAIL_URL="smtp+tls://farm:secret@mail.example.com:587"))

    monkeypatch.setattr("django.VERSION", (5, 2, 19, "final", 0))
    assert outside.mail_settings(config) == config
    monkeypatch.setattr("django.VERSION", (6, 1, 3, "final", 0))
    mailer = outside.mail_settings(config)["MAILERS"]["default"]
    assert mailer["BACKEND"] == config["EMAIL_BACKEND"]
    assert mailer["OPTIONS"] == {
        "host": "mail.example.com",
        "port": 587,
        "username": "farm",
        "password": "secret",
        "use_tls": True,
        "timeout": outside.MAIL_TIMEOUT_S,
    }


def test_mail_goes_to_the_server_with_a_time_limit() -> None:
    config = outside.mail_config(env(EMAIL_URL="smtp+tls://farm:pass%2Fword@mail.example.com:587"))

    assert (config["EMAIL_HOST"], config["EMAIL_PORT"], config["EMAIL_USE_TLS"]) == ("mail.example.com", 587, True)
    assert config["EMAIL_HOST_PASSWORD"] == "pass/word"
    assert config["EMAIL_TIMEOUT"] == outside.MAIL_TIMEOUT_S


def test_admins_are_addresses() -> None:
    assert outside.admins(env(ADMINS="ada@example.com, bob@example.com")) == [
        ("ada@example.com", "ada@example.com"),
        ("bob@example.com", "bob@example.com"),
    ]


@pytest.mark.parametrize(
    ("read", "name", "value"),
    [
        (outside.cache_config, "CACHE_URL", "memcache://farm:secret@cache.example.com"),
        (outside.mail_config, "EMAIL_URL", "pigeon://farm:secret@mail.example.com"),
        (outside.mail_config, "EMAIL_URL", "smtp://farm:secret@mail.example.com:port"),
        (outside.slack_webhook, "SLACK_WEBHOOK_URL", "hooks.slack.com/services/secret"),
        (outside.slack_webhook, "SLACK_WEBHOOK_URL", "ftp://hooks.slack.com/secret"),
    ],
)
def test_a_wrong_one_is_refused_without_being_repeated(read: object, name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=name) as refusal:
        read(env(**{name: value}))  # type: ignore[operator]

    assert "secret" not in str(refusal.value)
    assert "leave it out" in str(refusal.value)
