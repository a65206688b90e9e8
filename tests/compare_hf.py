#!/usr/bin/env python3
"""Compares tokenizer.json files with Hugging Face's tokenizers: ids, offsets, type ids, decoded text, streamed text.

    pip install tokenizers==0.23.3
    TFM_LIBRARY=build/dev/libtfm.so PYTHONPATH=bindings/python/src python3 tests/compare_hf.py [-n TEXTS] [-s SEED] [FILE...]
    python3 tests/compare_hf.py --freeze tests/data/tokenizer/hf

FILE: a tokenizer.json or a folder of them; without any, tokenizers of every configuration that the families in use
have are trained on the lines of tests/data/tokenizer/corpus.txt. Texts are random strings weighted to what breaks
tokenizers: white space, apostrophes, case, digits, scripts, marks, special tokens. Every difference is printed; the
exit status says whether there was one. --freeze writes some of the trained tokenizers to a folder, with cases.txt for
test_tokenizer_hf.c: what the reference gives, one case a line, fields separated by tabs,
    E file parse_special add text pair ids char-offsets type-ids text-without-special text-with-special
    D file special ids text
texts in hex, - for no pair.
"""
import argparse, json, os, random, sys
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
os.environ.setdefault("RUST_BACKTRACE", "0")  # a panic of the reference is one line

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = open(os.path.join(HERE, "data", "tokenizer", "corpus.txt"), encoding="utf8").read().split("\n")

WORDS = ["hello", "Hello", "WORLD", "don't", "I'M", "'s", "'S", "'ll", "'LL", "'\u017f", "'re", "''s", " 's", " do not", " n't",
         "123", "1234567", "1,234.5", "  ", "   ", "\n", "\r\n", "\n\n", "\t", "a//\n/b", "HTTPServer", "iPhone", "AB中C", "床前明月光",
         "古池や", "カタカナ", "한국어", "नमस्ते", "สวัสดี", "مَرْحَبًا", "שָׁלוֹם", "é", "e\u0301", "\u0301", "ǅ", "ʰ", "ⅷ", "½", "²", "٣", "ß", "İ",
         "▁", "▁▁", "Ġ", "##", "##a", "</w>", "|", "<0x0A>", "<0xE4>", "<s>", "</s>", "<unk>", "<|end|>", "<mask>", " <mask> ", "<pad>", "[CLS]",
         "[SEP]", "[UNK]", "[MASK]", "<tool>", "a<tool>b", "word", "\U0001fae8", "👩‍👩‍👧", "🏳️‍🌈", "🇩🇪", "\u200b", "\u200d", "\ufeff", "\x00", "\x1f", "\x7f",
         "\x85", "\u2028", "\ufffd", "$", "+", "...", " .", " ?", "—", "„", "the best of", " times", "earth", "  \r\n\t\r\n  y", "\u3000", "\xa0", "ﬁ", "①",
         "가", "\u1100\u1161\u11a8", "x  y", "Ａ", "Å", "ﷺ", "\U0001d400", "\ue000", "\u0378", "𠀀", "㐀"]


def texts(seed, n, extra=()):
    r = random.Random(seed)
    words = WORDS + list(extra) * 2
    out = ["", " ", "  ", "\n", "  a", "Once upon a time", " ".join(WORDS), "".join(WORDS), "a" * 120, "ab " * 60]
    while len(out) < n:
        kind = r.random()
        if kind < .2:
            line = r.choice(CORPUS)
            out.append(line[r.randrange(len(line) + 1):][:r.randint(1, 200)])
        else:
            out.append("".join(r.choice(words) if r.random() < .7 else chr(r.choice(
                [r.randint(32, 126), r.randint(0xa0, 0x24f), r.randint(0x300, 0x52f), r.randint(0x900, 0x97f),
                 r.randint(0x2000, 0x206f), r.randint(0x3040, 0x30ff), r.randint(0x4e00, 0x4e40), r.randint(0x1f300, 0x1f6ff),
                 r.randint(1, 31)])) for _ in range(r.randint(1, 14))))
    return out


class Check:
    def __init__(self, shown):
        self.shown, self.differences, self.compared = shown, 0, 0

    def same(self, name, what, given, ours, theirs):
        self.compared += 1
        if ours == theirs:
            return True
        self.differences += 1
        if self.differences <= self.shown:
            print(f"{name}: {what} of {given!r}\n  tfm        {ours!r}\n  tokenizers {theirs!r}", flush=True)
        return False


