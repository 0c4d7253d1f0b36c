"""The API answers 401 instead of leading to the login. tests/api/test_tokens.py asks the same with tokens."""

from tests.url_map.cases import GET_AND_POST, POST, for_people, for_staff, of_printer, open_to_all

API = {"api": True}
LOOK = ["printers.looking.look_at"]
CHANGE = ("PATCH", "DELETE")
REPORT, KEY = {"state": "ready"}, {"Idempotency-Key": "1"}
GOOD = {"verdict": "good"}
ASLEEP = {"methods": POST, "patches": LOOK, "staff": 409, **API}
"""Nobody has asked the printer, so it can do nothing; who may not operate it does not learn that."""

CASES = [
    open_to_all("api:gone", kwargs={"pk": "printer"}, methods=POST, staff=410, data=REPORT, **API),
    open_to_all("api:schema", **API),
    for_people("api:docs"),
    for_people("tokens", methods=GET_AND_POST, data={"name": "Grafana", "may": "read", "days": "7"}),
    for_people("tokens-revoke", methods=GET_AND_POST, staff=404),
    for_people("api:printers", methods=GET_AND_POST, **API),
    for_people("api:act", methods=POST, data={"do": "pause", "printers": [1]}, patches=LOOK, staff=200, **API),
    of_printer("api:printer", needs="view", **API),
    of_printer("api:printer", needs="manage", methods=CHANGE, data={"place": "Hall B"}, staff=200, **API),
    of_printer("api:state", needs="view", **API),
    of_printer("api:status", needs="operate", methods=POST, data=REPORT, headers=KEY, staff=200, **API),
    of_printer("api:files", needs="operate", patches=["printers.clients.asking.files"], **API),
    of_printer("api:start", needs="operate", data={"file": "clip.gcode"}, **ASLEEP),
    of_printer("api:pause", needs="operate", **ASLEEP),
    of_printer("api:resume", needs="operate", **ASLEEP),
    of_printer("api:cancel", needs="operate", **ASLEEP),
    of_printer("api:in-service", needs="operate", **ASLEEP),
    of_printer("api:out-of-order", needs="operate", methods=POST, data={"why": "broken"}, staff=200, **API),
    for_people("api:states", **API),
    of_printer("api:history", needs="view", **API),
    for_people("api:prints", **API),
    for_people("api:rates", **API),
    for_people("api:sign-off-many", methods=POST, data=GOOD | {"prints": [1]}, staff=200, **API),
    of_printer("api:print", needs="view", kwargs={"pk": "print"}, **API),
    of_printer("api:sign-off", needs="operate", kwargs={"pk": "print"}, methods=POST, data=GOOD, staff=200, **API),
    of_printer("api:sign-off", needs="operate", kwargs={"pk": "print"}, methods=("DELETE",), staff=200, **API),
    for_people("api:alert-rules", methods=GET_AND_POST, data={"states": ["error"]}, **API),
    for_people("api:alert-rule", kwargs={"pk": 0}, methods=("GET", *CHANGE), data={"minutes": 5}, staff=404, **API),
    for_people("api:alert-rule-try", kwargs={"pk": 0}, methods=POST, staff=404, **API),
    for_people("api:alert-channels", methods=GET_AND_POST, data={"address": "json://192.0.2.9/"}, **API),
    for_people("api:alert-channel", kwargs={"pk": 0}, methods=("GET", *CHANGE), data={"name": "Ops"}, staff=404, **API),
    for_people("api:alert-channel-try", kwargs={"pk": 0}, methods=POST, staff=404, **API),
    for_people("api:alert-messages", **API),
    for_people("api:tasks", **API),
    of_printer("api:task-done", needs="operate", methods=POST, staff=201, **API),
    for_people("api:entries", **API),
    for_people("api:groups", **API),
    for_people("api:group", kwargs={"pk": 0}, staff=404, **API),
    for_people("api:profiles", **API),
    for_people("api:own-profile", methods=("GET", "PATCH"), data={"name": "Maren"}, **API),
    for_staff("api:cutover", methods=GET_AND_POST, data={"what": "back"}, **API),
    for_staff("api:cutover-people", **API),
]
