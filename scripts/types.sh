#!/usr/bin/env bash
# Checks the types of the package with mypy; its settings stand in pyproject.toml. Arguments go to mypy.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-.venv/bin/python}"
# The checkout is the package `quince`, whatever its folder is called.
link="$(mktemp -d)"
trap 'rm -rf "$link"' EXIT
ln -s "$PWD" "$link/quince"
MYPYPATH="$link" "$python" -m mypy -m quince -p quince.data -p quince.rewards -p quince.eval -p quince.recipes "$@"