def streamed(t, ids, special):
    decoder = t.decoder(special=special)
    parts = [decoder.push(i) for i in ids]
    return "".join(parts) + decoder.finish()


def reference(call, *arguments, **options):
    """What the reference gives, or None where it fails: an exception, or a panic (not an Exception)."""
    try:
        return call(*arguments, **options)
    except BaseException as why:
        if isinstance(why, KeyboardInterrupt):
            raise
        return None


def compare(check, name, theirs, data, n, seed):
    import tfm
    try:
        ours = tfm.Tokenizer.from_bytes(data)
    except tfm.TfmError as why:
        check.differences += 1
        print(f"{name}: {why}", flush=True)
        return
    theirs.no_truncation()
    theirs.no_padding()
    before = check.differences, check.compared
    added = [a["content"] for a in json.loads(data).get("added_tokens") or []]
    r = random.Random(seed)
    some = texts(seed, n, added)
    for number, text in enumerate(some):
        parse, special = number % 2 == 0, number % 3 == 0
        theirs.encode_special_tokens = not parse
        pair = r.choice(some) if number % 5 == 0 else None
        want = reference(theirs.encode, text, pair, add_special_tokens=special)
        try:
            row = ours.encode(text, pair, offsets="chars", add_special=special, parse_special=parse)
            got, where, kinds = row.tolist(), [tuple(x) for x in row.offsets], list(row.type_ids)
            plain = ours.encode(text, add_special=special, parse_special=parse) if pair is None else got
        except tfm.TfmError as why:
            if want is not None:
                check.same(name, "ids", text, str(why), want.ids)
            continue
        if want is None:
            check.same(name, "ids", text, got, "an error")
            continue
        if not check.same(name, "ids", (text, pair), got, want.ids):
            continue
        check.same(name, "ids without offsets", (text, pair), plain, want.ids)
        if pair is None:
            cuts = sorted(r.randrange(len(text) + 1) for _ in range(3)) if len(text) < 2000 else []
            parts = [text[a:b] for a, b in zip([0] + cuts, cuts + [len(text)])]
            check.same(name, "ids of a text in parts", parts, list(ours.encode_iter(parts, add_special=special, parse_special=parse)), want.ids)
        check.same(name, "offsets", (text, pair, list(zip(want.tokens, want.ids))), where, [tuple(o) for o in want.offsets])
        check.same(name, "type ids", (text, pair), kinds, want.type_ids)
        for skip in (True, False):
            back = reference(theirs.decode, want.ids, skip_special_tokens=skip)
            if back is not None:
                check.same(name, "text", want.ids, ours.decode(got, special=not skip), back)
                check.same(name, "streamed text", want.ids, streamed(ours, got, not skip), back)
    size = ours.vocab_size
    bytes_of = [i for i in range(size) if (theirs.id_to_token(i) or "").startswith("<0x")] or [0]
    for number in range(n):
        pool = [r.randrange(size), r.randrange(size), r.choice(bytes_of), r.randrange(min(size, 300)), 0]
        ids = [r.choice(pool) if r.random() < .7 else r.randrange(size) for _ in range(r.randint(0, 12))]
        for skip in (True, False):
            back = reference(theirs.decode, ids, skip_special_tokens=skip)
            if back is not None:
                check.same(name, "text", ids, ours.decode(ids, special=not skip), back)
                check.same(name, "streamed text", ids, streamed(ours, ids, not skip), back)
    print(f"{name}: {check.compared - before[1]} compared, {check.differences - before[0]} differences", flush=True)


# ---- Tokenizers of every configuration ----

