"""Names of tables, columns, indexes and constraints that make SQL stumble."""

from hypothesis import strategies as st

LONG = "long" * 15
"""With a letter before it, nearly as long as a name can be."""

AWKWARD = [
    "Mixed Case", "größe", "数", LONG, "user", "select", "new", "old", "kept", "written", "event", "lives", "origin",
    "excluded", "fresh", "s", "t", "k0", "v0", "tg_op", "found", "record", "a.b", "carry", "leads", "it's", "a;b--",
    "{0}", "\\", " ", "line\nbreak",
]  # fmt: skip

letters = st.characters(codec="utf-8", exclude_characters='\0"%$')
plain = st.text(st.sampled_from("abcdefgh"), min_size=1, max_size=12)
anything = st.text(letters, min_size=1, max_size=12)
identifiers = st.one_of(plain, st.sampled_from(AWKWARD), anything).map(lambda name: shorten(name, 16))
"""Without a percent sign, a quote or a dollar sign: Django can make such a column, and then not write to it."""

constraints = st.one_of(plain, st.sampled_from(AWKWARD), anything).map(lambda name: shorten(name, 40))


def shorten(name: str, limit: int) -> str:
    """Django makes names out of names, and keeps them short by letters, not by bytes."""
    return name if name.isascii() else name.encode()[:limit].decode(errors="ignore")
