#!/usr/bin/env python3
"""Trains tokenizers with tfm and with the originals on the same texts and counts the differences: tokens, merges, and the
ids that the saved files give when the originals load them.

    python3 tests/compare_training.py --library build/libtfm.so FILE...      exactness, on the given UTF-8 texts
    python3 tests/compare_training.py --library ... --speed [--mb 100] FILE... also the time beside Hugging Face's

Needs the Python packages tokenizers, tiktoken and sentencepiece. Exit status 1 if there is a difference.
"""

import argparse
import base64
import ctypes
import json
import os
import random
import statistics
import sys
import tempfile
import time
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

JSON, GGUF, TIKTOKEN, MODEL = 1, 2, 3, 4
YES, NO = 1, 2


class Error(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("code", c_int32), ("reserved", c_int32), ("offset", c_uint64),
                ("message", c_char * 512), ("file", c_char * 256), ("tensor", c_char * 128)]


class Options(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("kind", c_int32), ("unit", c_int32), ("vocab_size", c_size_t),
                ("special_tokens", POINTER(c_char_p)), ("special_count", c_size_t), ("invalid_utf8", c_int32),
                ("reserved", c_int32), ("pattern", c_char_p), ("add_prefix_space", c_int32), ("alphabet", c_int32),
                ("initial_alphabet", c_char_p), ("initial_count", c_size_t), ("limit_alphabet", c_size_t),
                ("min_frequency", c_uint64), ("max_token_length", c_size_t), ("user_symbols", POINTER(c_char_p)),
                ("user_count", c_size_t), ("required_chars", c_char_p), ("character_coverage", c_double),
                ("max_piece_length", c_size_t), ("max_sentence_length", c_size_t), ("byte_fallback", c_int32),
                ("add_dummy_prefix", c_int32), ("remove_extra_whitespaces", c_int32), ("split_digits", c_int32),
                ("split_by_number", c_int32), ("split_by_unicode_script", c_int32), ("split_by_whitespace", c_int32),
                ("treat_whitespace_as_suffix", c_int32), ("allow_whitespace_only_pieces", c_int32),
                ("hard_vocab_limit", c_int32), ("pool", c_void_p), ("progress", c_void_p),
                ("progress_user", c_void_p), ("cancel", c_void_p), ("allocator", c_void_p), ("byte_budget", c_uint64)]


class PoolOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("threads", c_uint32), ("reserved", c_uint32), ("parallel_for", c_void_p),
                ("parallel_for_user", c_void_p), ("allocator", c_void_p)]


class TokenizeOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), ("add_bos", c_int32), ("add_eos", c_int32), ("parse_special", c_int32),
                ("invalid_utf8", c_int32), ("special", c_void_p), ("special_count", c_size_t)]


