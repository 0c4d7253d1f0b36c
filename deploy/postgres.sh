#!/usr/bin/env bash
# Start PostgreSQL in its container, unless the volume has the data of another major version.
#
# That server would refuse it, too, in words that don't say what to do.
set -euo pipefail

found="$(cat "$PGDATA/PG_VERSION" 2>/dev/null || true)"
if [ -n "$found" ] && [ "$found" != "$PG_MAJOR" ]; then
    echo "The volume has a database of PostgreSQL $found, and this is PostgreSQL $PG_MAJOR. Nothing was changed." \
        "Set POSTGRES_VERSION in .env to $found or a version of it, and run \`make docker-up\`." \
        "docs/docker.md says how to go to another major version." >&2
    exit 1
fi
exec docker-entrypoint.sh "$@"
