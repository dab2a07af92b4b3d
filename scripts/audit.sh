#!/usr/bin/env bash
# Asks the advisory database of the package index about every version in constraints.txt; needs .venv.
#
#   scripts/audit.sh           ends with 1 if a version has a known hole, with 0 and a word if nobody can be asked
#   scripts/audit.sh --strict  ends with 2 if nobody can be asked
#
# Without a connection tests/unit/project/test_security_floors.py still holds the versions above the holes that matter here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unreachable=0
if [ "${1:-}" = --strict ]; then unreachable=2; fi
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

not_audited() {
    echo "audit: NOT DONE, $1; run scripts/audit.sh where the package index can be reached" >&2
    exit "$unreachable"
}

# audit FILE: 0 if nothing is known against the versions in it, 1 if something is.
audit() { timeout 300 "$folder/bin/pip-audit" --disable-pip --no-deps --progress-spinner off -r "$1"; }

.venv/bin/python -m venv "$folder"
timeout 120 "$folder/bin/python" -m pip install --quiet --disable-pip-version-check pip-audit >"$folder/log" 2>&1 ||
    not_audited "pip-audit could not be installed"

# An index without advisories looks like one that has nothing to say, so it is first asked about a known hole.
echo "jinja2==3.1.2" >"$folder/known.txt"
audit "$folder/known.txt" >"$folder/log" 2>&1 || true
if ! grep -q '^Found .* known vulnerabilit' "$folder/log"; then
    not_audited "the package index gives no advisories"
fi

audit constraints.txt
