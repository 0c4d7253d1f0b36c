from tests.url_map.cases import for_machines, of_printer

CASES = [
    of_printer("history:chart", needs="view"),
    of_printer("history:file", needs="view"),
    of_printer("history:csv", needs="view"),
    for_machines("metrics"),
]
