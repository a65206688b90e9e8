#!/usr/bin/env python3
"""Writes src/tokenizer/unicode_normal_tables.c: what normalising and grapheme clusters need to know of every code point.

Each table speaks for the version of Unicode that the reference implementation was built with, because that version is
part of a tokenizer's meaning (docs/decisions/0010-normal-forms-from-our-own-tables.md):

    normal forms, dropped accents, scripts   Unicode 9: the crate unicode-normalization-alignments of tokenizers 0.23.3,
                                             and its script table
    what BERT's clean-up drops               Unicode 8: the crate unicode_categories
    lower case, grapheme clusters, numbers   Unicode 17: Rust's standard library and the crate unicode-segmentation

Which characters a version of Unicode has comes from Perl (Present_In), whose answer for old versions never changes.

    pip install unicodedata2==17.0.1 regex==2026.5.9 tokenizers==0.23.3
    python3 tools/unicode/make_normal_tables.py > src/tokenizer/unicode_normal_tables.c
    python3 tools/unicode/make_normal_tables.py --check      # every code point against tokenizers
"""
import subprocess
import sys

import regex
import unicodedata2 as ucd

BLOCK = 128
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
EVERYTHING = "".join(map(chr, CODES))
PERL = r'''for my $c (0 .. 0x10ffff) { next if $c >= 0xd800 && $c <= 0xdfff;
           print "$c\n" if chr($c) =~ /\p{Present_In: VERSION}/ }'''


def present_in(version):
    done = subprocess.run(["perl", "-e", PERL.replace("VERSION", version)], check=True, capture_output=True, text=True)
    return set(map(int, done.stdout.split()))


UNICODE_8, UNICODE_9 = present_in("8.0"), present_in("9.0")


def having(prop):
    return set(map(ord, regex.findall(r"\p{%s}" % prop, EVERYTHING)))


# ---- Normal forms: enum tfm__form in unicode.h gives the bits' order ----

HANGUL = range(0xAC00, 0xD7A4)
FORMS = ("NFC", "NFD", "NFKC", "NFKD")


def normal(form, c):
    return ucd.normalize(form, chr(c)) if c in UNICODE_9 else chr(c)


def combining(c):
    return ucd.combining(chr(c)) if c in UNICODE_9 else 0


def compositions():
    """(first, second, composed) for every pair of characters that composes, Hangul apart."""
    out = []
    for c in CODES:
        parts = ucd.decomposition(chr(c)).split()
        if c in UNICODE_9 and len(parts) == 2 and parts[0][0] != "<" and normal("NFC", c) == chr(c):
            out.append((int(parts[0], 16), int(parts[1], 16), c))
    return sorted(out)


PAIRS = compositions()
SECONDS = {second for _, second, _ in PAIRS} | set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))


def normal_record(c, pool):
    flags = 0
    for bit, form in enumerate(FORMS):
        composes = form in ("NFC", "NFKC")
        parts = normal(form.replace("C", "D"), c)
        if normal(form, c) != chr(c) or (composes and c in SECONDS):
            flags |= 1 << bit  # its presence may mean that the text is not in this form
        first = ord(parts[0])
        if combining(first) == 0 and not (composes and first in SECONDS):
            flags |= 16 << bit  # nothing in front of it and it act on each other
    record = [0, 0, 0, 0, combining(c), flags]
    if c not in HANGUL:
        for i, form in enumerate(("NFD", "NFKD")):
            parts = normal(form, c)
            if parts != chr(c):
                record[i], record[2 + i] = pool_place(pool, tuple(map(ord, parts))), len(parts)
    return tuple(record)


def pool_place(pool, codes):
    places, texts = pool
    if codes not in places:
        for at in range(len(texts) - len(codes) + 1):
            if tuple(texts[at:at + len(codes)]) == codes:
                places[codes] = at
                break
        else:
            places[codes] = len(texts)
            texts.extend(codes)
    return places[codes]


# ---- Classes: enum tfm__cluster and the bits behind it in unicode.h ----

CLUSTER = ["OTHER", "CR", "LF", "CONTROL", "EXTEND", "EXTEND_IN", "LINKER", "ZWJ", "REGIONAL", "PREPEND", "SPACING", "L",
           "V", "T", "HANGUL", "PICTOGRAPH", "CONSONANT"]
