"""Finds every Import that the installed apps declare in a module `imports`, as `admin` is found."""

from importlib import import_module

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from rehome.importing.declaration import Import

MODULE = "imports"


def find_imports() -> list[Import]:
    """Each import once, in the order of the apps and of their modules, alone or in a list."""
    found: dict[int, Import] = {}
    for config in apps.get_app_configs():
        if config.module is not None and module_has_submodule(config.module, MODULE):
            for value in vars(import_module(f"{config.name}.{MODULE}")).values():
                declared = value if isinstance(value, list | tuple) else [value]
                found |= {id(one): one for one in declared if isinstance(one, Import)}
    return list(found.values())
