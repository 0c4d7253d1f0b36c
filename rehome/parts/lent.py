"""What would run with the rights of the tables' owner where the triggers have them, and must not: code that others can
change, that finds names by the search path, that asks who is writing, or that nobody can look into.

A carried write evaluates whatever belongs to the table that it is carried to: triggers, checks, defaults, indexes,
domains, policies. From there the catalog tells what else is called; a function whose body is a text is taken to call
and to touch whatever its words name in its schemas.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rehome.parts import writers
from rehome.parts.defect import Defect
from rehome.parts.writers import Lacking
from rehome.plan.plan import Plan
from rehome.postgres import asking
from rehome.postgres.sql import place, readable
from rehome.postgres.tables import Table

# Whoever may become both owners has their rights anyway; nobody else may decide what runs with these.
STRANGERS = """
WITH RECURSIVE strangers (oid, name) AS (
  SELECT 0::pg_catalog.oid, 'PUBLIC'::pg_catalog.name
   UNION ALL
  SELECT r.oid, r.rolname FROM pg_catalog.pg_roles r
   WHERE EXISTS (SELECT FROM pg_catalog.pg_class t WHERE t.oid = ANY(%(tables)s)
                    AND NOT pg_catalog.pg_has_role(r.oid, t.relowner, 'MEMBER'))
)
"""
TRIGGERING = """
SELECT s.name, s.oid = c.relowner
  FROM pg_catalog.pg_class c, strangers s
 WHERE c.oid = %(table)s
   AND (s.oid = c.relowner OR EXISTS (SELECT FROM pg_catalog.aclexplode(c.relacl) held
                                       WHERE held.grantee = s.oid AND held.privilege_type = 'TRIGGER'))
 ORDER BY 1
