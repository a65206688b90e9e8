"""Writes the small model files that the tests of src/formats read. Python 3, nothing but its standard library:

    python3 make_fixtures.py        (writes beside itself; the same bytes every time, here and in the seed folders of tests/fuzz)

Element i of a tensor with salt s is value(i, s), which every float type holds exactly."""
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def value(i, salt):
    return ((i * 37 + salt * 11) % 101 - 50) / 64


def write(name, data):
    path = os.path.join(HERE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def seed(corpus, name, data):
    """a first input for the fuzzing harness of that name"""
    write(os.path.join("..", "..", "fuzz", "corpus", corpus, name), data)


def f32(n, salt):
    return struct.pack("<%df" % n, *[value(i, salt) for i in range(n)])


def f16(n, salt):
    return struct.pack("<%de" % n, *[value(i, salt) for i in range(n)])


def bf16(n, salt):
    return b"".join(struct.pack("<f", value(i, salt))[2:] for i in range(n))


def pattern(n, salt):
    return bytes((i * 7 + salt) % 256 for i in range(n))


# ---- GGUF ----------------------------------------------------------------------------------------------------------

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
PACK = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q", I64: "<q",
        F64: "<d"}


def gguf(version, metas, tensors, alignment=32, end="<"):
    count = "<I" if version == 1 else "<Q"

    def text(s):
        b = s.encode()
        return struct.pack(count, len(b)) + b

    def item(kind, v):
        if kind == STRING:
            return text(v)
        if kind == ARRAY:
            inner, items = v
            return struct.pack("<I", inner) + struct.pack(count, len(items)) + b"".join(item(inner, x) for x in items)
        return struct.pack(PACK[kind], v)

    head = b"GGUF" + struct.pack("<I", version) + struct.pack(count, len(tensors)) + struct.pack(count, len(metas))
    for key, kind, v in metas:
        head += text(key) + struct.pack("<I", kind) + item(kind, v)
    body = b""
    for name, shape, kind, data in tensors:
        body += bytes(-len(body) % alignment)
        head += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack(count, n) for n in reversed(shape))
        head += struct.pack("<IQ", kind, len(body))
        body += data
    return head + bytes(-len(head) % alignment) + body if tensors else head


METAS = [
    ("general.architecture", STRING, "test"),
    ("t.u8", U8, 200), ("t.i8", I8, -100), ("t.u16", U16, 60000), ("t.i16", I16, -30000),
    ("t.u32", U32, 4000000000), ("t.i32", I32, -2000000000), ("t.f32", F32, 0.15625), ("t.bool", BOOL, 1),
    ("t.u64", U64, 2**64 - 1), ("t.i64", I64, -2**63), ("t.f64", F64, 1e-5), ("t.empty", STRING, ""),
    ("t.numbers", ARRAY, (I32, [1, -2, 3])),
    ("t.texts", ARRAY, (STRING, ["one", "", "dr\u00e9i"])),
    ("t.none", ARRAY, (F32, [])),
    ("t.nested", ARRAY, (ARRAY, [(U8, [1, 2]), (STRING, ["x"]), (ARRAY, [(F64, [0.5]), (U16, [])])])),
    ("t.last", U32, 7),
]
TENSORS = [
    ("a.weight", [3, 4], 0, f32(12, 1)),
    ("b.weight", [2, 3, 4], 0, f32(24, 2)),
    ("c.half", [5], 1, f16(5, 3)),
    ("d.q8", [2, 32], 8, pattern(68, 4)),
    ("e.q4k", [1, 256], 12, pattern(144, 5)),
    ("f.bf16", [3], 30, bf16(3, 6)),
    ("g.i32", [4], 26, struct.pack("<4i", 5, -6, 7, -8)),
    ("h.mxfp4", [1, 1, 2, 32], 39, pattern(34, 7)),
]

for version in (1, 2, 3):
    write("gguf-v%d.gguf" % version, gguf(version, METAS, TENSORS))
write("gguf-align.gguf", gguf(3, [("general.alignment", U32, 8)] + METAS[:2], TENSORS[:3], 8))
write("gguf-vocab.gguf", gguf(3, METAS[:3], []))


def split(no, count, total, metas, tensors):
    keys = [("split.no", U16, no), ("split.count", U16, count), ("split.tensors.count", I32, total)]
    return gguf(3, metas + keys, tensors)


