#!/usr/bin/env bash
# The main job on a laptop: GRPO raises Pass@1 and loses Pass@16; DPH-RL keeps it. Sets up .venv if that
# is not done, trains both on the tiny world, evaluates them beside the base model, and ends in a table
# and a page. What is done stays done: run it again after an interruption, or to see the table again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup_env.sh run
source .venv/bin/activate
export HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1 VLLM_NO_USAGE_STATS=1 TOKENIZERS_PARALLELISM=false OMP_WAIT_POLICY=PASSIVE
out=runs/quickstart

step() { printf '\n== %s (after %d s)\n' "$1" "$SECONDS"; }

step "split: which questions does the base model already solve?"
quince split rlvr/tiny_dph_js_wide "output_dir=$out/dph_js"

step "train GRPO"
quince train rlvr/tiny_grpo "output_dir=$out/grpo"

step "train DPH-JS"
quince train rlvr/tiny_dph_js_wide "output_dir=$out/dph_js"

step "evaluate the base model and both trained ones"
quince eval eval/tiny model.id=tiny "output_dir=$out/eval/base"
quince eval eval/tiny "model.id=$out/grpo/model" "baseline=$out/eval/base" "output_dir=$out/eval/grpo"
quince eval eval/tiny "model.id=$out/dph_js/model" "baseline=$out/eval/base" "output_dir=$out/eval/dph_js"

step "board"
quince board "$out/eval/base" "$out/eval/grpo" "$out/eval/dph_js" --out "$out/board"