GPT4 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = ["\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
            "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]
MARKED = ["<s>", "</s>", "<unk>", "<pad>", "<mask>"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARS = sorted(set("".join(CORPUS)))


def isolated(*patterns):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns] +
                                   [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def train(t, trainer):
    t.train_from_iterator(CORPUS, trainer)
    return t


def bpe(special=MARKED, size=500, alphabet=None, **k):
    return trainers.BpeTrainer(vocab_size=size, special_tokens=list(special), show_progress=False, initial_alphabet=alphabet or [], **k)


def byte_bpe(pre, normalizer=None, post=None, size=450, special=MARKED, **model):
    t = Tokenizer(models.BPE(**model))
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    train(t, bpe(special, size, pre_tokenizers.ByteLevel.alphabet()))
    if post:
        t.post_processor = post(t)
    t.add_tokens(["<tool>", AddedToken("the best", single_word=True), AddedToken("Žluť", normalized=True)])
    t.add_special_tokens([AddedToken("<|end|>", lstrip=True, rstrip=True)])
    return t


def unigram(pre, normalizer=None, decoder=None, post=None, byte_fallback=False, special=MARKED, size=500):
    t = Tokenizer(models.Unigram())
    if normalizer:
        t.normalizer = normalizer
    t.pre_tokenizer = pre
    train(t, trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False))
    if byte_fallback:
        state = json.loads(t.to_str())
        state["model"]["vocab"] += [["<0x%02X>" % i, -20.0 - i / 100] for i in range(256)]
        state["model"]["byte_fallback"] = True
        t = Tokenizer.from_str(json.dumps(state))
    t.decoder = decoder or decoders.Metaspace()
    if post:
        t.post_processor = post(t)
    return t


def llama(t, fallback=True, **model):
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=fallback, fuse_unk=True, **model))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"] + (["<0x%02X>" % i for i in range(256)] if fallback else [])
    train(t, bpe(special, 430 if fallback else 300, CHARS[:60]))
    state = json.loads(t.to_str())
    state["added_tokens"] = state["added_tokens"][:3]
    t = Tokenizer.from_str(json.dumps(state))
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", t.token_to_id("<s>"))])
    return t


def template(single, pair, *names):
    return lambda t: processors.TemplateProcessing(single=single, pair=pair, special_tokens=[(n, t.token_to_id(n)) for n in names])


def wordpiece(lower, decoder=None, **k):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower, **k)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    train(t, trainers.WordPieceTrainer(vocab_size=450, special_tokens=BERT, show_progress=False))
    t.decoder = decoder or decoders.WordPiece()
    t.post_processor = processors.BertProcessing(("[SEP]", t.token_to_id("[SEP]")), ("[CLS]", t.token_to_id("[CLS]")))
    return t


def character_bpe(pre, decoder, normalizer=None, **model):
    t = Tokenizer(models.BPE(unk_token="<unk>", **model))
    t.pre_tokenizer = pre
    if normalizer:
        t.normalizer = normalizer
    k = {x: model[x] for x in ("end_of_word_suffix", "continuing_subword_prefix") if x in model}
    train(t, bpe(size=450, **k))
    t.decoder = decoder
    return t


def wordlevel(pre, decoder=None, normalizer=None):
    t = Tokenizer(models.WordLevel(unk_token="<unk>"))
    t.pre_tokenizer = pre
    if normalizer:
        t.normalizer = normalizer
    train(t, trainers.WordLevelTrainer(vocab_size=400, special_tokens=MARKED, show_progress=False))
    if decoder:
        t.decoder = decoder
    return t


def ctc():
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|"] + sorted(set(c for c in CHARS if c.isalpha())) + ["'"]
    t = Tokenizer(models.WordLevel({c: i for i, c in enumerate(letters)}, unk_token="<unk>"))
    t.normalizer = normalizers.Replace(" ", "|")
    t.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    t.decoder = decoders.CTC()
    t.add_special_tokens(["<pad>", "<s>", "</s>", "<unk>"])
    return t