BREAKS = {"CR": "CR", "LF": "LF", "Control": "CONTROL", "ZWJ": "ZWJ", "Regional_Indicator": "REGIONAL",
          "Prepend": "PREPEND", "SpacingMark": "SPACING", "L": "L", "V": "V", "T": "T"}
MARK_BIT, BERT_MARK_BIT, BERT_DROP_BIT = 0x20, 0x40, 0x80


def cluster_classes():
    out = {}
    for prop, name in BREAKS.items():
        out.update(dict.fromkeys(having("GCB=" + prop), name))
    inside, linkers, consonants = having("InCB=Extend"), having("InCB=Linker"), having("InCB=Consonant")
    for c in having("GCB=Extend"):
        out[c] = "LINKER" if c in linkers else "EXTEND_IN" if c in inside else "EXTEND"
    assert all(out.get(c) in ("EXTEND_IN", "LINKER", "ZWJ") for c in inside | linkers)
    for prop, name in (("Extended_Pictographic", "PICTOGRAPH"), ("InCB=Consonant", "CONSONANT")):
        found = having(prop)
        assert not found & set(out)
        out.update(dict.fromkeys(found, name))
    out.update(dict.fromkeys(HANGUL, "HANGUL"))
    return out


# Characters whose category was another one in the old version.
MARKS_THEN = {0x111C9: False, 0x1CF2: True, 0x1CF3: True}
BERT_MARKS_THEN = {0x1734: True, 0x1171E: True, 0x111C9: False, 0x1885: False, 0x1886: False, 0xA9BD: False}


def class_entry(c, clusters):
    category = ucd.category(chr(c))
    value = CLUSTER.index(clusters.get(c, "OTHER"))
    if MARKS_THEN.get(c, c in UNICODE_9 and category[0] == "M"):
        value |= MARK_BIT
    if BERT_MARKS_THEN.get(c, c in UNICODE_8 and category == "Mn"):
        value |= BERT_MARK_BIT
    if (c in UNICODE_8 and category in ("Cc", "Cf", "Co")) or c in (0, 0xFFFD):
        value |= BERT_DROP_BIT
    return value


# ---- Lower case and scripts ----

LOWER = {}


def lower_delta(c):
    return LOWER.get(c, c) - c


def lower_map():
    """Lower case as tokenizers itself has it; U+0130, the only one that becomes two, is left to the program."""
    from tokenizers import normalizers
    lower = normalizers.Lowercase()
    out = {}
    for c in CODES:
        text = lower.normalize_str(chr(c))
        if text != chr(c):
            assert len(text) == 1 or c == 0x130
            out[c] = ord(text[0])
    assert out.pop(0x130) == 0x69
    return out


SCRIPTS_THEN = {0x0589: "Common", 0x061C: "Common", 0x0953: "Devanagari", 0x0954: "Devanagari"}
SCRIPTS = """Common Inherited Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak
Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham
Cherokee Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari Duployan Egyptian_Hieroglyphs Elbasan Ethiopic Georgian
Glagolitic Gothic Grantha Greek Gujarati Gurmukhi Han Hangul Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic
Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kayah_Li Kharoshthi Khmer Khojki Khudawadi
Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Malayalam Mandaic Manichaean Marchen Meetei_Mayek
Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean New_Tai_Lue Newa
Nko Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_South_Arabian Old_Turkic Oriya
Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra
Sharada Shavian Siddham SignWriting Sinhala Sora_Sompeng Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham
Tai_Viet Takri Tamil Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Ugaritic Vai Warang_Citi Yi""".split()


def script_number(name):
    return SCRIPTS.index(name) + 1


def script_map():
    out = {}
    for script in SCRIPTS:
        out.update(dict.fromkeys(having("Script=" + script) & UNICODE_9, script_number(script)))
    for c, script in SCRIPTS_THEN.items():
        out[c] = script_number(script)
    return out


# ---- Writing ----

def rows(values, width=110):
    line = "   "
    for value in values:
        if len(line) + len(str(value)) + 2 > width:
            yield line
            line = "   "
        line += f" {value},"
    yield line


def table(kind, name, values):
    print(f"const {kind} {name}[{len(values)}] = {{")
    print("\n".join(rows(values)))
    print("};\n")


