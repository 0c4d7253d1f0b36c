"""What else goes along with a model, or should: history, events, translations, tables between two models."""

from collections.abc import Iterator, Sequence

from django.apps import apps
from django.conf import settings
from django.db.migrations.state import ModelState, ProjectState

from rehome.errors import Refused
from rehome.graph.discovery import Key
from rehome.graph.drafting.pairs import Pair, is_proxy, key_of, label_of, proxies_of
from rehome.graph.drafting.refusals import is_package
from rehome.graph.relations import bases_of, has_parent_link, related, relations_of


def gone_along(pairs: Sequence[Pair], before: ProjectState, code: ProjectState) -> list[str]:
    """What to add to the command: models that have left an app for another one, under their names."""
    sources = {pair.source for pair in pairs}
    return [
        f"{label_of(model)} {label_of(there)}"
        for key, model in before.models.items()
        if key not in code.models and key not in sources and model.options.get("managed", True)
        for there in new_homes(model, {pair.target[0] for pair in pairs}, before, code)
    ]


def new_homes(model: ModelState, asked: set[str], before: ProjectState, code: ProjectState) -> list[ModelState]:
    """In an app that the command names, or else in the only other one that has such a class anew."""
    found = [there for there in code.models.values() if there.name_lower == model.name_lower and is_new(there, before)]
    near = [there for there in found if there.app_label in asked]
    far = found if len(found) == 1 and not any(map(is_package, (model.app_label, found[0].app_label))) else []
    return near or far


def is_new(there: ModelState, before: ProjectState) -> bool:
    return key_of(there) not in before.models


def find(pairs: Sequence[Pair], before: ProjectState, code: ProjectState) -> Iterator[str]:
    """One sentence for each, with what to do; nothing is to be done about an installed package's own."""
    sources = {pair.source for pair in pairs}
    for pair in pairs:
        for model in before.models.values():
            if key_of(model) in sources or is_package(model.app_label):
                continue
            if what := kind_of(model, pair.source, before):
                yield f"{label_of(model)} {what} of {pair.source_label}: {what_to_do(model, pair, code)}"


def kind_of(model: ModelState, source: Key, before: ProjectState) -> str:
    fields = model.fields.keys()
    leads = {key for _, field in relations_of(model) for key in related(field, model)}
    if model.name_lower == f"historical{source[1]}" and "history_id" in fields:
        return "has the history (django-simple-history)"
    if "pgh_id" in fields and (source in leads or model.name_lower == f"{source[1]}event"):
        return "has the events (django-pghistory)"
    if {"language_code", "master"} <= fields and source in leads:
        return "has the translations (django-parler)"
    between = {key for _, field in relations_of(before.models[source]) if field.many_to_many
               for key in related(field, before.models[source])[1:]}  # fmt: skip
    if key_of(model) in between:
        return "is the table between two models, of a many-to-many field"
    return ""


def what_to_do(model: ModelState, pair: Pair, code: ProjectState) -> str:
    there = code.models.get((pair.target[0], model.name_lower.replace(pair.source[1], pair.target[1])))
    if there:
        return f"move it too, by adding `{label_of(model)} {label_of(there)}` to the command."
    return f"it stays in {model.app_label}. Put its class into {pair.target[0]} and move it too if it belongs there."


def refuse_untranslated(pairs: Sequence[Pair], before: ProjectState, code: ProjectState) -> None:
    """Columns that django-modeltranslation adds to a model that is registered with it."""
    if not apps.is_installed("modeltranslation"):
        return
    suffixes = [f"_{language.replace('-', '_')}" for language, _ in settings.LANGUAGES]
    for pair in pairs:
        fields = before.models[pair.source].fields.keys()
        translated = {f"{name}{suffix}" for name in fields for suffix in suffixes} & fields
        if lost := sorted(translated - code.models[pair.target].fields.keys()):
            raise Refused(
                f"{pair.target_label} lacks {', '.join(lost)}, which django-modeltranslation has added to "
                f"{pair.source_label}.",
                "Register it in translation.py as the old model was; or remove these fields first, with a migration of "
                "their own.",
            )


def pointing(pairs: Sequence[Pair], after: ProjectState) -> Iterator[str]:
    """Until they are re-pointed, new code can't use them from the new model."""
    sources = {pair.source for pair in pairs}
    for pair in pairs:
        for model in after.models.values():
            if key_of(model) in sources:
                continue
            if pair.source in bases_of(model):
                led = ", ".join(leading_to(model, after))
                yield (
                    f"{label_of(model)} inherits from {pair.source_label} still: let it inherit from "
                    f"{pair.target_label} and run this command again, which writes the migration"
                    f"{f'; {led} will follow' if led else ''}."
                )
            for name, field in relations_of(model):
                if pair.source in related(field, model) and not has_parent_link(field):
                    yield (
                        f"{label_of(model)}.{name} points at {pair.source_label} still: change it to "
                        f'"{pair.target_label}" and run this command again, which writes the migration.'
                    )


def leading_to(proxy: ModelState, after: ProjectState) -> Iterator[str]:
    """Fields that name a proxy, or one of its proxies, and lead to the rows that it shows."""
    if is_proxy(proxy):
        family = {key_of(proxy), *map(key_of, proxies_of(key_of(proxy), after))}
        for model in after.models.values():
            for name, field in relations_of(model):
                if family & set(related(field, model)[:1]):
                    yield f"{label_of(model)}.{name}"


def unmigrated(pairs: Sequence[Pair], code: ProjectState, unmigrated_apps: set[str]) -> Iterator[str]:
    targets = {pair.target: pair for pair in pairs}
    for model in code.models.values():
        if model.app_label in unmigrated_apps:
            for name, field in relations_of(model):
                for key in related(field, model):
                    if key in targets:
                        yield (
                            f"{label_of(model)}.{name} points at {targets[key].target_label}, and {model.app_label!r} "
                            f"has no migrations: its foreign key leads to the table of {targets[key].source_label} "
                            "until you change it."
                        )
