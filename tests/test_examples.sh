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

for program in generate next_token chat_session event_loop generate_cpp show_tokens; do
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

# A text with its tokens: ids below the pieces, invisible things made visible, a page that needs nothing else.
if [ -x "$folder/show_tokens" ]; then
    printf 'moon & <b>\t\357\273\277|\n%s\360\237\214\225' "$text" >"$work/moon"
    run 0 plain "$folder/show_tokens" "$model" <"$work/moon"
    check "counts" grep -Eqx '[0-9]+ tokens, 20 characters, 35 bytes' "$work/plain"
    for sign in '⇥' '⏎' '‹U+FEFF›' '\\xF0'; do
        check "shows $sign" grep -q "$sign" "$work/plain"
    done
    check "no colours in a pipe" sh -c '! grep -q "$(printf "\033")" "$1"' - "$work/plain"
    run 0 colors "$folder/show_tokens" "$model" --color <"$work/moon"
    check "colours when asked for" grep -q "$(printf '\033\\[48;5;')" "$work/colors"
    check "and the same ids" test "$(sed 's/.\[[0-9;]*m//g' "$work/colors" | grep -Eo '^[0-9 ]+$' | tr -s ' \n' ' ')" = \
        "$(grep -Eo '^[0-9 ]+$' "$work/plain" | tr -s ' \n' ' ')"
    run 0 html "$folder/show_tokens" "$model" --html "$work/page.html" <"$work/moon"
    check "the page fetches nothing" sh -c '! grep -Eiq "https?:|src=|url\(|@import|<script" "$1"' - "$work/page.html"
    run 0 narrow env COLUMNS=40 "$folder/show_tokens" "$model" "$text$text$text$text"
    check "lines as long as the screen" test "$(sed 's/[^0-9 ]//g' "$work/narrow" | awk '{ if (length > n) n = length } END { print n }')" -le 40
    run 0 empty "$folder/show_tokens" "$model" </dev/null
    run 1 nowhere "$folder/show_tokens" "$model" --html "$work/nowhere/page.html" </dev/null
    if python3 -c 'import html.parser' 2>/dev/null; then
        check "the page holds the text and the ids" python3 - "$work/page.html" "$work/plain" <<'END'
import html.parser, re, sys

class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.text, self.name = [], [], "", False
    def handle_starttag(self, tag, attributes):
        if tag == "span":
            self.name = dict(attributes)["class"].endswith(" n")  # bytes that the next token completes, or a special token
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)
        elif tag == "br" and "b" in self.open:
            self.text += "\n"
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
    def handle_data(self, data):
        if "main" not in self.open or "u" in self.open:
            return
        if "i" in self.open:
            self.ids.append(data)
        elif not self.name:
            self.text += data

page = Page()
page.feed(open(sys.argv[1], encoding="utf-8").read())
assert not page.open, page.open
assert page.text == "moon & <b>\t|\n床前明月光🌕", page.text
plain = open(sys.argv[2], encoding="utf-8").read()
assert page.ids == re.findall("[0-9]+", " ".join(re.findall("^[0-9 ]+$", plain, re.M))), page.ids
END
    fi
fi

[ $failures -eq 0 ] && echo "all examples run"
