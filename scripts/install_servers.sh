#!/usr/bin/env bash
# Install Debian's packages of a list: by default requirements/debian.txt, the database servers that the tests start for
# themselves.
#
#   scripts/install_servers.sh [requirements/debian-browser.txt]
#
# Debian starts a server as soon as it is installed. Nobody asked for that here, so what it would start is left alone
# while this runs: the tests start servers of their own, on free ports and in temporary folders.
set -euo pipefail

list="${1:-$(dirname "${BASH_SOURCE[0]}")/../requirements/debian.txt}"
mapfile -t packages < <(sed 's/#.*//' "$list" | xargs -n 1)

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi

missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    echo "Installed already: ${packages[*]}"
    exit 0
fi

# dpkg asks this program before it starts a service; 101 says no. One that is there already stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap '"${as_root[@]}" rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi
"${as_root[@]}" apt-get update --quiet=2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}"
