from tests.url_map.cases import GET_AND_POST, POST, for_people, of_printer

FILES = "printers.clients.asking.files"
DRAFT = {"kwargs": {"draft": 0}, "staff": 302}
"""Of nobody: whoever asks begins again."""

CASES = [
    for_people("printers:list"),
    for_people("printers:export"),
    for_people("printers:add", methods=GET_AND_POST),
    for_people("printers:found", **DRAFT),
    for_people("printers:key", **DRAFT),
    for_people("printers:name", methods=GET_AND_POST, **DRAFT),
    for_people("printers:import", methods=GET_AND_POST),
    for_people("printers:preview", methods=GET_AND_POST, **DRAFT),
    for_people("printers:wrong", **DRAFT),
    for_people("printers:bulk", methods=POST),
    of_printer("printers:detail", needs="view"),
    of_printer("printers:now", needs="view", staff=302, patches=["printers.looking.look"]),
    of_printer("printers:camera", needs="view", staff=204),
    of_printer("printers:edit", needs="manage", methods=GET_AND_POST, data={"name": "Another"}),
    of_printer("printers:delete", needs="manage", methods=GET_AND_POST),
    of_printer("printers:start", needs="operate", methods=GET_AND_POST, patches=[FILES]),
    of_printer("printers:pause", needs="operate", methods=POST, patches=["printers.control.act"]),
    of_printer("printers:resume", needs="operate", methods=POST, patches=["printers.control.act"]),
    of_printer("printers:cancel", needs="operate", methods=GET_AND_POST, patches=["printers.control.act"]),
    of_printer("printers:out-of-order", needs="operate", methods=GET_AND_POST, data={"why": "broken"}),
    of_printer("printers:in-service", needs="operate", methods=POST),
]
