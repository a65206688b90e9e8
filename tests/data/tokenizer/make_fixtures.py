#!/usr/bin/env python3
"""Makes the tokenizers of this folder and the ids that the reference implementations give (cases.txt).

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 tiktoken==0.14.0
    python3 make_fixtures.py

Trained on corpus.txt: lines of works in the public domain and a few written for this purpose. cases.txt has one case a
line: file, pattern or -, parse_special, add (- or b: with what the file puts around a text), text in hex, ids, and where
it is recorded = and the text that the ids decode to, in hex.
"""
import base64, io, json, os, random, struct
import sentencepiece as spm
import tiktoken
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = open(os.path.join(HERE, "corpus.txt"), encoding="utf8").read().split("\n")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
OLD = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)"
       r"|\s+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASE = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"


def o200k(suffix, digits):
    start = r"[^\r\n\p{L}\p{N}]?"
    return (start + UPPER + "*" + LOWER + "+" + suffix + "|" + start + UPPER + "+" + LOWER + "*" + suffix + "|" + digits
            + r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
          r"|\s+(?!\S)|\s")
R50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
DEEPSEEK = ["\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
            "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"]

WORDS = ["hello", "Hello", "WORLD", "don't", "I'M", "'s", "'S", "'ll", "'LL", "'\u017f", "'re", "''s", " 's", "123",
         "1234567", "  ", "   ", "\n", "\r\n", "\n\n", "\t", "a//\n/b", "HTTPServer", "iPhone", "AB中C", "床前明月光",
         "古池や", "カタカナ", "한국어", "नमस्ते", "é", "e\u0301", "\u0301", "ǅ", "ʰ", "ⅷ", "½", "²", "٣", "ß", "▁", "▁▁",
         "<0x0A>", "<s>", "</s>", "<unk>", "<|end|>", "<mask>", " <mask> ", "<tool>", "word", "\U0001fae8", "\u200b",
         "\ufeff", "\x00", "\ufffd", "$", "...", "—", "the best of", " times", "earth", "  \r\n\t\r\n  y", "\u3000", "\xa0",
         "ﬁ", "①", "가", "\u1100\u1161\u11a8", "x  y", "Ａ"]


def texts(seed, n):
    r = random.Random(seed)
    out = ["", " ", "  a", "Once upon a time", CORPUS[0], CORPUS[20], " ".join(WORDS), "".join(WORDS)]
    while len(out) < n:
        out.append("".join(r.choice(WORDS) if r.random() < .6 else chr(r.choice([r.randint(32, 126), r.randint(0xa0, 0x24f),
                           r.randint(0x300, 0x52f), r.randint(0x2000, 0x206f), r.randint(0x4e00, 0x4e40)]))
                           for _ in range(r.randint(1, 14))))
    return out


CASES = []


COUNTS = {}


def case(name, text, ids, pattern="-", special=0, add="-", decode=None):
    data = text if isinstance(text, bytes) else text.encode("utf8")
    decoded = "-"
    COUNTS[name] = COUNTS.get(name, 0) + 1
    if decode and COUNTS[name] <= 30:
        back = decode(list(ids))
        decoded = "-" if "\ufffd" in back else "=" + back.encode("utf8").hex()  # ill-formed parts have a rule of our own
    CASES.append("\t".join([name, pattern, str(special), add, data.hex(), " ".join(map(str, ids)), decoded]))


def save(name, data):
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(data)


def byte_level(name, pre, special, size=420, n=60, normalizer=None, ignore_merges=False, template=True, prefix=False):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.pre_tokenizer = pre
    if normalizer:
        t.normalizer = normalizer
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=size, special_tokens=[s for s in special],
                          initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    if template:
        t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", t.token_to_id("<s>"))])])
    if n:
        finish(name, t, n)
    return t


def finish(name, t, n):
    save(name, json.dumps(json.loads(t.to_str()), ensure_ascii=False, separators=(",", ":")).encode("utf8"))
    # the reference decodes a normalized special token to its normal form, and then does not know it as special
    back = None if any(a["special"] and a["normalized"] for a in json.loads(t.to_str())["added_tokens"]) else t.decode
    for special in (0, 1):
        t.encode_special_tokens = not special
        for x in texts(special + len(name), n // 2):
            case(name, x, t.encode(x, add_special_tokens=False).ids, special=special, decode=back)
            case(name, x, t.encode(x).ids, special=special, add="b") if len(x) < 9 else None


SPECIALS = ["<s>", "</s>", "<|end|>"]


def bl(**k):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, **k)


