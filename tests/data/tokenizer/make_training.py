#!/usr/bin/env python3
"""Writes training.txt, a text to train on, and training.tsv, what the originals learn from it.

    python3 make_training.py        with tokenizers 0.23.3 and sentencepiece 0.2.3, in this folder

training.tsv: a line `name NAME` for each configuration (tests/test_tokenizer_train.c has the same), then `t HEX` for each
token by id (its name in tokenizer.json, or the piece and its score) and `m LEFT RIGHT` for each merge, names in hex.
"""

import os
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
import compare_training as compare

import json

WORDS = """the of and to in a is that it was for on with as at by from river rivers water waters lantern lanterns walking
walked talking talked singing sang stone stones stony bridge bridges over under before behind light lights lighter night
nights nightly harbour harbours ship ships shipping sailor sailors letter letters written writing wrote reader reading
Ünder Fluß Straße schön schöne für über Größe été forêt garçon déjà naïve façade señor año mañana 水 山 月 明月 山水
河 流水 日本 ひかり カタカナ река вода город ночь свет नदी पानी रात φως νύχτα ποτάμι 빛 강물 don't isn't we're I've they'll
O'Neil x86 F1 2024 1999 42 3.14 100,000 0x1F a_b foo() {} [] --- ... :-) naïve e\u0301 \U0001f642 \U0001f30a""".split()


def text():
    rng = random.Random(20240229)
    weights = [1.0 / (i % 37 + 1) for i in range(len(WORDS))]
    out, size = [], 0
    while size < 20000:
        words = rng.choices(WORDS, weights, k=rng.randint(0, 14))
        line = "".join(w + rng.choice([" ", " ", " ", " ", "  ", ", ", ". ", "-", "\t"]) for w in words)
        line = rng.choice(["", "", "", "  ", "\t"]) + line + rng.choice(["", " ", "!", "\r"]) + "\n"
        out.append(line)
        size += len(line.encode())
    return "".join(out)


BYTE_LEVEL = {
    "plain": dict(vocab_size=400),
    "special": dict(vocab_size=420, special=["<s>", "</s>", "<|end of text|>"]),
    "seen": dict(vocab_size=400, seen=True, min_frequency=5),
    "limit": dict(vocab_size=300, seen=True, limit=59),
    "initial": dict(vocab_size=300, seen=True, initial="Qq\u0120"),
    "length": dict(vocab_size=500, max_length=5),
    "prefix": dict(vocab_size=400, prefix_space=True),
    "llama3": dict(vocab_size=400, pattern="llama3"),
    "qwen2": dict(vocab_size=400, pattern="qwen2"),
    "o200k": dict(vocab_size=400, pattern="o200k"),
    "whole": dict(vocab_size=400, pattern=""),
    "twice": dict(vocab_size=400, special=["the", "r", "\u0120of", "in"]),
}
SENTENCEPIECE = {
    "spm": dict(vocab_size=300),
    "spm-fallback": dict(vocab_size=500, byte_fallback=True, remove_extra_whitespaces=False, split_digits=True),
    "spm-symbols": dict(vocab_size=300, control_symbols=["<a>", "</s>"], user_defined_symbols=["the", "ing"]),
    "spm-coverage": dict(vocab_size=450, character_coverage=0.98, byte_fallback=True),
    "spm-required": dict(vocab_size=300, character_coverage=0.99, required_chars="\U0001f30aφ"),
    "spm-sentences": dict(vocab_size=300, split_by_whitespace=False, max_sentencepiece_length=6),
    "spm-suffix": dict(vocab_size=300, treat_whitespace_as_suffix=True),
    "spm-spaces": dict(vocab_size=300, allow_whitespace_only_pieces=True, remove_extra_whitespaces=False),
    "spm-scripts": dict(vocab_size=300, split_by_unicode_script=False, split_by_number=False, add_dummy_prefix=False),
    "spm-short": dict(vocab_size=300, max_sentence_length=60),
}


def main():
    import sentencepiece
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(here, "training.txt")
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(text())
    with open(os.path.join(here, "training.tsv"), "w", encoding="ascii") as out, tempfile.TemporaryDirectory() as work:
        for name, how in BYTE_LEVEL.items():
            model = json.loads(compare.hf_byte_level([path], **how).to_str())["model"]
            print("name", name, file=out)
            for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1]):
                print("t", token.encode().hex(), file=out)
            for left, right in model["merges"]:
                print("m", left.encode().hex(), right.encode().hex(), file=out)
        for name, how in SENTENCEPIECE.items():
            model = sentencepiece.SentencePieceProcessor(model_file=compare.spm_model([path], work, **how))
            print("name", name, file=out)
            for i in range(model.get_piece_size()):
                print("t", model.id_to_piece(i).encode().hex(), "%d" % model.get_score(i), file=out)


main()
