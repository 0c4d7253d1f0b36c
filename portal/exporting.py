"""Printers as CSV, as the monolith wrote it, but without keys and without anything that a spreadsheet would run."""

import csv

from django.db.models import QuerySet
from django.http import HttpResponse

from core.spreadsheets import as_text
from portal.models import Printer

HEAD = ["id", "ip_address", "profile", "ping", "printing"]


def export_csv(printers: QuerySet[Printer]) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="printers.csv"'
    writer = csv.writer(response)
    writer.writerow(HEAD)
    for printer in printers.iterator():
        row = [printer.pk, printer.ip_address, printer.profile, printer.ping, printer.printing]
        writer.writerow(map(as_text, row))
    return response