def split(*regexes):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r), "isolated") for r in regexes] + [bl(use_regex=False)])


def marks(name, n=60):
    """Llama-2's and Gemma's way: characters, U+2581 for spaces, byte tokens."""
    t = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=620, limit_alphabet=90, show_progress=False,
                          special_tokens=["<unk>", "<s>", "</s>"] + ["<0x%02X>" % i for i in range(256)]))
    j = json.loads(t.to_str())
    j["added_tokens"] = [a for a in j["added_tokens"] if not a["content"].startswith("<0x")]
    sequence = {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    forms = {
        "marks-prepend.json": ({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]}, None,
                               sequence, True),
        "marks-gemma.json": (replace, {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                                       "invert": False},
                             {"type": "Sequence", "decoders": sequence["decoders"][:3]}, False),
        "marks-first.json": (None, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
                             {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}, False),
        "marks-split.json": (None, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
                             sequence, False),
    }
    for file, (normalizer, pre, decoder, normalized) in forms.items():
        k = json.loads(json.dumps(j))
        k["normalizer"], k["pre_tokenizer"], k["decoder"] = normalizer, pre, decoder
        for a in k["added_tokens"]:
            a["normalized"] = normalized and a["content"] == "<s>"
        if file == "marks-split.json":  # no byte tokens: unknown characters
            k["model"]["byte_fallback"] = False
        k["post_processor"] = json.loads(Tokenizer.from_str(json.dumps(k)).to_str())["post_processor"]
        u = Tokenizer.from_str(json.dumps(k))
        if file == "marks-prepend.json":
            u.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
        finish(file, u, n)


def added(name):
    t = byte_level(name, bl(), SPECIALS, 330, 0, normalizer=normalizers.NFC(), template=False)
    t.add_tokens([AddedToken("<tool>", rstrip=True, normalized=False), AddedToken("word", single_word=True),
                  AddedToken("e\u0301té", normalized=True), AddedToken("<|e", normalized=False)])
    t.add_special_tokens([AddedToken("<mask>", lstrip=True, rstrip=False, normalized=False)])
    finish(name, t, 90)


def gguf_text(s):
    b = s if isinstance(s, bytes) else s.encode("utf8")
    return struct.pack("<Q", len(b)) + b


def gguf(name, values):
    out = io.BytesIO()
    out.write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(values)))
    for key, (kind, value) in values.items():
        out.write(gguf_text(key))
        if kind == "text":
            out.write(struct.pack("<I", 8) + gguf_text(value))
        elif kind == "bool":
            out.write(struct.pack("<IB", 7, value))
        elif kind == "u32":
            out.write(struct.pack("<II", 4, value))
        elif kind == "texts":
            out.write(struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(gguf_text, value)))
        elif kind == "f32s":
            out.write(struct.pack("<IIQ", 9, 6, len(value)) + struct.pack("<%df" % len(value), *value))
        elif kind == "i32s":
            out.write(struct.pack("<IIQ", 9, 5, len(value)) + struct.pack("<%di" % len(value), *value))
    save(name, out.getvalue())


def sentencepieces():
    out = {}
    common = dict(sentence_iterator=None, model_type="bpe", minloglevel=2, train_extremely_large_corpus=False)
    save("rules.tsv", b"FF21\t41\nFB01\t66 69\n3000\t20\nA0\t20\n2460\t31\n65 301\tE9\nAD\t\n")
    kinds = {
        "spm-llama.model": dict(vocab_size=420, byte_fallback=True, normalization_rule_name="identity",
                                remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, split_digits=True,
                                character_coverage=0.98),
        "spm-rules.model": dict(vocab_size=330, byte_fallback=False, normalization_rule_tsv=os.path.join(HERE, "rules.tsv"),
                                user_defined_symbols=["<tool>", "▁▁", "times", "e\u0301"], character_coverage=0.99),
        "spm-unused.model": dict(vocab_size=430, byte_fallback=True, normalization_rule_name="identity",
                                 remove_extra_whitespaces=False, character_coverage=0.98),
        "spm-suffix.model": dict(vocab_size=300, byte_fallback=False, normalization_rule_name="identity",
                                 treat_whitespace_as_suffix=True, character_coverage=0.98, control_symbols=["<mask>"]),
    }
    for name, options in kinds.items():
        stream = io.BytesIO()
        options = {**common, **options}
        options["sentence_iterator"] = iter(CORPUS)
        spm.SentencePieceTrainer.train(model_writer=stream, **options)
        data = stream.getvalue()
        # the settings name this machine's paths: written anew without them
        data = strip_trainer(data)
        if name == "spm-unused.model":
            data = unused(data)
        save(name, data)
        s = spm.SentencePieceProcessor(model_proto=data)
        out[name] = s
        for x in texts(len(name), 60):
            case(name, x, s.encode(x), decode=s.decode)
        for x in (b"a\xff b\xe4\xbd", b"\xc0\xaf\xed\xa0\x80x", b"\xf4\x90\x80\x80"):
            case(name, x, s.encode(x))
    return out


