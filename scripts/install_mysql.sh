#!/usr/bin/env bash
# Unpack Debian's newest MySQL below var/mysql, for the tests that compare models with its tables: nothing is installed.
#
# Debian stable has MariaDB alone, so the server and the libraries that it needs come from Debian unstable, and run with
# each other alone. Needs apt, and no root.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
place="$root/var/mysql"
if [ -x "$place/usr/sbin/mysqld" ]; then
    echo "There already: $place"
    exit 0
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs"
echo "deb http://deb.debian.org/debian sid main" >"$work/sources.list"
options=(
    -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=$(id -un)"
)
apt-get "${options[@]}" --quiet=2 update
# What it recommends, and perl, which only its scripts need, stay away.
mapfile -t packages < <(
    apt-cache "${options[@]}" depends mysql-server-core --recurse --no-recommends --no-suggests --no-conflicts \
        --no-breaks --no-replaces --no-enhances | grep -v '^ \|<' | grep -v 'perl\|gdbm\|libdb5' | sort -u
)
(cd "$work/debs" && apt-get "${options[@]}" --quiet=2 download "${packages[@]}")
for package in "$work"/debs/*.deb; do
    dpkg-deb --extract "$package" "$work/root"
done
mkdir -p "$root/var"
mv "$work/root" "$place"
chmod -R a+rX "$place"
