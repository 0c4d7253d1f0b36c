from scripts import list_messages


def test_the_page_is_what_the_code_says() -> None:
    assert list_messages.PAGE.read_text(encoding="utf-8") == list_messages.page(), "Run `make messages`."


def test_sentences_are_told_from_docstrings_and_sql() -> None:
    source = '''
"""Docs of the module, in a sentence."""
QUERY = """
SELECT relname FROM pg_class
"""
def f(x):
    """What it does, in a sentence."""
    asking.query(connection, "SHOW all the rows of it")
    SQL("some words of a statement").format(x)
    raise Refused(f"{x.name!r} is not " "here.", hint="Look somewhere else.")
'''
    tree = list_messages.ast.parse(source)
    assert list(list_messages.literals(tree)) == ["{x.name} is not here.", "Look somewhere else."]