def unused(data):
    """Every third ordinary piece out of use (type 5): merged to, and taken apart again."""
    out, n = b"", 0
    for number, value, raw in fields(data):
        if number == 1 and all(v == 1 for k, v, _ in fields(value) if k == 3):
            n += 1
            if n % 3 == 0:
                inner = b"".join(r for k, _, r in fields(value) if k != 3) + b"\x18\x05"
                raw = put_varint(10) + put_varint(len(inner)) + inner
        out += raw
    return out


def fields(data):
    at = 0
    while at < len(data):
        start, tag, shift = at, 0, 0
        tag, at = varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            value, at = None, at + 8
        elif wire == 5:
            value, at = None, at + 4
        else:
            n, at = varint(data, at)
            value, at = data[at:at + n], at + n
        yield tag >> 3, value, data[start:at]


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not data[at - 1] & 128:
            return value, at


def put_varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def strip_trainer(data):
    """Leaves of the trainer's and normaliser's settings what encoding needs."""
    keep = {2: {3, 4, 24, 35, 40, 41, 42, 43, 44}, 3: {2, 3, 4, 5}}
    out = b""
    for number, value, raw in fields(data):
        if number in keep:
            inner = b"".join(r for n, _, r in fields(value) if n in keep[number])
            raw = put_varint(number << 3 | 2) + put_varint(len(inner)) + inner
        if number in (1, 2, 3):
            out += raw
    return out


def run_c(vocab, scores, text):
    """run.c's encode, as slow as it is there."""
    look = {}
    for i, v in enumerate(vocab):
        look.setdefault(v, i)
    data, ids = text, []
    if data:
        ids.append(look[b" "])
    at = 0
    while at < len(data):
        n = 1
        while n < 4 and at + n < len(data) and data[at + n] & 0xc0 == 0x80:
            n += 1
        piece = data[at:at + n]
        ids += [look[piece]] if piece in look else [b + 3 for b in piece]
        at += n
    while True:
        best, where, to = -1e10, -1, -1
        for i in range(len(ids) - 1):
            j = look.get(vocab[ids[i]] + vocab[ids[i + 1]])
            if j is not None and scores[j] > best:
                best, where, to = scores[j], i, j
        if where < 0:
            return ids
        ids[where:where + 2] = [to]


