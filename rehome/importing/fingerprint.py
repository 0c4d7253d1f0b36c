"""What an import reads and makes of it, as a hash: another one means that every row has to be read again."""

import dataclasses
import hashlib
from typing import Any

from rehome.importing import lookups
from rehome.importing.plan import ImportPlan, Taken
from rehome.importing.sources.reading import query
from rehome.postgres.sql import Identifier

PROBE = Identifier("probe")


def take(plan: ImportPlan) -> str:
    """Of the SQL that the declaration comes to, so that an edited function or expression is another one, too; the same
    in every process.
    """
    columns = [(taken.column.name, taken.arrives_as, *looked_up(plan, taken)) for taken in plan.taken]
    parts = (str(plan), plan.key, columns, source(plan), plan.declared.changed, plan.declared.fold)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def source(plan: ImportPlan) -> tuple[str, Any]:
    """The query of all rows."""
    every = query(dataclasses.replace(plan, since=None, only=None)).query
    text, params = every.get_compiler(plan.source.alias).as_sql()
    # The percent signs of names are doubled only while the source is read.
    return text.replace("%%", "%"), params


def looked_up(plan: ImportPlan, taken: Taken) -> list[str]:
    if taken.lookup is None:
        return []
    among = lookups.among(plan, taken, taken.lookup).as_string()
    return [among, lookups.as_looked_up(plan, taken.lookup, PROBE)]
