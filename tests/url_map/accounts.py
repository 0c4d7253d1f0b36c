from tests.url_map.cases import GET_AND_POST, for_people, open_to_all

CASES = [
    for_people("profile", methods=GET_AND_POST, data={"name": "Maren"}),
    for_people("profile-look", methods=GET_AND_POST, data={"time_zone": "UTC"}, staff=302),
    open_to_all("claim", kwargs={"token": "no-such-token"}, methods=GET_AND_POST),
]
