"""Many tables of one shape, each changed by hand in its own way, and whether the remedies make them as they were."""

import dataclasses
import re

from django.db import DatabaseError, models
from django.db.models import F, Q

from rehome.checkschema.comparing import compare
from rehome.checkschema.report import Difference, Report
from tests.rehome.support.lab import Lab


@dataclasses.dataclass(frozen=True)
class Drift:
    """What is done to table {t}, {fk} being its foreign key, {name}, {code} and {parent} indexes of its columns."""

    statements: tuple[str, ...]
    told: bool = True
    """Whether it is a difference; otherwise the models say the same as before."""

    @property
    def inserts(self) -> int:
        return sum(statement.startswith("INSERT") for statement in self.statements)


def drift(*statements: str, told: bool = True) -> Drift:
    return Drift(statements, told)


def fields(label: str) -> dict[str, models.Field]:
    return {
        "name": models.CharField(max_length=20, db_index=True),
        "code": models.CharField(max_length=10, unique=True),
        "n": models.IntegerField(default=0),
        "d": models.DecimalField(max_digits=8, decimal_places=2),
        "at": models.DateTimeField(),
        "flag": models.BooleanField(default=False),
        "txt": models.TextField(),
        "parent": models.ForeignKey(label, models.CASCADE, null=True),
        "js": models.JSONField(null=True),
        "u": models.UUIDField(),
        "dur": models.DurationField(null=True),
        "dd": models.CharField(max_length=9, db_default="it's"),
        "spaced": models.TextField(db_column="a b"),
        "amount": models.PositiveIntegerField(default=1),
        "m": models.IntegerField(default=0),
        "double": models.GeneratedField(expression=F("m") * 2, output_field=models.IntegerField(), db_persist=True),
    }


ROW = {
    "name": "a",
    "code": "b",
    "n": 1,
    "m": 2,
    "d": 2,
    "at": "2024-01-01 00:00:00",
    "flag": False,
    "txt": "t",
    "amount": 3,
}
ROW |= {"u": "00000000000000000000000000000001", "a b": "c"}


NAMED = re.compile(r"{(?!t}|a})")


class Menagerie:
    """One table for each drift, with a row in it."""

    def __init__(self, lab: Lab, drifts: dict[str, Drift]) -> None:
        self.lab = lab
        self.drifts = drifts
        self.labels = {name: f"zoo.A{number}" for number, name in enumerate(drifts)}
        for number, (name, one) in enumerate(drifts.items()):
            label = self.labels[name]
            lab.model(
                label,
                fields(label),
                constraints=[
                    models.CheckConstraint(condition=Q(n__gte=0), name=f"a{number}_n"),
                    models.UniqueConstraint(fields=["name", "code"], name=f"a{number}_nc"),
                ],
                indexes=[
                    models.Index(fields=["n", "-at"], name=f"a{number}_nat"),
                    models.Index(fields=["double"], name=f"a{number}_d"),
                ],
            )
            self.insert(self.table(name))
            here = {"t": self.table(name), "a": f"a{number}"}
            if NAMED.search(" ".join(one.statements)):
                here |= self.names(self.table(name))
            for statement in one.statements:
                self.run(statement.format(**here))

    def table(self, name: str) -> str:
        return str(self.lab.get(self.labels[name])._meta.db_table)

    def insert(self, table: str) -> None:
        quote = self.lab.connection.ops.quote_name
        columns = ", ".join(map(quote, ROW))
        self.lab.sql(f"INSERT INTO {table} ({columns}) VALUES ({', '.join(['%s'] * len(ROW))})", list(ROW.values()))

    def names(self, table: str) -> dict[str, str]:
        """What Django called the keys and indexes of single columns."""
        with self.lab.connection.cursor() as cursor:
            found = self.lab.connection.introspection.get_constraints(cursor, table).items()
        here = {}
        for name, one in found:
            if one["foreign_key"]:
                here["fk"] = name
            if one["index"] and not one["unique"] and len(one["columns"]) == 1:
                here[f"{one['columns'][0]}{'_like' if name.endswith('_like') else ''}"] = name
            if one["unique"] and not one["primary_key"] and one["columns"] == ["code"]:
                here["code"] = name
        return here

    def run(self, statement: str) -> None:
        with self.lab.connection.cursor() as cursor:
            cursor.execute(statement, None)

    def report(self) -> Report:
        wanted = [self.lab.get(label) for label in self.labels.values()]
        return compare(wanted, self.lab.state, self.lab.apps, self.lab.connection)

    def of(self, name: str, found: Report) -> list[Difference]:
        return [each for each in found.differences if each.model == self.labels[name]]

    def cure(self, found: Report) -> list[str]:
        """Run every statement, in the order in which they are printed; returns the errors."""
        errors = []
        for each in found.differences:
            for statement in each.sql:
                try:
                    self.run(statement)
                except DatabaseError as error:
                    errors.append(f"{self.drifted(each)}: {each}: {statement}: {error}")
        return errors

    def drifted(self, each: Difference) -> str:
        return next((name for name, label in self.labels.items() if label == each.model), "")

    def check(self) -> None:
        """Every drift is told, no remedy fails, nothing is told afterwards, and no row is lost."""
        found = self.report()
        told = {name: [str(each) for each in self.of(name, found)] for name in self.drifts}
        wrong = [f"{name}: told {told[name]}" for name, one in self.drifts.items() if bool(told[name]) != one.told]
        wrong += self.cure(found)
        wrong += [
            f"{self.drifted(e)}: left {dataclasses.astuple(e)}" for e in self.report().differences if needs_cure(e)
        ]
        for name, one in self.drifts.items():
            rows = self.lab.sql(f"SELECT count(*) FROM {self.table(name)}")[0][0]
            wrong += [f"{name}: {rows} rows"] if rows != 1 + one.inserts else []
        assert not wrong, "\n".join(wrong)


