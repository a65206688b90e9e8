#!/bin/sh
# From a fresh checkout to text: installs what is missing, builds, and lets the bundled model go on with a poem.
#
#   sh examples/quickstart.sh [MODEL [PROMPT]]
#
# Needs a shell and apt (Debian and its relatives), or the tools themselves: a C compiler and CMake.
set -eu
cd "$(dirname "$0")/.."

model=${1:-examples/models/tang.gguf}
prompt=${2:-床前明月光}
build=build/quickstart
log=$build.log

mkdir -p build
echo "1/3 Looking for a compiler and CMake ..."
sh tools/install-deps.sh build

echo "2/3 Building (the first time takes a minute) ..."
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
if ! {
    cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DTFM_BUILD_TESTS=OFF &&
        cmake --build "$build" --target tfm_cli --parallel "$jobs"
} >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "The build failed; all of its output is in $log" >&2
    exit 1
fi

tfm=$build/examples/tfm
echo "3/3 Running $model:"
echo
printf '%s' "$prompt"
"$tfm" run "$model" -p "$prompt" --temp 0
echo
echo "Any GGUF file: $tfm run YOUR-MODEL.gguf -p \"Once upon a time\""