def two_stages(function):
    blocks, index, seen = [], [], {}
    for start in range(0, 0x110000, BLOCK):
        block = tuple(0 if 0xD800 <= c < 0xE000 else function(c) for c in range(start, start + BLOCK))
        if block not in seen:
            seen[block] = len(seen)
            blocks.extend(block)
        index.append(seen[block])
    return index, blocks


def main():
    pool, records = ({}, []), {}
    plain = normal_record(ord("a"), pool)
    records[plain] = 0

    def record_of(c):
        return records.setdefault(normal_record(c, pool), len(records))

    normal_index, normal_blocks = two_stages(record_of)
    clusters = cluster_classes()
    class_index, class_blocks = two_stages(lambda c: class_entry(c, clusters))
    deltas = sorted({lower_delta(c) for c in CODES} - {0})
    deltas.insert(0, 0)
    lower_index, lower_blocks = two_stages(lambda c: deltas.index(lower_delta(c)))
    scripts = script_map()
    script_index, script_blocks = two_stages(lambda c: scripts.get(c, 0))
    assert max(pool[1]) < 0x110000 and len(pool[1]) < 65536 and len(deltas) < 256
    assert all(a < 0x10000 or a >> 16 == 1 for a, _, _ in PAIRS)
    print("""/* unicode_normal_tables.c - normal forms, grapheme clusters, lower case and scripts. Made by
 * tools/unicode/make_normal_tables.py, which says of which version of Unicode each table speaks; do not edit.
 *
 * Two stages: an index by code point >> 7 names a block of 128 entries. Source: the Unicode Character Database. */
#include "tokenizer/unicode.h"

/* clang-format off */""")
    table("uint8_t", "tfm__normal_index", normal_index) if max(normal_index) < 256 else \
        table("uint16_t", "tfm__normal_index", normal_index)
    table("uint16_t", "tfm__normal_blocks", normal_blocks)
    print(f"const tfm__normal_record tfm__normal_records[{len(records)}] = {{")
    print("\n".join(rows("{" + ", ".join(map(str, r)) + "}" for r in records)))
    print("};\n")
    table("uint32_t", "tfm__normal_pool", pool[1])
    print(f"const uint32_t tfm__normal_pairs[{len(PAIRS)}][3] = {{")
    print("\n".join(rows("{%d, %d, %d}" % p for p in PAIRS)))
    print("};\n")
    print(f"const size_t tfm__normal_pair_count = {len(PAIRS)};\n")
    for name, index, blocks in (("class", class_index, class_blocks), ("lower", lower_index, lower_blocks),
                                ("script", script_index, script_blocks)):
        table("uint8_t" if max(index) < 256 else "uint16_t", f"tfm__{name}_index", index)
        table("uint8_t", f"tfm__{name}_blocks", blocks)
    table("int32_t", "tfm__lower_deltas", deltas)
    table("uint8_t", "tfm__script_han", [script_number(s) for s in ("Han", "Hiragana", "Katakana")])
    print("/* clang-format on */")


def check():
    """Every code point: what the tables are made from against tokenizers."""
    from tokenizers import normalizers
    wrong = 0

    def compare(what, normalizer, expected):
        nonlocal wrong
        bad = [c for c in CODES if normalizer.normalize_str(chr(c)) != expected(c)]
        print(f"{what}: {len(bad)} differences", [hex(c) for c in bad[:10]])
        wrong += len(bad)

    for form in FORMS:
        compare(form, getattr(normalizers, form)(), lambda c: normal(form, c))
    clusters = cluster_classes()
    entry = {c: class_entry(c, clusters) for c in CODES}
    compare("StripAccents", normalizers.StripAccents(), lambda c: "" if entry[c] & MARK_BIT else chr(c))
    compare("BertNormalizer strip_accents", normalizers.BertNormalizer(False, False, True, False),
            lambda c: "".join(p for p in normal("NFD", c) if not entry[ord(p)] & BERT_MARK_BIT))
    compare("BertNormalizer clean_text", normalizers.BertNormalizer(True, False, False, False),
            lambda c: " " if chr(c) in "\t\n\r" else "" if entry[c] & BERT_DROP_BIT else
            " " if regex.match(r"\p{White_Space}", chr(c)) else chr(c))
    return wrong != 0


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(check())
    LOWER.update(lower_map())
    main()
