"""What a run of an earlier version has kept, as this one keeps it: until 0.2 definitions were kept as SQL."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from rehome.plan.facts import Json, encode
from rehome.postgres import definitions


def convert(kept: Json) -> Json:
    """The same with facts for each SQL text, none of which is run; what facts can't say is listed as unreadable.

    What this version has written is left as it is. Raises what a wrong type raises.
    """
    converted, unreadable = dict(kept), list(kept.get("unreadable", ()))
    convert_dropped(converted, unreadable)
    for convert_part in (convert_keys, convert_in_place, convert_views):
        convert_part(converted)
    if unreadable:
        converted["unreadable"] = unreadable
    return converted


def convert_dropped(kept: Json, unreadable: list[Any]) -> None:
    """Indexes and constraints of the target that wait for its rows."""
    constraints, indexes, bearing = (kept.pop(name, ()) for name in ("constraints", "indexes", "unique_indexes"))
    borne = {tuple(place) for *place, _ in bearing}
    found: list[Any] = []
    keys: list[Any] = []
    for *place, definition in bearing:
        index = definitions.read_index(place, definition)
        found.append((place, index and dataclasses.replace(index, constraint="UNIQUE")))
    for *place, definition in constraints:
        if definitions.is_foreign_key(definition):
            keys.append((place, definitions.read_foreign_key(place, definition)))
        elif tuple(place) not in borne:
            found.append((place, definitions.read_constraint(place, definition)))
    found += [(place, definitions.read_index(place, definition)) for *place, definition in indexes]
    for name, parts in (("dropped_keys", keys), ("dropped_indexes", found)):
        if parts:
            kept[name] = as_json(parts, unreadable)


def convert_keys(kept: Json) -> None:
    """Foreign keys of a retired table."""
    for name in ("foreign_keys", "unvalidated"):
        if kept.get(name):
            kept[name] = list(map(convert_key, kept[name]))


def convert_key(key: Json) -> Json:
    """Where it leads to stands beside the words."""
    if "head" not in key:
        return key
    place = key["schema"], key["table"], key["name"]
    facts = read_key(place, definitions.join_foreign_key(key["head"], key["tail"]))
    return {**facts, "end": key["end"], "validated": key["validated"]}


def convert_in_place(kept: Json) -> None:
    if in_place := kept.get("in_place"):
        kept["in_place"] = {
            **in_place,
            "keys": list(map(convert_key, in_place["keys"])),
            "pairs": list(map(convert_exchanged, in_place["pairs"])),
        }


def convert_exchanged(pair: Json) -> Json:
    renaming = pair["renaming"]
    if "defaults" not in renaming:
        return pair
    changed = {old["name"]: old["text"] for old, new in renaming["defaults"] if old["text"] != new["text"]}
    places = [(renaming["schema"], table) for table in renaming["table"]]
    keys = [
        [read_key((*place, part["name"]), part["text"]) for place, part in zip(places, parts, strict=True)]
        for parts in renaming["foreign_keys"]
    ]
    return {**pair, "defaults": changed, "renaming": {**renaming, "foreign_keys": keys}}


def read_key(place: definitions.Place, definition: str) -> Json:
    facts = definitions.read_foreign_key(place, definition)
    if facts is None:
        raise ValueError(f"{definition!r} is no foreign key")
    found: Json = encode(facts)
    return found


def convert_views(kept: Json) -> None:
    for source, view in kept.get("views", {}).items():
        if "statements" in view:
            given = filter(None, map(definitions.read_grant, view["statements"]))
            kept["views"] = {**kept["views"], source: {"grants": list(map(encode, given)), **view}}


def as_json(parts: Iterable[tuple[list[str], Any]], unreadable: list[Any]) -> list[Json]:
    """Of those that were read; the places of the others are added to `unreadable`."""
    found = []
    for place, facts in parts:
        if facts is None:
            unreadable.append(place)
        else:
            found.append(encode(facts))
    return found
