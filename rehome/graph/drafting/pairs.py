"""Which models move where, in which order, and whether their classes are still in the old app."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator

from django.db.migrations.state import ModelState, ProjectState

from rehome.errors import Refused
from rehome.graph.discovery import Key
from rehome.graph.relations import bases_of, has_parent_link, related


@dataclasses.dataclass(frozen=True)
class Pair:
    """A model and the one that it becomes; both keys are those of a ProjectState."""

    source: Key
    target: Key
    source_label: str
    target_label: str
    cut: bool
    """Whether the source's class is gone from the code."""
    proxy: bool = False
    """Whether it has no rows of its own, and comes along with the model that has."""
    moved_by: Key | None = None
    """The migration that moves it already."""

    def __str__(self) -> str:
        return f"{self.source_label} to {self.target_label}"

    @property
    def has_rows(self) -> bool:
        return not self.proxy


def make_pair(source: ModelState, target: ModelState, code: ProjectState, moved_by: Key | None = None) -> Pair:
    key = key_of(source)
    return Pair(
        source=key,
        target=key_of(target),
        source_label=label_of(source),
        target_label=label_of(target),
        cut=key not in code.models,
        proxy=is_proxy(source),
        moved_by=moved_by,
    )


def key_of(state: ModelState) -> Key:
    return state.app_label, state.name_lower


def label_of(state: ModelState) -> str:
    return f"{state.app_label}.{state.name}"


def is_proxy(state: ModelState) -> bool:
    return bool(state.options.get("proxy"))


def find_state(label: str, state: ProjectState) -> ModelState | None:
    """In any case, as commands take labels."""
    wanted = label.lower()
    return next((model for model in state.models.values() if label_of(model).lower() == wanted), None)


def moved_proxies(pairs: Iterable[Pair], before: ProjectState, code: ProjectState) -> Iterator[Pair]:
    """Proxies that went along: gone from the old app, and of the same name in the new one."""
    for pair in pairs:
        for proxy in proxies_of(pair.source, before):
            there = code.models.get((pair.target[0], proxy.name_lower))
            if key_of(proxy) not in code.models and there and is_proxy(there):
                yield make_pair(proxy, there, code)


def proxies_of(key: Key, state: ProjectState) -> Iterator[ModelState]:
    """Those that inherit from a model, near or far."""
    for model in state.models.values():
        if is_proxy(model) and key in bases_of(model):
            yield model
            yield from proxies_of(key_of(model), state)


def in_order(pairs: Collection[Pair], code: ProjectState) -> list[Pair]:
    """Those with rows; each after those that its target points at. Where these point back, only a parent is first."""
    waiting = [pair for pair in pairs if pair.has_rows]
    ordered: list[Pair] = []
    while waiting:
        free = [pair for pair in waiting if not needed(pair, waiting, code, parents_alone=False)]
        free = free or [pair for pair in waiting if not needed(pair, waiting, code, parents_alone=True)]
        ordered.append(free[0])
        waiting.remove(free[0])
    return ordered


def needed(pair: Pair, others: Iterable[Pair], code: ProjectState, *, parents_alone: bool) -> list[Pair]:
    """Those of `others` that the target of `pair` points at."""
    target = code.models[pair.target]
    wanted = {
        key
        for field in target.fields.values()
        if has_parent_link(field) or not parents_alone
        for key in related(field, target)
    }
    return [other for other in others if other.target in wanted and other is not pair]


def refuse_one_model(source: str, target: str) -> None:
    if source.lower() == target.lower():
        raise Refused(f"{source} and {target} are one model.", "Name the model of the other app as the target.")
