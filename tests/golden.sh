#!/bin/sh
# How close every family comes to PyTorch, as a table: sh tests/golden.sh [BUILD]
#
# BUILD is a folder with built tests (build/test). The families that the repository holds alone are always there, the
# others where the collection of goldens lies beside it. Numbers are the largest differences over everything compared:
# logits and states by the largest value of their tensor, attention's probabilities as they are; "equal" is the greedy
# continuation. Allowed are 1e-4 and 1e-5.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/test}
printf '| family | file | logits | states | attention | greedy |\n|---|---|---|---|---|---|\n'
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
status=0
for program in "$build"/tests/test_golden*; do
    [ -f "$program" ] && [ -x "$program" ] || continue
    "$program" >>"$lines" 2>&1 || status=1
done
grep '^| ' "$lines" | awk '!seen[$0]++'
grep '^\[  FAILED  \]' "$lines" >&2 || true
exit $status
