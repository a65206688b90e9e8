#!/bin/sh
# The binary interface of the shared library: functions with their versions and types, constants, layouts of structs.
#
#   sh tests/abi/abi.sh check LIBRARY [ARCHIVE]   compares it with the record of this release,
#                                                 tests/abi/tfm-MAJOR.MINOR.txt
#   sh tests/abi/abi.sh update LIBRARY            writes the record anew: before its release only
#
# LIBRARY is libtfm.so, ARCHIVE libtfm.a, whose names must not get in the way of a host's. The compiler is $CC or cc.
# Exit status 77 where the record does not apply (not 64 bits, not ELF).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
include=$here/../../include
what=${1:?check or update}
library=${2:?path of libtfm.so}
archive=${3:-}
cc=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -f "$library" ] || { echo "there is no $library"; exit 1; }
for tool in nm readelf; do
    command -v "$tool" >/dev/null 2>&1 || { echo "SKIPPED: no $tool here"; exit 77; }
done
readelf -h "$library" 2>/dev/null | grep -q 'Class: *ELF64' || { echo "SKIPPED: $library is no 64-bit ELF"; exit 77; }

number() { sed -n "s/^#define TFM_VERSION_$1 //p" "$include/tfm/base.h"; }
record=$here/tfm-$(number MAJOR).$(number MINOR).txt

# The headers in the order in which they build on each other; tfm.h only includes them.
headers=$(sed -n 's/^#include "\(tfm\/.*\.h\)"$/\1/p' "$include/tfm/tfm.h")
for header in $headers; do cat "$include/$header"; done >"$work/headers"

awk -v mode=program -f "$here/describe.awk" "$work/headers" >"$work/describe.c"
"$cc" -std=c11 -I"$include" "$work/describe.c" -o "$work/describe"
{
    echo "# The binary interface of this release, written by tests/abi/abi.sh update (64-bit)."
    echo "soname $(readelf -d "$library" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')"
    nm -D --defined-only "$library" | awk '$2 != "A" { print "symbol " $3 }' | LC_ALL=C sort
    awk -v mode=functions -f "$here/describe.awk" "$work/headers"
    "$work/describe"
} >"$work/now"

if [ "$what" = update ]; then
    cp "$work/now" "$record"
    echo "wrote $record"
    exit 0
fi

failed=0
if ! diff -u "$record" "$work/now"; then
    echo "The binary interface differs from $record (see docs/abi.md)"
    failed=1
fi

# What the headers declare is what the library exports, with a version, and nothing else.
awk -v mode=functions -f "$here/describe.awk" "$work/headers" | grep -v '^typedef ' |
    sed 's/ *(.*//; s/.*[ *]//' | LC_ALL=C sort >"$work/declared"
sed -n 's/^symbol \(.*\)@@TFM_.*/\1/p' "$work/now" | LC_ALL=C sort >"$work/exported"
if ! diff "$work/declared" "$work/exported"; then
    echo "declared in include/tfm (<) and exported with a version (>) are not the same"
    failed=1
fi
grep '^symbol ' "$work/now" | grep -v '@@TFM_' && { echo "exported without a version"; failed=1; }

# What a library must not call; sanitizers and coverage bring calls of their own.
if ! nm -D --undefined-only "$library" | grep -qE '__(asan|tsan|ubsan|gcov)_'; then
    if nm -D --undefined-only "$library" | awk '{ sub(/@.*/, "", $NF); print $NF }' |
        grep -xE 'abort|exit|_exit|_Exit|quick_exit|atexit|printf|puts|putchar|fprintf|vprintf|perror|getenv|secure_getenv|setenv|s?rand|random|signal|sigaction|setlocale|__assert_fail|__(f|v)?printf_chk|stdout|stderr'; then
        echo "the library calls what it must not"
        failed=1
    fi
fi

if [ -n "$archive" ]; then
    nm -g --defined-only "$archive" | awk 'NF == 3 { print $3 }' | LC_ALL=C sort -u |
        grep -vE '^(tfm_|__(asan|tsan|ubsan|odr_asan|gcov)[._])' && { echo "the archive defines foreign names"; failed=1; }
fi
exit "$failed"
