"""Facts, which are frozen dataclasses, to JSON and back."""

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


# Without it, each fact would have the texts of its annotations evaluated again.
type_hints = functools.cache(typing.get_type_hints)


def kept_fields(kind: Any) -> Iterator[str]:
    return (field.name for field in dataclasses.fields(kind) if field.metadata.get("kept", True))


def encode(value: Any) -> Any:
    """`value` as JSON has it, but for what is found in the catalog whenever it is needed."""
    if dataclasses.is_dataclass(value):
        return {name: encode(getattr(value, name)) for name in kept_fields(value)}
    if isinstance(value, dict):
        return {name: encode(item) for name, item in value.items()}
    return [encode(item) for item in value] if isinstance(value, tuple) else value


def decode(kind: Any, value: Any) -> Any:
    """`value`, as `as_json` and JSON have left it, as a `kind` again. What only an older version kept is left out.

    Raises ValueError for what is none.
    """
    arguments: Any = typing.get_args(kind)
    origin: Any = typing.get_origin(kind)
    if isinstance(kind, types.UnionType):  # The other one is None.
        return None if value is None else decode(arguments[0], value)
    if origin is typing.Literal:
        if value in arguments:
            return value
        raise ValueError(f"{value!r} is none of {', '.join(map(str, arguments))}")
    if dataclasses.is_dataclass(kind):
        return decode_dataclass(kind, value)
    expected: Any = list if origin is tuple else origin or kind
    if type(value) is not expected:
        raise ValueError(f"{value!r} is no {expected.__name__}")
    if origin is dict:
        return {name: decode(arguments[1], item) for name, item in value.items()}
    if origin is tuple:
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(decode(item_kind, item) for item_kind, item in zip(kinds, value, strict=True))
    return value


def decode_dataclass(kind: Any, value: Any) -> Any:
    if type(value) is not dict:
        raise ValueError(f"{value!r} is no {kind.__name__}")
    hints, known = type_hints(kind), value.keys() & set(kept_fields(kind))
    return kind(**{name: decode(hints[name], value[name]) for name in known})
