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

for program in generate next_token translate chat_session event_loop generate_cpp show_tokens idiom_chain; do
    [ -x "$folder/$program" ] || { echo "SKIPPED: $program was not built"; continue; }
    run 2 usage "$folder/$program" </dev/null
    case $program in
    idiom_chain) run 1 missing "$folder/$program" "$work/nothing" ;;
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

# Each idiom begins with the character that the one before ends with, and none comes twice.
run 0 chain "$folder/idiom_chain" "$model" 江山如画
sed 's/ .*//' "$work/chain" >"$work/idioms"
check "a chain" test "$(wc -l <"$work/idioms")" -ge 5
check "every idiom once" test "$(sort "$work/idioms" | uniq -d | wc -l)" -eq 0
check "links" env LC_ALL=C awk '{ first = substr($0, 1, 3); if (NR > 1 && first != last) bad = 1; last = substr($0, length($0) - 2) }
    END { exit bad }' "$work/idioms"
run 0 alone "$folder/idiom_chain" "$model" 床前明月
check "nothing to go on with" test "$(wc -l <"$work/alone")" -ge 1

# A large model's file without its weights: all of it is there but takes no disk, and it loads and says something.
if [ -x "$folder/hollow_model" ]; then
    run 2 usage "$folder/hollow_model" </dev/null
    run 2 usage "$folder/hollow_model" llama-2-70b Q9 "$work/hollow.gguf" </dev/null
    run 1 name "$folder/hollow_model" no-such-model Q4_0 "$work/hollow.gguf" </dev/null
    check "nothing written" test ! -e "$work/hollow.gguf"
    run 0 made "$folder/hollow_model" llama-2-70b Q4_0 "$work/hollow.gguf" --layers 2
    if [ "$(du -k "$work/hollow.gguf" | cut -f1)" -lt 20000 ]; then
        run 0 token "$folder/tfm" top "$work/hollow.gguf" --tokens 1 -k 1 -t 2
        check "zeros: every token is as probable" grep -q '0.3906 %' "$work/token"
    else
        echo "SKIPPED: this file system knows no holes"
    fi
    rm -f "$work/hollow.gguf"
    run 0 made "$folder/hollow_model" gpt2 Q8_0 "$work/layer.gguf" --layers 1 --random
    run 0 info "$folder/tfm" info "$work/layer.gguf"
    check "a layer of GPT-2" grep -q '^layers  *1$' "$work/info"
    run 0 speed "$folder/tfm" bench "$work/layer.gguf" -p 8 -n 2 -r 1 -t 2 --json
    check "it runs" grep -q '"family":"gpt2","weights":"Q8_0"' "$work/speed"
fi

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

# ---- The building blocks ---------------------------------------------------------------------------------------------

# Positions: the numbers are those of the formula, in both layouts; the picture is complete.
run 2 positions_usage "$folder/positions" --width 7
run 1 positions_nowhere "$folder/positions" --svg "$work/nowhere/x.svg"
run 0 positions "$folder/positions"
check "a row for each position" test "$(grep -Ec '^ *[0-9]+ ' "$work/positions")" -eq 32
check "no colours in a pipe" sh -c '! grep -q "$(printf "\033")" "$1"' - "$work/positions"
run 0 positions_color "$folder/positions" --color
check "colours when asked for" grep -q "$(printf '\033\\[38;2;')" "$work/positions_color"
run 0 side "$folder/positions" --values --positions 20 --width 16
run 0 halves "$folder/positions" --values --positions 20 --width 16 --halves
run 0 positions_svg "$folder/positions" --svg "$work/positions.svg" --positions 10 --width 12
if python3 -c 'import math' 2>/dev/null; then
    check "positions by the formula" python3 - "$work/side" "$work/halves" "$work/positions.svg" <<'END'
import math, sys, xml.etree.ElementTree as tree

side, halves = ([[float(x) for x in line.split("\t")] for line in open(path)] for path in sys.argv[1:3])
for p in range(20):
    for i in range(8):
        angle = p / 10000 ** (2 * i / 16)
        assert abs(side[p][2 * i] - math.sin(angle)) < 1e-8 and abs(side[p][2 * i + 1] - math.cos(angle)) < 1e-8
        assert (halves[p][i], halves[p][8 + i]) == (side[p][2 * i], side[p][2 * i + 1])
picture = tree.parse(sys.argv[3]).getroot()
cells = [r for r in picture.iter("{http://www.w3.org/2000/svg}rect") if r.get("width") == "8.2"]
assert len(cells) == 120 and cells[1].get("fill") == "#d66014", cells[1].attrib  # cos 0
END
fi

# One head by hand is what the library has.
run 2 head_usage "$folder/one_head" "$model"
run 1 head_missing "$folder/one_head" "$work/nothing" "$text"
run 1 head_none "$folder/one_head" "$model" 床前明 0 99
check "which head" grep -q 'head 99' "$work/err"
for head in "0 0" "1 2" "3 7"; do
    # shellcheck disable=SC2086
    run 0 head "$folder/one_head" "$model" 床前明 $head
    check "the parts of a head" test "$(grep -c '^  token [0-9]  ' "$work/head")" -eq $((6 * $(grep -c '^  token [0-9]:' "$work/head")))
    check "head $head as the library has it" awk '/differ by at most/ { ok = $8 + 0 < 1e-6 && $12 + 0 < 1e-5 } END { exit !ok }' "$work/head"
done

# GPT-3's shape adds up to the library's count.
run 2 plan_usage "$folder/gpt3_plan" a b
run 1 plan_other "$folder/gpt3_plan" llama-2-7b
run 1 plan_none "$folder/gpt3_plan" nothing
run 0 plan "$folder/gpt3_plan"
check "175 billion" grep -Eq 'parameters +174604259328$' "$work/plan"
check "counted alike" grep -Eq 'library counts +174604259328$' "$work/plan"
check "49,152 in the feed-forward" grep -q '49152 x 12288' "$work/plan"
run 0 plan_gpt2 "$folder/gpt3_plan" gpt2
check "GPT-2" grep -Eq 'library counts +124439808$' "$work/plan_gpt2"

[ $failures -eq 0 ] && echo "all examples run"
