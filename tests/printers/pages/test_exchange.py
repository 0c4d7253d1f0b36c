"""Printers to and from files."""

import json
import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from printers.fleet.models import Draft, Kind
from printers.models import Printer
from printers.samples.simulation import Sample
from printers.states import State
from tests.printers.pages.conftest import KEY, Make, Serve, octoprint

IMPORT = "/printers/import/"
PASSWORD = "a password of PrusaLink"


def upload(page: Client, content: str | bytes, name: str = "farm.csv") -> Any:
    data = content if isinstance(content, bytes) else content.encode()
    return page.post(IMPORT, {"file": SimpleUploadedFile(name, data)}, follow=True)


def verdicts() -> list[tuple[str, str]]:
    return [(line["verdict"], line["why"]) for line in Draft.objects.get().data["lines"]]


def test_fifty_at_once_with_a_verdict_for_each(serve: Serve, make: Make, page: Client, maren: User) -> None:
    addresses = serve(
        octoprint("printing", file="a.gcode"), Sample("Wren", "moonraker", key=KEY), octoprint(key="another"),
        Sample("Robin", "prusalink", "ready", password=PASSWORD), octoprint(), octoprint(),
    )  # fmt: skip
    changed = make(addresses[4], name="Heron", place="Hall A")
    make(addresses[5], name="Same", place="Hall B")
    lines = [
        "address,key,name,place,tags,user,password",
        f'{addresses[0]},{KEY},Curlew,"Hall A, rack 2","PETG, 0.4",,',
        f"{addresses[1]},{KEY},Dunlin,,,,",
        f"{addresses[2]},{KEY},Plover,,,,",
        f"{addresses[3]},,Robin,,,maker,{PASSWORD}",
        f"{addresses[4]},,Heron,Workshop,,,",
        f"{addresses[5]},,Same,Hall B,,,",
        f"10.20.3:5000,{KEY},Siskin,,,,",
        f",{KEY},Nowhere,,,,",
        f"http://127.0.0.1:9,{KEY},Linnet,,,,",
        f"http://127.0.0.1:10,{KEY},Linnet,,,,",
        f"{addresses[4]},,Again,,,,",
    ]
    response = upload(page, "\n".join(lines))
    preview = response.redirect_chain[-1][0]
    content = response.content.decode()

    found = verdicts()
    assert [verdict for verdict, _ in found] == [
        "new", "new", "wrong", "new", "changed", "same", "wrong", "wrong", "new", "wrong", "wrong",
    ]  # fmt: skip
    assert "refuses the key" in found[2][1]
    assert found[7][1] == "The row has no address."
    assert found[8][1] == "Can be saved; it will show as unreachable."
    assert found[9][1] == "The name stands in row 9 too."
    assert found[10][1] == "The printer stands in row 5 too."
    assert "11 rows: 4 new, 1 changed, 1 the same, 5 wrong" in content
    assert "<del><bdi>Hall A</bdi></del> <ins><bdi>Workshop</bdi></ins>" in content
    assert "OctoPrint 1.11.8, printing" in content
    assert not [secret for secret in (KEY, PASSWORD) if secret in content]
    assert Printer.objects.count() == 2

    after = page.post(preview, follow=True).content.decode()

    assert "5 printers are saved." in after
    printers = {printer.name: printer for printer in Printer.objects.whole()}
    assert set(printers) == {"Curlew", "Dunlin", "Robin", "Linnet", "Heron", "Same"}
    curlew, robin, heron = printers["Curlew"], printers["Robin"], printers["Heron"]
    assert (curlew.api_key, curlew.known.tags, curlew.state) == (KEY, ["PETG", "0.4"], State.PRINTING)
    assert (curlew.profile, curlew.kind) == (maren.profile, Kind.OCTOPRINT)
    assert (printers["Dunlin"].kind, robin.kind, robin.known.password) == (Kind.MOONRAKER, Kind.PRUSALINK, PASSWORD)
    assert (heron.pk, heron.api_key, heron.known.place) == (changed.pk, KEY, "Workshop")
    assert printers["Linnet"].state == State.UNREACHABLE

    wrong = page.get(preview + "wrong/").content.decode()
    assert "why" in wrong.splitlines()[0]
    assert "Siskin" in wrong
    assert KEY not in wrong
    assert KEY not in json.dumps(Draft.objects.get().data)
    assert page.post(preview, follow=True).status_code == 200  # Pressed twice, it saves nothing twice.
    assert Printer.objects.count() == 6


