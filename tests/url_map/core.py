from tests.url_map.cases import GET_AND_POST, POST, for_staff, open_to_all

CASES = [
    for_staff("cutover", methods=GET_AND_POST, data={"what": "back"}),
    for_staff("moves"),
    for_staff("moves-verify", methods=POST, patches=["core.moves.views.verify_beside"]),
    for_staff("faults"),
    open_to_all("health"),
    open_to_all("healthz"),
    open_to_all("readyz"),
]