write("split/m-00001-of-00003.gguf", split(0, 3, 8, METAS, []))
write("split/m-00002-of-00003.gguf", split(1, 3, 8, [], TENSORS[:5]))
write("split/m-00003-of-00003.gguf", split(2, 3, 8, [], TENSORS[5:]))

# ---- safetensors and Hugging Face folders ----------------------------------------------------------------------------


def safetensors(tensors, metadata=True):
    header, body = {}, b""
    if metadata:
        header["__metadata__"] = {"format": "pt"}
    for name, shape, kind, data in tensors:
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


SAFE = [
    ("x.weight", [3, 4], "F32", f32(12, 1)),
    ("y.half", [5], "F16", f16(5, 3)),
    ("z \u00e9\"\\.bf16", [2, 2], "BF16", bf16(4, 6)),
    ("scalar", [], "F64", struct.pack("<d", 2.5)),
    ("none", [0, 7], "F32", b""),
    ("ids", [2], "I64", struct.pack("<2q", 3, -4)),
    ("mask", [3], "BOOL", b"\1\0\1"),
]
write("tiny.safetensors", safetensors(SAFE))
CONFIG = json.dumps({"architectures": ["TestModel"], "hidden_size": 4, "rms_norm_eps": 1e-5,
                     "rope_scaling": {"factor": 8.0, "type": "linear"}, "tie_word_embeddings": False}, indent=2).encode()
write("single/config.json", CONFIG)
write("single/generation_config.json", b'{"eos_token_id": [1, 2]}')
write("single/model.safetensors", safetensors(SAFE))
write("sharded/config.json", CONFIG)
parts = ["model-0000%d-of-00002.safetensors" % n for n in (1, 2)]
write("sharded/" + parts[0], safetensors(SAFE[:3]))
write("sharded/" + parts[1], safetensors(SAFE[3:], False))
weight_map = {t[0]: parts[i >= 3] for i, t in enumerate(SAFE)}
write("sharded/model.safetensors.index.json",
      json.dumps({"metadata": {"total_size": 123}, "weight_map": weight_map}, indent=1).encode())
write("pickle/config.json", CONFIG)
write("pickle/pytorch_model.bin", b"PK\3\4 not really")

# ---- llama2.c --------------------------------------------------------------------------------------------------------

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, SEQ, GROUP = 8, 12, 2, 4, 2, 10, 6, 4
KV = DIM // HEADS * KV_HEADS
LAYER = {"attn_norm": DIM, "ffn_norm": DIM, "wq": DIM * DIM, "wk": KV * DIM, "wv": KV * DIM, "wo": DIM * DIM,
         "w1": HIDDEN * DIM, "w2": DIM * HIDDEN, "w3": HIDDEN * DIM}
SALT = {name: 20 + 2 * i for i, name in enumerate(LAYER)}
SALT.update(embedding=1, final_norm=2, classifier=3)


def weight(name, layer=0):
    return LAYER.get(name, DIM if name == "final_norm" else VOCAB * DIM), SALT[name] + layer


def layers(names):
    return [weight(name, layer) for name in names for layer in range(LAYERS)]


MATRICES = ["wq", "wk", "wv", "wo", "w1", "w2", "w3"]
SIZES = [DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, SEQ]