class Tfm:
    def __init__(self, path):
        self.lib = lib = ctypes.CDLL(os.path.abspath(path))
        lib.tfm_tokenizer_train.argtypes = [POINTER(c_char_p), c_size_t, c_void_p, POINTER(c_void_p), c_void_p]
        lib.tfm_tokenizer_save.argtypes = [c_void_p, c_char_p, c_int32, c_void_p]
        lib.tfm_tokenizer_load.argtypes = [c_char_p, c_void_p, POINTER(c_void_p), c_void_p]
        lib.tfm_tokenizer_release.argtypes = [c_void_p]
        lib.tfm_tokenize.argtypes = [c_void_p, c_char_p, c_size_t, c_void_p, c_void_p, c_size_t, POINTER(c_size_t),
                                     c_void_p]
        lib.tfm_pool_create.argtypes = [c_void_p, POINTER(c_void_p), c_void_p]

    def check(self, status, error):
        if status:
            raise RuntimeError(error.message.decode())

    def error(self):
        error = Error()
        error.struct_size = ctypes.sizeof(error)
        return error

    def pool(self, threads):
        options, pool, error = PoolOptions(struct_size=ctypes.sizeof(PoolOptions), threads=threads), c_void_p(), self.error()
        self.check(self.lib.tfm_pool_create(byref(options), byref(pool), byref(error)), error)
        return pool

    def train(self, files, pool=None, special=(), user=(), **fields):
        options = Options(struct_size=ctypes.sizeof(Options))
        for name, value in fields.items():
            setattr(options, name, value)
        special = (c_char_p * max(1, len(special)))(*[s.encode() for s in special]), len(special)
        user = (c_char_p * max(1, len(user)))(*[s.encode() for s in user]), len(user)
        options.special_tokens, options.special_count = special
        options.user_symbols, options.user_count = user
        options.pool = pool
        paths = (c_char_p * len(files))(*[os.fsencode(f) for f in files])
        out, error = c_void_p(), self.error()
        self.check(self.lib.tfm_tokenizer_train(paths, len(files), byref(options), byref(out), byref(error)), error)
        return out

    def save(self, tokenizer, path, format):
        error = self.error()
        self.check(self.lib.tfm_tokenizer_save(tokenizer, os.fsencode(path), format, byref(error)), error)

    def load(self, path):
        out, error = c_void_p(), self.error()
        self.check(self.lib.tfm_tokenizer_load(os.fsencode(path), None, byref(out), byref(error)), error)
        return out

    def encode(self, tokenizer, text, special=0):
        data = text.encode()
        options = TokenizeOptions(struct_size=ctypes.sizeof(TokenizeOptions), add_bos=NO, add_eos=NO, parse_special=special)
        ids, count, error = (c_int32 * (len(data) * 4 + 16))(), c_size_t(), self.error()
        self.check(self.lib.tfm_tokenize(tokenizer, data, len(data), byref(options), ids, len(ids), byref(count),
                                         byref(error)), error)
        return ids[:count.value]

    def release(self, tokenizer):
        self.lib.tfm_tokenizer_release(tokenizer)


# ---- Texts to encode ----------------------------------------------------------------------------------------------------


def hard_texts(n, seed):
    chars = ["a", "b", "e", "t", " ", " ", "  ", "\n", "\r\n", "\t", "'s", "'S", "don't", "1", "23", "4567", ".", ",", "()",
             "é", "中", "文", "ひら", "한", "ß", "İ", "ſ", "\u0301", "\u200b", "\u00a0", "\u3000", "🙂", "👨‍👩‍👧", "<s>",
             "the", " and", "ing", "_", "/", "\\", "¼", "١٢", "न", "मस्ते", "ก", "\x00", "\x7f", "\ufeff", "\U0010ffff"]
    rng = random.Random(seed)
    return ["".join(rng.choice(chars) for _ in range(rng.randint(0, 24))) for _ in range(n)]


def pieces_of(files, n, seed):
    rng, out = random.Random(seed), []
    texts = [open(f, encoding="utf-8", newline="").read() for f in files]
    for _ in range(n):
        text = rng.choice(texts)
        at = rng.randrange(max(1, len(text)))
        out.append(text[at:at + rng.randint(1, 400)])
    return out


# ---- Byte-level ---------------------------------------------------------------------------------------------------------

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)"
          r"|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
PATTERNS = {"gpt2": None, "llama3": LLAMA3, "qwen2": QWEN2, "o200k": O200K, "": ""}


def hf_byte_level(files, pattern="gpt2", vocab_size=1000, special=(), min_frequency=0, seen=False, limit=None,
                  max_length=None, prefix_space=False, initial=()):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    tokenizer = Tokenizer(models.BPE())
    regex = PATTERNS.get(pattern, pattern)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space, use_regex=regex is None)
    tokenizer.pre_tokenizer = byte_level if not regex else pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(regex), "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = list(initial) if seen else pre_tokenizers.ByteLevel.alphabet()
    bounds = {k: v for k, v in (("limit_alphabet", limit), ("max_token_length", max_length)) if v is not None}
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=list(special),
                                  initial_alphabet=alphabet, show_progress=False, **bounds)
    tokenizer.train(list(files), trainer)
    return tokenizer


