#!/usr/bin/env bash
# Install the servers of real printers that are in requirements/printers, each in an environment of its own below
# var/printers: their libraries are older than the portal's. What is installed as it says there stays as it is.
# Usage: install_printers.sh [NAME, such as octoprint-1.11] ...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python="$(scripts/find_python.sh --oldest)"
lists=("${@/#/requirements/printers/}")
[ $# -gt 0 ] || lists=(requirements/printers/*.txt)
for list in "${lists[@]}"; do
    list="${list%.txt}.txt"
    folder="var/printers/$(basename "$list" .txt)"
    if cmp --quiet "$list" "$folder/installed"; then
        echo "Installed already: $(tail -n 1 "$list")"
        continue
    fi
    echo "Installing $(tail -n 1 "$list") in $folder"
    rm -rf "$folder"
    "$python" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$list"
    # Last, so that an installation which was stopped is made anew.
    cp "$list" "$folder/installed"
done
