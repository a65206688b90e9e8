#!/usr/bin/env python3
"""Compares tfm with the original tokenizers: ids, offsets, decoded text, streams, bytes that are not UTF-8.

    pip install tiktoken==0.14.0 tokenizers==0.23.3 sentencepiece==0.2.3 transformers==5.24.0
    TFM_LIBRARY=build/dev/libtfm.so PYTHONPATH=bindings/python/src python3 tests/compare_tokenizers.py DATA [options]

DATA is a folder with real vocabularies and texts; what it lacks is passed over, with a line that says so:
    tokenizers/tiktoken/*.tiktoken, encoder.json + vocab.bpe      against tiktoken
    tokenizers/llama3/tokenizer.model                             against tiktoken
    tokenizers/sentencepiece/*.model, llama2, mistral             against sentencepiece
    tokenizers/bert/*vocab.txt                                    against transformers' BertTokenizer
    tokenizers/hf/*/tokenizer.json                                against tokenizers (compare_hf.py)
    tokenizers/gguf-vocab/*.gguf with .inp and .out               against the recorded ids
    tokenizers/vectors-gpt2-cl100k-o200k.json                     against the recorded ids
    corpora/                                                      texts, whole and line by line
Options: -n TEXTS random texts for each tokenizer (100000 is the full proof), -s SEED, -k NAME only what has it in its
name, --gguf FOLDER more vocabularies with .inp and .out, --trained to train SentencePiece models in many configurations.
Each line of the table is a tokenizer: cases, differences. The exit status says whether there was a difference.
"""
import argparse, base64, gzip, glob, json, os, random, shutil, sys, tempfile
import compare_hf

HERE = os.path.dirname(os.path.abspath(__file__))
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
R50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
LLAMA3 = compare_hf.GPT4
RANKS = {"r50k_base": (R50K, {"<|endoftext|>": 50256}), "p50k_base": (R50K, {"<|endoftext|>": 50256}),
         "cl100k_base": (CL100K, {"<|endoftext|>": 100257, "<|fim_prefix|>": 100258, "<|fim_middle|>": 100259,
                                  "<|fim_suffix|>": 100260, "<|endofprompt|>": 100276}),
         "o200k_base": (O200K, {"<|endoftext|>": 199999, "<|endofprompt|>": 200018})}


class Table:
    def __init__(self, shown, only):
        self.shown, self.only, self.total, self.rows = shown, only, 0, 0

    def wants(self, name):
        return self.only in name

    def start(self, name):
        self.name, self.cases, self.bad = name, 0, 0

    def same(self, what, given, ours, theirs):
        self.cases += 1
        if ours == theirs:
            return True
        self.bad += 1
        if self.bad <= self.shown:
            print(f"  {self.name}: {what} of {given!r:.300}\n    tfm      {ours!r:.300}\n    original {theirs!r:.300}", flush=True)
        return False

    def end(self):
        print(f"{self.name:58} {self.cases:9} cases {self.bad:6} differences", flush=True)
        self.total += self.bad
        self.rows += 1


def corpora(data):
    """The texts, each whole, and their lines."""
    for path in sorted(glob.glob(os.path.join(data, "corpora", "**", "*"), recursive=True)):
        if path.endswith(".gz"):
            yield path, gzip.open(path, "rt", encoding="utf8").read()
        elif path.endswith(".json"):
            poems = json.load(open(path, encoding="utf8"))
            yield path, "\n".join(line for poem in poems for line in poem.get("paragraphs", []))
        elif path.endswith(".txt"):
            yield path, open(path, encoding="utf8").read()


def rank_file(path):
    return {base64.b64decode(a): int(b) for a, b in (line.split() for line in open(path, "rb") if line.strip())}


