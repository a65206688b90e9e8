#!/bin/sh
# The kernels of 64-bit ARM, cross-compiled and run under qemu-user: sh tests/arm64.sh TFM_OF_THIS_MACHINE
# The tests of kernels, of elementary functions and of equal bits; then the bundled model's text, the same with every
# instruction set and number of threads, and the same as the given program's. Ends with 77 where the compiler or the
# emulator is not installed (tools/install-deps.sh arm). Everything is bounded: what hangs fails.
set -u
native=${1:?}
cd "$(dirname "$0")/.." || exit 1
model=examples/models/tang.gguf
programs="test_kernels_float test_kernels_quant test_elementary test_bits"
emulator="qemu-aarch64 -L /usr/aarch64-linux-gnu"

for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
    if ! command -v $tool >/dev/null 2>&1; then
        echo "SKIPPED: $tool is not here"
        exit 77
    fi
done
# shellcheck disable=SC2086
cmake --preset arm64 >/dev/null && cmake --build --preset arm64 --target tfm_cli $programs || exit 1

failed=0
ctest --preset arm64 -j "$(nproc)" --no-tests=error \
    -R "^($(echo "$programs" | tr ' ' '|'))\$" || failed=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compared=0
for command in "run -p 床前 -n 48 --temp 0" "eval -p 床前明月光，疑是地上霜。举头望明月，低头思故乡。 --context 8"; do
    # shellcheck disable=SC2086
    set -- $command
    name=$1
    shift
    "$native" "$name" $model "$@" >"$work/native" 2>&1 || { echo "FAILED: $native $command"; exit 1; }
    for isa in portable neon neon-dotprod; do
        for threads in 1 2; do
            timeout 60 $emulator build/arm64/examples/tfm "$name" $model "$@" --isa $isa -t $threads \
                >"$work/arm" 2>&1 </dev/null
            status=$?
            compared=$((compared + 1))
            if [ $status -ne 0 ] || ! cmp "$work/native" "$work/arm"; then
                echo "FAILED: $command --isa $isa -t $threads (status $status)"
                diff "$work/native" "$work/arm" | head -n 6
                failed=1
            fi
        done
    done
done
echo "$compared texts compared with this machine's"
# Programs that end at once, while their threads are still starting.
i=0
while [ $i -lt 10 ]; do
    timeout 60 $emulator build/arm64/examples/tfm eval $model -p hi -t 2 >"$work/arm" 2>&1 </dev/null
    status=$?
    [ $status -eq 1 ] || { echo "FAILED: too short a text gave status $status, not 1"; failed=1; break; }
    i=$((i + 1))
done
exit $failed