"""

# (class, oid) as pg_depend has them; `what` is the part of the table that leads there, and `path` the schemas in which
# a function's text finds its names, null for those of the session.
REACHED = """
, reached (class, oid, what, path) AS (
  SELECT %(class)s::pg_catalog.regclass::pg_catalog.oid, %(table)s::pg_catalog.oid, %(what)s::text COLLATE "C",
         %(path)s::text[] COLLATE "C"
   UNION
  SELECT next.class::pg_catalog.oid, next.oid, (coalesce(nullif(r.what, ''), next.what))::text COLLATE "C",
         coalesce((SELECT pg_catalog.string_to_array(pg_catalog.translate(pg_catalog.substr(path, 13), ' "', ''), ',')
                     FROM pg_catalog.pg_proc p, pg_catalog.unnest(p.proconfig) path
                    WHERE next.class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = next.oid
                      AND path ^@ 'search_path='), r.path)::text[] COLLATE "C"
    FROM reached r
    LEFT JOIN pg_catalog.pg_proc f ON r.class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND f.oid = r.oid,
  LATERAL (
    SELECT 'pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, format('the trigger %%I', t.tgname)
      FROM pg_catalog.pg_trigger t WHERE t.tgrelid = r.oid AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
       AND t.tgname !~ '^rehome_[a-z_]+_[0-9a-f]{12}$' AND r.class = 'pg_catalog.pg_class'::pg_catalog.regclass
     UNION ALL
    SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, format('the constraint %%I', k.conname)
      FROM pg_catalog.pg_constraint k
     WHERE k.contype IN ('c', 'x')
       AND (k.conrelid = r.oid AND r.class = 'pg_catalog.pg_class'::pg_catalog.regclass
            OR k.contypid = r.oid AND r.class = 'pg_catalog.pg_type'::pg_catalog.regclass)
     UNION ALL
    SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid,
           CASE WHEN a.attgenerated = '' THEN format('the default of %%I', a.attname)
                ELSE format('the generated column %%I', a.attname) END
      FROM pg_catalog.pg_attrdef d JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
     WHERE d.adrelid = r.oid AND r.class = 'pg_catalog.pg_class'::pg_catalog.regclass
     UNION ALL
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, i.oid, format('the index %%I', i.relname)
      FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
     WHERE x.indrelid = r.oid AND r.class = 'pg_catalog.pg_class'::pg_catalog.regclass
     UNION ALL
    SELECT 'pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, format('the policy %%I', p.polname)
      FROM pg_catalog.pg_policy p WHERE p.polrelid = r.oid AND r.class = 'pg_catalog.pg_class'::pg_catalog.regclass
     UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid, format('the rule %%I', w.rulename)
      FROM pg_catalog.pg_rewrite w WHERE w.ev_class = r.oid AND r.class = 'pg_catalog.pg_class'::pg_catalog.regclass
     UNION ALL
    SELECT d.refclassid, d.refobjid,
           CASE WHEN d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
                THEN concat('the type ', pg_catalog.format_type(d.refobjid, NULL)) ELSE '' END
      FROM pg_catalog.pg_depend d
     WHERE d.classid = r.class AND d.objid = r.oid AND f.prosecdef IS NOT TRUE AND d.refobjid <> %(table)s
       AND (d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass,
                             'pg_catalog.pg_type'::pg_catalog.regclass)
            OR d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'n'
               AND r.class IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_rewrite'::pg_catalog.regclass,
                               'pg_catalog.pg_policy'::pg_catalog.regclass))
     UNION ALL
    SELECT named.class, named.oid, ''
      FROM (SELECT pg_catalog.regexp_split_to_array(concat(f.prosrc, ' ', lower(f.prosrc)), '[^\\w$]+')) text (words),
      LATERAL (
        SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, p.pronamespace, p.proname FROM pg_catalog.pg_proc p
         UNION ALL
        SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, c.relnamespace, c.relname
          FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid <> %(table)s
      ) named (class, oid, schema, name)
      JOIN pg_catalog.pg_namespace n ON n.oid = named.schema
     WHERE f.prosqlbody IS NULL AND NOT f.prosecdef AND n.nspname !~ '^(pg_|information_schema$)'
       AND (n.nspname = ANY(r.path) OR n.nspname = ANY(text.words))
       AND (named.name = ANY(text.words)
            OR quote_ident(named.name) ^@ '"' AND pg_catalog.strpos(f.prosrc, quote_ident(named.name)) > 0)
  ) next (class, oid, what)
)
"""
FOUND = """
SELECT r.what,
       CASE WHEN p.oid IS NOT NULL THEN concat('function ', p.oid::pg_catalog.regprocedure)
            WHEN c.oid IS NOT NULL THEN concat('table ', c.oid::pg_catalog.regclass)
            ELSE '' END,
       coalesce((SELECT s.name FROM strangers s WHERE s.oid = coalesce(p.proowner, y.typowner, c.relowner)),
                (SELECT s.name FROM strangers s, pg_catalog.aclexplode(c.relacl) held
                  WHERE held.grantee = s.oid AND held.privilege_type = 'TRIGGER' LIMIT 1), ''),
       coalesce(l.lanname, ''), p.prosqlbody IS NOT NULL OR p.oid IS NULL, coalesce(p.provolatile = 'i', true),
       coalesce(p.prosecdef, false), r.path,
       coalesce(concat(p.proconfig) ~ 'search_path=', false),
       ARRAY(SELECT n.nspname::text FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) held, strangers s
              WHERE n.nspname = ANY(r.path) AND held.privilege_type = 'CREATE' AND held.grantee = s.oid
                AND held.grantee <> n.nspowner),
       coalesce(CASE r.class
         WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass
         THEN coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc)
         WHEN 'pg_catalog.pg_class'::pg_catalog.regclass
         THEN (SELECT concat(pg_catalog.pg_get_expr(x.indexprs, x.indrelid), ' ',
                             pg_catalog.pg_get_expr(x.indpred, x.indrelid))
                 FROM pg_catalog.pg_index x WHERE x.indexrelid = r.oid)
         WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass THEN pg_catalog.pg_get_triggerdef(r.oid)
         WHEN 'pg_catalog.pg_constraint'::pg_catalog.regclass THEN pg_catalog.pg_get_constraintdef(r.oid)
         WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass
         THEN (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d WHERE d.oid = r.oid)
         WHEN 'pg_catalog.pg_policy'::pg_catalog.regclass
         THEN (SELECT concat(pg_catalog.pg_get_expr(o.polqual, o.polrelid), ' ',
                             pg_catalog.pg_get_expr(o.polwithcheck, o.polrelid))
                 FROM pg_catalog.pg_policy o WHERE o.oid = r.oid)
         WHEN 'pg_catalog.pg_rewrite'::pg_catalog.regclass THEN pg_catalog.pg_get_ruledef(r.oid)
         WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN y.typdefault END, '')
  FROM reached r
  LEFT JOIN pg_catalog.pg_proc p ON r.class = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = r.oid
  LEFT JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  LEFT JOIN pg_catalog.pg_type y ON r.class = 'pg_catalog.pg_type'::pg_catalog.regclass AND y.oid = r.oid
  LEFT JOIN pg_catalog.pg_class c ON r.class = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = r.oid
   AND c.relkind <> 'i' AND c.oid <> %(table)s
 WHERE r.what <> '' AND (p.oid IS NULL OR p.pronamespace <> 'pg_catalog'::pg_catalog.regnamespace)
 ORDER BY 1, 2
