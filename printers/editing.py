"""Adds a printer and changes what people decide of it, from forms that were found to be right: pages and the API."""

from typing import Any

from printers import looking
from printers.exchange.preview import seen_of
from printers.fleet.models import Machine
from printers.forms import EditForm, MachineForm
from printers.models import Printer
from printers.saving import GroupChoice, profile_of, save


def add(user: Any, typed: dict[str, Any], found: dict[str, Any], form: MachineForm) -> Printer:
    """With what was seen when its server was asked. Raises Taken."""
    printer = Printer(profile=profile_of(user), ip_address=typed["address"], api_key=typed["key"])
    machine: Machine = form.save(commit=False)
    machine.kind, machine.user, machine.password = found["kind"], typed["user"], typed["password"]
    save(printer, machine, groups_of(form), seen_of(found["seen"]))
    return printer


def change(form: EditForm) -> bool:
    """Whether its server is another one now, or is opened otherwise: then somebody should look at it. Raises Taken."""
    printer = form.printer
    before = Printer.objects.whole().get(pk=printer.pk)
    printer.ip_address, printer.api_key = form.cleaned_data["address"], form.cleaned_data["key"]
    machine = form.save(commit=False)
    machine.password = form.cleaned_data["password"]
    save(printer, machine, groups_of(form))
    return looking.endpoint_of(printer) != looking.endpoint_of(before)


def groups_of(form: MachineForm) -> GroupChoice | None:
    """None where the form offers none."""
    if "groups" not in form.fields:
        return None
    return GroupChoice(form.fields["groups"].queryset, form.cleaned_data["groups"])
