#!/usr/bin/env bash
# Print the newest (or, with --oldest, the oldest) supported Python that can make a virtual environment,
# looked for on PATH and among pyenv's versions. Usage: find_python.sh [--oldest] [LOWEST, such as 3.12]
set -euo pipefail

versions="3.13 3.12 3.11"
if [ "${1:-}" = "--oldest" ]; then
    versions="3.11 3.12 3.13"
    shift
fi
lowest="${1:-3.11}"

for version in $versions; do
    [ "${version#3.}" -ge "${lowest#3.}" ] || continue
    for python in $(type -ap "python$version") "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/"python$version"; do
        # Asked, not only found: pyenv's shims exist for versions that are switched off, and Debian's Python
        # may come without ensurepip.
        if "$python" -c "import ensurepip, sys, venv; assert sys.version_info[:2] == (3, ${version#3.})" 2>/dev/null; then
            echo "$python"
            exit 0
        fi
    done
done

echo "No Python $lowest to 3.13 with venv and ensurepip was found; install one, or name it: make PYTHON=/path/to/python" >&2
exit 1
