#!/usr/bin/env python3
"""Writes src/tokenizer/unicode_tables.c: the general category of every code point, as a two-stage table.

The Unicode version is part of a tokenizer's meaning, so the tables are made once, checked in and stamped. Version 16 is
that of the regular expressions of tokenizers 0.23.3 (Oniguruma 6.9.10) and tiktoken 0.14 (regex-syntax 0.8); the
punctuation of tokenizers' pre-tokenizers is that of Unicode 8 (the crate unicode_categories), for which Perl is asked.

    pip install unicodedata2==16.0.0
    python3 tools/unicode/make_tables.py > src/tokenizer/unicode_tables.c
"""
import subprocess

import unicodedata2 as ucd

# The order of enum tfm__category in unicode.h.
CATEGORIES = ["Cn", "Cc", "Cf", "Co", "Cs", "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No",
              "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp"]
# White_Space (PropList.txt); stable since Unicode 6.3.
WHITE_SPACE = ({0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
               | set(range(0x09, 0x0E)) | set(range(0x2000, 0x200B)))
SPACE_BIT = 0x20
WORD_BIT = 0x40
PUNCTUATION_BIT = 0x80
# Alphabetic beyond L, M and Nl (Other_Alphabetic of category So), and Join_Control: with L, M, Nd, Nl and Pc
# they make up the word characters of UTS #18.
OTHER_WORD = ({0x200C, 0x200D} | set(range(0x24B6, 0x24EA)) | set(range(0x1F130, 0x1F14A))
              | set(range(0x1F150, 0x1F16A)) | set(range(0x1F170, 0x1F18A)))
BLOCK = 128
PERL = r'''for my $c (0 .. 0x10ffff) { next if $c >= 0xd800 && $c <= 0xdfff;
           print "$c\n" if chr($c) =~ /\p{Present_In: 8.0}/ }'''
UNICODE_8 = set(map(int, subprocess.run(["perl", "-e", PERL], check=True, capture_output=True, text=True).stdout.split()))
PUNCTUATION_THEN = {0x166D, 0x111C9}  # of another category since
ASCII_PUNCTUATION = set(map(ord, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"))


def flags(cp):
    category = ucd.category(chr(cp))
    value = CATEGORIES.index(category)
    if cp in WHITE_SPACE:
        value |= SPACE_BIT
    if category[0] in "LM" or category in ("Nd", "Nl", "Pc") or cp in OTHER_WORD:
        value |= WORD_BIT
    if (category[0] == "P" and cp in UNICODE_8) or cp in PUNCTUATION_THEN or cp in ASCII_PUNCTUATION:
        value |= PUNCTUATION_BIT
    return value


def rows(values, width):
    for i in range(0, len(values), width):
        yield "    " + ", ".join(str(v) for v in values[i:i + width]) + ","


def main():
    blocks, index, seen = [], [], {}
    for start in range(0, 0x110000, BLOCK):
        block = tuple(flags(cp) for cp in range(start, start + BLOCK))
        if block not in seen:
            seen[block] = len(blocks)
            blocks.append(block)
        index.append(seen[block])
    print(f"/* unicode_tables.c - general categories of Unicode {ucd.unidata_version}. Made by "
          "tools/unicode/make_tables.py; do not edit.\n"
          " *\n"
          " * Two stages: tfm__unicode_index[code point >> 7] names a block of 128 entries; an entry is the category\n"
          " * (enum in unicode.h) plus 0x20 for White_Space, 0x40 for word characters and 0x80 for the\n"
          " * punctuation of Hugging Face's pre-tokenizers.\n"
          " * Source: the Unicode Character Database. */")
    print('#include "tokenizer/unicode.h"\n')
    print("/* clang-format off */")
    print(f'const char tfm__unicode_version[] = "{ucd.unidata_version}";\n')
    print(f"const uint16_t tfm__unicode_index[{len(index)}] = {{")
    print("\n".join(rows(index, 24)))
    print("};\n")
    flat = [v for block in blocks for v in block]
    print(f"const uint8_t tfm__unicode_blocks[{len(flat)}] = {{")
    print("\n".join(rows(flat, 28)))
    print("};")
    print("/* clang-format on */")


main()
