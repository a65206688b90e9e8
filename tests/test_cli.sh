#!/bin/sh
# Drives every command of the tfm program on a small model: sh tests/test_cli.sh TFM MODEL
# Needs nothing but a shell; where python3 is found, JSON and safetensors are also read by somebody else's code.
set -u
tfm=${1:?}
model=${2:?}
data=$(cd "$(dirname "$0")" && pwd)/data/tokenizer
text=床前明月光
. "$(dirname "$0")/cli_help.sh"

# ---- The program itself ----------------------------------------------------------------------------------------------

expect 0 --version
holds "version" grep -Eq '^tfm [0-9]+\.[0-9]+\.[0-9]+$' "$out"
expect 2
holds "overview on stderr" grep -q 'tfm run' "$err"
expect 0 help
holds "overview" grep -q 'tfm run' "$out"
expect 2 nonsense
expect 2 help nonsense
for command in run top tokens detokenize train-tokenizer logits hidden embed score eval train quantize imatrix attention \
    lens head neurons compare neighbours positions plan info bench; do
    expect 0 help $command
    holds "help $command" grep -q -- "^tfm $command" "$out"
    cp "$out" "$work/help"
    expect 0 $command --help
    holds "$command --help is help $command" cmp "$work/help" "$out"
    expect 2 $command
    holds "$command: says where the help is" grep -q "tfm help $command" "$err"
    expect 2 $command "$model" --nonsense
    expect 2 $command "$model" -z
    expect 2 $command "$model" "$model" --json
done

# ---- Wrong usage -----------------------------------------------------------------------------------------------------

for bad in "-n -1" "-n x" "-n 1.5" "-n" "--temp hot" "--temp -1" "--temp 101" "--temp nan" "--top-p 0" "--top-p 1.5" \
    "--min-p 2" "--top-k -3" "--seed 18446744073709551616" "-t 257" "--isa mmx" "--json=1" "--repeat-penalty 0" \
    "--context 4294967296" "--tokens 1,x" "--tokens 1,,2" "--tokens 99999999999" "-p a -f b"; do
    # shellcheck disable=SC2086
    expect 2 run "$model" $bad
    holds "nothing printed: $bad" test ! -s "$out"
done
expect 2 top "$model"
expect 2 top "$model" -p x -k 0
expect 2 tokens "$model"
for bad in "--count --offsets" "--count --ids" "--ids --json" "-t 2" "--bench -t 257" "--special some" "--utf8 some" \
    "--compat other" "--isa mmx"; do
    # shellcheck disable=SC2086
    expect 2 tokens "$model" -p x $bad
done
expect 2 detokenize "$model" --ids 'x'
expect 2 detokenize "$model" 1 x
expect 2 detokenize "$model" 1 --ids 1
expect 2 detokenize "$model" -f "$work/x" --ids 1
expect 2 logits "$model" --tokens 1
expect 2 logits "$model" -o "$work/x"
expect 2 logits "$model" --tokens '' -o "$work/x"
expect 2 logits "$model" --tokens 1 -o "$work/x" --chunk 0
expect 2 bench "$model" -r 0

# ---- Files that are not there, or broken -----------------------------------------------------------------------------

head -c 1000 "$model" >"$work/short.gguf"
: >"$work/empty"
head -c 5000 /dev/zero >"$work/zeros"
printf '{"hello": ' >"$work/tokenizer.json"
mkdir "$work/folder"
for file in missing short.gguf empty zeros tokenizer.json folder; do
    for command in "run -p x" "top -p x" "tokens -p x" "detokenize --ids 1" "logits --tokens 1 -o $work/no" info bench; do
        # shellcheck disable=SC2086
        set -- $command
        name=$1
        shift
        expect 1 "$name" "$work/$file" "$@"
        holds "$name $file: says what is wrong" grep -q "^tfm $name: ..." "$err"
        holds "$name $file: prints nothing" test ! -s "$out"
    done
done
holds "no file from a broken model" test ! -e "$work/no"
expect 1 run "$model" -f "$work/missing"
holds "names the file" grep -q missing "$err"

# ---- tokens, detokenize ----------------------------------------------------------------------------------------------

expect 0 tokens "$model" -p "$text"
holds "a line for each token" grep -Eq '^ *[0-9]+  ".*"$' "$out"
expect 0 tokens "$model" -p "$text" --json
holds "shape of tokens" grep -Eq '^\{"ids":\[[0-9]+(,[0-9]+)*\],"pieces":\[".*"\]\}$' "$out"
expect 0 tokens "$model" -p "$text" --no-special --json
plain=$(sed 's/.*"ids":\[\([0-9,]*\)\].*/\1/' "$out")
expect 0 detokenize "$model" --ids "$plain"
printf %s "$text" >"$work/text"
holds "back to the same text" cmp "$work/text" "$out"
expect 0 detokenize "$model" --ids "[ $plain ]" --json
holds "shape of detokenize" grep -Fqx "{\"text\":\"$text\"}" "$out"
expect 0 tokens "$model" -f "$work/text" --no-special --json
holds "the same from a file" test "$plain" = "$(sed 's/.*"ids":\[\([0-9,]*\)\].*/\1/' "$out")"
printf '%s\n' "$plain" >"$work/ids"
expect 0 detokenize "$model" --ids "@$work/ids"
holds "ids from a file" cmp "$work/text" "$out"
expect 0 detokenize "$model" --ids ''
holds "no ids, no text" test ! -s "$out"
expect 1 detokenize "$model" --ids 2147483647
printf '"\\\001\n\t\200\377' >"$work/odd"
expect 0 tokens "$model" -f "$work/odd" --json
cp "$out" "$work/odd.json"
python "odd bytes give valid JSON" 'import json,sys; d=json.load(open(sys.argv[1],encoding="utf-8")); assert len(d["ids"])==len(d["pieces"])' "$work/odd.json"
expect 0 tokens "$model" -p '' --no-special --json
holds "the empty text" grep -Fqx '{"ids":[],"pieces":[]}' "$out"

expect 0 tokens "$model" -p "$text" --no-special --ids
holds "ids alone" test "$(tr ' ' , <"$out")" = "$plain"
cp "$out" "$work/ids"
count=$(wc -w <"$work/ids")
# shellcheck disable=SC2046
expect 0 detokenize "$model" $(cat "$work/ids")
holds "ids as words" cmp "$work/text" "$out"
expect 0 detokenize -f "$work/ids" "$model"
holds "ids from a file, option first" cmp "$work/text" "$out"
for list in "--ids @-" "-f -" ""; do
    checks=$((checks + 1))
    # shellcheck disable=SC2086
    "$tfm" detokenize "$model" $list <"$work/ids" 2>"$err" | cmp -s - "$work/text" || complain "ids from a pipe: $list"
done
expect 0 detokenize "$model"
holds "an empty standard input, no text" test ! -s "$out"
expect 0 tokens "$model" -p "$text" --no-special --count
holds "count" test "$(cat "$out")" -eq "$count"
expect 0 tokens "$model" -p "$text" --no-special --count --json
holds "shape of count" grep -Fqx "{\"count\":$((count))}" "$out"

# Other files than models: rank files, tokenizer.json, SentencePiece.
if [ -d "$data" ]; then
    ranks="$data/ranks.tiktoken"
    expect 1 tokens "$ranks" -p x
    holds "a rank file of no known encoding needs a pattern" grep -q pattern "$err"
    for file in "$ranks --pattern cl100k" "$data/bl-gpt2.json" "$data/spm-llama.model" "$data/spm.gguf" "$data/bpe.gguf" \
        "$data/bpe.gguf --compat llama.cpp"; do
        # shellcheck disable=SC2086
        expect 0 tokens $file -p 'Time and tide, 123 times' --no-special --ids
        # shellcheck disable=SC2046,SC2086
        expect 0 detokenize $file $(cat "$out")
        holds "there and back: $file" grep -Fqx 'Time and tide, 123 times' "$out"
    done
    expect 0 tokens "$ranks" --pattern cl100k -p 'é a' --offsets --json
    holds "shape of offsets" grep -Eqx '\{"ids":\[[0-9,]+\],"pieces":\[.*\],"byte_offsets":(\[.*\]),"char_offsets":(\[.*\])\}' "$out"
    python "offsets" 'import json,sys
