#!/usr/bin/env python3
"""Writes normal-cases.txt and normal-map.bin: what tokenizers and sentencepiece make of texts, and where every character
of the result came from.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    python3 make_normal_cases.py

A line of normal-cases.txt: name of the steps (tests/test_tokenizer_normalize.c spells them out), text in hex, normal form
in hex, begin-end in characters of the text for each character of the normal form ("-": none). The texts are made here,
from characters that are hard for some step; the map is compiled by sentencepiece from the rules below.
"""
import os
import random
import sys
import tempfile

import sentencepiece
from tokenizers import Regex, Tokenizer, models, normalizers as n

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = 60  # of each name

# Keys and what they become. Some begin others, some are clusters, some become nothing.
RULES = {"\u2122": "TM", "\x1e": "", "\u00a0": " ", "\u3000": " ", "\ufb01": "fi", "e\u0301": "\u00e9",
         "\u00e9\u0323": "E", "\r": " ", "\n": " ", "\u0e33": "\u0e4d\u0e32", "ab": "X", "abc": "YYY", "A": "a",
         "\U0001f468": "M", "\u0915\u094d": "K", "\u0301": "'", "\u200b": "", "\ufdfa": "a long one", "z": " z ",
         "\u1100\u1161": "\uac00", "\uff76\uff9e": "\u30ac", "\uff76": "\u30ab"}


def fields(data):
    """The fields of a protocol buffer message: number, value."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
        else:
            size = {2: number, 5: lambda: 4, 1: lambda: 8}[key & 7]()
            yield key >> 3, data[at:at + size]
            at += size


def compile_map(folder):
    rules = os.path.join(folder, "rules.tsv")
    with open(rules, "w") as file:
        for key, value in RULES.items():
            file.write(" ".join("%X" % ord(c) for c in key) + "\t" + " ".join("%X" % ord(c) for c in value) + "\n")
    model = os.path.join(folder, "map")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the best of times", "the worst of times"] * 40), model_prefix=model, vocab_size=30,
        model_type="bpe", normalization_rule_tsv=rules, hard_vocab_limit=False, minloglevel=2)
    with open(model + ".model", "rb") as file:
        normalizer_spec = dict(fields(file.read()))[3]
    return dict(fields(normalizer_spec))[2], model + ".model"


MARK = "\u2581"
STEPS = {
    "nfc": n.NFC(), "nfd": n.NFD(), "nfkc": n.NFKC(), "nfkd": n.NFKD(), "lowercase": n.Lowercase(),
    "strip-accents": n.StripAccents(), "nmt": n.Nmt(), "strip": n.Strip(), "strip-left": n.Strip(True, False),
    "strip-right": n.Strip(False, True), "prepend": n.Prepend(MARK), "replace": n.Replace("''", '"'),
    "replace-space": n.Replace(" ", MARK), "remove": n.Replace("a", ""), "byte-level": n.ByteLevel(),
    "bert": n.BertNormalizer(), "bert-cased": n.BertNormalizer(True, True, False, False),
    "bert-accents": n.BertNormalizer(False, False, True, False), "bert-lower": n.BertNormalizer(False, False, False, True),
    "regex-spaces": n.Replace(Regex(r"\s+"), " "), "regex-class": n.Replace(Regex(r"[^\w\s]"), "<\u00b7>"),
    "regex-empty": n.Replace(Regex("a*"), "-"),
    "llama": n.Sequence([n.Prepend(MARK), n.Replace(" ", MARK)]),
    "albert": n.Sequence([n.Replace("``", '"'), n.Replace("''", '"'), n.NFKD(), n.StripAccents(), n.Lowercase()]),
    "all": n.Sequence([n.Nmt(), n.NFKC(), n.Replace("e", "\u00e9\u00e9"), n.NFD(), n.Prepend("x"), n.NFC(), n.Strip(),
                       n.ByteLevel()]),
}
HARD = ["abcABCxyzZ eE", " '`\"-", "  \t\n\r\x0b\x00\x01\x1e\x1f\x7f\x85\xa0\xad", "\u00e9\u00c5\u0130\u0131\u00df\u1e9e\u03a3\u03c2",
        "\u0300\u0301\u0316\u0323\u0327\u0338\u0344\u0345\u0308\u0307", "\u0316\u0301\u0323\u05b0\u0f71\u0f72\u0f73\u302e\U0001d165",
        "\u1100\u1161\u11a8\u11a7\uac00\uac01\ud7a3", "\u4e2d\uf900\u3400\U00020000\U0002b820\U0002b920\U0002f800",
        "\u0915\u094d\u0930\u0958\u093c\u0b47\u0b3e\u0dd9\u0dcf\u0dca", "\ufb01\ufdfa\u2122\u00bd\u2460\uff76\uff9e\u3000\u0e33",
        "\u200b\u200c\u200d\u2028\u2581\ufeff\ufffd", "\U0001f468\U0001f3fb\u2764\ufe0f\U0001f1e6\U0001f1e7",
        "\u1fc2\u1f2a\u1e69\u01d5\u212b\u2126\u0f77\u0374\u037e\u0387", "\u00b2\u00bd\u0600\u111c9\u1cf2\u1734\u08d4\u1ab0\U0001e000\U00011938"]


def texts(seed):
    rng = random.Random(seed)
    out = ["a", " ", "e\u0301", "\u0301", "ab\u0301c", "\r\n", "\u2122\x1eg", "\x1e\u2122g", "\u200ba b", "a  b "]
    while len(out) < CASES:
        some = rng.sample(HARD, rng.choice([1, 2, 2, 3, 4]))
        out.append("".join(rng.choice(rng.choice(some)) for _ in range(rng.choice([1, 2, 3, 4, 6, 9, 14]))))
    return out


def line(name, text, normal, spans):
    spans = " ".join(f"{begin}-{end}" for begin, end in spans) or "-"
    return "\t".join([name, text.encode().hex(), normal.encode().hex() or "-", spans]) + "\n"


def main():
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        charsmap, model = compile_map(folder)
        with open(os.path.join(HERE, "normal-map.bin"), "wb") as file:
            file.write(charsmap)
        steps = dict(STEPS, precompiled=n.Precompiled(charsmap))
        for seed, (name, step) in enumerate(steps.items()):
            # a model that knows nothing gives one unknown token for each character
            tokenizer = Tokenizer(models.BPE(vocab={"?": 0}, merges=[], unk_token="?"))
            tokenizer.normalizer = step
            for text in texts(seed):
                lines.append(line(name, text, step.normalize_str(text), tokenizer.encode(text).offsets))
        for flags in ("111", "000", "101", "011", "110"):
            prefix, extra, escape = (flag == "1" for flag in flags)
            spm = sentencepiece.SentencePieceNormalizer(model_file=model, add_dummy_prefix=prefix, escape_whitespaces=escape,
                                                        remove_extra_whitespaces=extra)
            for text in texts(int(flags, 2) + 100):
                normal, begins = spm.Normalize(text, with_offsets=True)
                lines.append(line("spm-" + flags, text, normal, list(zip(begins, begins[1:])) if normal else []))
    with open(os.path.join(HERE, "normal-cases.txt"), "w") as file:
        file.writelines(lines)
    print(len(lines), "cases", len(charsmap), "bytes of map", file=sys.stderr)


main()
