#!/bin/sh
# Runs a header's example and insists that it succeeds and prints something: run_example.sh PROGRAM [ARGUMENT...]
set -u
if ! output=$("$@"); then
    echo "run_example.sh: failed: $*" >&2
    exit 1
fi
if [ -z "$output" ]; then
    echo "run_example.sh: printed nothing: $*" >&2
    exit 1
fi
printf '%s\n' "$output"
