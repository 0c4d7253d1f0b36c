"""How every form is written: label above, help below, what is wrong in words under its field."""

from typing import Any

from django.forms.renderers import DjangoTemplates
from django.http import HttpRequest

# What people write in any script; addresses, numbers and passwords run one way.
WRITTEN = {"django/forms/widgets/text.html", "django/forms/widgets/textarea.html"}


class Renderer(DjangoTemplates):
    """FORM_RENDERER: {{ form }} and {{ field.as_field_group }} in the look of the portal. The admin has its own."""

    form_template_name = "core/_form.html"
    field_template_name = "core/_field.html"

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        if template_name in WRITTEN:
            context["widget"]["attrs"].setdefault("dir", "auto")
        return super().render(template_name, context, request)
