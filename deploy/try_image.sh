#!/usr/bin/env bash
# Run the image farm:local as its containers run, on the database of DATABASE_URL, until /readyz answers 200.
set -euo pipefail

work="$(mktemp -d)"
container="$(buildah from farm:local)"
mounted="$(buildah mount "$container")"
redis_server=""
finish() {
    # gunicorn itself: whoever started it in the container would leave its workers behind.
    if [ -e "$mounted/tmp/web.pid" ]; then kill "$(cat "$mounted/tmp/web.pid")" || true; fi
    if [ -n "$redis_server" ]; then kill "$redis_server"; fi
    wait || true
    buildah rm "$container" >/dev/null
    rm -rf "$work"
}
trap finish EXIT

port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'; }
redis="$(port)"
web="$(port)"
redis-server --port "$redis" --bind 127.0.0.1 --save "" --dir "$work" >"$work/redis" &
redis_server=$!

# With the user, the folder and the command that the image names; the network is this machine's.
run() {
    buildah run --env DJANGO_ENV=production --env SECRET_KEY="$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" \
        --env ALLOWED_HOSTS=farm.example.com --env DATABASE_URL="$DATABASE_URL" --env BEHIND_TLS_PROXY=true \
        --env CACHE_URL="redis://127.0.0.1:$redis/0" --env BACKUP_DIR=/srv/backups --env WEB_PORT="$web" "$container" -- "$@"
}

echo "uid $(run id -u), home $(run sh -c 'cd && pwd'), $(run python --version), $(run pg_dump --version)"
[ "$(run id -u)" = 10001 ]
run sh -c 'touch ~/here && ! touch /srv/farm/here' 2>/dev/null
SECONDS=0
run python scripts/first_migrate.py
echo "The first migrate took $SECONDS s, of the 300 s in which no health check counts."
run gunicorn core.wsgi --bind "127.0.0.1:$web" --pid /tmp/web.pid >"$work/web" 2>&1 &
gunicorn=$!
until answer="$(run python scripts/healthcheck.py 2>"$work/health")"; do
    if ! kill -0 "$gunicorn" 2>/dev/null || [ "$SECONDS" -gt 300 ]; then
        echo "The web server is not ready: $answer" >&2
        cat "$work/web" >&2
        exit 1
    fi
    sleep 0.5
done
echo "/readyz: $answer"
run python scripts/smoke.py "http://127.0.0.1:$web"
