from django.db import migrations

# Tiles say what is due: the version of the farm rises with it. The log is on no tile.
EVENTS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}
TRIGGER = """
CREATE TRIGGER monitoring_note_{event} AFTER {event} ON maintenance_task
    REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION monitoring_note_change()
"""


class Migration(migrations.Migration):
    dependencies = [
        ("maintenance", "0001_initial"),
        ("monitoring", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(
            TRIGGER.format(event=event, rows=rows),
            f"DROP TRIGGER IF EXISTS monitoring_note_{event} ON maintenance_task",
        )
        for event, rows in EVENTS.items()
    ]