def some_bytes(r):
    """Text with bytes in it that are not UTF-8."""
    text = "".join(r.choice(compare_hf.WORDS) for _ in range(r.randint(0, 5))).encode("utf8")
    bad = r.choice([b"\x80", b"\xc0\xaf", b"\xe0\x80", b"\xed\xa0\x80", b"\xf4\x90", b"\xff", b"\xe4\xb8", b"\xf0\x9f\x98", b"\xec\x8b\xa4\xed"])
    return text + bad + ("".join(r.choice(compare_hf.WORDS) for _ in range(r.randint(0, 3)))).encode("utf8")


def tiktoken_files(table, given):
    import tfm, tiktoken
    found = [(os.path.basename(p)[:-9], p) for p in sorted(glob.glob(os.path.join(given.data, "tokenizers/tiktoken/*.tiktoken")))]
    found += [("llama3", p) for p in glob.glob(os.path.join(given.data, "tokenizers/llama3/tokenizer.model"))]
    for name, path in found:
        if not table.wants("tiktoken " + name):
            continue
        pattern, special = RANKS.get(name, (LLAMA3, {}))
        ranks = rank_file(path)
        if name == "llama3":
            special = {"<|begin_of_text|>": 128000, "<|end_of_text|>": 128001, "<|eot_id|>": 128009}
        theirs = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
        ours = tfm.Tokenizer.load(path, special_tokens=special)
        by_pattern = tfm.Tokenizer.load(path, pattern=pattern + "|\\Z\\A", special_tokens=special) if tfm.capability("pcre2") else None
        table.start("tiktoken " + name)
        r = random.Random(given.s)
        texts = compare_hf.texts(given.s, given.n, list(special))
        for number, text in enumerate(texts):
            ids = theirs.encode_ordinary(text)
            if not table.same("ids", text, ours.encode(text, add_special=False), ids):
                continue
            if by_pattern and number % 8 == 0:
                table.same("ids by the pattern on PCRE2", text, by_pattern.encode(text, add_special=False), ids)
            table.same("ids with special tokens", text, ours.encode(text, add_special=False, parse_special=True),
                       theirs.encode(text, allowed_special="all"))
            back, begins = theirs.decode_with_offsets(ids)
            row = ours.encode(text, offsets="chars", add_special=False)
            table.same("offsets", text, [int(a) for a, _ in row.offsets], begins)
            table.same("text", ids, ours.decode(ids), back)
            cut = r.randrange(len(text) + 1)
            table.same("ids of a text in parts", (text[:cut], text[cut:]), list(ours.encode_iter([text[:cut], text[cut:]], add_special=False)), ids)
            wild = [r.randrange(256) for _ in range(6)]
            table.same("text", wild, ours.decode(wild), theirs.decode(wild))
        for number in range(given.n // 10):
            data = some_bytes(r)
            table.same("ids of bytes", data, ours.encode(data, add_special=False), theirs._encode_bytes(data))
        for place, text in corpora(given.data):
            ids = ours.encode(text, add_special=False)
            table.same("ids of " + os.path.basename(place), place, ids, theirs.encode_ordinary(text))
            table.same("text of " + os.path.basename(place), place, ours.decode(ids), text)
        table.end()


def vectors(table, given):
    import tfm
    path = os.path.join(given.data, "tokenizers/vectors-gpt2-cl100k-o200k.json")
    if not os.path.exists(path):
        return
    recorded = json.load(open(path, encoding="utf8"))
    for name, key in (("r50k_base", "gpt2"), ("cl100k_base", "cl100k_base"), ("o200k_base", "o200k_base")):
        file = os.path.join(given.data, "tokenizers/tiktoken", name + ".tiktoken")
        if not os.path.exists(file) or not table.wants("vectors " + name):
            continue
        ours = tfm.Tokenizer.load(file)
        table.start("vectors " + name)
        for what, case in recorded.items():
            text = case["text"] if "text" in case else "".join(part * count for part, count in [case["text_repeat"]])
            want = case[key]["ids"] if isinstance(case[key], dict) else case[key]
            if isinstance(want, list):
                table.same("ids", what, ours.encode(text, add_special=False), want)
        table.end()


def sentencepiece_file(table, given, name, path):
    import sentencepiece, tfm
    if not table.wants("sentencepiece " + name):
        return
    theirs = sentencepiece.SentencePieceProcessor(model_file=path)
    ours = tfm.Tokenizer.load(path)
    table.start("sentencepiece " + name)
    r = random.Random(given.s)
    for text in compare_hf.texts(given.s, given.n, ["<tool>", "the ", "▁x", "ing"]):
        text = text.replace("\0", "")  # their Python binding ends there in some calls
        ids = theirs.encode(text)
        if table.same("ids", text, ours.encode(text, add_special=False), ids):
            table.same("text", ids, ours.decode(ids), theirs.decode(ids))
            cut = r.randrange(len(text) + 1)
            table.same("ids of a text in parts", (text[:cut], text[cut:]), list(ours.encode_iter([text[:cut], text[cut:]], add_special=False)), ids)
        wild = [r.randrange(theirs.get_piece_size()) for _ in range(r.randint(0, 10))]
        table.same("text", wild, ours.decode(wild), theirs.decode(wild))
    for place, text in corpora(given.data):
        table.same("ids of " + os.path.basename(place), place, ours.encode(text, add_special=False), theirs.encode(text))
        for line in text.split("\n")[:3000] if "tang" in place else text.split("\n"):
            if not table.same("ids of a line of " + os.path.basename(place), line, ours.encode(line, add_special=False), theirs.encode(line)):
                break
    table.end()


def trained_models(table, given):
    """SentencePiece models of every kind, trained on the texts that lie beside this script."""
    import sentencepiece
    user = ["<tool>", "the ", "▁x", "ing"]
    kinds = {"unigram": {}, "unigram bytes": dict(byte_fallback=True), "unigram user": dict(user_defined_symbols=user),
             "unigram suffix": dict(treat_whitespace_as_suffix=True), "unigram no prefix": dict(add_dummy_prefix=False),
             "unigram all spaces": dict(remove_extra_whitespaces=False), "unigram identity": dict(normalization_rule_name="identity"),
             "unigram lower case": dict(normalization_rule_name="nmt_nfkc_cf"), "unigram whole": dict(split_by_whitespace=False),
             "bpe": dict(model_type="bpe"), "bpe bytes": dict(model_type="bpe", byte_fallback=True, split_digits=True),
             "bpe user": dict(model_type="bpe", user_defined_symbols=user), "bpe suffix": dict(model_type="bpe", treat_whitespace_as_suffix=True),
             "bpe whole": dict(model_type="bpe", split_by_whitespace=False),
             "bpe llama": dict(model_type="bpe", normalization_rule_name="identity", remove_extra_whitespaces=False, byte_fallback=True),
             "char": dict(model_type="char", user_defined_symbols=["<tool>"]), "word": dict(model_type="word")}
    with tempfile.TemporaryDirectory() as folder:
        for name, how in kinds.items():
            if not table.wants("sentencepiece trained " + name):
                continue
            prefix = os.path.join(folder, name.replace(" ", "_"))
            sentencepiece.SentencePieceTrainer.train(
                input=",".join(os.path.join(HERE, "data", "tokenizer", f) for f in ("corpus.txt", "training.txt")), model_prefix=prefix,
                vocab_size=700, character_coverage=0.98, minloglevel=2, hard_vocab_limit=False, **how)
            sentencepiece_file(table, given, "trained " + name, prefix + ".model")


def bert_files(table, given):
    import tfm
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import BertTokenizer
    for path in sorted(glob.glob(os.path.join(given.data, "tokenizers/bert/*vocab.txt"))):
        name = "bert " + os.path.basename(path)
        if not table.wants(name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(path, os.path.join(folder, "vocab.txt"))
            theirs = BertTokenizer.from_pretrained(folder)
        ours = tfm.Tokenizer.load(path)
        table.start(name)
        texts = compare_hf.texts(given.s, min(given.n, 20000), ["[MASK]", "[CLS]", "unbelievable", "tokenization", "x" * 101])
        for number, text in enumerate(texts):
            pair = texts[-1 - number] or None if number % 3 == 0 else None
            want = theirs(text, pair, return_offsets_mapping=theirs.is_fast) if pair else theirs(text, return_offsets_mapping=theirs.is_fast)
            row = ours.encode(text, pair, offsets="chars", parse_special=True)
            if table.same("ids", (text, pair), row.tolist(), want["input_ids"]):
                table.same("type ids", (text, pair), [int(t) for t in row.type_ids], want["token_type_ids"])
                if theirs.is_fast:
                    table.same("offsets", (text, pair), [tuple(map(int, o)) for o in row.offsets], want["offset_mapping"])
                table.same("text", want["input_ids"], ours.decode(want["input_ids"]),
                           theirs.decode(want["input_ids"], skip_special_tokens=True, clean_up_tokenization_spaces=False))
        table.end()


def json_files(table, given):
    from tokenizers import Tokenizer
    for path in sorted(glob.glob(os.path.join(given.data, "tokenizers/hf/*/tokenizer.json"))):
        name = "tokenizers " + os.path.basename(os.path.dirname(path))
        theirs = compare_hf.reference(Tokenizer.from_file, path)
        if not table.wants(name) or theirs is None:
            continue
        check = compare_hf.Check(table.shown)
        compare_hf.compare(check, name, theirs, open(path, "rb").read(), given.n, given.s)
        import tfm
        ours = tfm.Tokenizer.load(path)
        theirs.encode_special_tokens = True
        for place, text in corpora(given.data):
            check.same(name, "ids of " + os.path.basename(place), place, ours.encode(text, offsets="chars").tolist(), theirs.encode(text).ids)
            lines = text.split("\n")[:2000]
            for line, want in zip(lines, theirs.encode_batch(lines)):
                row = ours.encode(line, offsets="chars")
                check.same(name, "ids of a line of " + os.path.basename(place), line, row.tolist(), want.ids)
                check.same(name, "offsets of a line", line, [tuple(map(int, o)) for o in row.offsets], [tuple(o) for o in want.offsets])
        table.start(name)
        table.cases, table.bad = check.compared, check.differences
        table.end()


def gguf_files(table, given):
    import tfm
    for folder in [os.path.join(given.data, "tokenizers/gguf-vocab")] + given.gguf:
        for path in sorted(glob.glob(os.path.join(folder, "*.gguf"))):
            name = "gguf " + os.path.basename(path)[:-5]
            if not os.path.exists(path + ".inp") or not table.wants(name):
                continue
            table.start(name)
            try:
                ours = tfm.Tokenizer.load(path)
            except tfm.TfmError as why:
                print(f"{name}: {why}")
                continue
            texts = open(path + ".inp", encoding="utf8").read().split("\n__ggml_vocab_test__\n")
            for text, ids in zip(texts, open(path + ".out").read().split("\n")):
                table.same("ids", text, ours.encode(text, add_special=False), [int(i) for i in ids.split()])
            table.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("-s", type=int, default=1)
    parser.add_argument("-d", type=int, default=5, help="differences shown for each tokenizer")
    parser.add_argument("-k", default="")
    parser.add_argument("--gguf", action="append", default=[])
    parser.add_argument("--trained", action="store_true")
    given = parser.parse_args()
    table = Table(given.d, given.k)
    vectors(table, given)
    gguf_files(table, given)
    tiktoken_files(table, given)
    for path in sorted(glob.glob(os.path.join(given.data, "tokenizers/sentencepiece/*.model")) + glob.glob(os.path.join(given.data, "tokenizers/llama2/*.model")) +
                       glob.glob(os.path.join(given.data, "tokenizers/mistral/*.model*"))):
        sentencepiece_file(table, given, os.path.basename(os.path.dirname(path)) + "/" + os.path.basename(path), path)
    if given.trained:
        trained_models(table, given)
    bert_files(table, given)
    json_files(table, given)
    print(f"{table.rows} tokenizers, {table.total} differences")
    return 1 if table.total or not table.rows else 0


if __name__ == "__main__":
    sys.exit(main())