def needs_cure(each: Difference) -> bool:
    """A column that only the database has harms nobody."""
    return each.kind != "unknown" or bool(each.sql)


MYSQL: dict[str, Drift] = {
    "nothing": drift(told=False),
    "a longer text": drift("ALTER TABLE {t} MODIFY name varchar(25) NOT NULL"),
    "a longer text with a space in its name": drift(
        "ALTER TABLE {t} MODIFY `a b` varchar(99) COLLATE utf8mb4_bin NULL"
    ),
    "a larger number": drift("ALTER TABLE {t} MODIFY n bigint NOT NULL"),
    "no sign": drift("ALTER TABLE {t} MODIFY n int unsigned NOT NULL"),
    "zeros in front": drift("ALTER TABLE {t} MODIFY n int(5) unsigned zerofill NOT NULL"),
    "a sign": drift("ALTER TABLE {t} MODIFY amount int NOT NULL"),
    "a number can be missing": drift("ALTER TABLE {t} MODIFY n int NULL"),
    "a default": drift("ALTER TABLE {t} MODIFY n int NOT NULL DEFAULT 7"),
    "a default that is computed": drift("ALTER TABLE {t} MODIFY n int NOT NULL DEFAULT (1+1)"),
    "a default in quotes": drift("ALTER TABLE {t} MODIFY dd varchar(9) NOT NULL DEFAULT 'a''b) c'"),
    "a default with a backslash": drift("ALTER TABLE {t} MODIFY dd varchar(9) NOT NULL DEFAULT 'a\\\\'"),
    "no default": drift("ALTER TABLE {t} MODIFY dd varchar(9) NOT NULL"),
    "a comment": drift("ALTER TABLE {t} MODIFY n int NOT NULL COMMENT 'it''s, \"q\" (x\\n) \\\\ NOT NULL CHECK (n)'"),
    "a comment like an end": drift(
        "ALTER TABLE {t} MODIFY name varchar(20) NOT NULL COMMENT 'a\\n) ENGINE=MyISAM COMMENT=''x'' b'"
    ),
    "a comment of the table": drift("ALTER TABLE {t} COMMENT='x''y \\\\ WITH SYSTEM VERSIONING'"),
    "another collation": drift("ALTER TABLE {t} MODIFY name varchar(20) COLLATE utf8mb4_bin NOT NULL"),
    "another character set": drift("ALTER TABLE {t} MODIFY name varchar(20) CHARACTER SET latin1 NOT NULL"),
    "a timestamp": drift("ALTER TABLE {t} MODIFY at timestamp(6) NOT NULL DEFAULT current_timestamp(6)"),
    "whole seconds": drift("ALTER TABLE {t} MODIFY at datetime NOT NULL"),
    "it moves by itself": drift(
        "ALTER TABLE {t} MODIFY at datetime(6) NOT NULL DEFAULT '2000-01-01' ON UPDATE current_timestamp(6)"
    ),
    "more digits": drift("ALTER TABLE {t} MODIFY d decimal(9,2) NOT NULL"),
    "a small number for a truth": drift("ALTER TABLE {t} MODIFY flag tinyint(4) NOT NULL"),
    "a bit for a truth": drift("ALTER TABLE {t} MODIFY flag bit(1) NOT NULL"),
    "a shorter long text": drift("ALTER TABLE {t} MODIFY txt mediumtext NOT NULL"),
    "an enum": drift("ALTER TABLE {t} MODIFY code enum('a','b','b,c)','it''s') NOT NULL"),
    "a set": drift("ALTER TABLE {t} MODIFY code set('a','b') NOT NULL"),
    "text for json": drift("ALTER TABLE {t} MODIFY js longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL"),
    "no index": drift("DROP INDEX `{name}` ON {t}"),
    "no unique": drift("DROP INDEX `{code}` ON {t}"),
    "no index of the model's": drift("DROP INDEX {a}_nat ON {t}"),
    "no unique of the model's": drift("ALTER TABLE {t} DROP INDEX {a}_nc"),
    "upwards": drift("ALTER TABLE {t} DROP INDEX {a}_nat, ADD INDEX {a}_nat (n, at)"),
    "the beginning of a text": drift("ALTER TABLE {t} DROP INDEX `{name}`, ADD INDEX `{name}` (name(5))"),
    "another name": drift("ALTER TABLE {t} RENAME INDEX {a}_nat TO other"),
    "an index": drift("CREATE INDEX extra ON {t} (d)"),
    "an index over words": drift("CREATE FULLTEXT INDEX ft ON {t} (txt)"),
    "a unique": drift("CREATE UNIQUE INDEX ux ON {t} (u)"),
    "a unique that a foreign key uses": drift("ALTER TABLE {t} ADD UNIQUE ux (parent_id)"),
    "no check": drift("ALTER TABLE {t} DROP CONSTRAINT {a}_n"),
    "a narrower check": drift(
        "ALTER TABLE {t} DROP CONSTRAINT {a}_n", "ALTER TABLE {t} ADD CONSTRAINT {a}_n CHECK (n >= 1)"
    ),
    "a check": drift("ALTER TABLE {t} ADD CONSTRAINT {a}ec CHECK (d > 0 AND name <> ')' AND txt <> 'a, b')"),
    "a check at the column": drift("ALTER TABLE {t} MODIFY n int NOT NULL CHECK (n < 100)"),
    "a check at a larger column": drift("ALTER TABLE {t} MODIFY n bigint NOT NULL CHECK (n < 100)"),
    "no foreign key": drift("ALTER TABLE {t} DROP FOREIGN KEY `{fk}`"),
    "the database deletes": drift(
        "ALTER TABLE {t} DROP FOREIGN KEY `{fk}`",
        "ALTER TABLE {t} ADD CONSTRAINT {a}fkk FOREIGN KEY (parent_id) REFERENCES {t} (id) ON DELETE CASCADE",
    ),
    "a column": drift("ALTER TABLE {t} ADD extra int NOT NULL"),
    "a column with a comment": drift("ALTER TABLE {t} ADD extra varchar(9) NOT NULL COMMENT 'may be NOT NULL here'"),
    "a column that can be null": drift("ALTER TABLE {t} ADD extra varchar(5) NULL"),
    "no column": drift("ALTER TABLE {t} DROP COLUMN `a b`"),
    "no column of the foreign key": drift(
        "ALTER TABLE {t} DROP FOREIGN KEY `{fk}`", "ALTER TABLE {t} DROP COLUMN parent_id"
    ),
    "no column that can be null": drift("ALTER TABLE {t} DROP COLUMN dur"),
    "a column that is computed and kept": drift(
        "ALTER TABLE {t} DROP COLUMN d", "ALTER TABLE {t} ADD d decimal(8,2) AS (n*2) STORED, ADD KEY {a}x (d, n)"
    ),
    "a column that is computed when it is read": drift(
        "ALTER TABLE {t} DROP COLUMN d", "ALTER TABLE {t} ADD d decimal(8,2) AS (n*2) VIRTUAL"
    ),
    "an indexed column that is computed": drift(
        "DROP INDEX `{name}` ON {t}",
        "ALTER TABLE {t} DROP INDEX {a}_nc",
        "ALTER TABLE {t} DROP COLUMN name",
        "ALTER TABLE {t} ADD name varchar(20) AS (concat(n, ')')) STORED",
        "ALTER TABLE {t} ADD INDEX {a}i (name), ADD UNIQUE {a}_nc (name, code)",
    ),
    "computed when it is read": drift(
        "ALTER TABLE {t} DROP INDEX {a}_d",
        "ALTER TABLE {t} DROP COLUMN `double`",
        "ALTER TABLE {t} ADD `double` int AS (m * 2) VIRTUAL",
        "CREATE INDEX {a}_d ON {t} (`double`)",
    ),
    "not computed": drift(
        "ALTER TABLE {t} DROP INDEX {a}_d",
        "ALTER TABLE {t} DROP COLUMN `double`",
        "ALTER TABLE {t} ADD `double` int NULL",
        "CREATE INDEX {a}_d ON {t} (`double`)",
    ),
    "computed otherwise": drift("ALTER TABLE {t} MODIFY `double` int AS (m * 3) STORED"),
    "a larger number beside what is computed of it": drift("ALTER TABLE {t} MODIFY m bigint NOT NULL"),
    "no numbers": drift(
        "ALTER TABLE {t} DROP FOREIGN KEY `{fk}`",
        "ALTER TABLE {t} MODIFY id bigint NOT NULL",
        "ALTER TABLE {t} ADD CONSTRAINT {a}f FOREIGN KEY (parent_id) REFERENCES {t} (id)",
    ),
    "a key without a sign": drift(
        "ALTER TABLE {t} DROP FOREIGN KEY `{fk}`",
        "ALTER TABLE {t} MODIFY id bigint unsigned NOT NULL AUTO_INCREMENT, MODIFY parent_id bigint unsigned NULL",
        "ALTER TABLE {t} ADD CONSTRAINT {a}zz FOREIGN KEY (parent_id) REFERENCES {t} (id)",
    ),
    "a small key": drift(
        "ALTER TABLE {t} DROP FOREIGN KEY `{fk}`",
        "ALTER TABLE {t} MODIFY id int NOT NULL AUTO_INCREMENT, MODIFY parent_id int NULL",
        "ALTER TABLE {t} ADD CONSTRAINT {a}zz FOREIGN KEY (parent_id) REFERENCES {t} (id) ON DELETE SET NULL",
    ),
    "a small key that others refer to": drift(
        "ALTER TABLE {t} DROP FOREIGN KEY `{fk}`",
        "ALTER TABLE {t} MODIFY id int unsigned NOT NULL AUTO_INCREMENT, MODIFY parent_id int unsigned NULL",
        "ALTER TABLE {t} ADD CONSTRAINT {a}zz FOREIGN KEY (parent_id) REFERENCES {t} (id)",
        "CREATE TABLE {a}_stranger (it int unsigned NOT NULL, FOREIGN KEY (it) REFERENCES {t} (id))",
    ),
    "no key": drift(
        "ALTER TABLE {t} DROP FOREIGN KEY `{fk}`",
        "ALTER TABLE {t} MODIFY id bigint NOT NULL, DROP PRIMARY KEY",
        "ALTER TABLE {t} ADD UNIQUE (id)",
    ),
    "another name of a column": drift(
        "ALTER TABLE {t} DROP CONSTRAINT {a}_n", "ALTER TABLE {t} CHANGE n num int NOT NULL"
    ),
    "an engine without transactions": drift("ALTER TABLE {t} DROP FOREIGN KEY `{fk}`", "ALTER TABLE {t} ENGINE=MyISAM"),
    "a trigger": drift("CREATE TRIGGER {a}tg BEFORE INSERT ON {t} FOR EACH ROW SET NEW.n=1", told=False),
    "a comment of the reference": drift("ALTER TABLE {t} MODIFY parent_id bigint NULL COMMENT 'p'"),
    "in other letters": drift("ALTER TABLE {t} CONVERT TO CHARACTER SET latin1"),
}

