#!/usr/bin/env python3
"""How fast byte-level BPE is beside tiktoken and gigatoken: one thread, the same texts, in one run.

    pip install tiktoken gigatoken==0.10.0
    python3 tests/bench_tokenizers.py build/dev/examples/tfm -v cl100k=cl100k_base.tiktoken -v o200k=o200k_base.tiktoken \\
        prose=war-and-peace.txt code=stdlib.txt chinese=tang.txt

The programs take turns, round by round, each time in a new process with a fresh tokenizer: loading, a first pass over the
text, a second pass over the same text, and the ids back to text. Each figure is the median of the rounds, each ratio the
median of the rounds' ratios; machines drift, so that only ratios from one run mean anything. Numbers of tokens are
compared, ids are compared by compare_*.py. A text of 10 MB of the Python standard library: cat its .py files in order of
their names. tiktoken has no cache: its one figure is the best of two passes.
"""
import argparse, json, os, statistics, subprocess, sys, time

ONE_THREAD = dict(os.environ, RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")


def measure_tiktoken(encoding, vocabulary, text):
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe
    from tiktoken_ext import openai_public
    source = {"cl100k": "cl100k_base", "o200k": "o200k_base", "r50k": "r50k_base"}[encoding]
    start = time.perf_counter()
    ranks = load_tiktoken_bpe(vocabulary)
    loading = openai_public.load_tiktoken_bpe
    openai_public.load_tiktoken_bpe = lambda *_, **__: ranks  # the pattern from the package, the ranks from the file
    try:
        settings = getattr(openai_public, source)()
    finally:
        openai_public.load_tiktoken_bpe = loading
    tokenizer = tiktoken.Encoding(**settings)
    load, string, best = time.perf_counter() - start, text.decode(), 1e9
    for _ in range(2):
        start = time.perf_counter()
        ids = tokenizer.encode_ordinary(string)
        best = min(best, time.perf_counter() - start)
    start = time.perf_counter()
    tokenizer.decode_bytes(ids)
    return load, best, best, time.perf_counter() - start, len(ids)


def measure_gigatoken(encoding, vocabulary, text):
    import gigatoken
    start = time.perf_counter()
    tokenizer = gigatoken.Tokenizer.from_tiktoken(vocabulary, pretokenizer=None if "_base" in vocabulary else encoding)
    load, passes = time.perf_counter() - start, []
    for _ in range(2):
        start = time.perf_counter()
        ids = tokenizer.encode(text)
        passes.append(time.perf_counter() - start)
    start = time.perf_counter()
    tokenizer.decode(ids)
    return load, passes[0], passes[1], time.perf_counter() - start, len(ids)


def run_peer(name, encoding, vocabulary, path):
    text = open(path, "rb").read()
    load, first, second, decode, count = globals()[f"measure_{name}"](encoding, vocabulary, text)
    rate = len(text) / 1e6
    print(json.dumps({"first_pass_mb_per_s": rate / first, "second_pass_mb_per_s": rate / second,
                      "decode_mb_per_s": rate / decode, "load_ms": load * 1e3, "tokens": count}))


def run(program, name, encoding, vocabulary, path):
    if name == "tfm":
        command = [program, "tokens", vocabulary, "--bench", "--json", "-f", path]
    else:
        command = [sys.executable, os.path.abspath(__file__), "--peer", name, encoding, vocabulary, path]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=ONE_THREAD).stdout)


def main():
    if sys.argv[1:2] == ["--peer"]:
        return run_peer(*sys.argv[2:6])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", help="the tfm program")
    parser.add_argument("texts", nargs="+", metavar="NAME=FILE")
    parser.add_argument("-v", "--vocabulary", action="append", required=True, metavar="NAME=FILE")
    parser.add_argument("-r", "--rounds", type=int, default=5)
    parser.add_argument("-p", "--peers", default="tiktoken,gigatoken")
    options = parser.parse_args()
    names = ["tfm"] + [peer for peer in options.peers.split(",") if peer]
    keys = ["first_pass_mb_per_s", "second_pass_mb_per_s", "decode_mb_per_s", "load_ms"]
    for vocabulary in options.vocabulary:
        encoding, file = vocabulary.split("=", 1)
        for text in options.texts:
            label, path = text.split("=", 1)
            rounds = []
            for r in range(options.rounds):
                turn = names if r % 2 == 0 else names[::-1]
                rounds.append({name: run(options.program, name, encoding, file, path) for name in turn})
            counts = {r[name]["tokens"] for r in rounds for name in names if "tokens" in r[name]}
            if len(counts) > 1:
                sys.exit(f"{encoding}, {label}: numbers of tokens differ: {counts}")
            for name in names:
                medians = [statistics.median(r[name][key] for r in rounds) for key in keys]
                ratios = [statistics.median(r["tfm"][key] / r[name][key] for r in rounds) for key in keys[:3]]
                print(f"{encoding:7} {label:8} {name:10} first {medians[0]:7.1f}  second {medians[1]:7.1f}  decode "
                      f"{medians[2]:7.1f} MB/s  load {medians[3]:6.1f} ms" +
                      ("" if name == "tfm" else "   tfm is {:.2f} / {:.2f} / {:.2f} times as fast".format(*ratios)),
                      flush=True)


main()
