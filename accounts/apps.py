from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        from allauth.account.signals import email_changed, email_confirmed
        from django.conf import settings
        from django.contrib.auth.signals import user_logged_in
        from django.db.models.signals import post_save

        from accounts import profiles
        from accounts.people import look

        post_save.connect(profiles.ensure_later, sender=settings.AUTH_USER_MODEL, dispatch_uid="accounts.profile")
        user_logged_in.connect(look.remember_at_login, dispatch_uid="accounts.look")
        email_confirmed.connect(profiles.keep_confirmed, dispatch_uid="accounts.confirmed")
        email_changed.connect(profiles.keep_changed, dispatch_uid="accounts.changed")
