#!/bin/sh
# Runs every example: sh tests/test_examples.sh FOLDER_OF_PROGRAMS MODEL
set -u
folder=${1:?}
model=${2:?}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
text=床前明月光

# run STATUS NAME COMMAND...: output goes to $work/NAME
run() {
    status=$1
    name=$2
    shift 2
    "$@" >"$work/$name" 2>"$work/err"
    got=$?
    if [ $got -ne "$status" ]; then
        echo "FAILED: status $got, not $status: $*"
        cat "$work/err"
        failures=$((failures + 1))
    fi
}

check() {
    what=$1
    shift
    "$@" || {
        echo "FAILED: $what"
        failures=$((failures + 1))
    }
}

for program in generate next_token chat_session event_loop generate_cpp; do
    [ -x "$folder/$program" ] || { echo "SKIPPED: $program was not built"; continue; }
    run 2 usage "$folder/$program" </dev/null
    case $program in
    chat_session | event_loop) run 1 missing "$folder/$program" "$work/nothing" </dev/null ;;
    *) run 1 missing "$folder/$program" "$work/nothing" "$text" </dev/null ;;
    esac
    check "$program says what is wrong" grep -q nothing "$work/err"
done

run 0 c "$folder/generate" "$model" "$text"
check "generate writes" test -s "$work/c"
if [ -x "$folder/generate_cpp" ]; then
    run 0 cpp "$folder/generate_cpp" "$model" "$text"
    check "C and C++ write the same" cmp "$work/c" "$work/cpp"
fi

run 0 table "$folder/next_token" "$model" "$text"
check "ten rows" test "$(wc -l <"$work/table")" -eq 10
check "each with a probability" test "$(grep -Ec "^ *[0-9]+\.[0-9]+ % .*'.*'$" "$work/table")" -ge 9

# The second line finds the first one and its answer in the session.
printf '%s\n%s\n' "$text" 春眠不覺曉 >"$work/lines"
run 0 chat "$folder/chat_session" "$model" <"$work/lines"
sed -n 's/^\[\([0-9]*\) of .*/\1/p' "$work/chat" >"$work/positions"
check "two turns" test "$(wc -l <"$work/positions")" -eq 2
if ! grep -q 'starting anew' "$work/chat"; then
    check "the session grows" test "$(tail -n 1 "$work/positions")" -gt "$(head -n 1 "$work/positions")"
fi

run 0 loop "$folder/event_loop" "$model" <"$work/lines"
check "the event loop writes" test -s "$work/loop"
run 0 silence "$folder/event_loop" "$model" </dev/null
check "and without input nothing" test ! -s "$work/silence"

[ $failures -eq 0 ] && echo "all examples run"