def tfm_byte_level(tfm, files, pool=None, pattern="gpt2", vocab_size=1000, special=(), min_frequency=0, seen=False,
                   limit=None, max_length=None, prefix_space=False, initial=()):
    return tfm.train(files, pool=pool, special=special, pattern=pattern.encode(), vocab_size=vocab_size,
                     min_frequency=min_frequency, alphabet=int(seen), limit_alphabet=limit or 0,
                     max_token_length=max_length or 0, add_prefix_space=YES if prefix_space else 0,
                     initial_alphabet=bytes(map(ord, initial)), initial_count=len(initial))


def differences(ours, theirs):
    """Entries of the vocabulary and places of the list of merges that differ."""
    a, b = ours["model"], theirs["model"]
    merges = [[tuple(m if isinstance(m, list) else m.split(" ")) for m in x["merges"]] for x in (a, b)]
    vocab = sum(1 for k in set(a["vocab"]) | set(b["vocab"]) if a["vocab"].get(k) != b["vocab"].get(k))
    return vocab, abs(len(merges[0]) - len(merges[1])) + sum(x != y for x, y in zip(*merges))


def compare_byte_level(tfm, files, work, texts, pools, report, **how):
    theirs = hf_byte_level(files, **how)
    saved = [os.path.join(work, name) for name in ("tokenizer.json", "tokenizer.gguf", "tokenizer.tiktoken")]
    results = []
    for pool in pools:
        ours = tfm_byte_level(tfm, files, pool=pool, **how)
        tfm.save(ours, saved[0], JSON)
        results.append(open(saved[0], "rb").read())
    vocab, merges = differences(json.loads(results[0]), json.loads(theirs.to_str()))
    report("byte-level", how, "vocabulary", vocab)
    report("byte-level", how, "merges", merges)
    report("byte-level", how, "threads", sum(r != results[0] for r in results))
    encoded = [tfm.encode(ours, t, special=1) for t in texts]
    report("byte-level", how, "ids, Hugging Face's own", sum(theirs.encode(t).ids != e for t, e in zip(texts, encoded)))
    from tokenizers import Tokenizer
    loaded = Tokenizer.from_file(saved[0])
    report("byte-level", how, "ids, tokenizer.json", sum(loaded.encode(t).ids != e for t, e in zip(texts, encoded)))
    if how.get("prefix_space") or how.get("seen"):
        return
    if how.get("pattern", "gpt2") in PATTERNS and how.get("pattern") != "":
        tfm.save(ours, saved[1], GGUF)
        again = tfm.load(saved[1])
        report("byte-level", how, "ids, GGUF read back", sum(tfm.encode(again, t, special=1) != e for t, e in zip(texts, encoded)))
        tfm.release(again)
    if "the" in how.get("special", ()):  # a special token that merging makes too: no rank file can say that
        try:
            tfm.save(ours, saved[2], TIKTOKEN)
            report("byte-level", how, "refused as ranks", 1)
        except RuntimeError:
            pass
        return
    tfm.save(ours, saved[2], TIKTOKEN)
    import tiktoken
    with open(saved[2], "rb") as f:
        ranks = {base64.b64decode(t): int(r) for t, r in (line.split() for line in f)}
    regex = PATTERNS.get(how.get("pattern", "gpt2"), how.get("pattern"))
    gpt2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
    special = {t: i for i, t in enumerate(how.get("special", ()))}
    encoding = tiktoken.Encoding("trained", pat_str=(regex if regex is not None else gpt2) or r"(?s:.+)", mergeable_ranks=ranks,
                                 special_tokens=special)
    report("byte-level", how, "ids, tiktoken",
           sum(encoding.encode(t, allowed_special="all") != e for t, e in zip(texts, encoded)))
    tfm.release(ours)


