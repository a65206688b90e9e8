#!/bin/sh
# Installs what is missing, builds, and runs every test: sh tests/run.sh [arguments for ctest]
#
# The build goes to build/test (or $TFM_BUILD_DIR). The output of a test is shown when it fails; cases that were
# skipped inside a test program are listed before ctest's summary, which comes last.
set -eu
cd "$(dirname "$0")/.."

sh tools/install-deps.sh build test
build=${TFM_BUILD_DIR:-build/test}
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

# shellcheck disable=SC2086
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release ${TFM_CMAKE_FLAGS:-}
cmake --build "$build"

# A pipe hides the exit status of its first command, so that goes through a file.
status=$build/ctest-status
{
    set +e
    ctest --test-dir "$build" -j "$jobs" --verbose "$@" 2>&1
    echo $? >"$status"
} | awk -f tests/filter_ctest.awk
exit "$(cat "$status")"
