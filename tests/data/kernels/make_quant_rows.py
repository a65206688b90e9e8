#!/usr/bin/env python3
"""Writes quant_rows.bin: random blocks of every quantised type and the values an independent implementation gives them.

Needs libgguf 0.2.2 and numpy. Per type: u32 type, u32 values, u32 bytes, the block bytes, the values as f32 (all
little endian). The bytes are random, except that half-precision scales are kept finite: with them a 0 and a NaN
would be told apart only by rules that no file depends on."""
import struct
import sys

import libgguf
import numpy as np

# type id, values and bytes per block, offsets of the half-precision scales
TYPES = [
    (2, 32, 18, [0]), (3, 32, 20, [0, 2]), (6, 32, 22, [0]), (7, 32, 24, [0, 2]), (8, 32, 34, [0]),
    (10, 256, 84, [80, 82]), (11, 256, 110, [108]), (12, 256, 144, [0, 2]), (13, 256, 176, [0, 2]),
    (14, 256, 210, [208]), (20, 32, 18, [0]), (23, 256, 136, [0]), (39, 32, 17, []),
]


def random_blocks(rng, count, size, halves):
    raw = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for at in halves:
        raw[:, at + 1] &= np.where((raw[:, at + 1] & 0x7C) == 0x7C, 0xBF, 0xFF).astype(np.uint8)
    return raw


def main(path):
    rng = np.random.default_rng(20240607)
    with open(path, "wb") as out:
        for type_id, block, size, halves in TYPES:
            raw = random_blocks(rng, 4 if block == 32 else 2, size, halves)
            values = np.ascontiguousarray(libgguf.dequantize_rows(raw.reshape(1, -1), type_id), dtype="<f4")
            out.write(struct.pack("<III", type_id, values.size, raw.size))
            out.write(raw.tobytes() + values.tobytes())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "quant_rows.bin")
