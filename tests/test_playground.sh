#!/bin/sh
# `tfm perceptron` and `tfm playground`: sh tests/test_playground.sh TFM
# Where python3 is found, JSON and SVG are read by somebody else's code, and the live screen is driven on a terminal of its own
# (tests/playground_live.py).
set -u
tfm=${1:?}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cli_help.sh"

says() { holds "says $1" grep -qF -- "$1" "$err"; }
tells() { holds "tells $1" grep -qF -- "$1" "$out"; }

# ---- The perceptron ----

expect 0 perceptron
holds "three of eight go" test "$(grep -c '  yes$' "$out")" = 3
tells "good   high       no      8   no"
tells "over  12: 1 of 8 go"
tells "most weight is on company"
expect 0 perceptron --json
python "decisions, thresholds, weights" '
import json, sys
found = json.load(open(sys.argv[1]))
for row in found["decisions"]:
    assert row["goes"] == (8 * row["weather"] + 4 * row["price"] + 4 * row["company"] > 8), row
assert {t["threshold"]: t["go"] for t in found["thresholds"]}[8] == 3
learned, habits = found["learned"], found["habits"]
assert found["people"] == 10000
assert all(abs(learned[k] - habits[k]) < 0.4 for k in habits), learned
assert learned["company"] > 2 * max(learned["weather"], learned["price"])
' "$out"
expect 0 perceptron --rule perceptron --noise 0 --habits 8,4,4,8 --threshold 0
tells "100.0 % of the people"
expect 0 perceptron --habits 5,1,1,3
tells "most weight is on weather"
expect 2 perceptron --weights 8,4
says "three numbers"
expect 2 perceptron --habits 1,2,3,x
expect 2 perceptron --weights 1,2,inf
expect 2 perceptron --people 9
expect 2 perceptron cinema
says "options alone"

# ---- The lessons of docs/playground.md ----

loss() { # the last line's test loss
    sed -n 's/.*test loss \([-+.0-9e]*\).*/\1/p' "$out"
}
under() { holds "a test loss of $(loss) is under $1" awk "BEGIN { exit !($(loss) < $1) }"; }
over() { holds "a test loss of $(loss) is over $1" awk "BEGIN { exit !($(loss) > $1) }"; }
all='x1,x2,x1^2,x2^2,x1*x2,sin(x1),sin(x2)'

expect 0 playground --epochs 300
under 0.02
expect 0 playground --data xor --hidden 4 --activation linear --epochs 200
over 0.4
expect 0 playground --data xor --hidden 8 --activation relu --epochs 200
under 0.05
expect 0 playground --data xor --hidden none --features 'x1*x2' --epochs 200
under 0.02
expect 0 playground --data spiral --epochs 300
over 0.3
expect 0 playground --data spiral --features "$all" --hidden 8,4 --epochs 500
under 0.2
expect 0 playground --learning-rate 3 --epochs 200
over 0.3
expect 1 playground --data plane --hidden none --learning-rate 0.3 --epochs 100
says "not finite any more since epoch 7"
learned_by_heart() { # the training loss is under $1, the test loss over $2
    train=$(sed -n 's/.*training loss \([-+.0-9e]*\).*/\1/p' "$out")
    holds "training loss $train under $1" awk "BEGIN { exit !($train < $1) }"
    over "$2"
}
expect 0 playground --noise 0.5 --train-share 0.1 --epochs 1500 --hidden 8,8,8
learned_by_heart 0.15 0.35
expect 0 playground --noise 0.5 --train-share 0.1 --epochs 1500 --hidden 8,8,8 --regularisation l2 --regularisation-rate 0.03
under 0.42
expect 0 playground --noise 0.5 --train-share 0.1 --epochs 1500 --hidden 1
learned_by_heart 0.5 0.35
expect 0 playground --data "$here/data/net/income.csv" --epochs 500
over 0.3
expect 0 playground --data "$here/data/net/income.csv" --epochs 500 --normalise
under 0.2
expect 0 playground --features 'x1^2,x2^2' --hidden none --epochs 300
over 0.5
expect 0 playground --features 'x1^2,x2^2' --hidden none --epochs 300 --normalise
under 0.05

# ---- JSON and pictures ----

