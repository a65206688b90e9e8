#!/usr/bin/env python3
"""Compares normalising with tokenizers and sentencepiece: the normal form's bytes, and the characters each came from.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    TFM_LIBRARY=build/dev/libtfm.so PYTHONPATH=bindings/python/src python3 tests/compare_normalizers.py [-n TEXTS] [-s SEED] [--all]

Every normalizer stands in a tokenizer whose tokens are single bytes, so that ids are the normal form and offsets say where
each byte came from. SentencePiece models are trained here, one for each set of rules. Texts are random strings of
characters that are hard for some step: marks in any order, what decomposes or composes, Hangul, clusters, white space,
controls. --all: also every code point alone and between marks. Every difference is printed; the exit status says whether
there was one.
"""
import argparse
import os
import random
import sys
import tempfile
import unicodedata

import sentencepiece
from tokenizers import Regex, Tokenizer, models, normalizers as n, pre_tokenizers

import tfm

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
MARKS = [c for c in CODES if unicodedata.combining(chr(c))]
POOLS = [range(0x20, 0x7F), b" '`aeiou", [c for c in CODES if unicodedata.decomposition(chr(c))], MARKS, MARKS,
         range(0x300, 0x315), [c for c in CODES if chr(c).lower() != chr(c)], range(0x1100, 0x1200), range(0xAC00, 0xAE00),
         range(0x4E00, 0x4E20), range(0xA0, 0x180), range(0x1E00, 0x2000), CODES,
         [9, 10, 13, 0, 1, 0x1F, 0x85, 0xA0, 0x130, 0x3A3, 0x344, 0xF73, 0x2028, 0x200B, 0x2581, 0x3000, 0xFEFF, 0xFFFD],
         [0x9C7, 0x9BE, 0x9D7, 0xB47, 0xB3E, 0xDD9, 0xDCF, 0xDCA, 0x915, 0x94D, 0x930, 0x93C, 0x1D15F, 0x1D165, 0xFF76, 0xFF9E],
         [0x200C, 0x200D, 0x600, 0x1F1E6, 0x1F1E7, 0x1F468, 0x1F3FB, 0x2764, 0xFE0F, 0xFB01, 0xFDFA, 0x2122, 0x1E, 0xE33]]
MARK = "\u2581"
NORMALIZERS = {
    "NFC": n.NFC(), "NFD": n.NFD(), "NFKC": n.NFKC(), "NFKD": n.NFKD(), "Lowercase": n.Lowercase(), "Nmt": n.Nmt(),
    "StripAccents": n.StripAccents(), "Strip": n.Strip(), "Strip left": n.Strip(True, False),
    "Strip right": n.Strip(False, True), "Prepend": n.Prepend(MARK), "Replace": n.Replace("''", '"'),
    "Replace regex": n.Replace(Regex(r"[^\w\s]+"), "<\u00b7>"), "Bert": n.BertNormalizer(),
    "Bert cased": n.BertNormalizer(True, True, False, False), "Bert accents": n.BertNormalizer(False, False, True, False),
    "Llama": n.Sequence([n.Prepend(MARK), n.Replace(" ", MARK)]),
    "Albert": n.Sequence([n.Replace("``", '"'), n.Replace("''", '"'), n.NFKD(), n.StripAccents(), n.Lowercase()]),
    "in a row": n.Sequence([n.Nmt(), n.NFKC(), n.Replace("e", "\u00e9\u00e9"), n.NFD(), n.Prepend("x"), n.NFC(), n.Strip()]),
}


def texts(rng, count, everything):
    for _ in range(count):
        yield "".join(chr(rng.choice(rng.choice(POOLS))) for _ in range(rng.choice([1, 1, 2, 2, 3, 4, 5, 6, 8, 12, 20])))
    if everything:
        for before, behind in (("", ""), ("e\u0301", "\u0316b"), ("\u1100", "\u11a8")):
            yield from (before + chr(c) + behind for c in CODES)


def charsmap(model):
    """The character map in a .model file: field 2 of the message in field 3."""
    def field(data, wanted):
        at = 0
        while at < len(data):
            key, at = number(data, at)
            if key & 7 == 2:
                size, at = number(data, at)
            else:
                size = {5: 4, 1: 8}.get(key & 7) or number(data, at)[1] - at
            if key >> 3 == wanted:
                return data[at:at + size]
            at += size

    def number(data, at):
        value = shift = 0
        while True:
            value |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                return value, at

    with open(model, "rb") as file:
        return field(field(file.read(), 3), 2)


def compare(name, path, reference, inputs):
    ours = tfm.Tokenizer.load(path).encode_batch(inputs, offsets="chars", add_special=False)
    wrong = 0
    for i, text in enumerate(inputs):
        ids, offsets = reference(text)
        got = [int(x) for x in ours[i].ids], [tuple(int(x) for x in o) for o in ours[i].offsets]
        if got != (ids, offsets):
            wrong += 1
            if wrong <= 5:
                print(f"{name}: {text!a}\n  reference {ids} {offsets}\n  tfm       {got[0]} {got[1]}")
    print(f"{name}: {len(inputs)} texts, {wrong} differences", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=2000)
    parser.add_argument("-s", type=int, default=1)
    parser.add_argument("--all", action="store_true")
    args = parser.parse_args()
    rng = random.Random(args.s)
    inputs = [t for t in texts(rng, args.n, args.all)]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        def train(name, **options):
            model = os.path.join(folder, name)
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(["the best of times it was", "the worst of times"] * 50), model_prefix=model,
                vocab_size=320, hard_vocab_limit=False, byte_fallback=True, minloglevel=2, **options)
            return model + ".model"

        rules = {"nmt_nfkc": {}, "nfkc": {"remove_extra_whitespaces": False}, "nmt_nfkc_cf": {"add_dummy_prefix": False},
                 "nfkc_cf": {"treat_whitespace_as_suffix": True}, "identity": {"user_defined_symbols": ["a", "\ufb01"]}}
        for rule, options in rules.items():
            path = train(rule, normalization_rule_name=rule, model_type="bpe", **options)
            if rule != "identity":
                NORMALIZERS["Precompiled " + rule] = n.Precompiled(charsmap(path))
            model = sentencepiece.SentencePieceProcessor(model_file=path)

            def of_model(text):
                found = model.encode(text, return_type="offset_mapping")
                return found["ids"], [tuple(o) for o in found["offsets"]]

            wrong += compare("sentencepiece " + rule, path, of_model, inputs)
        for name, normalizer in NORMALIZERS.items():
            vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
            tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
            tokenizer.normalizer = normalizer
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            path = os.path.join(folder, "tokenizer.json")
            tokenizer.save(path)

            def of_bytes(text):
                found = tokenizer.encode(text, add_special_tokens=False)
                return found.ids, found.offsets

            wrong += compare(name, path, of_bytes, inputs)
    sys.exit(wrong != 0)


main()
