import os

from django.core.asgi import get_asgi_application

from core.faults.handler import watch_program

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "core.settings")

watch_program()
application = get_asgi_application()
