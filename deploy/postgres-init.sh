#!/usr/bin/env bash
# Make the farm's role and its database on a new volume, and take the superuser's password away.
#
# The portal is no superuser. It may create databases, for those in which backups are proved and moves rehearsed. The
# superuser is reached from within the container alone: docker compose exec db psql -U postgres
set -euo pipefail

psql --username=postgres --set=ON_ERROR_STOP=1 --set=password="$POSTGRES_PASSWORD" <<'SQL'
CREATE ROLE farm LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE farm OWNER farm;
ALTER ROLE postgres PASSWORD NULL;
SQL
