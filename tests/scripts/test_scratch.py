"""The models that scripts use fit the database that they have made, wherever its migrations stand."""

import pytest
from django.db import connection

from accounts.models import Profile
from scripts import scratch


@pytest.mark.parametrize("house", ["planned", "live"])
def test_the_models_have_the_columns_that_the_tables_have(house: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(house)

    with connection.cursor() as cursor:
        held = {
            table: {column.name for column in connection.introspection.get_table_description(cursor, table)}
            for table in connection.introspection.table_names(cursor)
        }
    models = scratch.models().get_models(include_auto_created=True)
    described = {model._meta.db_table: {field.column for field in model._meta.concrete_fields} for model in models}
    farm = {"portal_profile", "portal_printer", "accounts_profile", "printers_printer"}
    assert farm <= described.keys()
    assert {table: held[table] for table in farm} == {table: described[table] for table in farm}


def test_todays_model_has_a_column_that_comes_with_a_later_migration(planned: str) -> None:
    today = {field.column for field in Profile._meta.concrete_fields}
    described = {field.column for field in scratch.models().get_model("accounts.Profile")._meta.concrete_fields}

    assert today - described == {"province_id"}
