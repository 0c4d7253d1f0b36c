from tests.url_map.cases import GET_AND_POST, POST, for_people

RULE = {"kwargs": {"rule": 0}, "staff": 302}
CHANNEL = {"kwargs": {"channel": 0}, "staff": 302}
"""Of nobody: whoever asks is back at the list. tests/monitoring/alerts/test_pages.py asks for what is somebody's."""

CASES = [
    for_people("alerts:list"),
    for_people("alerts:new", methods=GET_AND_POST),
    for_people("alerts:edit", methods=GET_AND_POST, **RULE),
    for_people("alerts:delete", methods=POST, **RULE),
    for_people("alerts:try", methods=POST, **RULE),
    for_people("alerts:new-channel", methods=GET_AND_POST),
    for_people("alerts:edit-channel", methods=GET_AND_POST, **CHANNEL),
    for_people("alerts:delete-channel", methods=POST, **CHANNEL),
]