BYTE_LEVEL = [
    dict(vocab_size=1000),
    dict(vocab_size=3000, special=["<s>", "</s>", "<|end|>"]),
    dict(vocab_size=1000, seen=True, min_frequency=3),
    dict(vocab_size=800, seen=True, limit=40),
    dict(vocab_size=800, seen=True, initial="xyzQ", special=["<s>"]),
    dict(vocab_size=1500, max_length=6),
    dict(vocab_size=1500, max_length=2),
    dict(vocab_size=2000, prefix_space=True),
    dict(vocab_size=2000, pattern="llama3"),
    dict(vocab_size=2000, pattern="qwen2", special=["<|endoftext|>"]),
    dict(vocab_size=2000, pattern="o200k"),
    dict(vocab_size=600, pattern=""),
    dict(vocab_size=600, special=["the", "a", "Ġand", "in"]),
]


# ---- SentencePiece ------------------------------------------------------------------------------------------------------


def spm_model(files, work, **how):
    import sentencepiece
    prefix = os.path.join(work, "theirs")
    sentencepiece.SentencePieceTrainer.train(input=",".join(files), model_prefix=prefix, model_type="bpe",
                                             normalization_rule_name="identity", minloglevel=2, num_threads=2, **how)
    return prefix + ".model"


def tfm_spm(tfm, files, pool=None, control_symbols=(), user_defined_symbols=(), max_sentencepiece_length=0, required_chars="",
            max_sentence_length=0, character_coverage=0.0, vocab_size=8000, **choices):
    return tfm.train(files, pool=pool, kind=1, vocab_size=vocab_size, special=control_symbols, user=user_defined_symbols,
                     max_piece_length=max_sentencepiece_length, max_sentence_length=max_sentence_length,
                     character_coverage=character_coverage, required_chars=required_chars.encode() or None,
                     **{k: YES if v else NO for k, v in choices.items()})


def compare_spm(tfm, files, work, texts, pools, report, **how):
    import sentencepiece
    theirs = sentencepiece.SentencePieceProcessor(model_file=spm_model(files, work, **how))
    saved, results = os.path.join(work, "ours.model"), []
    for pool in pools:
        ours = tfm_spm(tfm, files, pool=pool, **how)
        tfm.save(ours, saved, MODEL)
        results.append(open(saved, "rb").read())
    loaded = sentencepiece.SentencePieceProcessor(model_file=saved)
    size = theirs.get_piece_size()
    pieces = abs(loaded.get_piece_size() - size) + sum(
        (loaded.id_to_piece(i), loaded.get_score(i)) != (theirs.id_to_piece(i), theirs.get_score(i))
        for i in range(min(size, loaded.get_piece_size())))
    report("sentencepiece", how, "pieces and scores", pieces)
    report("sentencepiece", how, "threads", sum(r != results[0] for r in results))
    encoded = [tfm.encode(ours, t) for t in texts]
    report("sentencepiece", how, "ids, sentencepiece's own", sum(theirs.encode(t) != e for t, e in zip(texts, encoded)))
    report("sentencepiece", how, "ids, .model", sum(loaded.encode(t) != e for t, e in zip(texts, encoded)))
    if not how.get("user_defined_symbols") and not how.get("treat_whitespace_as_suffix"):
        from tokenizers import Tokenizer
        path = os.path.join(work, "ours.json")
        tfm.save(ours, path, JSON)
        hf, again = Tokenizer.from_file(path), tfm.load(path)
        plain = [(t, e) for t, e in zip(texts, encoded) if "<s>" not in t]  # special tokens are matched there
        report("sentencepiece", how, "ids, tokenizer.json", sum(hf.encode(t).ids != e for t, e in plain))
        report("sentencepiece", how, "ids, tokenizer.json read back", sum(tfm.encode(again, t) != e for t, e in plain))
        tfm.release(again)
    if how.get("byte_fallback") and how.get("remove_extra_whitespaces") is False:
        path = os.path.join(work, "ours.gguf")
        tfm.save(ours, path, GGUF)
        again = tfm.load(path)
        report("sentencepiece", how, "ids, GGUF read back", sum(tfm.encode(again, t) != e for t, e in zip(texts, encoded)))
        tfm.release(again)
    tfm.release(ours)