MARIADB: dict[str, Drift] = MYSQL | {
    "ignored": drift("ALTER TABLE {t} ALTER INDEX {a}_nat IGNORED"),
    "ignored under another name": drift(
        "ALTER TABLE {t} RENAME INDEX {a}_nat TO other", "ALTER TABLE {t} ALTER INDEX other IGNORED"
    ),
    "a history": drift("ALTER TABLE {t} ADD SYSTEM VERSIONING", told=False),
    "a history and a longer text": drift(
        "ALTER TABLE {t} MODIFY name varchar(25) NOT NULL", "ALTER TABLE {t} ADD SYSTEM VERSIONING"
    ),
    "compressed": drift("ALTER TABLE {t} MODIFY txt longtext COMPRESSED NOT NULL", told=False),
    "a history with a period": drift(
        "ALTER TABLE {t} ADD ts timestamp(6) GENERATED ALWAYS AS ROW START, "
        "ADD te timestamp(6) GENERATED ALWAYS AS ROW END, ADD PERIOD FOR SYSTEM_TIME(ts, te), ADD SYSTEM VERSIONING",
        "SET @@system_versioning_alter_history = KEEP",
        "ALTER TABLE {t} MODIFY n int NULL",
    ),
    "compressed and nullable": drift("ALTER TABLE {t} MODIFY txt longtext COMPRESSED NULL"),
    "invisible": drift("ALTER TABLE {t} MODIFY dur bigint NULL INVISIBLE", told=False),
    "the newest collation": drift("ALTER TABLE {t} MODIFY name varchar(20) COLLATE uca1400_ai_ci NOT NULL"),
    "a sequence": drift("CREATE SEQUENCE {a}_sq", "ALTER TABLE {t} MODIFY n int NOT NULL DEFAULT nextval({a}_sq)"),
}

