#!/usr/bin/env python3
"""Writes vocab.json + merges.txt (the model of bl-gpt2.json) and vocab.txt (of hf/bert-uncased.json), in the layouts of
GPT-2 and BERT, so that test_tokenizer_vocab.c can hold what they load as against those files.

    python3 make_vocab.py
"""
import json, os

HERE = os.path.dirname(os.path.abspath(__file__))


def model(name):
    with open(os.path.join(HERE, name), encoding="utf8") as file:
        return json.load(file)["model"]


bpe, pieces = model("bl-gpt2.json"), model("hf/bert-uncased.json")
with open(os.path.join(HERE, "vocab.json"), "w", encoding="utf8") as out:
    json.dump(bpe["vocab"], out, ensure_ascii=False, separators=(",", ":"))
with open(os.path.join(HERE, "merges.txt"), "w", encoding="utf8") as out:
    out.write("#version: 0.2\n")
    for merge in bpe["merges"]:
        out.write((merge if isinstance(merge, str) else " ".join(merge)) + "\n")
with open(os.path.join(HERE, "vocab.txt"), "w", encoding="utf8") as out:
    for piece in sorted(pieces["vocab"], key=pieces["vocab"].get):
        out.write(piece + "\n")
