from django.db import migrations, models

TABLES = """
CREATE TABLE history_statechange (
    at timestamptz NOT NULL, printer_id integer NOT NULL, times smallint NOT NULL DEFAULT 1,
    state varchar(20) NOT NULL, PRIMARY KEY (printer_id, at)
) PARTITION BY RANGE (at);
CREATE INDEX history_statechange_at ON history_statechange USING brin (at) WITH (autosummarize = on);

CREATE TABLE history_temperature (
    at timestamptz NOT NULL, printer_id integer NOT NULL, actual real, target real,
    part varchar(20) NOT NULL, PRIMARY KEY (printer_id, part, at)
) PARTITION BY RANGE (at);
CREATE INDEX history_temperature_at ON history_temperature USING brin (at) WITH (autosummarize = on);

CREATE TABLE history_quarter (
    at timestamptz NOT NULL, printer_id integer NOT NULL, low real, mean real, high real, target real,
    part varchar(20) NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX history_quarter_printer_at ON history_quarter USING brin (printer_id, at)
    WITH (pages_per_range = 2, autosummarize = on);
"""
DROP = "DROP TABLE history_statechange, history_temperature, history_quarter;"

STATES = [
    ("finished", "Finished"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
    ("error", "Error"),
    ("attention", "Attention"),
    ("refused", "Key refused"),
    ("printing", "Printing"),
    ("heating", "Heating"),
    ("paused", "Paused"),
    ("ready", "Ready"),
    ("disconnected", "Disconnected"),
    ("unreachable", "Unreachable"),
    ("outoforder", "Out of order"),
]


def key(*fields):
    return models.CompositePrimaryKey(*fields, blank=True, editable=False, primary_key=True, serialize=False)


PARTITIONED = [
    migrations.CreateModel(
        name="StateChange",
        fields=[
            ("pk", key("printer_id", "at")),
            ("printer_id", models.IntegerField()),
            ("at", models.DateTimeField()),
            ("state", models.CharField(choices=STATES, max_length=20)),
            (
                "times",
                models.SmallIntegerField(db_default=1, default=1, help_text="How many changes it stands for."),
            ),
        ],
    ),
    migrations.CreateModel(
        name="Temperature",
        fields=[
            ("pk", key("printer_id", "part", "at")),
            ("printer_id", models.IntegerField()),
            ("part", models.CharField(max_length=20)),
            ("at", models.DateTimeField()),
            ("actual", models.FloatField(null=True)),
            ("target", models.FloatField(null=True)),
        ],
    ),
    migrations.CreateModel(
        name="Quarter",
        fields=[
            ("pk", key("printer_id", "part", "at")),
            ("at", models.DateTimeField()),
            ("printer_id", models.IntegerField()),
            ("low", models.FloatField(null=True)),
            ("mean", models.FloatField(help_text="By the time that each temperature lasted.", null=True)),
            ("high", models.FloatField(null=True)),
            ("target", models.FloatField(null=True)),
            ("part", models.CharField(max_length=20)),
        ],
    ),
]


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        # Django makes no partitioned tables.
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(TABLES, DROP)], state_operations=PARTITIONED
        ),
        migrations.CreateModel(
            name="RolledUp",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("until", models.DateTimeField()),
            ],
        ),
    ]
