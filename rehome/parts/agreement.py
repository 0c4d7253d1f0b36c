"""PL/pgSQL that takes over what a BEFORE trigger of the other table has made of a carried row.

It may have changed the row, or kept it from being written, which the table that was written to can't tell from what it
has sent. So the last word is the other table's: its row is read again once the write has been carried.
"""

from rehome.parts.carry import called_by, let_lead, sides
from rehome.parts.project_triggers import of_project, own_of_target
from rehome.parts.rows import changes, in_sync, same_columns, same_key, written
from rehome.plan.expressions import ROW
from rehome.plan.plan import Flow, Plan, TablePair
from rehome.postgres.sql import SQL, Identifier, Literal, Statement, columns, name


def ways(pair: TablePair, plan: Plan) -> frozenset[str]:
    """Those to a table of which a trigger may change what is carried; a target's counterparts are disabled."""
    found = {"backward": of_project(pair.source), "forward": own_of_target(pair, plan)}
    return frozenset(way for way, triggers in found.items() if any(trigger.settles for trigger in triggers))


def agree_body(flow: Flow, pair: TablePair, function: str) -> str:
    """It comes after the trigger that carries a row, and does nothing while that is at work."""
    side, other = sides(flow, pair)
    back = pair.backward if flow is pair.forward else pair.forward
    own = [c.name for c in flow.origin.columns if not c.generated]
    carried = {assignment.column.name: assignment for assignment in back.carried}
    pieces = {
        "called": called_by(flow.origin, function, "AFTER", "ROW"),
        "origin": name(flow.origin),
        "destination": name(flow.destination),
        "row": Identifier(ROW),
        "here": same_columns(flow, "kept", "event"),
        "there": same_key(flow, "event", ROW),
        "same": same_key(back, ROW, "kept"),
        "twice": same_columns(back, ROW, "written"),
        "in_sync": in_sync(pair, **{side: "kept", other: "written"}),
        "same_key": same_columns(flow, "old", "new"),
        "changes": changes(back, pair),
        "columns": columns(own),
        "values": SQL(", ").join(
            written(carried[column]) if column in carried else Identifier("event", column) for column in own
        ),
        "lead": let_lead(other),
        "nobody": let_lead("nobody"),
        "leader": Literal("rehome.leader"),
        "disagree": Literal(f"Triggers of {flow.origin} and {flow.destination} do not agree on a row."),
    }
    pieces["agreed"] = agreed(pieces)
    return (
        SQL("""
#variable_conflict use_column
DECLARE
  event pg_catalog.record;
  noted boolean;
BEGIN{called}
  IF pg_catalog.current_setting({leader}, true) OPERATOR(pg_catalog.=) ANY (ARRAY['source'::pg_catalog.text, 'target'])
  THEN
    RETURN NULL;
  END IF;
  FOR turn IN 1..2 LOOP
    IF turn OPERATOR(pg_catalog.=) 1 THEN
      CONTINUE WHEN TG_OP OPERATOR(pg_catalog.=) 'DELETE';
      event := new;
    ELSE
      CONTINUE WHEN TG_OP OPERATOR(pg_catalog.=) 'INSERT' OR TG_OP OPERATOR(pg_catalog.=) 'UPDATE' AND {same_key};
      event := old;
      -- A row that was born again under the key has an event of its own.
      CONTINUE WHEN EXISTS (SELECT FROM {origin} AS kept WHERE {here});
    END IF;
    CONTINUE WHEN {agreed};
    noted := {lead};
    DELETE FROM {origin} AS kept WHERE {here} AND NOT EXISTS (SELECT FROM {destination} AS {row} WHERE {there});
    UPDATE {origin} AS kept SET {changes} FROM {destination} AS {row} JOIN {destination} AS written ON {twice}
     WHERE {here} AND {same} AND NOT ({in_sync});
    INSERT INTO {origin} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {destination} AS {row}
     WHERE {there} AND NOT EXISTS (SELECT FROM {origin} AS kept WHERE {here});
    noted := {nobody};
    IF NOT ({agreed}) THEN
      RAISE object_not_in_prerequisite_state USING MESSAGE = {disagree},
        HINT = 'Each changes what the other has written. Let one of them leave such a row alone.';
    END IF;
  END LOOP;
  RETURN NULL;
END
""")
        .format(**pieces)
        .as_string()
    )


def agreed(pieces: dict[str, Statement]) -> Statement:
    """Whether both tables say the same of the row, or neither has it."""
    return SQL(
        "EXISTS (SELECT FROM {origin} AS kept JOIN {destination} AS {row} ON {same} "
        "JOIN {destination} AS written ON {twice} WHERE {here} AND {in_sync}) "
        "OR NOT EXISTS (SELECT FROM {origin} AS kept WHERE {here}) "
        "AND NOT EXISTS (SELECT FROM {destination} AS {row} WHERE {there})"
    ).format(**pieces)
