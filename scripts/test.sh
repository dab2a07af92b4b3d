#!/usr/bin/env bash
# Runs the tests, after setting up .venv if that is not done. Arguments go to pytest:
#
#   scripts/test.sh                    all tests, two at a time
#   scripts/test.sh -m "not slow"      the quick ones
#   scripts/test.sh tests/unit/project/test_readme.py
#
# Tests that read real benchmark files want QUINCE_DATA to name their folder and are skipped without it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup_env.sh test
# Nothing is downloaded and nothing is reported while tests run.
export HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 VLLM_NO_USAGE_STATS=1 TOKENIZERS_PARALLELISM=false OMP_WAIT_POLICY=PASSIVE
export OMP_NUM_THREADS=1
exec .venv/bin/python -m pytest --numprocesses=2 --dist=loadgroup "$@"