"""

LITERALS = re.compile(r"""[eE]'(?:\\.|''|[^'\\])*'|'(?:''|[^'])*'|"(?:""|[^"])*"|--[^\n]*|/\*.*?\*/""", re.DOTALL)
WHO = re.compile(
    r"(?<![.\w])(current_user|current_role|user|getpgusername|pg_has_role|has_\w+_privilege|row_security_active"
    r"|information_schema|set\s+(local\s+|session\s+)?role|reset\s+role)(?!\w)",
    re.IGNORECASE,
)
SET_WHO = re.compile(r"_(setting|config)\s*\(\s*'(role|is_superuser|search_path)'", re.IGNORECASE)
WHERE = re.compile(r"(?<![.\w])(current_schemas?|to_reg\w+|pg_\w+_is_visible)(?!\w)", re.IGNORECASE)
MADE = re.compile(r"\bexecute\b(?!\s+(function|procedure)\b)", re.IGNORECASE)
"""A statement that a function makes itself."""
READABLE_LANGUAGES = {"", "sql", "plpgsql"}
EVERYBODY = "PUBLIC"


class Reached(NamedTuple):
    """Something that is evaluated, or called, with a write to a table."""

    what: str
    named: str
    """The function, or another table, with that word; empty for a part of the table itself."""
    stranger: str
    """Who could change it, and may not become the owner; empty for nobody."""
    language: str
    bound: bool
    """Whether its names are bound to what they meant when it was made."""
    immutable: bool
    definer: bool
    path: list[str] | None
    """Schemas in which its names are found; None for those of the session."""
    own_path: bool
    """Whether that is its own, and not that of a function which calls it."""
    open: list[str]
    """Schemas of the path in which strangers may create objects."""
    text: str

    @property
    def why(self) -> str:
        """What is wrong with running it as somebody else; empty for nothing."""
        plain = LITERALS.sub(" ", self.text)
        fixed = self.bound or self.language in {"c", "internal"}
        if self.stranger and not self.definer:
            return f"{who(self.stranger)} can change at any time"
        if self.path is None and (not fixed or WHERE.search(plain)):
            return "finds names by the search path of the session"
        if self.definer:
            return ""
        if WHO.search(plain) or SET_WHO.search(self.text) or "$user" in (self.path or ()):
            return "asks who is writing"
        if self.language == "plpgsql" and MADE.search(plain):
            return "runs statements that it makes itself"
        if not (self.language in READABLE_LANGUAGES or (fixed and self.immutable)):
            return f"is in {self.language}, and can't be looked into"
        if self.own_path and not fixed and self.open:
            return f"finds names in schema {self.open[0]}, where others may create objects"
        if self.own_path and not fixed and "pg_temp" not in (self.path or ()):
            return "takes a temporary table or type for its own, as its search_path does not end with pg_temp"
        return ""

    def cure(self, table: Table) -> str:
        """Beside the one that there is for all; empty for none."""
        kind, _, name = self.named.partition(" ")
        if kind and self.stranger and not self.definer:
            return f"ALTER {kind.upper()} {name} OWNER TO {readable(table.owner)}"
        if kind == "function" and self.why.startswith(("finds names by", "takes a temporary")):
            return f"ALTER FUNCTION {name} SET search_path = {', '.join([*(self.path or ['...']), 'pg_temp'])}"
        return ""