SENTENCEPIECE = [
    dict(vocab_size=1000),
    dict(vocab_size=2000, byte_fallback=True, remove_extra_whitespaces=False, split_digits=True),
    dict(vocab_size=1000, control_symbols=["<a>", "<b>"], user_defined_symbols=["the", "ing"]),
    dict(vocab_size=1000, character_coverage=0.98, byte_fallback=True),
    dict(vocab_size=1000, split_by_whitespace=False, max_sentencepiece_length=6),
    dict(vocab_size=1000, treat_whitespace_as_suffix=True),
    dict(vocab_size=1000, allow_whitespace_only_pieces=True, remove_extra_whitespaces=False),
    dict(vocab_size=1000, split_by_unicode_script=False, split_by_number=False, add_dummy_prefix=False),
    dict(vocab_size=1000, max_sentence_length=50),
]


# ---- The run ------------------------------------------------------------------------------------------------------------


def speed(tfm, files, megabytes, runs, vocab_size, threads):
    """Trains on repeated text of the given size with both, in turn."""
    with tempfile.TemporaryDirectory() as work:
        path = os.path.join(work, "text")
        text = b"".join(open(f, "rb").read() for f in files)
        with open(path, "wb") as f:
            for _ in range(max(1, round(megabytes * 1e6 / len(text)))):
                f.write(text)
        size, pool = os.path.getsize(path) / 1e6, tfm.pool(threads)
        os.environ["RAYON_NUM_THREADS"] = str(threads)
        times = {"tfm": [], "tokenizers": []}
        for _ in range(runs):
            start = time.perf_counter()
            tfm.release(tfm_byte_level(tfm, [path], pool=pool, vocab_size=vocab_size))
            times["tfm"].append(time.perf_counter() - start)
            start = time.perf_counter()
            hf_byte_level([path], vocab_size=vocab_size)
            times["tokenizers"].append(time.perf_counter() - start)
        for name, values in times.items():
            print(f"{name:12} {size:.0f} MB to {vocab_size} tokens, {threads} threads: {statistics.median(values):.2f} s "
                  f"(median of {runs})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True)
    parser.add_argument("--texts", type=int, default=2000, help="texts to encode for each configuration")
    parser.add_argument("--vocab-size", type=int, help="one comparison of the merges of this vocabulary, no more")
    parser.add_argument("--more", type=int, default=0, help="tokens more in every vocabulary: for texts of many characters")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--mb", type=float, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    tfm, bad = Tfm(args.library), 0

    def report(kind, how, what, count):
        nonlocal bad
        bad += count
        print(f"{kind} {how}: {what}: {count} differences", flush=True)

    if args.speed:
        speed(tfm, args.files, args.mb, args.runs, args.vocab_size or 50000, args.threads)
        return 0
    with tempfile.TemporaryDirectory() as work:
        texts = hard_texts(args.texts // 2, 1) + pieces_of(args.files, args.texts // 2, 2)
        pools = [None, tfm.pool(2), tfm.pool(5)]
        configurations = [dict(vocab_size=args.vocab_size)] if args.vocab_size else BYTE_LEVEL
        for how in configurations:
            how = {**how, "vocab_size": how["vocab_size"] + args.more}
            compare_byte_level(tfm, args.files, work, texts, pools, report, **how)
        configurations = [dict(vocab_size=args.vocab_size)] if args.vocab_size else SENTENCEPIECE
        texts = [t.replace("\0", "") for t in texts]  # sentencepiece's Python face ends texts there
        for how in configurations:
            how = {**how, "vocab_size": how["vocab_size"] + args.more}
            compare_spm(tfm, args.files, work, texts, pools, report, **how)
    print(f"{bad} differences")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