def converted(llama, gpt2):
    """The same vocabularies in llama2.c's and GGUF's form."""
    n = llama.vocab_size()
    pieces = [llama.id_to_piece(i) for i in range(n)]
    scores = [llama.get_score(i) for i in range(n)]
    kinds = [2 if llama.is_unknown(i) else 3 if llama.is_control(i) else 6 if llama.is_byte(i) else 1 for i in range(n)]
    vocab = [p.replace("▁", " ").encode("utf8") for p in pieces]
    vocab[1], vocab[2] = b"\n<s>\n", b"\n</s>\n"
    save("tokenizer.bin", struct.pack("<I", max(map(len, vocab))) + b"".join(
        struct.pack("<fI", s, len(v)) + v for v, s in zip(vocab, scores)))
    for x in texts(77, 60):
        b = x.encode("utf8").replace(b"\0", b"")
        case("tokenizer.bin", b, run_c(vocab, scores, b))
        case("tokenizer.bin", b, [1] + run_c(vocab, scores, b), add="b")
    for b in (b"a\xff b\xe4\xbd", b"\x80\x80\x80\x80\x80x\xe4\xbd\xa0\x80"):
        case("tokenizer.bin", b, run_c(vocab, scores, b))
    gguf("spm.gguf", {
        "general.architecture": ("text", "llama"), "tokenizer.ggml.model": ("text", "llama"),
        "tokenizer.ggml.tokens": ("texts", pieces), "tokenizer.ggml.scores": ("f32s", scores),
        "tokenizer.ggml.token_type": ("i32s", kinds), "tokenizer.ggml.bos_token_id": ("u32", 1),
        "tokenizer.ggml.eos_token_id": ("u32", 2), "tokenizer.ggml.unknown_token_id": ("u32", 0),
        "tokenizer.ggml.add_bos_token": ("bool", 1), "tokenizer.ggml.add_eos_token": ("bool", 0)})
    for x in texts(78, 60):
        case("spm.gguf", x, llama.encode(x), decode=llama.decode)
        case("spm.gguf", x, [1] + llama.encode(x), add="b") if len(x) < 9 else None
    j = json.loads(gpt2.to_str())
    names = [k for k, _ in sorted(j["model"]["vocab"].items(), key=lambda kv: kv[1])]
    gguf("bpe.gguf", {
        "general.architecture": ("text", "gpt2"), "tokenizer.ggml.model": ("text", "gpt2"),
        "tokenizer.ggml.pre": ("text", "gpt-2"), "tokenizer.ggml.tokens": ("texts", names),
        "tokenizer.ggml.token_type": ("i32s", [3 if s in SPECIALS else 1 for s in names]),
        "tokenizer.ggml.merges": ("texts", [" ".join(m) for m in j["model"]["merges"]]),
        "tokenizer.ggml.bos_token_id": ("u32", 0), "tokenizer.ggml.eos_token_id": ("u32", 1),
        "tokenizer.ggml.eot_token_id": ("u32", 2)})
    for special in (0, 1):
        gpt2.encode_special_tokens = not special
        for x in texts(79 + special, 40):
            case("bpe.gguf", x, gpt2.encode(x, add_special_tokens=False).ids, special=special)


def ranks(gpt2):
    """A rank file: the 256 bytes, then the results of the merges in order."""
    bs = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    cs = bs + [256 + i for i in range(68)]
    bs += [b for b in range(256) if b not in bs]
    alphabet = {chr(c): b for c, b in zip(cs, bs)}
    merges = json.loads(gpt2.to_str())["model"]["merges"]
    tokens = [bytes([b]) for b in bs] + [bytes(alphabet[c] for c in "".join(m)) for m in merges]
    tokens = list(dict.fromkeys(tokens))
    save("ranks.tiktoken", b"".join(base64.b64encode(t) + b" %d\n" % i for i, t in enumerate(tokens)))
    for pattern, regex in (("gpt2", R50K), ("cl100k", CL100K), ("o200k", o200k(CASE, r"\p{N}{1,3}")), ("llama3", LLAMA3)):
        e = tiktoken.Encoding("x", pat_str=regex, mergeable_ranks={t: i for i, t in enumerate(tokens)}, special_tokens={})
        for x in texts(len(pattern), 60):
            case("ranks.tiktoken", x, e.encode_ordinary(x), pattern, decode=e.decode)
        for x in (b"a\xff b\xe4\xbd", b"the best \n \n \xed\xa0\x80x", b"\xff", b"times \xe5\xba"):
            case("ranks.tiktoken", x, e._encode_bytes(x), pattern)


def main():
    gpt2 = byte_level("bl-gpt2.json", bl(), SPECIALS, 500)
    byte_level("bl-prefix.json", pre_tokenizers.ByteLevel(add_prefix_space=True), SPECIALS, 330, 40, template=False)
    byte_level("bl-llama3.json", split(LLAMA3), SPECIALS, ignore_merges=True)
    byte_level("bl-qwen2.json", split(QWEN2), SPECIALS, normalizer=normalizers.NFC(), template=False)
    byte_level("bl-qwen35.json", split(QWEN35), SPECIALS, 330)
    byte_level("bl-old.json", split(OLD), SPECIALS, 330)
    byte_level("bl-o200k.json", split(o200k(CASE, r"\p{N}{1,3}")), SPECIALS)
    byte_level("bl-tekken.json", split(o200k("", r"\p{N}")), SPECIALS, 330)
    byte_level("bl-deepseek.json", split(*DEEPSEEK), SPECIALS, 330)
    byte_level("bl-starcoder.json", pre_tokenizers.Sequence([pre_tokenizers.Digits(True), bl()]), SPECIALS, 330)
    byte_level("bl-falcon.json", pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), bl(),
               pre_tokenizers.Digits(False), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")]), SPECIALS, 330)
    marks("marks")
    added("added.json")
    s = sentencepieces()
    converted(s["spm-llama.model"], gpt2)
    ranks(gpt2)
    save("cases.txt", ("\n".join(CASES) + "\n").encode("utf8"))


main()
