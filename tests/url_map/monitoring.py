from tests.url_map.cases import GET_AND_POST, POST, for_people, of_printer

CASES = [
    for_people("farm"),
    for_people("farm-live"),
    for_people("wall"),
    for_people("wall-live"),
    for_people("prints:list"),
    for_people("prints:sign-off", methods=GET_AND_POST),
    for_people("prints:undo", methods=POST),
    of_printer("prints:waiting", needs="view", staff=302),
    # Whoever may look gets the page; signing off needs more, which tests/monitoring/test_prints_pages.py asks for.
    of_printer("prints:print", needs="view", kwargs={"pk": "print"}, methods=GET_AND_POST, data={"good": "1"}),
]
