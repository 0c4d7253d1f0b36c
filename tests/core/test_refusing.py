import pytest
from django.test import Client


@pytest.mark.parametrize("path", ["/healthz?q=%00", "/healthz?%00=a", "/healthz?a=b&q=x%00y", "/portal/printers/%00/"])
def test_nul_in_an_address_is_refused_before_a_page_sees_it(path: str, client: Client) -> None:
    assert client.get(path).status_code == 400


def test_other_characters_are_not(client: Client) -> None:
    assert client.get("/healthz?q=%01%F0%9F%96%A8").status_code == 200
