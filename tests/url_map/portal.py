from core.sides.models import Side
from tests.url_map.cases import GET_AND_POST, for_people, of_printer

OLD = {"side": Side.OLD}
EDITED = {"ip_address": "192.0.2.99", "api_key": "another key"}

CASES = [
    for_people("portal:list", **OLD),
    for_people("portal:export", **OLD),
    for_people("portal:add", methods=GET_AND_POST, data=EDITED, **OLD),
    of_printer("portal:detail", needs="view", **OLD),
    of_printer("portal:edit", needs="manage", methods=GET_AND_POST, data=EDITED, **OLD),
    of_printer("portal:delete", needs="manage", methods=GET_AND_POST, **OLD),
]
