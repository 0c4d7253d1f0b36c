"""What is kept of printers that are gone.

The rows beside a printer have no foreign key in the database, for its table moves; so whoever deletes one under its old
name, or by SQL, leaves them behind: a password, and what was seen.
"""

from django.db import models, transaction

from core.moves import standing
from printers.fleet.models import LastSeen, Machine, Membership
from printers.models import Printer

KEPT = (Machine, LastSeen, Membership)
"""Every printer has a row in one of these from the moment it is known or asked."""


def sweep() -> int:
    """Delete every row of printers that are gone, in any room, and return how many printers those were.

    Nothing while the rows of printers are in the older table: the new one is empty then, and nobody is gone.
    """
    if is_elsewhere():
        return 0
    with transaction.atomic():
        gone = keys_of_gone()
        if gone:
            for model, column in beside():
                model._base_manager.filter(**{f"{column}__in": gone}).delete()
            # A move that went back meanwhile has emptied the table in the transaction that said so.
            standing.forget()
            if is_elsewhere():
                transaction.set_rollback(True)
                return 0
    return len(gone)


def is_elsewhere() -> bool:
    return standing.uses_of(standing.PRINTERS) == "source"


def keys_of_gone() -> list[int]:
    there = Printer.objects.filter(pk=models.OuterRef("printer_id"))
    found = (model.objects.filter(~models.Exists(there)).values_list("printer_id", flat=True) for model in KEPT)
    return sorted(set().union(*found))


def beside() -> list[tuple[type[models.Model], str]]:
    """The models of all rooms that point at printers without a foreign key, and the column in which they do."""
    return [
        (relation.related_model, relation.field.attname)
        for relation in Printer._meta.related_objects
        if isinstance(relation.field, models.ForeignKey) and not relation.field.db_constraint
    ]