def test_a_second_click_is_told_what_came_of_the_first(page: Client) -> None:
    preview = upload(page, f"address,key\nhttp://127.0.0.1:9,{KEY}").redirect_chain[-1][0]

    for _ in range(2):
        response = page.post(preview, follow=True)
        assert response.redirect_chain == [("/printers/", 302)]
        assert [str(message) for message in response.context["messages"]] == ["1 printer is saved."]
    assert Printer.objects.count() == 1
    assert KEY not in json.dumps(Draft.objects.get().data)
    assert page.get(preview)["Location"] == "/printers/", "Nor by the button that leads back."


@pytest.mark.django_db(transaction=True)
def test_two_clicks_at_once_save_once_and_say_the_same(maren: User, page: Client) -> None:
    preview = upload(page, f"address,key\nhttp://127.0.0.1:9,{KEY}").redirect_chain[-1][0]
    said: list[str] = []
    both = threading.Barrier(2)

    def click() -> None:
        browser = Client()
        browser.cookies = page.cookies
        both.wait()
        response = browser.post(preview, follow=True)
        said.extend(str(message) for message in response.context["messages"])
        connection.close()

    threads = [threading.Thread(target=click) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(said) == {"1 printer is saved."}
    assert Printer.objects.count() == 1


def test_json_and_what_spreadsheets_of_other_countries_write(make: Make, page: Client) -> None:
    upload(page, json.dumps([{"ip_address": "127.0.0.1:9", "api_key": KEY, "tags": ["a", "b"], "other": 1}]), "a.json")
    assert verdicts()[0][0] == "new"
    Draft.objects.all().delete()

    upload(page, f"\ufeffAddress;Key;Name\n127.0.0.1:9;{KEY};Žluťoučký\n\n;;\n")
    assert Draft.objects.get().data["lines"][0]["name"] == "Žluťoučký"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The submitted file is empty."),
        (b"  \n", "The file is empty."),
        (b"\xff\xfe\x00a", "The file is no text in UTF-8."),
        (b"name\nHeron", "The file has no column “address”. Its columns: name."),
        (b"address", "The file has no printer in it"),
        (b"[]", "The file has no printer in it"),
        (b'[{}, {"address": null}]', "The file has no printer in it"),
        (b",,\n , ,\n", "The file has empty cells alone."),
        (b"address,name\n10.0.0.1,a\x00b", "Row 1 has a character that can&#x27;t be kept, U+0000: remove it."),
        (b"address,na\x00me\n10.0.0.1,a", "a character that can&#x27;t be kept, U+0000"),
        (b'[{"address": "10.0.0.1"}, {"address": "a", "notes": "\\u0000"}]', "Row 2 has a character"),
        (b'[{"address": "10.0.0.1", "other": "\\ud83d"}]', "a character that can&#x27;t be kept, U+D83D"),
        (b'[{"address": "10.0.0.1", "tags": [["a"], "b"]}]', "an object or a list within a printer"),
        (b'[{"address": {"host": "10.0.0.1"}}]', "an object or a list within a printer"),
        (b"address,url\n10.0.0.1,10.0.0.2", "Two columns are “address”"),
        (
            b"name,address,key\nHeron, left,10.0.0.1,k",
            "Row 1 has 4 cells, and the first line 3. Put what has a “,” in it",
        ),
        (b"address\tname\n10.0.0.1\ta\tb", "Put what has a “tab” in it between quotation marks."),
        (b'[{"address": "10.0.0.1", "IP_address": "10.0.0.2"}]', "has “address” twice; leave one of them out."),
        (b'[{"address": "10.0.0.1", "key": "a", "key": "b"}]', "has “key” twice; leave one of them out."),
        (b"a," * 200, "The file has 201 columns; 100 can be read."),
        (
            json.dumps([{f"{row}-{column}": 1 for column in range(3)} for row in range(50)]).encode(),
            "The file has 150 columns; 100 can be read.",
        ),
        (b"[1, 2]", "The JSON is no list of objects"),
        (b"{", "The file begins like JSON, and is none."),
        (b"[" * 100_000, "The file begins like JSON, and is none."),
        (b"address\n" + b"10.0.0.1\n" * 5001, "The file has 5,001 rows; 5,000 can be imported at once."),
    ],
)
def test_what_cannot_be_read_is_said(content: bytes, said: str, page: Client) -> None:
    response = upload(page, content)

    assert response.status_code == 400
    assert said in response.content.decode()
    assert not Draft.objects.exists()


