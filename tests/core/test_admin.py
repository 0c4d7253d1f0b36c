import pytest
from django.test import Client

from core.models import Province


@pytest.mark.parametrize("page", ["", "add/", "{pk}/change/", "?q=IR-2", "autocomplete"])
def test_provinces_in_the_admin(page: str, browser: Client) -> None:
    province = Province.objects.create(name="تهران", name_en="Tehran", code="IR-23", border={"type": "Point"})
    path = f"/admin/core/province/{page.format(pk=province.pk)}"
    if page == "autocomplete":
        path = "/admin/autocomplete/?app_label=accounts&model_name=profile&field_name=province&term=teh"

    response = browser.get(path)

    assert response.status_code == 200
    assert page == "add/" or b"Tehran" in response.content
