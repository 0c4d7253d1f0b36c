"""What still leads to the source of a move, as `makemove` lists it."""

from django.db import models
from django.db.migrations import AlterField, CreateModel
from django.db.migrations.state import ProjectState

from rehome.graph.drafting import companions
from rehome.graph.drafting.pairs import Pair

KEY = ("id", models.BigAutoField(primary_key=True))


def to(label: str, **options: bool) -> models.Field:
    return models.ForeignKey(label, models.CASCADE, **options)


def make() -> ProjectState:
    state = ProjectState()
    made: list[tuple[str, CreateModel]] = [
        ("old", CreateModel("Book", [KEY, ("sequel", to("self"))])),
        ("old", CreateModel("Classic", [], options={"proxy": True}, bases=("old.book",))),
        ("old", CreateModel("Modern", [], options={"proxy": True}, bases=("old.classic",))),
        ("new", CreateModel("Book", [KEY, ("sequel", to("new.Book"))])),
        ("old", CreateModel("Page", [KEY, ("book", to("Book"))])),
        ("other", CreateModel("Loan", [KEY, ("book", to("old.Book")), ("again", to("old.Modern"))])),
        ("other", CreateModel("Card", [KEY, ("book", models.OneToOneField("old.BOOK", models.CASCADE))])),
        ("other", CreateModel("Shelf", [KEY, ("books", models.ManyToManyField("old.Book"))])),
        ("other", CreateModel("Place", [KEY, ("book", to("old.Book")), ("shelf", to("other.Shelf"))])),
        ("other", CreateModel("Wall", [KEY, ("books", models.ManyToManyField("old.Book", through="other.Place"))])),
        ("other", CreateModel("Foreign", [KEY, ("book", to("old.Book"))], options={"managed": False})),
    ]
    link = models.OneToOneField("old.Book", models.CASCADE, primary_key=True, parent_link=True, auto_created=True)
    made.append(("other", CreateModel("Novel", [("book_ptr", link)], bases=("old.book",))))
    for app_label, operation in made:
        operation.state_forwards(app_label, state)
    return state


PAIR = Pair(("old", "book"), ("new", "book"), "old.Book", "new.Book", cut=False)


def test_what_leads_to_the_old_model_is_listed_with_what_to_do() -> None:
    again = "and run this command again, which writes the migration"
    fields = ("old.Page.book", "other.Loan.book", "other.Card.book", "other.Shelf.books", "other.Place.book",
              "other.Wall.books", "other.Foreign.book")  # fmt: skip

    assert sorted(companions.pointing([PAIR], make())) == sorted(
        [
            f"old.Classic inherits from old.Book still: let it inherit from new.Book {again}; other.Loan.again will "
            "follow.",
            f"other.Novel inherits from old.Book still: let it inherit from new.Book {again}.",
            *(f'{field} points at old.Book still: change it to "new.Book" {again}.' for field in fields),
        ]
    )


def test_a_key_that_is_re_pointed_is_none() -> None:
    state = make()
    AlterField("Loan", "book", to("new.Book")).state_forwards("other", state)
    assert not any("other.Loan.book" in one for one in companions.pointing([PAIR], state))
