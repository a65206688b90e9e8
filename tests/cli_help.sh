# cli_help.sh - what the shell tests of the tfm program share; sourced with $tfm set. Counts in $checks and $failures.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$work/out
err=$work/err
failures=0
checks=0

complain() {
    failures=$((failures + 1))
    echo "FAILED: $*"
    sed 's/^/  stdout: /' "$out" 2>/dev/null | head -n 5
    sed 's/^/  stderr: /' "$err" 2>/dev/null | head -n 5
}

# expect STATUS ARGUMENTS...: runs the program
expect() {
    status=$1
    shift
    checks=$((checks + 1))
    "$tfm" "$@" >"$out" 2>"$err" </dev/null
    got=$?
    [ "$got" -eq "$status" ] || complain "status $got, not $status: tfm $*"
}

# holds WHAT COMMAND...: the command must succeed
holds() {
    what=$1
    shift
    checks=$((checks + 1))
    "$@" >"$work/check" 2>&1 || { complain "$what"; sed 's/^/  /' "$work/check"; }
}

have_python=0
python3 -c 'import json' 2>/dev/null && have_python=1
# python WHAT SCRIPT ARGUMENTS...: the script must succeed; left out where there is no Python
python() {
    if [ $have_python -eq 1 ]; then
        what=$1
        shift
        holds "$what" python3 -c "$@"
    fi
}
