#!/usr/bin/env bash
# Write .env for docker-compose.yml, with passwords of its own. One that is there stays as it is.
#
#   deploy/docker_env.sh                     to try it on this machine, without TLS
#   deploy/docker_env.sh farm.example.com    for production, behind a proxy that ends TLS
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

host="${1:-}"
if [ -e .env ]; then
    echo ".env is there already, and stays as it is. Its passwords are those of the volumes: keep it." >&2
    exit 1
fi
# Letters and digits alone: they stand in addresses, and Compose reads a $ as the name of a variable.
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
{
    echo "SECRET_KEY=$(random)$(random)"
    echo "POSTGRES_PASSWORD=$(random)"
    echo "REDIS_PASSWORD=$(random)"
    echo "# 17.4 by default. 17 is the newest 17.x, which is recommended: 17.6 fixes CVE-2025-8714 of pg_dump."
    echo "#POSTGRES_VERSION=17"
    if [ -n "$host" ]; then
        echo "ALLOWED_HOSTS=$host"
        echo "PORTAL_URL=https://$host"
        echo "BEHIND_TLS_PROXY=true"
        echo "# No move begins without a backup that was restored and compared within a day."
        echo "REHOME_REQUIRE_BACKUP=24"
        echo "# Mail, and who is told of faults; .env.example has every other setting."
        echo "#EMAIL_URL=smtp+tls://USER:PASSWORD@HOST:PORT"
        echo "#DEFAULT_FROM_EMAIL=Print farm <farm@$host>"
        echo "#ADMINS="
    else
        echo "DJANGO_ENV=development"
        echo "ALLOWED_HOSTS=localhost,127.0.0.1"
        echo "# Adminer, at http://localhost:8082/."
        echo "COMPOSE_PROFILES=dev"
    fi
} >.env
echo "Wrote .env. It holds the passwords of this farm; keep a copy in a safe place. Next: make docker-up"
