#!/usr/bin/env python3
"""Writes src/tokenizer/train_scripts.c: the scripts of code points as sentencepiece's trainer knows them.

    python3 tools/unicode/make_spm_scripts.py sentencepiece/src/unicode_script_map.h > src/tokenizer/train_scripts.c

The argument is that project's own table (from the Unicode Character Database's Scripts.txt): which version of Unicode it
is of decides which pieces are allowed, so it is taken from there. Hiragana and Katakana (with U+30FC) count as Han.
"""

import re
import sys

HEAD = """/* train_scripts.c - the scripts of code points, as sentencepiece's trainer knows them: which of them may stand together in
 * a piece. Called by train_spm.c.
 *
 * Written by tools/unicode/make_spm_scripts.py from the data of sentencepiece 0.2.3, whose version of Unicode is thereby
 * that of the pieces. An entry is the first code point of a run << 8 | a number for its script: 0 Common, 1 Inherited,
 * 2 Han, Hiragana or Katakana, from 3 on the others in the order of their first code points. */
#include "tokenizer/train.h"

static const uint32_t runs[] = {
"""
TAIL = """};

int tfm__train_script(uint32_t code) {
    size_t low = 0, high = TFM__COUNT(runs); /* runs[low] begins at or before code, runs[high] behind it */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (runs[middle] >> 8 <= code)
            low = middle;
        else
            high = middle;
    }
    return (int)(runs[low] & 255);
}
"""


def main():
    script, text = {}, open(sys.argv[1]).read()
    for first, last, name in re.findall(r"c = (0x[0-9A-F]+);\s+c <= (0x[0-9A-F]+);\s+\+\+c\)\s+\(\*smap\)\[c\] = U_(\w+);", text):
        for code in range(int(first, 16), int(last, 16) + 1):
            script[code] = name
    for code, name in re.findall(r"\(\*smap\)\[(0x[0-9A-F]+)\] = U_(\w+);", text):
        script[int(code, 16)] = name
    script[0x30FC] = "Han"
    numbers, runs, before = {"Common": 0, "Inherited": 1, "Han": 2, "Hiragana": 2, "Katakana": 2}, [], None
    for code in range(0x110000):
        number = numbers.setdefault(script.get(code, "Common"), max(numbers.values()) + 1)
        if number != before:
            runs.append(code << 8 | number)
        before = number
    assert max(numbers.values()) < 256
    sys.stdout.write(HEAD)
    for at in range(0, len(runs), 10):
        sys.stdout.write("    " + " ".join(f"0x{run:x}," for run in runs[at:at + 10]) + "\n")
    sys.stdout.write(TAIL)


main()
