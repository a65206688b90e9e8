#!/bin/sh
# Runs the commands of a document and compares what they print.
# usage: test_documented_commands.sh TFM SOURCE DOCUMENT [GEMMA]
#
# In blocks that begin with ```console, a line that begins with "$ " is a command, what follows is its output: line by
# line, white space at the end left out, and "..." stands for any lines. Commands run with /bin/sh in a folder of their
# own, in which examples/ is the repository's and tfm is TFM. Blocks that begin with ```console gemma need the file
# GEMMA (Gemma 3 270M, as in test_gemma.sh), which is there as gemma.gguf; where it is not, they are skipped.
set -eu
tfm=$1 source=$2 document=$3 gemma=${4:-}
[ -f "$source/$document" ] || { echo "there is no $document"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/here"
ln -s "$tfm" "$work/bin/tfm"
ln -s "$source/examples" "$work/here/examples"
[ -n "$gemma" ] && [ -f "$gemma" ] && ln -s "$gemma" "$work/here/gemma.gguf"
PATH=$work/bin:$(dirname "$tfm"):$PATH
export PATH

# Each command becomes N.command and N.expected; N.gemma where it needs that model.
awk -v out="$work" '
    /^```console/ { inside = 1; gemma = $2 == "gemma"; next }
    /^```/ { inside = 0; file = "" }
    inside && /^\$ / {
        n++
        file = sprintf("%s/%03d", out, n)
        print substr($0, 3) >(file ".command")
        printf "" >(file ".expected")
        if (gemma) print "" >(file ".gemma")
        next
    }
    inside && file { sub(/[ \t]+$/, ""); print >(file ".expected") }
    END { if (!n) { print "no commands in the document"; exit 1 } }' "$source/$document"

failed=0 run=0 skipped=0
for command in "$work"/*.command; do
    base=${command%.command}
    if [ -f "$base.gemma" ] && [ ! -f "$work/here/gemma.gguf" ]; then
        skipped=$((skipped + 1))
        continue
    fi
    run=$((run + 1))
    (cd "$work/here" && sh "$command" </dev/null 2>&1) | sed 's/[ \t]*$//' >"$base.actual" || true
    if ! awk -v want_file="$base.expected" -v got_file="$base.actual" '
        # whether the lines from i on of what is wanted are those from j on of what is there
        function fits(i, j) {
            for (; i <= n; i++) {
                if (want[i] == "...") {
                    for (; j <= m + 1; j++) if (fits(i + 1, j)) return 1
                    return 0
                }
                if (j > m || want[i] != got[j]) return 0
                j++
            }
            return j == m + 1
        }
        BEGIN {
            while ((getline line <want_file) > 0) want[++n] = line
            while ((getline line <got_file) > 0) got[++m] = line
            while (n && want[n] == "") n-- # an empty line in front of the next command
            while (m && got[m] == "") m--
            exit !fits(1, 1)
        }' </dev/null; then
        failed=$((failed + 1))
        echo "$document: other output of: $(cat "$command")"
        diff "$base.expected" "$base.actual" | head -n 30 || true
    fi
done
[ "$skipped" -eq 0 ] || echo "skipped: $skipped commands, as the larger model is not there"
echo "$run commands, $failed with other output"
[ "$failed" -eq 0 ]