def test_a_password_in_an_address_is_refused_and_not_shown(page: Client) -> None:
    response = upload(page, "address,name\nhttp://maker:hush-hush@10.20.2.14/,Heron")

    assert verdicts()[0] == (
        "wrong", "A printer's address has no user and no password in it: leave out what stands before the @.",
    )  # fmt: skip
    assert "hush" not in response.content.decode()


def test_what_is_wrong_in_a_row_is_said_in_a_sentence(page: Client) -> None:
    long = "9" * 5000
    upload(page, f"id,address,tags\n{long},10.20.2.14,\n,10.20.2.14,{'x' * 60}")

    assert verdicts() == [
        ("wrong", f"There is no printer {long[:20]} that you may change; leave the id empty."),
        ("wrong", f"“{'x' * 20}…” has 60 characters; a tag has 50 at most."),
    ]


def test_others_printers_are_neither_changed_nor_told_of(make: Make, page: Client) -> None:
    theirs = Printer.objects.create(ip_address="http://127.0.0.1:9", api_key="theirs")

    upload(page, f"id,address,key,name\n{theirs.pk},http://127.0.0.1:9,{KEY},Mine\n,http://127.0.0.1:9,{KEY},Mine")

    assert verdicts()[0] == ("wrong", f"There is no printer {theirs.pk} that you may change; leave the id empty.")
    assert verdicts()[1][0] == "new"


def test_a_row_that_was_taken_meanwhile_is_left_out(page: Client) -> None:
    response = upload(page, f"address,key\nhttp://127.0.0.1:9,{KEY}\nhttp://127.0.0.1:10,{KEY}")
    Printer.objects.create(ip_address="http://127.0.0.1:9", api_key=KEY)

    content = page.post(response.redirect_chain[-1][0], follow=True).content.decode()

    assert "1 printer is saved." in content
    assert "is in the farm already" in content
    assert Printer.objects.count() == 2


def test_the_sequence_of_keys_is_left_alone(make: Make, page: Client) -> None:
    """Both tables draw from it, and somebody may have drawn a key that is not committed yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('printers_printer', 'id')) + 100")
        [[ahead]] = cursor.fetchall()
        cursor.execute("SELECT setval(pg_get_serial_sequence('printers_printer', 'id'), %s)", [ahead])
    response = upload(page, f"address,key\nhttp://127.0.0.1:9,{KEY}")
    page.post(response.redirect_chain[-1][0])

    assert Printer.objects.get().pk == ahead + 1


def test_nobody_else_gets_at_what_was_uploaded(page: Client) -> None:
    preview = upload(page, f"address,key\nhttp://127.0.0.1:9,{KEY}").redirect_chain[-1][0]
    stranger = Client()
    stranger.force_login(User.objects.create_user("stranger"))

    for response in (stranger.get(preview), stranger.post(preview), stranger.get(preview + "wrong/")):
        assert response["Location"] == IMPORT
    assert not Printer.objects.exists()


# ----- export


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\tx"]


def test_an_export_has_no_keys_and_no_formulas(make: Make, page: Client) -> None:
    for number, name in enumerate(FORMULAS):
        make(f"http://127.0.0.1:{9 + number}", name=name, password=PASSWORD, notes=name)

    response = page.get("/printers/export/")

    content = response.content.decode()
    assert response["Content-Disposition"] == 'attachment; filename="printers.csv"'
    assert not [secret for secret in (KEY, PASSWORD) if secret in content]
    assert "key" not in content.splitlines()[0]
    cells = [cell.strip('"') for line in content.splitlines()[1:] for cell in line.split(",")]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
    exported = json.loads(page.get("/printers/export/?format=json").content)
    assert [row["name"] for row in exported] == FORMULAS


def test_an_export_is_what_the_list_shows_and_comes_in_again_unchanged(make: Make, page: Client) -> None:
    make("http://127.0.0.1:9", name="=Heron", place="Hall A", tags=["a", "b"], notes="two\nlines")
    make("http://127.0.0.1:10", name="Crane", place="Hall B")

    one = page.get("/printers/export/?place=Hall+B").content.decode()
    assert "Crane" in one
    assert "Heron" not in one
    upload(page, page.get("/printers/export/").content)

    assert [verdict for verdict, _ in verdicts()] == ["same", "same"]