@dataclasses.dataclass(frozen=True)
class Objection:
    """Why the triggers may not have the owner's rights, and what to do."""

    problem: str
    hint: str


def find(
    plan: Plan, *, granting: bool = False, copying: bool = False, views: Sequence[Table] = ()
) -> Iterator[Objection]:
    """For each pair of which a role that writes lacks rights, so that its triggers would have the owner's. Those of a
    move without a way back carry nothing, but for the time of `copying` beside writers. `views` stand under the names
    of the sources, which are about to have their rights.
    """
    for number, pair in enumerate(plan.pairs if plan.reversible or copying else ()):
        if lacking := writers.lacking(plan, pair, granting=granting, view=views[number] if views else None):
            for table in (pair.source, pair.target):
                asked = {"table": table.oid, "tables": [pair.source.oid, pair.target.oid]}
                for what, cure in (*find_holders(plan, table, asked), *find_code(plan, table, asked)):
                    yield object_to(table, what, cure, lacking[0])


def object_to(table: Table, what: str, cure: str, lacking: Lacking) -> Objection:
    return Objection(
        f"{table} has {what}: it would run as the owner, {table.owner!r}, for rows that the triggers write, because "
        f"{lacking.who}, which writes to them, lacks {lacking.privilege} on {lacking.place}.",
        f"Run {lacking.cure}, for the triggers to run as whoever writes{f', or {cure}' if cure else ''}.",
    )


def find_holders(plan: Plan, table: Table, asked: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(what may not run as the owner, another cure than a grant) for each role that may create triggers."""
    for role, owns in asking.query(plan.connection, STRANGERS + TRIGGERING, asked):
        revoked = f"REVOKE TRIGGER ON {place(table)} FROM {role if role == EVERYBODY else readable(role)}"
        yield f"triggers that {who(role)} may create", "give both tables one owner" if owns else revoked


def find_code(plan: Plan, table: Table, asked: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The same for everything that a write evaluates or calls."""
    for one in read_reached(plan, STRANGERS, "pg_class", table.oid, asked["tables"]):
        if one.why:
            yield f"{one.what}{f', whose {one.named}' if one.named else ', which'} {one.why}", one.cure(table)


def read_reached(
    plan: Plan,
    strangers: str,
    kind: str,
    oid: int,
    tables: list[int],
    what: str = "",
    path: Iterable[str] | None = None,
) -> list[Reached]:
    """From a table, a view or a function, `kind` being its catalog; `what` is said of all that is reached from a part
    without a word of its own, and `path` are the schemas in which texts find names.
    """
    start = {"table": oid, "class": f"pg_catalog.{kind}", "what": what, "path": None if path is None else list(path)}
    rows = asking.query(plan.connection, strangers + REACHED + FOUND, {**start, "tables": tables})
    return [Reached(*row) for row in rows]


def find_defects(plan: Plan) -> list[Defect]:
    return [Defect(one.problem, one.hint) for one in find(plan)]


def who(role: str) -> str:
    return "everybody" if role == EVERYBODY else f"the role {role!r}"
