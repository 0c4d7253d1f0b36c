from tests.url_map.cases import GET_AND_POST, POST, of_printer

TASK = {"kwargs": {"pk": "printer", "task": "printer"}}
"""Planned work on the printer, with the printer's key: tests/url_map/people.py plans it."""
DONE = {"what": "Oil", "done_at": "2026-01-02T12:00"}

CASES = [
    of_printer("maintenance:log", needs="view"),
    of_printer("maintenance:record", needs="operate", methods=GET_AND_POST, data=DONE),
    of_printer("maintenance:plan", needs="manage", methods=GET_AND_POST, data=DONE | {"every_days": "30"}),
    of_printer("maintenance:edit", needs="manage", methods=GET_AND_POST, data=DONE | {"every_days": "3"}, **TASK),
    of_printer("maintenance:delete", needs="manage", methods=POST, **TASK),
]