REAL_MYSQL: dict[str, Drift] = MYSQL | {
    # Its twin is in the letters of the table, as a column is that a migration adds.
    "in other letters": drift("ALTER TABLE {t} CONVERT TO CHARACTER SET latin1", told=False),
    "an engine without transactions": drift(
        "ALTER TABLE {t} DROP FOREIGN KEY `{fk}`", "DROP INDEX {a}_nat ON {t}", "ALTER TABLE {t} ENGINE=MyISAM"
    ),
    "invisible": drift("ALTER TABLE {t} ALTER INDEX {a}_nat INVISIBLE"),
    "a check that is not enforced": drift("ALTER TABLE {t} ALTER CHECK {a}_n NOT ENFORCED"),
}

ALTER = "ALTER TABLE {t} ALTER"
POSTGRESQL: dict[str, Drift] = {
    "nothing": drift(told=False),
    "a longer text": drift(f"{ALTER} name TYPE varchar(25)"),
    "a larger number": drift(f"{ALTER} n TYPE bigint"),
    "a smaller number": drift(f"{ALTER} n TYPE smallint"),
    "a number can be missing": drift(f"{ALTER} n DROP NOT NULL"),
    "a default": drift(f"{ALTER} n SET DEFAULT 7"),
    "a default that is computed": drift(f"{ALTER} n SET DEFAULT length('a,b')"),
    "a default in quotes": drift(f"{ALTER} dd SET DEFAULT 'a''b::text'"),
    "no default": drift(f"{ALTER} dd DROP DEFAULT"),
    "a comment": drift("COMMENT ON COLUMN {t}.n IS 'it''s 100% \\ \"x\"'"),
    "a comment of the table": drift("COMMENT ON TABLE {t} IS 'a%sb'"),
    "another collation": drift(f'{ALTER} name TYPE varchar(20) COLLATE "C"'),
    "no zone": drift(f"{ALTER} at TYPE timestamp"),
    "whole seconds": drift(f"{ALTER} at TYPE timestamptz(0)"),
    "more digits": drift(f"{ALTER} d TYPE numeric(9,2)"),
    "any number of digits": drift(f"{ALTER} d TYPE numeric"),
    "a number for a truth": drift(f"{ALTER} flag TYPE int USING flag::int"),
    "a text for a number with an index, a check and a default": drift(
        "ALTER TABLE {t} DROP CONSTRAINT {a}_n",
        f"{ALTER} n DROP DEFAULT",
        f"{ALTER} n TYPE text",
        f"{ALTER} n SET DEFAULT '5'",
    ),
    "a number for a text": drift(
        "ALTER TABLE {t} DROP CONSTRAINT {a}_nc", 'DROP INDEX "{name_like}"', f"{ALTER} name TYPE int USING 5"
    ),
    "no length": drift(f"{ALTER} txt TYPE varchar"),
    "another json": drift(f"{ALTER} js TYPE json"),
    "a text for a uuid": drift(f"{ALTER} u TYPE text"),
    "padded": drift('DROP INDEX "{code_like}"', f"{ALTER} code TYPE char(10)"),
    "an enum": drift("CREATE TYPE {a}zz AS ENUM ('a')", f"{ALTER} txt TYPE {{a}}zz USING 'a'"),
    "a domain": drift("CREATE DOMAIN {a}dm AS int CHECK (VALUE>0)", f"{ALTER} n TYPE {{a}}dm"),
    "words with an index": drift(
        f"{ALTER} txt TYPE tsvector USING to_tsvector('simple', txt)", "CREATE INDEX {a}_gin ON {t} USING gin (txt)"
    ),
    "a range that excludes": drift(
        f"{ALTER} txt DROP NOT NULL",
        f"{ALTER} txt TYPE int4range USING '[1,2]'",
        "ALTER TABLE {t} ADD CONSTRAINT {a}_ex EXCLUDE USING gist (txt WITH &&)",
    ),
    "days to seconds": drift(f"{ALTER} dur TYPE interval day to second"),
    "no index": drift('DROP INDEX "{name}"'),
    "no index for beginnings": drift('DROP INDEX "{name_like}"'),
    "no unique": drift('ALTER TABLE {t} DROP CONSTRAINT "{code}"'),
    "a unique that is only an index": drift(
        'ALTER TABLE {t} DROP CONSTRAINT "{code}"', "CREATE UNIQUE INDEX {a}cu ON {t} (code)"
    ),
    "a unique in small letters": drift(
        'ALTER TABLE {t} DROP CONSTRAINT "{code}"', "CREATE UNIQUE INDEX {a}cu ON {t} (lower(code))"
    ),
    "a unique that waits": drift(
        'ALTER TABLE {t} DROP CONSTRAINT "{code}"', "ALTER TABLE {t} ADD UNIQUE (code) DEFERRABLE"
    ),
    "a unique of some rows": drift(
        "ALTER TABLE {t} DROP CONSTRAINT {a}_nc", "CREATE UNIQUE INDEX {a}_nc ON {t} (name,code) WHERE flag"
    ),
    "equal nulls": drift(
        "ALTER TABLE {t} DROP CONSTRAINT {a}_nc",
        "ALTER TABLE {t} ADD CONSTRAINT {a}_nc UNIQUE NULLS NOT DISTINCT (name,code)",
    ),
    "upwards": drift("DROP INDEX {a}_nat", "CREATE INDEX {a}_nat ON {t} (n, at)"),
    "nulls at the end": drift("DROP INDEX {a}_nat", "CREATE INDEX {a}_nat ON {t} (n, at DESC NULLS LAST)"),
    "with another column": drift("DROP INDEX {a}_nat", "CREATE INDEX {a}_nat ON {t} (n, at DESC) INCLUDE (d)"),
    "half empty pages": drift("DROP INDEX {a}_nat", "CREATE INDEX {a}_nat ON {t} (n, at DESC) WITH (fillfactor=50)"),
    "a hash": drift("CREATE INDEX {a}hx ON {t} USING hash (n)"),
    "another name": drift("ALTER INDEX {a}_nat RENAME TO {a}other"),
    "an index of an expression": drift("CREATE INDEX {a}ex ON {t} (lower(name), n)"),
    "no check": drift("ALTER TABLE {t} DROP CONSTRAINT {a}_n"),
    "a narrower check": drift("ALTER TABLE {t} DROP CONSTRAINT {a}_n, ADD CONSTRAINT {a}_n CHECK (n >= 1)"),
    "a wider check": drift("ALTER TABLE {t} DROP CONSTRAINT {a}_n, ADD CONSTRAINT {a}_n CHECK (n >= 0 OR n IS NULL)"),
    "a check that nobody has run": drift(
        "ALTER TABLE {t} DROP CONSTRAINT {a}_n, ADD CONSTRAINT {a}_n CHECK (n >= 0) NOT VALID"
    ),
    "another name, and nobody has run it": drift(
        "ALTER TABLE {t} DROP CONSTRAINT {a}_n, ADD CONSTRAINT {a}_m CHECK (n >= 0) NOT VALID"
    ),
    "a check": drift("ALTER TABLE {t} ADD CHECK (name <> '(1)::integer' AND d > 0)"),
    "a check of another name": drift("ALTER TABLE {t} RENAME CONSTRAINT {a}_n TO {a}_m"),
    "a check of a sum": drift("ALTER TABLE {t} DROP CONSTRAINT {a}_n, ADD CONSTRAINT {a}_n CHECK (n + 1 >= 0)"),
    "no foreign key": drift('ALTER TABLE {t} DROP CONSTRAINT "{fk}"'),
    "the database deletes": drift(
        'ALTER TABLE {t} DROP CONSTRAINT "{fk}"',
        "ALTER TABLE {t} ADD FOREIGN KEY (parent_id) REFERENCES {t} ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
    ),
    "checked at once": drift('ALTER TABLE {t} ALTER CONSTRAINT "{fk}" NOT DEFERRABLE'),
    "a foreign key that nobody has checked": drift(
        'ALTER TABLE {t} DROP CONSTRAINT "{fk}"',
        "ALTER TABLE {t} ADD FOREIGN KEY (parent_id) REFERENCES {t} DEFERRABLE INITIALLY DEFERRED NOT VALID",
    ),
    "another table": drift(
        "CREATE TABLE {a}other (id bigint PRIMARY KEY)",
        'ALTER TABLE {t} DROP CONSTRAINT "{fk}"',
        "ALTER TABLE {t} ADD FOREIGN KEY (parent_id) REFERENCES {a}other DEFERRABLE INITIALLY DEFERRED",
    ),
    "two foreign keys": drift(
        "ALTER TABLE {t} ADD CONSTRAINT {a}second FOREIGN KEY (parent_id) REFERENCES {t} ON DELETE SET NULL"
    ),
    "a column": drift("ALTER TABLE {t} ADD extra int NOT NULL DEFAULT 1", f"{ALTER} extra DROP DEFAULT"),
    "a column that can be null": drift("ALTER TABLE {t} ADD extra text"),
    "no column of the foreign key": drift("ALTER TABLE {t} DROP COLUMN parent_id"),
    "no column that can be null": drift("ALTER TABLE {t} DROP COLUMN dur"),
    "a column that is computed": drift(
        "ALTER TABLE {t} DROP COLUMN d", "ALTER TABLE {t} ADD d numeric(8,2) GENERATED ALWAYS AS (n*2) STORED"
    ),
    "a column that is computed, with a default in the model": drift(
        "ALTER TABLE {t} DROP COLUMN dd", "ALTER TABLE {t} ADD dd varchar(9) GENERATED ALWAYS AS (code) STORED"
    ),
    "a larger number beside what is computed of it": drift(
        "ALTER TABLE {t} DROP COLUMN double",
        f"{ALTER} m TYPE bigint",
        "ALTER TABLE {t} ADD double int GENERATED ALWAYS AS (m * 2) STORED",
        "CREATE INDEX {a}_d ON {t} (double)",
    ),
    "not computed": drift(
        "ALTER TABLE {t} DROP COLUMN double", "ALTER TABLE {t} ADD double int", "CREATE INDEX {a}_d ON {t} (double)"
    ),
    "computed otherwise": drift(
        "ALTER TABLE {t} DROP COLUMN double",
        "ALTER TABLE {t} ADD double int GENERATED ALWAYS AS (m * 3) STORED",
        "CREATE INDEX {a}_d ON {t} (double)",
    ),
    "keys are the database's": drift(f"{ALTER} id SET GENERATED ALWAYS"),
    "no numbers": drift(f"{ALTER} id DROP IDENTITY"),
    "serial": drift(
        f"{ALTER} id DROP IDENTITY",
        "CREATE SEQUENCE {a}sx START 10 OWNED BY {t}.id",
        f"{ALTER} id SET DEFAULT nextval('{{a}}sx')",
        told=False,
    ),
    "a small serial": drift(
        f"{ALTER} id DROP IDENTITY",
        'ALTER TABLE {t} DROP CONSTRAINT "{fk}"',
        f"{ALTER} id TYPE int",
        f"{ALTER} parent_id TYPE int",
        "CREATE SEQUENCE {a}sx AS int START 10 OWNED BY {t}.id",
        f"{ALTER} id SET DEFAULT nextval('{{a}}sx')",
        "ALTER TABLE {t} ADD FOREIGN KEY (parent_id) REFERENCES {t} DEFERRABLE INITIALLY DEFERRED",
    ),
    "a sequence of nobody": drift(
        f"{ALTER} id DROP IDENTITY", "CREATE SEQUENCE {a}sx START 10", f"{ALTER} id SET DEFAULT nextval('{{a}}sx')"
    ),
    "a sequence that is behind": drift(
        'INSERT INTO {t} (id,name,code,n,m,d,at,flag,txt,u,"a b",amount) '
        "VALUES (50,'a','c',1,1,1,now(),true,'t',gen_random_uuid(),'',1)"
    ),
    "a sequence of another column": drift("CREATE SEQUENCE {a}sy", f"{ALTER} n SET DEFAULT nextval('{{a}}sy')"),
    "no key": drift("ALTER TABLE {t} DROP CONSTRAINT {t}_pkey CASCADE"),
    "a key that waits": drift(
        'ALTER TABLE {t} DROP CONSTRAINT "{fk}"',
        "ALTER TABLE {t} DROP CONSTRAINT {t}_pkey, ADD PRIMARY KEY (id) DEFERRABLE",
    ),
    "a key of texts": drift(
        'ALTER TABLE {t} DROP CONSTRAINT "{fk}"',
        f"{ALTER} id DROP IDENTITY",
        f"{ALTER} id TYPE text",
        f"{ALTER} parent_id TYPE text",
        "ALTER TABLE {t} ADD FOREIGN KEY (parent_id) REFERENCES {t} DEFERRABLE INITIALLY DEFERRED",
    ),
    "a small key": drift(
        'ALTER TABLE {t} DROP CONSTRAINT "{fk}"',
        f"{ALTER} id TYPE int, ALTER parent_id TYPE int",
        "ALTER TABLE {t} ADD FOREIGN KEY (parent_id) REFERENCES {t} DEFERRABLE INITIALLY DEFERRED",
    ),
    "another name of a column": drift("ALTER TABLE {t} DROP CONSTRAINT {a}_n", "ALTER TABLE {t} RENAME n TO num"),
    "another case of a column": drift("ALTER TABLE {t} DROP CONSTRAINT {a}_n", 'ALTER TABLE {t} RENAME n TO "N"'),
    "the time of the server": drift(f"{ALTER} at SET DEFAULT CURRENT_TIMESTAMP"),
    "a uuid of the server": drift(f"{ALTER} u SET DEFAULT gen_random_uuid()"),
    "another storage": drift(f"{ALTER} txt SET STORAGE EXTERNAL", told=False),
}

OF_18: dict[str, Drift] = {
    "computed when it is read": drift(
        "ALTER TABLE {t} DROP COLUMN double", "ALTER TABLE {t} ADD double int GENERATED ALWAYS AS (m * 2) VIRTUAL"
    ),
    "a column that is computed when it is read": drift(
        "ALTER TABLE {t} DROP COLUMN d", "ALTER TABLE {t} ADD d numeric(8,2) GENERATED ALWAYS AS (n*2) VIRTUAL NOT NULL"
    ),
}