def configurations(charsmap=None):
    P, N, D, R = pre_tokenizers, normalizers, decoders, processors
    bytes_only = P.ByteLevel(add_prefix_space=False)
    roberta = lambda trim, prefix: lambda t: R.RobertaProcessing(("</s>", t.token_to_id("</s>")), ("<s>", t.token_to_id("<s>")), trim, prefix)
    yield "gpt2", byte_bpe(bytes_only, post=lambda t: R.ByteLevel(trim_offsets=False))
    yield "gpt2 trimmed", byte_bpe(P.ByteLevel(add_prefix_space=True), post=lambda t: R.ByteLevel(trim_offsets=True))
    yield "roberta", byte_bpe(P.ByteLevel(add_prefix_space=False), post=roberta(True, False))
    yield "roberta prefix", byte_bpe(P.ByteLevel(add_prefix_space=True), post=roberta(True, True))
    yield "llama3", byte_bpe(isolated(GPT4), ignore_merges=True, post=lambda t: R.Sequence([R.ByteLevel(trim_offsets=False), template("<s> $A", "<s> $A <s>:1 $B:1", "<s>")(t)]))
    yield "qwen2", byte_bpe(isolated(GPT4.replace("{1,3}", "")), N.NFC(), lambda t: R.ByteLevel(trim_offsets=False))
    yield "deepseek", byte_bpe(isolated(*DEEPSEEK), post=template("<s> $A", "<s> $A <s>:1 $B:1", "<s>"))
    yield "falcon", byte_bpe(P.Sequence([P.Punctuation("contiguous"), bytes_only, P.Digits(False), P.Split(Regex("[0-9][0-9][0-9]"), "isolated")]))
    yield "starcoder", byte_bpe(P.Sequence([P.Digits(True), bytes_only]))
    yield "bytes as normalizer", character_bpe(P.Split("Ġ", "merged_with_next"), D.ByteLevel(), N.Sequence([N.NFC(), N.ByteLevel()]))
    yield "llama2", llama(None)
    yield "llama2 without bytes", llama(None, False)
    gemma = llama(None)
    gemma.normalizer = N.Replace(" ", "▁")
    gemma.pre_tokenizer = P.Split(" ", "merged_with_previous")
    gemma.decoder = D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse()])
    yield "gemma", gemma
    for scheme in ("first", "always", "never"):
        for cut in (True, False):
            t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=cut))
            t.pre_tokenizer, t.decoder = P.Metaspace(prepend_scheme=scheme, split=cut), D.Metaspace(prepend_scheme=scheme, split=cut)
            yield f"metaspace {scheme} {cut}", train(t, bpe())
    t5 = template("$A </s>", "$A </s> $B </s>", "</s>")
    xlmr = template("<s> $A </s>", "<s> $A </s> </s> $B </s>", "<s>", "</s>")
    yield "t5", unigram(P.Metaspace(), post=t5)
    yield "xlm-r", unigram(P.Sequence([P.WhitespaceSplit(), P.Metaspace()]), N.NFKC(), post=xlmr)
    yield "albert", unigram(P.Metaspace(), N.Sequence([N.Replace("``", '"'), N.Replace("''", '"'), N.NFKD(), N.StripAccents(), N.Lowercase()]), post=xlmr)
    if charsmap:
        steps = json.dumps({"type": "Precompiled", "precompiled_charsmap": charsmap})
        for label, pre in (("precompiled", P.Metaspace()), ("precompiled words", P.Sequence([P.WhitespaceSplit(), P.Metaspace()]))):
            state = json.loads(unigram(pre, post=xlmr).to_str())
            state["normalizer"] = {"type": "Sequence", "normalizers": [json.loads(steps), {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}
            yield label, Tokenizer.from_str(json.dumps(state))
    yield "unigram bytes", unigram(P.Metaspace(), byte_fallback=True, decoder=D.Sequence([D.ByteFallback(), D.Metaspace()]))
    yield "unigram bytes whole", unigram(P.Metaspace(split=False, prepend_scheme="first"), byte_fallback=True, decoder=D.Sequence([D.Replace("▁", " "), D.ByteFallback(), D.Fuse(), D.Strip(" ", 1, 0)]))
    yield "unigram nmt", unigram(P.Whitespace(), N.Sequence([N.Nmt(), N.NFKC(), N.Strip()]), decoder=D.Fuse())
    yield "bert uncased", wordpiece(True)
    yield "bert cased", wordpiece(False, strip_accents=False)
    yield "bert accents", wordpiece(False, strip_accents=True, handle_chinese_chars=False, clean_text=False, decoder=D.WordPiece(cleanup=False))
    yield "gpt1", character_bpe(P.BertPreTokenizer(), D.BPEDecoder(), N.BertNormalizer(), end_of_word_suffix="</w>")
    clip = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    clip.normalizer = N.Sequence([N.NFC(), N.Replace(Regex(r"\s+"), " "), N.Lowercase()])
    clip.pre_tokenizer = P.Sequence([P.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
                                     P.ByteLevel(add_prefix_space=False)])
    clip.decoder = D.ByteLevel()
    train(clip, bpe(size=700, alphabet=P.ByteLevel.alphabet(), end_of_word_suffix="</w>"))
    clip.post_processor = roberta(False, False)(clip)
    yield "clip", clip
    clip.pre_tokenizer = P.ByteLevel(add_prefix_space=False)
    clip.normalizer = N.Lowercase()
    yield "suffix behind bytes", clip
    yield "prefixed", character_bpe(P.Whitespace(), D.WordPiece(), continuing_subword_prefix="##")
    yield "prefix and suffix", character_bpe(P.WhitespaceSplit(), D.BPEDecoder(), continuing_subword_prefix="##", end_of_word_suffix="</w>")
    yield "suffix fused", character_bpe(P.WhitespaceSplit(), D.BPEDecoder(), end_of_word_suffix="</w>", fuse_unk=True)
    yield "suffix ignore merges", character_bpe(P.WhitespaceSplit(), D.BPEDecoder(), end_of_word_suffix="</w>", ignore_merges=True)
    yield "words", wordlevel(P.Whitespace())
    yield "words at spaces", wordlevel(P.WhitespaceSplit(), normalizer=N.Sequence([N.NFD(), N.StripAccents(), N.Strip(), N.Lowercase()]))
    yield "words between delimiters", wordlevel(P.CharDelimiterSplit(" "), D.WordPiece(cleanup=True))
    yield "words of fixed length", wordlevel(P.FixedLength(3), D.Fuse())
    yield "words by script", wordlevel(P.Sequence([P.UnicodeScripts(), P.WhitespaceSplit()]))
    yield "words with bytes", wordlevel(bytes_only, D.ByteLevel())
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            yield f"split {behavior} {invert}", wordlevel(P.Split("e", behavior, invert), D.Fuse())
            yield f"regex {behavior} {invert}", wordlevel(P.Split(Regex(r"\s+|[aeo]{2}|$"), behavior, invert))
        yield f"punctuation {behavior}", wordlevel(P.Sequence([P.Punctuation(behavior), P.WhitespaceSplit()]))
    yield "digits", wordlevel(P.Sequence([P.WhitespaceSplit(), P.Digits(False)]))
    yield "ctc", ctc()
    for number in range(12):  # added tokens of every kind, some of them prefixes of others, some in the vocabulary
        r = random.Random(number)
        t = [lambda: wordpiece(True), lambda: byte_bpe(bytes_only), lambda: unigram(P.Metaspace(), N.NFKC()), lambda: llama(None)][number % 4]()
        for token in r.sample(["the", "the best", "best of", "<x>", "<x><y>", "é", "Été", " a", "a ", "İ", "hello", "'s", "▁", "12", "ß", "ﬁ", "中", "the"], 11):
            kind = dict(single_word=r.random() < .4, lstrip=r.random() < .4, rstrip=r.random() < .4, normalized=r.random() < .5)
            (t.add_special_tokens if r.random() < .4 else t.add_tokens)([AddedToken(token, **kind)])
        yield f"added {number}", t
    chains = [D.Sequence([D.WordPiece(), D.Fuse(), D.Replace("a", "bcd")]), D.Sequence([D.Replace(Regex("[ae]"), "E"), D.Strip("E", 1, 1)]),
              D.Sequence([D.Strip("t", 1, 0), D.Metaspace(), D.Replace("e", "")]), D.Sequence([D.Fuse(), D.Replace("aab", "X"), D.Replace("the", "aab")]),
              D.Sequence([D.Fuse(), D.Strip("o", 2, 2), D.CTC(pad_token="a", word_delimiter_token="e")]), D.Sequence([D.Fuse(), D.WordPiece(cleanup=True)]),
              D.Sequence([D.CTC(pad_token="t", word_delimiter_token="e", cleanup=False), D.Metaspace()]), D.Sequence([D.BPEDecoder("e"), D.WordPiece("t")]),
              D.Sequence([D.ByteFallback(), D.WordPiece()]), D.Sequence([D.Replace("Ġ", " "), D.ByteLevel(), D.Strip(" ", 1, 1)]), D.Fuse(), D.Sequence([])]
    for number, chain in enumerate(chains):
        t = llama(None)
        t.decoder = chain
        yield f"chain {number}", t


def charsmap_of(path):
    """The map of the first Precompiled normalizer in a file."""
    if not path:
        return None
    stack = [json.load(open(path, encoding="utf8"))["normalizer"]]
    while stack:
        step = stack.pop()
        if step["type"] == "Precompiled":
            return step["precompiled_charsmap"]
        stack += step.get("normalizers", [])
    raise SystemExit(f"{path} has no Precompiled normalizer")


FROZEN = ["roberta prefix", "bytes as normalizer", "metaspace first True", "t5", "xlm-r", "albert", "unigram bytes", "bert uncased",
          "bert accents", "gpt1", "prefixed", "prefix and suffix", "suffix fused", "suffix ignore merges", "words", "words at spaces",
          "words between delimiters", "words of fixed length", "words by script", "words with bytes", "split removed True",
          "split merged_with_next False", "punctuation contiguous", "digits", "chain 0", "chain 2", "chain 4", "chain 6", "chain 7", "chain 8",
          "chain 9", "added 0", "added 1", "added 4", "added 11"]


def freeze(folder):
    os.makedirs(folder, exist_ok=True)
    lines = []
    for name, t in configurations():
        if name not in FROZEN:
            continue
        file = name.replace(" ", "-") + ".json"
        state = json.loads(t.to_str())
        with open(os.path.join(folder, file), "w", encoding="utf8") as f:
            json.dump(state, f, ensure_ascii=False, separators=(",", ":"))
        t = Tokenizer.from_str(json.dumps(state))
        r, some = random.Random(name), texts(len(name), 36, [a["content"] for a in state["added_tokens"]])
        chained = name.startswith("chain")  # another decoder for the same ids
        some = [x for x in some if len(x) <= 130]
        for number, text in enumerate(some[:8] if chained else some):
            parse, add = number % 2, int(number % 3 == 0)
            t.encode_special_tokens = not parse
            pair = r.choice(some) if number % 5 == 4 and len(text) < 60 else None
            e = reference(t.encode, text, pair, add_special_tokens=bool(add))
            back = [reference(t.decode, e.ids, skip_special_tokens=skip) for skip in (True, False)] if e else [None]
            if None not in back:
                lines.append(["E", file, str(parse), str(add), text.encode("utf8").hex(), "-" if pair is None else pair.encode("utf8").hex(),
                              " ".join(map(str, e.ids)), " ".join("%d:%d" % tuple(o) for o in e.offsets), " ".join(map(str, e.type_ids))] +
                             [b.encode("utf8").hex() for b in back])
        size = t.get_vocab_size()
        marked = [i for i in range(size) if (t.id_to_token(i) or "").startswith("<0x")] or [0]
        for number in range(60 if chained else 12):
            pool = [r.randrange(size), r.randrange(size), r.choice(marked), r.choice(marked), 0]
            ids = [r.choice(pool) if r.random() < .8 else r.randrange(size) for _ in range(r.randint(0, 10))]
            special = number % 2
            back = reference(t.decode, ids, skip_special_tokens=not special)
            if back is not None:
                lines.append(["D", file, str(special), " ".join(map(str, ids)), back.encode("utf8").hex()])
    with open(os.path.join(folder, "cases.txt"), "w") as f:
        f.write("".join("\t".join(line) + "\n" for line in lines))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=200, help="texts for each tokenizer")
    parser.add_argument("-s", type=int, default=1, help="seed")
    parser.add_argument("-d", type=int, default=10, help="differences shown for each tokenizer")
    parser.add_argument("-k", default="", help="only configurations whose name has this in it")
    parser.add_argument("--charsmap", metavar="FILE", help="a tokenizer.json (T5's, say) whose Precompiled normalizer is tried too")
    parser.add_argument("--freeze", metavar="FOLDER", help="write tokenizers and cases instead")
    parser.add_argument("files", nargs="*")
    given = parser.parse_args()
    if given.freeze:
        freeze(given.freeze)
        return 0
    import tfm
    total = 0
    for path in given.files:
        for path in [path] if not os.path.isdir(path) else sorted(os.path.join(f, "tokenizer.json") for f, _, n in os.walk(path) if "tokenizer.json" in n):
            check = Check(given.d)
            theirs = reference(Tokenizer.from_file, path)
            data = open(path, "rb").read()
            if theirs is None:
                try:
                    tfm.Tokenizer.from_bytes(data)
                    check.same(path, "loading", path, "loads", "does not load")
                except tfm.TfmError as why:
                    print(f"{path}: refused by both ({why})")
            else:
                compare(check, path, theirs, data, given.n, given.s)
            total += check.differences
    if not given.files:
        for name, theirs in configurations(charsmap_of(given.charsmap)):
            if given.k in name:
                check = Check(given.d)
                data = theirs.to_str().encode("utf8")
                compare(check, name, Tokenizer.from_str(data.decode("utf8")), data, given.n, given.s)
                total += check.differences
    print(f"{total} differences")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