d=json.load(open(sys.argv[1],encoding="utf-8")); b="é a".encode()
assert b"".join(b[i:j] for i,j in d["byte_offsets"])==b and d["char_offsets"][-1]==[1,3]' "$out"
    expect 0 tokens "$ranks" --pattern cl100k -p 'é a' --offsets
    holds "offsets as lines" grep -Eqx ' *[0-9]+ +2 +4  " a"' "$out"
    expect 1 tokens "$ranks" --pattern nonsense[ -p x
    expect 0 tokens "$data/added.json" -p 'a<|end|>b' --special text --ids
    cp "$out" "$work/as-text"
    expect 0 tokens "$data/added.json" -p 'a<|end|>b' --special parse --ids
    holds "special tokens by choice" sh -c '! cmp -s "$1" "$2"' - "$work/as-text" "$out"
    expect 1 tokens "$data/added.json" -p 'a<|end|>b' --special refuse
    holds "refused by name" grep -q 'end' "$err"
    printf 'a\377b' >"$work/bad"
    expect 1 tokens "$ranks" --pattern cl100k -f "$work/bad" --utf8 refuse
    expect 0 tokens "$ranks" --pattern cl100k -f "$work/bad" --utf8 keep --ids
    # shellcheck disable=SC2046
    expect 0 detokenize "$ranks" --pattern cl100k --raw $(cat "$out")
    holds "bytes come back" cmp "$work/bad" "$out"
    for threads in "" "-t 1" "-t 2"; do
        # shellcheck disable=SC2086
        expect 0 tokens "$ranks" --pattern cl100k -f "$data/corpus.txt" --bench $threads --json
        holds "shape of tokens --bench" grep -Eqx \
            '\{"first_pass_mb_per_s":[0-9.]+,"second_pass_mb_per_s":[0-9.]+,"decode_mb_per_s":[0-9.]+,"load_ms":[0-9.]+\}' "$out"
        python "figures" 'import json,sys; assert all(v>0 for v in json.load(open(sys.argv[1])).values())' "$out"
    done
    expect 0 tokens "$ranks" --pattern cl100k -p '' --bench
    holds "bench as lines" test "$(wc -l <"$out")" -eq 4
else
    echo "SKIPPED: the fixtures are not here: tokenizer files of other kinds"
fi

# ---- top -------------------------------------------------------------------------------------------------------------

expect 0 top "$model" -p "$text"
holds "ten rows under a heading" test "$(wc -l <"$out")" -eq 11
expect 0 top "$model" -p "$text" -k 3 --json
row='\{"id":[0-9]+,"text":"[^"]*","probability":[0-9.e-]+\}'
holds "shape of top" grep -Eqx "\[$row,$row,$row\]" "$out"
best=$(sed 's/^\[{"id":\([0-9]*\).*/\1/' "$out")
cp "$out" "$work/top.json"
expect 0 top "$model" -p "$text" -k 100000000 --json
python "probabilities fall and sum to one" 'import json,sys
p=[r["probability"] for r in json.load(open(sys.argv[1],encoding="utf-8"))]
assert p==sorted(p,reverse=True) and abs(sum(p)-1)<1e-6, sum(p)' "$out"
expect 0 tokens "$model" -p "$text" --json
full=$(sed 's/.*"ids":\[\([0-9,]*\)\].*/\1/' "$out")
expect 0 top "$model" --tokens "$full" -k 3 --json
holds "the same from ids" cmp "$work/top.json" "$out"
expect 1 top "$model" --tokens 2147483647

# ---- run -------------------------------------------------------------------------------------------------------------

expect 0 run "$model" -p "$text" -n 12 --temp 0 -t 1
cp "$out" "$work/greedy"
holds "it writes something" test -s "$work/greedy"
expect 0 run "$model" -p "$text" -n 12 --temp 0 -t 3 --isa portable --stats
holds "the same with other threads and instructions" cmp "$work/greedy" "$out"
holds "stats on stderr" grep -q '^prompt: [0-9]* tokens' "$err"
expect 0 run "$model" -f "$work/text" -n 12 --temp 0
holds "the same from a file" cmp "$work/greedy" "$out"
for kv in f32 f16 bf16 q8_0 q4_0; do
    expect 0 run "$model" -p "$text" -n 12 --temp 0 --kv $kv -t 1
    cp "$out" "$work/kv"
    expect 0 run "$model" -p "$text" -n 12 --temp 0 --kv=$kv -t 3 --isa portable
    holds "keys and values in $kv: the same with other threads and instructions" cmp "$work/kv" "$out"
done
expect 2 run "$model" -p "$text" --kv q5_0
expect 0 run "$model" --tokens "$full" -n 12 --temp 0
holds "the same from ids" cmp "$work/greedy" "$out"
expect 0 run "$model" -p "$text" -n 12 --temp 0 --json
cp "$out" "$work/lines"
line='\{"id":-?[0-9]+,"text":".*","probability":[0-9.e-]+,"position":[0-9]+\}'
holds "shape of run" test "$(grep -Ecx "$line" "$work/lines")" -eq "$(wc -l <"$work/lines")"
holds "its first token is the most probable one" grep -q "^{\"id\":$best," "$work/lines"
python "the pieces are the text, one position after the other" 'import json,sys
rows=[json.loads(l) for l in open(sys.argv[1],encoding="utf-8")]
assert "".join(r["text"] for r in rows)==open(sys.argv[2],encoding="utf-8").read()
tokens=[r for r in rows if r["id"]>=0]
first=len(sys.argv[3].split(","))
assert 0<len(tokens)<=12 and [r["position"] for r in tokens]==list(range(first,first+len(tokens)))
assert all(0<r["probability"]<=1 for r in tokens)' "$work/lines" "$work/greedy" "$full"
for seed in 1 2; do
    expect 0 run "$model" -n 30 --temp 5 --top-k 0 --top-p 1 --min-p 0 --seed $seed
    cp "$out" "$work/seed$seed"
    expect 0 run "$model" -n 30 --temp 5 --top-k 0 --top-p 1 --min-p 0 --seed=$seed
    holds "the same seed, the same text" cmp "$work/seed$seed" "$out"
done
holds "another seed, another text" sh -c '! cmp -s "$1" "$2"' - "$work/seed1" "$work/seed2"
expect 0 run "$model" -p "$text" -n 30 --temp 1.5 --top-k 1 --seed 5
cp "$out" "$work/one"
expect 0 run "$model" -p "$text" -n 30 --temp 0
holds "only the likeliest token is greedy" cmp "$work/one" "$out"
stop=$(python3 -c 'import sys; print(open(sys.argv[1],encoding="utf-8").read()[2:4],end="")' "$work/greedy" 2>/dev/null || true)
if [ -n "$stop" ]; then
    expect 0 run "$model" -p "$text" -n 12 --temp 0 --stop '@@@@' --stop "$stop"
    python "ends before the stop text" 'import sys
a,b=(open(p,encoding="utf-8").read() for p in sys.argv[1:3])
assert a[:a.index(sys.argv[3])]==b, (a,b)' "$work/greedy" "$out" "$stop"
fi
expect 1 run "$model" --tokens 2147483647
expect 1 run "$model" -p "$text" --context 1
if [ -c /dev/full ]; then
    checks=$((checks + 1))
    "$tfm" run "$model" -p "$text" -n 5 >/dev/full 2>"$err"
    [ $? -eq 1 ] || complain "a full disk is an error"
fi

# Beams: four of them find a text that is no less probable than the likeliest token each time.
expect 0 run "$model" -p "$text" --beams 1 -n 8
cp "$out" "$work/one-beam"
expect 0 run "$model" -p "$text" --temp 0 -n 8
holds "one beam is the likeliest token each time" test "$(cat "$work/one-beam")" = "$(cat "$out")"
expect 0 run "$model" -p "$text" --beams 4 -n 8 --json
cp "$out" "$work/beams"
expect 0 run "$model" -p "$text" --beams 4 --n-best 4 -n 8 --json -t 3
python "beams: best first, and the best is the one of --n-best 1" 'import json,sys
best=[json.loads(x) for x in open(sys.argv[1],encoding="utf-8")]; rows=[json.loads(x) for x in open(sys.argv[2],encoding="utf-8")]
assert len(best)==1 and len(rows)==4 and rows[0]==best[0]
assert all(a["score"]>=b["score"] for a,b in zip(rows,rows[1:])) and len({tuple(r["ids"]) for r in rows})==4
assert all(r["text"] and r["ended"] in (True,False) and len(r["ids"])<=8 for r in rows)' "$work/beams" "$out"
expect 0 run "$model" -p "$text" --beams 4 --n-best 2 -n 8 --length-penalty 0 --no-repeat 2
holds "n-best as lines" test "$(grep -Ec '^-[0-9.]+	' "$out")" -eq 2
for bad in "--n-best 2" "--beams 2 --n-best 3" "--beams 2 --temp 0" "--beams 2 --stop x" "--beams 2 --stats" "--beams 0" \
    "--length-penalty 2"; do
    # shellcheck disable=SC2086
    expect 2 run "$model" -p "$text" $bad
done
expect 1 run "$model" --tokens 99999999 --beams 2
expect 2 translate "$model" -p "$text" --json

# ---- train-tokenizer -------------------------------------------------------------------------------------------------

i=0
while [ $i -lt 200 ]; do
    echo "the cat sat on the mat $i and the dog sat on the cat"
    i=$((i + 1))
done >"$work/corpus"
expect 2 train-tokenizer "$work/corpus"
expect 2 train-tokenizer "$work/corpus" -o "$work/t.json" --kind unknown
expect 1 train-tokenizer "$work/no-such-file" -o "$work/t.json"
expect 1 train-tokenizer "$work/corpus" -o "$work/no/such/folder/t.json" --vocab-size 280
for ending in json gguf tiktoken; do
    expect 0 train-tokenizer "$work/corpus" "$work/corpus" -o "$work/t.$ending" --vocab-size 280 --special '<s>'
    holds "says how many" grep -Fqx "$work/t.$ending: 280 tokens" "$out"
    expect 0 tokens "$work/t.$ending" -p "the cat 12" --ids --pattern gpt2 --no-special
    [ $ending = json ] && cp "$out" "$work/expected"
    holds "$ending gives the same ids" cmp "$out" "$work/expected"
done
"$tfm" train-tokenizer - -o "$work/u.json" --vocab-size 280 --special '<s>' -t 2 >/dev/null <"$work/corpus"
"$tfm" train-tokenizer "$work/corpus" -o "$work/v.json" --vocab-size 280 --special '<s>' -t 1 >/dev/null
holds "standard input and threads change nothing" cmp "$work/u.json" "$work/v.json"
expect 0 train-tokenizer "$work/corpus" -o "$work/t.model" --kind sentencepiece --vocab-size 50
expect 0 tokens "$work/t.model" -p "the cat 12"
expect 1 train-tokenizer "$work/corpus" -o "$work/u.model" --vocab-size 280
holds "no file is left" [ ! -e "$work/u.model" ]

# ---- logits ----------------------------------------------------------------------------------------------------------

expect 0 logits "$model" --tokens "$full" -o "$work/a.safetensors"
expect 0 logits "$model" --tokens "$full" -o "$work/b.safetensors" --chunk 1 -t 1
holds "token by token: the same bytes" cmp "$work/a.safetensors" "$work/b.safetensors"
expect 0 logits "$model" --tokens "$full" -o "$work/b.safetensors" --chunk 2 --isa portable
holds "over the old file, other cuts: the same bytes" cmp "$work/a.safetensors" "$work/b.safetensors"
python "safetensors" 'import json,struct,sys
b=open(sys.argv[1],"rb").read()
n,=struct.unpack("<Q",b[:8]); h=json.loads(b[8:8+n]); t=h["logits"]; rows,vocab=t["shape"]
assert list(h)==["logits"] and t["dtype"]=="F32" and rows==len(sys.argv[2].split(","))
assert t["data_offsets"]==[0,rows*vocab*4] and len(b)==8+n+rows*vocab*4 and n%8==0
last=struct.unpack("<%df"%vocab,b[-vocab*4:])
assert max(range(vocab),key=lambda i:last[i])==int(sys.argv[3])' "$work/a.safetensors" "$full" "$best"
expect 1 logits "$model" --tokens 1,2147483647 -o "$work/b.safetensors"
holds "a failure leaves the old file" cmp "$work/a.safetensors" "$work/b.safetensors"
expect 1 logits "$model" --tokens 1 -o "$work/nowhere/x"
expect 1 logits "$model" --tokens 1 -o "$work/folder"
holds "nothing half-written is left" test -z "$(find "$work" -name '*.part')"
checks=$((checks + 1))
"$tfm" logits "$model" --tokens "$full" -o /dev/stdout 2>"$err" | cmp -s - "$work/a.safetensors" ||
    complain "logits into a pipe"

# ---- neighbours ------------------------------------------------------------------------------------------------------

expect 0 neighbours "$model" --tokens "$full" -k 4 --json
cp "$out" "$work/neighbours.json"
expect 0 info "$model" --tensors
python "neighbours: nearest first, in both directions of the cosine" '
import json, sys
asked = json.load(open(sys.argv[1]))
assert [a["id"] for a in asked] == [int(x) for x in sys.argv[2].split(",")]
for a in asked:
    cosines = [n["cosine"] for n in a["neighbours"]]
    assert len(cosines) == 4 and cosines == sorted(cosines, reverse=True) and -1.0001 < cosines[-1] and cosines[0] < 1.0001
    assert a["norm"] > 0 and a["id"] not in [n["id"] for n in a["neighbours"]]
' "$work/neighbours.json" "$full"
first=$(python3 -c 'import json,sys; a=json.load(open(sys.argv[1]))[0]; print(a["id"], a["neighbours"][0]["id"])' "$work/neighbours.json")
# shellcheck disable=SC2086
set -- $first
expect 0 neighbours "$model" --tokens "$2" -k 1000 --json
python "neighbours: the cosine is the same from the other side" '
import json, sys
a, b = (json.load(open(p))[0] for p in sys.argv[1:])
back = [n["cosine"] for n in b["neighbours"] if n["id"] == a["id"]]
assert len(back) == 1 and abs(back[0] - a["neighbours"][0]["cosine"]) < 1e-12
' "$work/neighbours.json" "$out"
expect 0 neighbours "$model" --tokens "$full" --output
expect 2 neighbours "$model"
expect 2 neighbours "$model" --tokens 1 -k 0
expect 1 neighbours "$model" --tokens 2147483647
expect 1 neighbours "$model" -p ""

# ---- hidden, embed ----------------------------------------------------------------------------------------------------

encoder=$data/../embedding/mean
expect 2 hidden "$model" --tokens 1
expect 2 hidden "$model" -o "$work/x"
expect 2 hidden "$encoder" --tokens 1,2 --types 0 -o "$work/x"
expect 0 hidden "$model" --tokens "$full" -o "$work/h.safetensors"
expect 0 hidden "$data/../golden/bert" --tokens 5,6,7 --types 0,1,1 -o "$work/i.safetensors"
python "states" 'import json,struct,sys
def read(path):
    b=open(path,"rb").read()
    n,=struct.unpack("<Q",b[:8]); h=json.loads(b[8:8+n])
    def values(name):
        o=h[name]["data_offsets"]; return b[8+n+o[0]:8+n+o[1]]
    assert n%8==0 and len(b)==8+n+max(t["data_offsets"][1] for t in h.values())
    return h,values
h,values=read(sys.argv[1]); tokens=len(sys.argv[3].split(","))
layers=sum(k.startswith("hidden.") for k in h)
assert sorted(h)==sorted("hidden.%d"%i for i in range(layers)) and layers>2
assert all(t["dtype"]=="F32" and t["shape"][0]==tokens for t in h.values())
h,values=read(sys.argv[2])
assert sorted(h)==["hidden.0","hidden.1","hidden.2","last_hidden","pooler"], h
assert h["last_hidden"]["shape"]==[3,48] and h["pooler"]["shape"]==[48]
assert values("last_hidden")==values("hidden.2")!=values("hidden.1")' "$work/h.safetensors" "$work/i.safetensors" "$full"
expect 1 hidden "$encoder" --tokens 1,999 -o "$work/x"
expect 1 hidden "$encoder" --tokens 1,2 --types 0,2 -o "$work/x"
holds "no file is left" [ ! -e "$work/x" ]
expect 2 embed "$encoder"
expect 2 embed "$encoder" -p x --pooling middle
expect 0 embed "$encoder" -f "$data/../embedding/texts.txt" --json
cp "$out" "$work/vectors"
python "embed" 'import json,struct,sys
rows=[json.loads(line)["embedding"] for line in open(sys.argv[1])]
b=open(sys.argv[2],"rb").read()
n,=struct.unpack("<Q",b[:8]); t=json.loads(b[8:8+n])["embeddings"]; count,width=t["shape"]
want=struct.unpack("<%df"%(count*width),b[8+n:])
assert [len(r) for r in rows]==[width]*count
assert max(abs(a-b) for a,b in zip(sum(rows,[]),want))<1e-5' "$work/vectors" "$encoder/golden.safetensors"
expect 0 embed "$encoder" -p "$(sed -n 2p "$data/../embedding/texts.txt")" --json -t 1 --isa portable
holds "alone, on one thread: the same numbers" sh -c 'sed -n 2p "$1" | cmp - "$2"' sh "$work/vectors" "$out"
printf 'dogs\r\n' | "$tfm" embed "$encoder" -f - --json >"$out" 2>"$err"
holds "lines may end in CR LF" sh -c 'sed -n 2p "$1" | cmp - "$2"' sh "$work/vectors" "$out"
expect 0 embed "$model" -p 床前明月光 --pooling mean --normalize yes
holds "a line of numbers" awk 'NR == 1 && NF > 16 { s = 0; for (i = 1; i <= NF; i++) s += $i * $i; exit !(s > 0.9999 && s < 1.0001) }' "$out"
expect 0 embed "$model" --tokens 1,2,3
expect 1 run "$encoder" -p x
holds "run says what an encoder is for" grep -q tfm_encode "$err"

expect 0 attention "$encoder" -p "the cat sat" --json
python "attention of an encoder goes both ways" 'import json,sys
a=json.load(open(sys.argv[1])); w=a["attention"][0]["weights"]; n=len(a["tokens"])
assert n==5 and all(len(r)==n and abs(sum(r)-1)<1e-5 and min(r)>0 for r in w)' "$out"
expect 0 attention "$encoder" -p "the cat sat" --layer 0 --head 1
holds "every token looks at every other" awk 'NR > 3 && NF != 6 { exit 1 }' "$out"
expect 0 attention "$encoder" -p "the cat sat" --svg "$work/both.svg"

# ---- train -----------------------------------------------------------------------------------------------------------
mkdir "$work/small"
cp "$data/../golden/qwen3/config.json" "$data/../golden/qwen3/model.safetensors" "$work/small"
awk 'BEGIN { for (i = 0; i < 60; i++) print "the cat number " i * 7 % 13 " and the hat of " i * 5 % 11 " sat on a mat" }' >"$work/cats"
expect 0 train-tokenizer "$work/cats" -o "$work/small/tokenizer.json" -n 300
expect 0 train --from "$work/small" --data "$work/cats" -o "$work/trained" --steps 6 --context 16 --batch 3 \
    --accumulate 2 --lr 1e-2 --schedule cosine --warmup 2 --json
cp "$out" "$work/steps"
python "train: a line for each step, and the loss falls" '
import json, sys
steps = [json.loads(l) for l in open(sys.argv[1])]
assert [s["step"] for s in steps] == list(range(6)), steps
assert all(set(s) >= {"loss", "grad_norm", "learning_rate", "tokens_per_second"} for s in steps)
assert steps[-1]["loss"] < steps[0]["loss"] - 0.2
assert abs(steps[0]["learning_rate"] - 5e-3) < 1e-9 and steps[-1]["learning_rate"] < 2e-3' "$work/steps"
expect 0 info "$work/trained"
expect 0 train --from "$work/small" --data "$work/cats" -o "$work/again" --steps 6 --context 16 --batch 3 \
    --accumulate 2 --lr 1e-2 --schedule cosine --warmup 2 --json -t 1
holds "train: the same weights with one thread" cmp "$work/trained/model.safetensors" "$work/again/model.safetensors"
# 3 steps of a run of 6 in every respect but its end: the rate is constant
for part in whole:6 part:3; do
    expect 0 train --from "$work/small" --data "$work/cats" -o "$work/${part%:*}" --steps "${part#*:}" --context 16 \
        --checkpoint 3 --lr 1e-3 --seed 5
done
expect 0 train --from "$work/small" --data "$work/cats" -o "$work/part" --steps 6 --context 16 --lr 1e-3 --seed 5 --resume
holds "train: resumed, the same weights" cmp "$work/whole/model.safetensors" "$work/part/model.safetensors"
expect 0 eval "$work/trained" -f "$work/cats" --context 32
# a new model from its description
mkdir "$work/tokenizer"
cp "$work/small/tokenizer.json" "$work/tokenizer"
expect 0 train --config "$work/small/config.json" --tokenizer "$work/tokenizer" --data "$work/cats" -o "$work/new" --steps 30 \
    --context 16 --lr 3e-3 --seed 3 --checkpoint 15 --json
python "train: a new model begins by guessing and learns" '
import json, math, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
vocab = json.load(open(sys.argv[2]))["vocab_size"]
assert abs(lines[0]["loss"] - math.log(vocab)) < 0.3 and lines[-1]["loss"] < lines[0]["loss"] - 1' "$out" "$work/small/config.json"
expect 0 run "$work/new" -p "the cat" -n 4
cp -r "$work/new" "$work/halfway"
expect 0 train --config "$work/small/config.json" --data "$work/cats" -o "$work/new" --steps 32 --context 16 --lr 3e-3 --seed 3 --resume
expect 2 train --config "$work/small/config.json" --from "$work/small" --data "$work/cats" -o "$work/x"
expect 2 train --from "$work/small" --tokenizer "$work/small" --data "$work/cats" -o "$work/x"
expect 1 train --config "$work/cats" --data "$work/cats" -o "$work/x"
# held-out loss, samples and the curve: they change nothing, and a resumed run goes on with its curve
head -n 20 "$work/cats" >"$work/other"
watch="--held-out $work/other --held-out-every 2 --sample-every 3 --sample-tokens 5 --curve $work/curve.csv"
expect 0 train --from "$work/small" --data "$work/cats" -o "$work/watched" --steps 6 --context 16 --lr 1e-3 --seed 5 --json \
    $watch --sample-prompt "the cat"
cp "$out" "$work/steps"
holds "train: watched, the same weights" cmp "$work/whole/model.safetensors" "$work/watched/model.safetensors"
holds "train: the curve is a picture" grep -q '</svg>' "$work/curve.svg"
cp "$work/curve.csv" "$work/whole.csv"
python "train: held-out loss, samples and curve" '
import csv, json, sys, xml.dom.minidom
lines = [json.loads(l) for l in open(sys.argv[1])]
held = {l["step"]: l["held_out_loss"] for l in lines if "held_out_loss" in l}
assert sorted(held) == [0, 2, 4, 6] and held[6] < held[0], held
samples = {l["step"]: l["sample"] for l in lines if "sample" in l}
assert sorted(samples) == [3, 6] and all(s.startswith("the cat") and len(s) > 7 for s in samples.values()), samples
rows = list(csv.DictReader(open(sys.argv[2])))
assert [int(r["step"]) for r in rows] == list(range(7))
assert [r["step"] for r in rows if r["held_out_loss"]] == ["0", "2", "4", "6"] and rows[6]["loss"] == ""
for r, l in zip(rows, (l for l in lines if "loss" in l)):
    assert abs(float(r["loss"]) - l["loss"]) < 1e-6 and abs(float(r["grad_norm"]) - l["grad_norm"]) < 1e-4
xml.dom.minidom.parse(sys.argv[3])' "$work/steps" "$work/curve.csv" "$work/curve.svg"
holds "train: a curve beside the weights" test -s "$work/whole/loss.svg" -a -s "$work/part/loss.csv"
holds "train: resumed, the same curve" test "$(cut -d, -f1-4 "$work/whole/loss.csv")" = "$(cut -d, -f1-4 "$work/part/loss.csv")"
expect 0 train --from "$work/small" --data "$work/cats" -o "$work/x" --steps 2 --context 16 --held-out-share 0.25 --json
holds "train: a share held out" test "$(grep -c held_out_loss "$out")" -eq 3
rm -r "$work/x"
expect 1 train --from "$work/small" --data "$work/other" -o "$work/x" --context 200 --held-out-share 0.9
expect 2 train --from "$work/small" --data "$work/cats" -o "$work/x" --held-out "$work/other" --held-out-share 0.1
expect 2 train --from "$work/small" --data "$work/cats" -o "$work/x" --sample-every 5
expect 2 train --from "$work/small" --data "$work/cats" -o "$work/x" --held-out-every 5
expect 1 train --from "$work/small" --data "$work/cats" -o "$work/x" --curve "$work/no/such/folder/curve"
expect 2 train --from "$work/small" --data "$work/cats"
expect 2 train --from "$work/small" --data "$work/cats" -o "$work/x" --schedule wavy
expect 1 train --from "$model" --data "$work/cats" -o "$work/x"
holds "train: needs a folder" grep -q 'Hugging Face folder' "$err"
expect 1 train --from "$work/small" --data "$work/nothing" -o "$work/x"
expect 1 train --from "$work/small" --data "$work/small/model.safetensors" -o "$work/x"
holds "train: no batches" grep -q 'batches' "$err"
printf 'ab' >"$work/short"
expect 1 train --from "$work/small" --data "$work/short" -o "$work/x" --context 16
holds "train: too little text" grep -q 'make no row' "$err"
expect 1 train --from "$work/small" --data "$work/cats" -o "$work/x" --resume
holds "train: nothing is left of what failed" test ! -e "$work/x"
python "train: batches from a file, with their rates" '
import json, struct, sys
values = [(i * 5 + i // 7) % 90 for i in range(3 * 2 * 9)]
body = struct.pack("<54i", *values) + struct.pack("<3f", 1e-3, 2e-3, 3e-3)
head = json.dumps({"batches": {"dtype": "I32", "shape": [3, 2, 9], "data_offsets": [0, 216]},
                   "lr": {"dtype": "F32", "shape": [3], "data_offsets": [216, 228]}}, separators=(",", ":")).encode()
head += b" " * (-len(head) % 8)
open(sys.argv[1], "wb").write(struct.pack("<Q", len(head)) + head + body)' "$work/batches.safetensors"
if [ -e "$work/batches.safetensors" ]; then
    expect 0 train --from "$work/small" --data "$work/batches.safetensors" -o "$work/x" --json
    holds "train: as many steps as there are batches" test "$(grep -c '"step"' "$out")" -eq 3
    holds "train: the rates of the file" grep -q '"learning_rate":0.00300' "$out"
    expect 1 train --from "$work/small" --data "$work/batches.safetensors" -o "$work/x" --steps 4
    expect 2 train --from "$work/small" --data "$work/batches.safetensors" -o "$work/x" --batch 4
fi

# ---- score, eval -----------------------------------------------------------------------------------------------------

expect 0 score "$model" -p 床前明月光， -c 疑是地上霜
holds "a known verse" grep -q '^all together: 99\.' "$out"
printf '床前明月光，疑是地上霜。床前明月光，疑是。床前明' >"$work/corpus"
expect 0 score "$model" -p 床前明月光， -c 疑是地上霜 --corpus "$work/corpus" --json
cp "$out" "$work/score"
python "score: the joint probability is the product, and the corpus is counted" '
import json, math, sys
s = json.load(open(sys.argv[1]))
assert len(s["tokens"]) == 5 and s["split"] is False and s["prompt_tokens"] > 0
assert abs(sum(t["log_probability"] for t in s["tokens"]) - s["log_probability"]) < 1e-12
assert abs(math.exp(s["log_probability"]) - s["probability"]) < 1e-12
assert "".join(t["text"] for t in s["tokens"]) == "疑是地上霜"
assert all(t["rank"] == 0 for t in s["tokens"])
assert s["phrase"]["probability"] >= s["probability"] * (1 - 1e-6) and s["phrase"]["unexplored"] < 1e-3, s["phrase"]
assert s["corpus"] == {"prompt": 2, "phrase": 1}' "$work/score"
expect 0 top "$model" -p 床前明月光， -k 1 --json
python "score: the first token as in top" '
import json, sys
s, t = (json.load(open(p)) for p in sys.argv[1:])
assert abs(s["tokens"][0]["probability"] - t[0]["probability"]) < 1e-6, (s, t)' "$work/score" "$out"
expect 2 score "$model" -p 床前
expect 2 score "$model" -p 床前 -c ''
expect 2 score "$model" -c 月 --corpus "$work/corpus"
expect 1 score "$model" -p 床前 -c 月 --corpus "$work/none"
expect 1 score "$model" -p "$text$text" -c 月 --context 4

expect 0 eval "$model" -p "$text$text$text$text" --context 8 --json
cp "$out" "$work/eval"
expect 0 eval "$model" -p "$text$text$text$text" --context 8 --json -t 3
holds "eval: the same with three threads" cmp "$work/eval" "$out"
expect 0 eval "$model" -p "$text$text$text$text" --context 8 --json --kv default
holds "eval: --kv default is what it is without" cmp "$work/eval" "$out"
expect 0 eval "$model" -p "$text$text$text$text" --context 8 --json --kv q4_0
holds "eval: --kv counts" sh -c '! cmp -s "$1" "$2"' - "$work/eval" "$out"
python "eval: the figures fit each other" '
import json, math, sys
e = json.load(open(sys.argv[1]))
assert e["method"] == "halves" and e["context"] == 8 and e["tokens"] == 3 * e["windows"] > 0
assert abs(math.exp(-e["log_probability"] / e["tokens"]) - e["perplexity"]) < 1e-9 * e["perplexity"]
assert abs(-e["log_probability"] / e["bytes"] / math.log(2) - e["bits_per_byte"]) < 1e-9' "$work/eval"
expect 0 eval "$model" -p "$text" --windows sliding --context 16 --stride 3
holds "eval: every token" grep -q 'perplexity by byte' "$out"
expect 1 eval "$model" -p "$text"
holds "eval: too little text" grep -q 'too few' "$err"
expect 1 eval "$model" -p ''
expect 2 eval "$model"
for how in "" "--context 16" "--context 5 --no-bos" "-t 3 --isa portable"; do
    # shellcheck disable=SC2086
    expect 0 eval "$model" -p "$text$text$text" --compress --json $how
    python "eval --compress $how: as many bytes as the surprise says" 'import json,sys
e=json.load(open(sys.argv[1])); assert e["decoded"] is True and e["tokens"]>5
assert e["surprise_bits"]/8<=e["compressed"]<=e["surprise_bits"]/8+2.01, e' "$out"
done
expect 0 eval "$model" --tokens 5,6,7 --compress
holds "eval --compress of ids" grep -q 'decoded     the same tokens' "$out"
expect 2 eval "$model" -p "$text" --compress --windows sliding
expect 1 eval "$model" -p '' --compress
expect 1 eval "$model" -p "$text" --stride 3

# ---- quantize --------------------------------------------------------------------------------------------------------

expect 1 quantize "$model" "$work/q.gguf" Q4_K_M
holds "quantize: says that the weights are quantised already" grep -q 'quantised already' "$err"
test ! -e "$work/q.gguf" || complain "a refused quantize left a file"
expect 0 quantize "$model" "$work/q.gguf" Q4_K_M --requantize --json
python "quantize: figures" '
import json, os, sys
r = json.load(open(sys.argv[1]))
assert r["type"] == "Q4_K_M" and r["tensors"] >= r["quantized"] > 0 and r["fallbacks"] == 0
assert 0 < r["bytes"] < r["source_bytes"] and os.path.getsize(sys.argv[2]) > r["bytes"], r' "$out" "$work/q.gguf"
expect 0 quantize "$model" "$work/q1.gguf" q4_k_m --requantize -t 1
holds "quantize: the same file with one thread" cmp "$work/q.gguf" "$work/q1.gguf"
expect 0 run "$work/q.gguf" -p 床前明月光， -n 18 --temp 0
holds "quantize: still knows the poem" grep -q 疑是地上霜 "$out"
expect 2 quantize "$model" "$work/q.gguf"
expect 2 quantize "$model" "$work/q.gguf" Q4_K_X
holds "quantize: lists the types" grep -q Q4_K_M "$err"
expect 0 imatrix "$model" -p "$text$text$text$text" -o "$work/im.gguf" --context 8
expect 0 imatrix "$model" -p "$text$text$text$text" -o "$work/im.dat" --context 8
expect 0 quantize "$model" "$work/qi.gguf" Q4_K_M --requantize -i "$work/im.gguf"
holds "quantize: weighted" grep -q '^28 tensors were weighted' "$out"
expect 0 quantize "$model" "$work/qi2.gguf" Q4_K_M --requantize -i "$work/im.dat"
holds "quantize: weighted by the older form" grep -q '^28 tensors were weighted' "$out"
expect 1 imatrix "$model" -p "$text" -o "$work/im2.gguf"
expect 2 imatrix "$model" -p "$text"
expect 1 quantize "$work/none.gguf" "$work/q2.gguf" Q8_0
expect 1 quantize "$model" "$work/q2.gguf" Q8_0 --requantize --imatrix "$model"

# ---- info, bench -----------------------------------------------------------------------------------------------------

expect 0 info "$model"
holds "info" grep -q '^family' "$out"
expect 0 info "$model" --tensors --json
holds "shape of info" grep -Eq '^\{"family":".+","name":".*","format":"gguf","weights":".+","parameters":[0-9]+,' "$out"
python "info" 'import json,sys
d=json.load(open(sys.argv[1],encoding="utf-8"))
assert d["layers"]>0 and d["tokenizer"]["vocab_size"]==d["vocab_size"] and len(d["tensors"])>0
assert all(t["name"] and t["type"] and t["shape"] for t in d["tensors"])' "$out"
expect 0 bench "$model" -p 16 -n 4 -r 3 -t 2
holds "bench" grep -Eq '^decode +4 tokens +[0-9.]+ tokens/s' "$out"
expect 0 bench "$model" -p 16 -n 4 -r 3 --json
holds "shape of bench" grep -Eq '^\{"prefill":\{"tokens":16,"tokens_per_second":[0-9.e+]+,.*"decode":\{"tokens":4,"tokens_per_second":[0-9.e+]+,' "$out"
python "bench" 'import json,sys
d=json.load(open(sys.argv[1])); assert d["repeats"]==3
assert all(0<d[k]["slowest"]<=d[k]["tokens_per_second"]<=d[k]["fastest"] for k in ("prefill","decode"))' "$out"
expect 0 bench "$model" -p 16 -n 4 -r 2 -s 3 --json
python "bench of sessions" 'import json,sys
d=json.load(open(sys.argv[1])); assert d["sessions"]==3 and d["together"]["tokens"]==12 and d["together"]["tokens_per_second"]>0' "$out"
expect 2 bench "$model" -s 257
expect 0 bench "$model" -n 0 -r 1 --json
holds "bench without decode" grep -q '"decode":{"tokens":0,"tokens_per_second":null' "$out"

# By length, depth and sessions, with the picture; each kernel beside the limits. Nothing here is about how fast it is.
expect 0 bench "$model" -p 8,24 -n 4 -r 2 -t 2 -s 1,3 -d 0,40,80 --json --svg "$work/bench.svg"
python "bench by length, depth and sessions" 'import json,sys
import xml.etree.ElementTree as tree
d=json.load(open(sys.argv[1]))
curves=[d["prefill_by_length"],d["decode_by_sessions"],d["decode_by_depth"],d["prefill_by_depth"]]
assert [p["tokens"] for p in curves[0]]==[8,24] and d["prefill"]==curves[0][0]
assert [(p["sessions"],p["tokens"]) for p in curves[1]]==[(1,4),(3,12)] and d["sessions"]==1
assert [(p["depth"],p["tokens"]) for p in curves[2]]==[(0,4),(40,4),(80,4)]
assert [(p["depth"],p["tokens"]) for p in curves[3]]==[(0,8),(40,8),(80,8)]
assert all(0<p["slowest"]<=p["tokens_per_second"]<=p["fastest"] for c in curves for p in c)
root=tree.parse(sys.argv[2]).getroot()
assert len(root.findall("{*}polyline"))==4 and len(root.findall("{*}circle"))==2+2+3+3' "$out" "$work/bench.svg"
holds "a picture" grep -q '</svg>' "$work/bench.svg"
expect 0 bench "$model" -p 8 -n 2 -r 1 -t 2 -s 1,2 -d 0,16 -k --size 2
for row in 'together +4 tokens .* sessions 2' 'decode +2 tokens .* behind 16' 'prefill +8 tokens .* behind 16' \
    'limits of [0-9]+ threads, .*GB/s' 'F32 +[0-9.]+ +[0-9.]+' 'MXFP4 +[0-9.]+ +[0-9.]+'; do
    holds "bench as lines: $row" grep -Eq "^$row" "$out"
done
expect 0 bench "$model" -p 8 -n 2 -r 2 -t 2 -k --size 2 --json
python "bench of kernels" 'import json,sys
d=json.load(open(sys.argv[1])); l=d["limits"]
assert l["threads"]>=1 and l["isa"] and l["streams"] in (1,2,4,8) and l["prefetch"]>=0
assert l["read_gb_per_second"]>0 and l["f32_gop_per_second"]>0 and (l["int8_gop_per_second"] is None or l["int8_gop_per_second"]>0)
names="F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4".split()
assert [k["type"] for k in d["kernels"]]==names
for k in d["kernels"]:
    assert k["vector"]["gb_per_second"]>0 and k["vector"]["limit"]>0 and k["vector"]["share"]>0
    assert k["matrix"]["gop_per_second"]>0 and k["matrix"]["tokens"] in (64,512)
    assert k["matrix"]["share"] is None or k["matrix"]["share"]>0' "$out"
expect 0 bench "$model" -p 8 -n 2 -r 1 --isa portable -k --size 1 --json
holds "portable kernels" grep -q '"type":"MXFP4"' "$out"
for bad in "-p x" "-p 8,4" "-p 8,8" "-p 8," "-d -1" "-d 0,x" "-s 0" "-s 1,257" "--size 0" "--size 8193"; do
    # shellcheck disable=SC2086
    expect 2 bench "$model" $bad
done
expect 1 bench "$model" -p 8 -n 2 -r 1 -d 100000000
expect 1 bench "$model" -p 8 -n 2 -r 1 -s 2 --svg "$work/none.svg"
holds "no picture of one point" test ! -e "$work/none.svg"
expect 1 bench "$model" -p 8 -n 2 -r 1 -s 1,2 --svg "$work/nowhere/none.svg"

# ---- Ctrl-C ----------------------------------------------------------------------------------------------------------

checks=$((checks + 1))
"$tfm" bench "$model" -r 1000 >"$out" 2>"$err" &
pid=$!
sleep 1
kill -INT $pid
wait $pid
got=$?
[ $got -eq 130 ] || complain "status $got, not 130, after Ctrl-C"
holds "and nothing more is said" test ! -s "$out" -a ! -s "$err"

[ $have_python -eq 1 ] || echo "SKIPPED: python3 is not here: JSON was looked at by pattern only"
echo "$checks checks, $failures failed"

# ---- plan ------------------------------------------------------------------------------------------------------------

expect 1 plan nothing-of-this-name
holds "where the names are" grep -q -- --list "$err"
expect 1 plan "$work/missing/config.json"
expect 2 plan gpt2 --gpus 0
expect 2 plan gpt2 --tokens many
expect 0 plan --list
holds "the names" grep -qx llama-2-70b "$out"
for name in $(cat "$out"); do expect 0 plan "$name"; done
expect 0 plan llama-2-70b
holds "published numbers stand beside" grep -q 'published: 140 GB' "$out"
for known in gpt2:124439808 llama-2-7b:6738415616 llama-2-13b:13015864320 llama-2-70b:68976648192; do
    expect 0 plan "${known%:*}" --json
    holds "parameters of ${known%:*}" grep -q "\"parameters\":${known#*:}," "$out"
done
expect 0 plan llama-2-70b --json --tokens 2e12 --gpus 6000
python "plan: twelve days, two million, 140 GB for 10 TB, as it is told" '
import json, sys
p = json.load(open(sys.argv[1]))
assert abs(p["train_days"] - 12) < 2 and abs(p["cost"] - 2e6) < 0.3e6, p
assert abs(p["model_bytes"] - 140e9) < 3e9 and p["text_bytes"] == 10e12
assert sum(p["parts"].values()) == p["parameters"]
assert p["weight_bytes"]["F16"] == 2 * p["parameters"] > p["weight_bytes"]["Q4_K"] > 0
' "$out"
expect 0 plan "$model" --json
cp "$out" "$work/plan.json"
expect 0 info "$model" --json
python "plan: a file is counted as info counts it" '
import json, sys
plan, info = (json.load(open(p)) for p in sys.argv[1:])
for key in ("parameters", "family", "layers", "width", "heads", "kv_heads", "feed_forward", "vocab_size", "context"):
    assert plan[key] == info[key], key
assert plan["counted"] == "tensors"
' "$work/plan.json" "$out"
mkdir "$work/alone"
cp "$data/../golden/qwen3/config.json" "$work/alone"
expect 0 plan "$work/alone/config.json" --json
cp "$out" "$work/plan.json"
expect 0 plan "$data/../golden/qwen3" --json
python "plan: a config.json alone gives what the tensors give" '
import json, sys
alone, folder = (json.load(open(p)) for p in sys.argv[1:])
assert (alone.pop("counted"), folder.pop("counted")) == ("formula", "tensors")
assert alone == folder
' "$work/plan.json" "$out"

# ---- attention, lens --------------------------------------------------------------------------------------------------

expect 2 attention "$model"
expect 2 attention "$model" -p x --layer -1
expect 2 lens "$model" -p x -k 0
expect 1 attention "$model" -p x --layer 99
holds "which layers there are" grep -q 'no layer 99' "$err"
expect 1 attention "$model" -p x --head 99
expect 1 attention "$model" -p x --svg "$work/nowhere/x.svg"
expect 1 attention "$model" --tokens 99999999
expect 0 attention "$model" -p "$text" --layer 1 --head 2 --json
cp "$out" "$work/head.json"
expect 0 attention "$model" -p "$text" --json -t 1
python "attention: all heads, rows that add up to 1, nothing of the future" '
import json, sys
one, every = (json.load(open(p)) for p in sys.argv[1:])
T = len(one["tokens"])
assert [t["text"] for t in one["tokens"][1:3]] == ["床", "前"], one["tokens"]
assert len(one["attention"]) == 1 and len(every["attention"]) > 8
heads = {(a["layer"], a["head"]): a["weights"] for a in every["attention"]}
assert len(heads) == len(every["attention"])
assert heads[1, 2] == one["attention"][0]["weights"]
for w in heads.values():
    assert len(w) == T and all(len(row) == T for row in w)
    for q, row in enumerate(w):
        assert abs(sum(row) - 1) < 1e-5 and not any(row[q + 1:]), row
' "$work/head.json" "$out"
expect 0 attention "$model" -p "$text" --layer 1 --head 2
holds "attention: a row for each token" test "$(grep -c '[0-9]' "$out")" -ge 5
holds "no colours in a pipe" sh -c '! grep -q "$(printf "\033")" "$1"' - "$out"
cp "$out" "$work/plain"
expect 0 attention "$model" -p "$text" --layer 1 --head 2 --color
holds "colours when asked for" grep -q "$(printf '\033\\[48;2;')" "$out"
python "attention: the columns stand below each other, ideographs being two wide" '
import sys, unicodedata
width = lambda s: sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in s)
lines = open(sys.argv[1], encoding="utf-8").read().split("\n")
head, rows = lines[2], [l for l in lines[3:] if l]
starts = [i for i in range(len(head)) if head[i] != " " and (i == 0 or head[i - 1] == " ")]
places = [width(head[:i]) for i in starts]
for n, row in enumerate(rows):
    cells = row.rstrip().split()[1:]
    assert len(cells) == n + 1, row
    assert width(row.rstrip()) <= places[n] + 4, (row, places)
' "$work/plain"
expect 0 attention "$model" -p "$text" --from '#3' --to '#1' --json
cp "$out" "$work/ranked"
expect 0 attention "$model" -p "$text" --json
python "attention --from --to: the weights of the pictures, the largest first" '
import json, sys
r, every = (json.load(open(p, encoding="utf-8")) for p in sys.argv[1:3])
weights = {(a["layer"], a["head"]): a["weights"] for a in every["attention"]}
assert r["from"] == dict(every["tokens"][3], index=3) and r["to"] == dict(every["tokens"][1], index=1)
assert len(r["heads"]) == len(weights)
assert all(h["weight"] == weights[h["layer"], h["head"]][3][1] for h in r["heads"])
assert all(a["weight"] >= b["weight"] for a, b in zip(r["heads"], r["heads"][1:]))
n = len(every["tokens"])
for h in r["heads"]:
    first = sum(row[0] for row in weights[h["layer"], h["head"]][1:]) / (n - 1)
    assert abs(h["first"] - first) < 1e-5 and h["rests"] == (h["first"] >= 0.9), h' "$work/ranked" "$out"
expect 0 attention "$model" -p "$text" --from '#3' --to '#0'
holds "a warning about the first token" grep -q '^warning: the token looked at is the first one' "$out"
for bad in "--from #1 --to #3" "--from #3 --to #99" "--from #3 --to #x" "--from #3 --to no-such-token"; do
    # shellcheck disable=SC2086
    expect 1 attention "$model" -p "$text" $bad
done
expect 2 attention "$model" -p "$text" --from '#3'
expect 2 attention "$model" -p "$text" --from '#3' --to '#1' --svg "$work/no.svg"
expect 0 attention "$model" -p "$text" --color
expect 0 attention "$model" -p "$text" --layer 0
expect 0 attention "$model" -p 'a<b & "c"' --layer 0 --head 0 --svg "$work/one.svg"
holds "nothing else is printed" test ! -s "$out"
expect 0 attention "$model" -p "$text" --svg "$work/all.svg"
expect 0 lens "$model" -p "$text" --svg "$work/lens.svg"
python "pictures are XML with labels, and fetch nothing" '
import sys, xml.etree.ElementTree as tree
one, every, lens = (tree.parse(p).getroot() for p in sys.argv[1:])
name = "{http://www.w3.org/2000/svg}"
texts = lambda root: ["".join(t.itertext()) for t in root.iter(name + "text")]
assert "<" in "".join(texts(one)) and "&" in "".join(texts(one)), texts(one)
assert sum(t.startswith("head ") for t in texts(every)) >= 8
assert "明月" in texts(lens) and sum(t.startswith("layer ") for t in texts(lens)) >= 4
for root in (one, every, lens):
    assert float(root.get("width")) > 100 and not any("href" in k for e in root.iter() for k in e.attrib)
' "$work/one.svg" "$work/all.svg" "$work/lens.svg"

expect 0 lens "$model" -p "$text" -k 3 --json
cp "$out" "$work/lens.json"
expect 0 top "$model" -p "$text" -k 3 --json
python "lens: the last layer is what top says" '
import json, sys
lens, top = (json.load(open(p)) for p in sys.argv[1:])
assert [l["layer"] for l in lens["layers"]] == list(range(len(lens["layers"])))
for layer in lens["layers"]:
    p = [c["probability"] for c in layer["candidates"]]
    assert len(p) == 3 and p == sorted(p, reverse=True) and 0 < sum(p) <= 1
last = lens["layers"][-1]["candidates"]
assert [(c["id"], c["text"]) for c in last] == [(c["id"], c["text"]) for c in top]
assert all(abs(a["probability"] - b["probability"]) < 1e-6 for a, b in zip(last, top))
assert lens["layers"][0]["candidates"] != last
' "$work/lens.json" "$out"
expect 0 lens "$model" -p "$text"
holds "lens: a row for each layer" test "$(grep -c '^ *[0-9]' "$out")" -ge 4

# Adapters: PEFT's logits; several; what is no number belongs to the path.
lora=$data/../adapter
expect 0 top "$data/../golden/qwen3" --tokens 5,6,7 --json
cp "$out" "$work/plain"
expect 0 top "$data/../golden/qwen3" --tokens 5,6,7 --json --lora "$lora/qwen3-a"
holds "top: --lora changes the table" sh -c '! cmp -s "$0" "$1"' "$work/plain" "$out"
cp "$out" "$work/one"
expect 0 top "$data/../golden/qwen3" --tokens 5,6,7 --json --lora "$lora/qwen3-a.gguf=1"
holds "top: --lora reads both layouts" cmp "$work/one" "$out"
expect 0 top "$data/../golden/qwen3" --tokens 5,6,7 --json --lora "$lora/qwen3-a=0" --lora "$lora/qwen3-b=0.0"
holds "top: --lora PATH=0 changes nothing" cmp "$work/plain" "$out"
expect 1 top "$data/../golden/qwen3" --tokens 5,6,7 --lora "$lora/qwen3-a=x"
holds "top: --lora names the path" grep -q 'qwen3-a=x' "$err"
expect 1 run "$data/../golden/qwen3" --tokens 5,6,7 --lora "$lora/mistral-a"
expect 0 eval "$data/../golden/qwen3" --tokens 5,6,7,8,9,10,11,12 --context 8 --json
cp "$out" "$work/plain"
expect 0 eval "$data/../golden/qwen3" --tokens 5,6,7,8,9,10,11,12 --context 8 --json --lora "$lora/qwen3-a"
holds "eval: --lora changes the perplexity" sh -c '! cmp -s "$0" "$1"' "$work/plain" "$out"
expect 0 logits "$data/../golden/qwen3" --tokens 5,6,7 -o "$work/adapted.safetensors" --lora "$lora/qwen3-b"

# ---- Encoder-decoders --------------------------------------------------------------------------------------------------

# Two vocabularies, French words to English ones; tests/data/ctranslate2/expected.txt has what CTranslate2 says.
pair=$data/../ctranslate2/v6-f32
expect 0 translate "$pair" -p "deux trois un" -n 6
holds "translate: the words of CTranslate2" test "$(cat "$out")" = "two two two two two two"
printf 'un\ndeux trois un\n' >"$work/lines"
expect 0 translate "$pair" -f "$work/lines" -n 6
holds "translate: a line for each line" test "$(cat "$out")" = "two two two two two two
two two two two two two"
expect 0 translate "$pair" -p "un" -n 6 --beams 2 --n-best 2 --json
holds "translate: as many hypotheses as asked for" test "$(grep -c '"score"' "$out")" -eq 2
expect 1 translate "$pair" -p "un" --to '<nowhere>'
expect 1 translate "$model" -p "$text"
holds "translate: a decoder is refused" grep -q 'no encoder-decoder' "$err"

# ---- head, neurons, compare, positions ------------------------------------------------------------------------

golden=$data/../golden
expect 0 attention "$model" -p "$text" --layer 1 --head 3 --kv f32 --json
cp "$out" "$work/attention.json"
expect 0 head "$model" -p "$text" --layer 1 --head 3 --json
python "head: each step follows from the one before, the last is what inspect gives" '
import json, math, sys
h, a = (json.load(open(p, encoding="utf-8")) for p in sys.argv[1:])
assert h["tokens"] == a["tokens"] and h["kv_head"] == 0 and abs(h["scale"] - 32 ** -0.5) < 1e-7
n = len(h["tokens"])
for q in range(n):
    for k in range(n):
        assert abs(h["scaled"][q][k] - h["products"][q][k] * h["scale"]) < 1e-9
        assert h["masked"][q][k] == (None if k > q else h["scaled"][q][k])
    up = [0 if x is None else math.exp(x) for x in h["masked"][q]]
    assert all(abs(s - u / sum(up)) < 1e-9 for s, u in zip(h["softmax"][q], up))
    assert abs(sum(h["softmax"][q]) - 1) < 1e-9
    assert all(abs(s - w) < 1e-6 for s, w in zip(h["softmax"][q], a["attention"][0]["weights"][q]))
assert h["softmax_off"] < 1e-6 and h["value_sums_off"] < 1e-5
' "$out" "$work/attention.json"
for family in bert gpt2 mistral qwen3; do # looking both ways, learned positions, a window, norms of heads
    expect 0 head "$golden/$family" --tokens 1,2,3,4,5,6,7,8,9,10 --layer 1 --head 1 --json
    python "head: $family" '
import json, sys
h = json.load(open(sys.argv[1], encoding="utf-8"))
assert h["softmax_off"] < 1e-6 and h["value_sums_off"] < 1e-5, h
assert len(h["products"]) == 10 and all(abs(sum(row) - 1) < 1e-9 for row in h["softmax"])
' "$out"
done
expect 0 head "$model" -p "$text" --query '#1'
holds "head: what lies behind is masked" grep -q -- '-inf    0.000000' "$out"
expect 1 head "$model" -p "$text" --layer 4
holds "head: which layers there are" grep -q 'no layer 4' "$err"
expect 1 head "$model" -p "$text" --head 8
expect 1 head "$model" -p "$text" --query no-such-token

expect 0 neurons "$model" -p "$text" -n 5 --json
python "neurons: the strongest first, of the whole width" '
import json, sys
r = json.load(open(sys.argv[1], encoding="utf-8"))
assert r["width"] == 512 and [t["text"] for t in r["tokens"][1:3]] == ["床", "前"]
for t in r["tokens"]:
    v = [abs(n["value"]) for n in t["neurons"]]
    assert len(v) == 5 and v == sorted(v, reverse=True) and v[-1] > 0
    assert len({(n["layer"], n["neuron"]) for n in t["neurons"]}) == 5
    assert all(0 <= n["layer"] < 4 and 0 <= n["neuron"] < 512 for n in t["neurons"])
' "$out"
cp "$out" "$work/neurons.json"
expect 0 neurons "$model" -p "$text" -n 2048 --layer 2 --json
python "neurons: one layer holds what all show of it" '
import json, sys
one, every = (json.load(open(p, encoding="utf-8")) for p in sys.argv[1:])
for a, b in zip(one["tokens"], every["tokens"]):
    assert {n["layer"] for n in a["neurons"]} == {2}
    held = {n["neuron"]: n["value"] for n in a["neurons"]}
    assert all(held[n["neuron"]] == n["value"] for n in b["neurons"] if n["layer"] == 2)
' "$out" "$work/neurons.json"
expect 0 neurons "$golden/bert" --tokens 1,2,3
expect 1 neurons "$model" -p "$text" --layer 4
expect 2 neurons "$model" -p "$text" -n 0

expect 0 compare "$model" -p 床前明月光 -p 举头望明月 --token 明月 --json
python "compare: one row, two contexts" '
import json, sys
r = json.load(open(sys.argv[1], encoding="utf-8"))
a, b = r["places"]
assert a["token"] == b["token"] == "明月" and a["id"] == b["id"] and (a["index"], b["index"]) == (3, 4)
first, query, placed, *layers = r["stages"]
assert first["identical"] and query["identical"] and not placed["identical"]
assert [s["layer"] for s in layers] == [0, 1, 2, 3] and all(0 < s["cosine"] < 0.99 for s in layers)
assert r["verdict"].startswith("rotary positions")
' "$out"
expect 0 compare "$model" -p 床前明月 -p 床前明月光 --token 明月 --json
python "compare: what comes behind changes nothing" '
import json, sys
assert all(s["identical"] for s in json.load(open(sys.argv[1], encoding="utf-8"))["stages"])' "$out"
expect 0 compare "$golden/bert" -p "a b a" --token a --json
python "compare: a position that is added" '
import json, sys
r = json.load(open(sys.argv[1], encoding="utf-8"))
assert r["places"][0]["id"] == r["places"][1]["id"] and not r["stages"][0]["identical"]
assert r["verdict"].endswith("after the position is added")' "$out"
expect 0 compare "$model" -p 明月光，疑是明月 --token 明月
holds "compare: two places of one text" grep -q '^second: token 6' "$out"
expect 1 compare "$model" -p 床前明月光 --token 明月
expect 1 compare "$model" -p 床前明月光 -p 举头望 --token 明月
expect 2 compare "$model" -p a -p b -p c --token a
expect 2 compare "$model" -p a -p b

expect 0 positions "$model" --json
python "positions: rotary frequencies as in the paper" '
import json, math, sys
r = json.load(open(sys.argv[1], encoding="utf-8"))
assert r["kind"] == "rotary" and r["positions"] == 256 and len(r["frequencies"]) == 16
for i, (f, w) in enumerate(zip(r["frequencies"], r["wavelengths"])):
    assert abs(f / 10000 ** (-i / 16) - 1) < 1e-6 and abs(w * f / (2 * math.pi) - 1) < 1e-9' "$out"
expect 0 positions "$golden/bert" -n 3 --json
python "positions: rows that are added" '
import json, sys
r = json.load(open(sys.argv[1], encoding="utf-8"))
assert r["kind"] == "added" and len(r["rows"]) == 3 and len(r["rows"][0]) == 48
assert r["rows"][0] != r["rows"][1]' "$out"
expect 0 positions "$model" -n 32 --svg "$work/rotary.svg"
expect 0 positions "$golden/gpt2" -n 8 --svg "$work/added.svg"
python "positions: the pictures are XML with a cell for each number" '
import sys, xml.etree.ElementTree as tree
for path, rows in ((sys.argv[1], 32), (sys.argv[2], 8)):
    root = tree.parse(path).getroot()
    cells = [e for e in root.iter() if e.tag.endswith("title") and "position " in "".join(e.itertext())]
    assert len(cells) >= rows * 16, len(cells)' "$work/rotary.svg" "$work/added.svg"
expect 1 positions "$model" --layer 4
expect 1 positions "$model" --svg "$work/nowhere/x.svg"

[ $failures -eq 0 ]
