"""What to write in a model so that it says what the database has."""

import re
from collections.abc import Iterable
from typing import Any

from rehome.checkschema.shape import Column, Part
from rehome.plan.plan import Model

# By the beginning of a type's name, on either kind of server; {} stands for what is in its parentheses.
FIELDS = {
    r"character varying\((\d+)\)|varchar\((\d+)\)": "CharField(max_length={})",
    r"character varying|text|longtext": "TextField()",
    r"smallint(?:\(\d+\))?": "SmallIntegerField()",
    r"integer|int(?:\(\d+\))?": "IntegerField()",
    r"bigint(?:\(\d+\))?": "BigIntegerField()",
    r"(?:numeric|decimal)\((\d+),(\d+)\)": "DecimalField(max_digits={}, decimal_places={})",
    r"boolean|tinyint\(1\)": "BooleanField()",
    r"double precision|double": "FloatField()",
    r"date": "DateField()",
    r"timestamp with time zone|datetime\(6\)": "DateTimeField()",
    r"time without time zone|time\(6\)": "TimeField()",
    r"interval": "DurationField()",
    r"uuid": "UUIDField()",
    r"jsonb": "JSONField()",
    r"bytea|longblob": "BinaryField()",
    r"inet": "GenericIPAddressField()",
}
AUTO_FIELDS = {
    "smallint": "models.SmallAutoField(primary_key=True)",
    "integer": "models.AutoField(primary_key=True)",
    "int": "models.AutoField(primary_key=True)",
    "bigint": "models.BigAutoField(primary_key=True)",
}
TEXTS = ("character", "text", "varchar", "char", "enum")
LONGEST_INDEX_NAME = 30


def field(column: Column) -> str:
    """A whole field for a column that no model names."""
    name = re.sub(r"\W", "_", column.name.lower()).strip("_") or "field"
    declared, _, inside = field_of_type(column.type).partition("(")
    options = filter(None, [inside.rstrip(")"), *options_of(column, name)])
    return f"{name} = {declared}({', '.join(options)})"


def options_of(column: Column, name: str) -> Iterable[str]:
    yield f"db_column={column.name!r}" if name != column.name else ""
    yield "null=True" if column.nullable else ""
    yield f"db_default={default(column)}" if column.default is not None else ""
    yield f"db_comment={column.comment!r}" if column.comment else ""


def field_of_type(type_name: str) -> str:
    for pattern, declared in FIELDS.items():
        if found := re.fullmatch(pattern, type_name):
            return "models." + declared.format(*(part for part in found.groups() if part))
    return f"YourField(), of which db_type() returns {type_name!r}"


def default(column: Column) -> str:
    """The value of db_default, in Python where Python's is the same."""
    text = column.default or "NULL"
    if text in ("true", "false"):
        return text.capitalize()
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return f"Decimal({text!r})" if "." in text else text
    if re.fullmatch(r"'(?:[^']|'')*'", text) and column.type.startswith(TEXTS):
        return repr(text[1:-1].replace("''", "'"))
    return f"RawSQL({text!r}, [])"


def change(kind: str, found: Column, field: Any) -> str:
    """Of an existing field."""
    if kind == "type" and field.remote_field:
        return f"what it has is decided by {field.target_field.model._meta.label}.{field.target_field.name}"
    if kind == "type" and found.numbered and found.type in AUTO_FIELDS:
        return AUTO_FIELDS[found.type]
    match kind:
        case "null":
            return "null=True" if found.nullable else "without null=True"
        case "default":
            return "without db_default" if found.default is None else f"db_default={default(found)}"
        case "collation":
            unqualified = found.collation.rpartition(".")[2].strip('"')
            return f"db_collation={unqualified!r}"
        case "comment":
            return f"db_comment={found.comment!r}" if found.comment else "without db_comment"
        case "sequence":
            return "an AutoField" if found.numbered else "no AutoField"
        case "generated":
            return "a GeneratedField" if found.generated else "no GeneratedField"
    return field_of_type(found.type)


def other_name(name: str, present: Iterable[str], declared: str, option: str) -> str:
    """What is there is named alike, but for its case."""
    alike = next((other for other in present if other.lower() == name.lower()), None)
    return f"{declared}: {option}={alike!r}" if alike else ""


def part(found: Part, model: Model) -> str:
    fields = [field.name for column in found.columns for field in model._meta.local_fields if field.column == column]
    if found.columns and len(fields) != len(found.columns):
        return "add the fields first"
    match found.kind:
        case "primary key":
            only = f"{fields[0]}: primary_key=True" if len(fields) == 1 else ""
            return only or f"pk = models.CompositePrimaryKey({', '.join(map(repr, fields))})"
        case "unique":
            return f"Meta.constraints: models.UniqueConstraint(fields={fields!r}, name={found.name!r})"
        case "check":
            expression = found.definition.removeprefix("CHECK (").removesuffix(")").replace("%", "%%")
            raw = f"RawSQL({expression!r}, [], output_field=models.BooleanField())"
            return f"Meta.constraints: models.CheckConstraint(condition={raw}, name={found.name!r})"
        case "foreign key":
            return foreign_key(found, model._meta.get_field(fields[0]))
        case "exclusion":
            return f"Meta.constraints: ExclusionConstraint(name={found.name!r}, …)"
    if fields and found.kind == "index":
        return f"Meta.indexes: models.Index(fields={fields!r}, name={found.name[:LONGEST_INDEX_NAME]!r})"
    return f"name it in Meta.{'constraints' if found.kind == 'unique index' else 'indexes'}"


def buildable(model: Model) -> str:
    """What Django's own checks say of a model that no table can be made for; empty where they find nothing."""
    return " ".join(error.msg for error in model.check(databases=[]) if error.is_serious())


def primary_key(uniques: Iterable[tuple[str, ...]]) -> str:
    """For a model to which Django adds an `id` that the table does not have."""
    for columns in uniques:
        if len(columns) == 1:
            return f"primary_key=True at the field of {columns[0]}, which is unique, and no id"
        return f"pk = models.CompositePrimaryKey({', '.join(map(repr, columns))}), which are unique together, and no id"
    return "primary_key=True at a field that has another value in each row, or pk = models.CompositePrimaryKey(...)"


def foreign_key(found: Part, field: Any) -> str:
    """Its actions and its timing are beyond what a ForeignKey says."""
    if elsewhere := re.search(r"REFERENCES (`(?:[^`]|``)+`\.`(?:[^`]|``)+`)", found.definition):
        return f"{field.name}: a ForeignKey to a model with managed = False and db_table = {elsewhere[1]!r}"
    if not field.remote_field:
        return f"{field.name}: a ForeignKey"
    actions = re.findall(r"ON (DELETE|UPDATE) (CASCADE|SET NULL|SET DEFAULT|RESTRICT)", found.definition)
    said = "".join(f", on_{event.lower()}={action!r}" for event, action in actions)
    timing = "" if found.definition.endswith("INITIALLY DEFERRED") else ", deferrable=None"
    declared = f"DatabaseForeignKey(field={field.name!r}, name={found.name!r}{said}{timing})"
    return f"{field.name}: db_constraint=False; Meta.constraints: rehome.constraints.{declared}"
