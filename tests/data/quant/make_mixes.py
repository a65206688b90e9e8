"""Writes mixes.txt: which type llama.cpp gives each tensor of some models, mix by mix.

    python3 make_mixes.py QUANTIZE      # needs numpy and gguf

QUANTIZE IN OUT FTYPE [IMATRIX] is a small program around llama_model_quantize of llama.cpp's library (sources of June
2025), FTYPE the number of its llama_ftype and IMATRIX a file of the older form. The models have zeros for weights.

Format: `model ARCHITECTURE LAYERS HEADS KV_HEADS EXPERTS TENSORS`, a line for each tensor with its name, dimensions and
shape, outermost first; then `mix NAME WEIGHTED` and a line with the types' numbers, for each mix; `end`.
"""

import os
import struct
import subprocess
import sys
import tempfile

import gguf
import numpy as np

MIXES = {
    "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13,
    "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "Q2_K_S": 21, "IQ4_NL": 25, "IQ4_XS": 30,
}  # fmt: skip


def tensors(arch, layers, heads, kv, experts, width, ffn, tied):
    head = width // heads
    yield "token_embd.weight", (64, width)
    yield "output_norm.weight", (width,)
    if not tied:
        yield "output.weight", (64, width)
    for i in range(layers):
        b = f"blk.{i}."
        yield b + "attn_norm.weight", (width,)
        if arch == "falcon":
            yield b + "attn_qkv.weight", ((heads + 2 * kv) * head, width)
        else:
            yield b + "attn_q.weight", (width, width)
            yield b + "attn_k.weight", (kv * head, width)
            yield b + "attn_v.weight", (kv * head, width)
            yield b + "attn_v.bias", (kv * head,)
            yield b + "ffn_norm.weight", (width,)
        yield b + "attn_output.weight", (width, width)
        if experts:
            yield b + "ffn_gate_inp.weight", (experts, width)
        for part, shape in (("gate", (ffn, width)), ("up", (ffn, width)), ("down", (width, ffn))):
            if arch == "falcon" and part == "gate":
                continue
            if experts:
                yield b + f"ffn_{part}_exps.weight", (experts, *shape)
            else:
                yield b + f"ffn_{part}.weight", shape


def write_model(path, arch, layers, heads, kv, experts, width, ffn, tied):
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(64)
    w.add_embedding_length(width)
    w.add_block_count(layers)
    w.add_feed_forward_length(ffn)
    w.add_head_count(heads)
    w.add_head_count_kv(kv)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_layer_norm_eps(1e-5)
    w.add_vocab_size(64)
    if experts:
        w.add_expert_count(experts)
        w.add_expert_used_count(2)
    w.add_tokenizer_model("none")
    for name, shape in tensors(arch, layers, heads, kv, experts, width, ffn, tied):
        w.add_tensor(name, np.zeros(shape, np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    quantize = sys.argv[1]
    out = open("mixes.txt", "w")
    models = [  # arch, layers, heads, kv, experts, width, ffn, tied
        ("llama", 17, 4, 1, 0, 256, 256, False),
        ("llama", 24, 4, 4, 0, 256, 256, True),
        ("llama", 80, 2, 1, 0, 256, 256, False),
        ("llama", 16, 4, 1, 8, 256, 256, False),
        ("llama", 10, 4, 2, 4, 256, 256, False),
        ("falcon", 17, 4, 1, 0, 256, 256, False),
        ("llama", 9, 4, 2, 0, 160, 352, False),  # rows that are no whole number of large blocks
    ]
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            source, target, matrix = (os.path.join(folder, n) for n in ("in.gguf", "out.gguf", "im.dat"))
            write_model(source, *model)
            with open(matrix, "wb") as f:
                names = [(n, s) for n, s in tensors(*model) if len(s) > 1 and "gate_inp" not in n]
                f.write(struct.pack("<i", len(names)))
                for name, shape in names:
                    values = np.ones(shape[-1] * (shape[0] if len(shape) == 3 else 1), np.float32)
                    f.write(struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 1, len(values)))
                    f.write(values.tobytes())
            listed = {t.name: t for t in gguf.GGUFReader(source).tensors}
            first = True
            for name, number in MIXES.items():
                for weighted in (0, 1):
                    if name == "Q2_K_S" and not weighted:
                        continue
                    subprocess.run([quantize, source, target, str(number)] + [matrix] * weighted, check=True,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
                    done = gguf.GGUFReader(target).tensors
                    if first:
                        print("model", *model[:5], len(done), file=out)
                        for t in done:
                            shape = [int(n) for n in reversed(t.shape)]
                            print(t.name, len(shape), *shape, file=out)
                        first = False
                    print("mix", name, weighted, file=out)
                    print(*(int(t.tensor_type) for t in done), file=out)
            assert len(listed) == len(done)
    print("end", file=out)


main()