def version0(shared, tables):
    order = [weight("embedding")] + layers(["attn_norm", "wq", "wk", "wv", "wo", "ffn_norm", "w1", "w2", "w3"])
    order += [weight("final_norm")]
    data = struct.pack("<7i", *SIZES[:5], VOCAB if shared else -VOCAB, SEQ) + b"".join(f32(*w) for w in order)
    if tables:
        data += f32(SEQ * (DIM // HEADS), 90)
    return data if shared else data + f32(*weight("classifier"))


def header(version, shared, tail=b""):
    h = struct.pack("<Ii", 0x616B3432, version) + struct.pack("<7i", *SIZES) + bytes([shared]) + tail
    return h + bytes(256 - len(h))


def version1(shared):
    order = layers(["attn_norm", "ffn_norm"]) + [weight("final_norm"), weight("embedding")] + layers(MATRICES)
    if not shared:
        order.append(weight("classifier"))
    return header(1, shared) + b"".join(f32(*w) for w in order)


def groups(n, salt):
    """int8 (i * 5 + salt) % 255 - 127, and scale (group + salt) % 7 / 1024"""
    quants = struct.pack("<%db" % n, *[(i * 5 + salt) % 255 - 127 for i in range(n)])
    return quants, struct.pack("<%df" % (n // GROUP), *[(g + salt) % 7 / 1024 for g in range(n // GROUP)])


def version2(shared, scales_last=False):
    norms = layers(["attn_norm", "ffn_norm"]) + [weight("final_norm")]
    order = [weight("embedding")] + layers(MATRICES) + ([] if shared else [weight("classifier")])
    pairs = [groups(*w) for w in order]
    body = b"".join(q for q, s in pairs) + b"".join(s for q, s in pairs) if scales_last else b"".join(q + s for q, s in pairs)
    return header(2, shared, struct.pack("<i", GROUP)) + b"".join(f32(*w) for w in norms) + body


write("llama2c-v0.bin", version0(True, True))
write("llama2c-v0-bare.bin", version0(True, False))
write("llama2c-v0-unshared.bin", version0(False, True))
write("llama2c-v1.bin", version1(True))
write("llama2c-v1-unshared.bin", version1(False))
write("llama2c-v2.bin", version2(True))
write("llama2c-v2-unshared.bin", version2(False))
write("llama2c-v2-early.bin", version2(True, True))
pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n", b"a", b"b", b"ab"]
write("llama2c-tokenizer.bin", struct.pack("<i", max(map(len, pieces))) +
      b"".join(struct.pack("<fi", -float(i), len(p)) + p for i, p in enumerate(pieces)))

# ---- Seeds for fuzzing -----------------------------------------------------------------------------------------------

for version in (1, 2, 3):
    seed("gguf", "v%d" % version, gguf(version, METAS[:5] + METAS[13:], TENSORS[:3]))
seed("gguf", "types", gguf(3, [], TENSORS))
seed("gguf", "align", gguf(3, [("general.alignment", U32, 8)], TENSORS[:2], 8))
seed("gguf", "vocab", gguf(3, METAS, []))
seed("gguf", "part", split(0, 1, 2, [], TENSORS[:2]))


def folder(main, config, weights, index=b""):
    """what fuzz_safetensors.c takes apart: which of the three is opened, two lengths, the three files"""
    return struct.pack("<BHH", main, len(config), len(weights)) + config + weights + index


SMALL = safetensors(SAFE[:2], False)
INDEX = json.dumps({"weight_map": {"x.weight": "a.safetensors", "y.half": "a.safetensors"}}).encode()
seed("safetensors", "alone", folder(1, b"", safetensors(SAFE)))
seed("safetensors", "with-config", folder(1, CONFIG, SMALL))
seed("safetensors", "from-config", folder(0, CONFIG, SMALL))
seed("safetensors", "index", folder(2, CONFIG, SMALL, INDEX))
seed("safetensors", "no-tensors", folder(1, b"{}", safetensors([], False)))

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, SEQ, GROUP = 2, 2, 1, 1, 1, 2, 1, 2
KV = 2
LAYER = {"attn_norm": DIM, "ffn_norm": DIM, "wq": DIM * DIM, "wk": KV * DIM, "wv": KV * DIM, "wo": DIM * DIM,
         "w1": HIDDEN * DIM, "w2": DIM * HIDDEN, "w3": HIDDEN * DIM}
SIZES = [DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, SEQ]
for shared in (True, False):
    name = "shared" if shared else "unshared"
    seed("llama2c", "v0-" + name, version0(shared, True))
    seed("llama2c", "v1-" + name, version1(shared))
    seed("llama2c", "v2-" + name, version2(shared))
seed("llama2c", "v2-early", version2(True, True))

for i, text in enumerate([CONFIG, INDEX, b"[]", b"[1,-2.5e-3,true,false,null,{\"a\":[{}]}]",
                          b"[\"\\ud83d\\ude00\\n\\\\\", \"\xc3\xa9\", \"\\udc00\"]",
                          b"[9007199254740993, 1e-320, 1e308, 0.1, 9223372036854775807, 123456789012345678901234567890]"]):
    seed("json", "%d" % i, text)