expect 0 playground --data spiral --features 'x1,sin(x2)' --hidden 3,2 --epochs 20 --seed 7 --regularisation l1 \
    --regularisation-rate 0.001 --json --plane 5 --svg "$work/a.svg" --show-test --discretise
python "JSON and picture" '
import json, sys, xml.etree.ElementTree as tree
found = json.load(open(sys.argv[1]))
assert found["inputs"] == ["x1", "sin x2"] and found["epochs"] == 20 and found["problem"] == "classification"
assert [len(l["weights"]) for l in found["layers"]] == [3, 2, 1] == [len(l["biases"]) for l in found["layers"]]
assert len(found["losses"]["train"]) == 20 and found["losses"]["test"][-1] == found["test_loss"]
assert [len(p) for p in found["planes"]] == [3, 2, 1] and len(found["planes"][0][0]) == len(found["planes"][0][0][0]) == 5
assert found["parameters"] == 3 * 3 + 4 * 2 + 3 and found["rows"] == 500 and found["train_rows"] == 250
root = tree.parse(sys.argv[2]).getroot()
kinds = [node.tag.split("}")[1] + " " + (node.get("class") or "") for node in root.iter()]
assert kinds.count("g neuron") == 5 and kinds.count("g input") == 2 and kinds.count("path link") == 2 * 3 + 3 * 2 + 2
assert kinds.count("circle ") > 450 and kinds.count("path loss") == 2
' "$out" "$work/a.svg"
cp "$out" "$work/first"
expect 0 playground --data spiral --features 'x1,sin(x2)' --hidden 3,2 --epochs 20 --seed 7 --regularisation l1 \
    --regularisation-rate 0.001 --json --plane 5 --discretise
holds "the same twice" cmp "$work/first" "$out"
expect 0 playground --data multi-gaussian --epochs 5 --json --samples 60 --train-share 0.9 --batch 0 --noise 0.2
python "regression" '
import json, sys
found = json.load(open(sys.argv[1]))
assert found["problem"] == "regression" and "test_right" not in found and found["rows"] == 60 and found["train_rows"] == 54
assert found["layers"][-1]["activation"] == "linear"
' "$out"
printf '%s\n' 'a,b,c,d,y' '1,2,3,4,1.5' '2,3,4,5,2.5' '3,4,5,6,3' '4,5,6,7,4.5' >"$work/four.csv"
expect 0 playground --data "$work/four.csv" --json --epochs 3 --svg "$work/b.svg"
python "own columns" '
import json, sys
found = json.load(open(sys.argv[1]))
assert found["inputs"] == list("abcd") and found["problem"] == "regression"
' "$out"
expect 0 playground --svg "$work/c.svg"
tells "epoch 500"

# ---- What is refused ----

expect 2 playground
says "no terminal"
expect 2 playground --hidden 9 --epochs 1
expect 2 playground --hidden 4,0 --epochs 1
expect 2 playground --hidden 1,1,1,1,1,1,1 --epochs 1
says "6 layers of 1 to 8"
expect 2 playground --hidden 4, --epochs 1
expect 2 playground --features x3 --epochs 1
says 'no feature is called "x3"'
expect 2 playground --epochs 0
expect 2 playground --learning-rate nan --epochs 1
expect 2 playground --noise 2 --epochs 1
expect 2 playground --activation step --epochs 1
expect 1 playground --data nothing --epochs 1
expect 1 playground --data "$here" --epochs 1
printf 'a,b\n1,2\n3,x\n' >"$work/bad.csv"
expect 1 playground --data "$work/bad.csv" --epochs 1
says "bad.csv: line 3: column 2 (b): \"x\" is not a finite number"
expect 1 playground --data "$work/four.csv" --features x1 --epochs 1
says "two columns"
expect 1 playground --svg "$work/none/a.svg"
expect 2 playground nothing
for command in perceptron playground; do
    expect 0 help $command
    tells "tfm $command [OPTION...]"
    expect 2 $command --nonsense
done

# ---- Live ----

if [ $have_python -eq 1 ] && python3 -c 'import pty, termios' 2>/dev/null; then
    holds "the live screen" python3 "$here/playground_live.py" "$tfm" "$work"
fi

echo "$checks checks, $failures failures"
[ $failures -eq 0 ]
