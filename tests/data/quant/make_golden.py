"""Writes quantise.safetensors: rows of floats, an importance of their columns, and what libgguf 0.2.2 (ggml's reference
quantisers) makes of them.

    python3 make_golden.py      # needs numpy, safetensors, libgguf==0.2.2
"""

import libgguf
import numpy as np
from safetensors.numpy import save_file

TYPES = {
    "f16": 1, "bf16": 30, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "q2_k": 10, "q3_k": 11, "q4_k": 12,
    "q5_k": 13, "q6_k": 14, "iq4_nl": 20, "iq4_xs": 23, "mxfp4": 39,
}  # fmt: skip
COLUMNS = 512

rng = np.random.default_rng(20260)
rows = [
    rng.standard_normal(COLUMNS) * 0.02,
    rng.standard_t(2, COLUMNS),
    rng.standard_normal(COLUMNS) * np.repeat(10.0 ** rng.uniform(-12, 2, COLUMNS // 16), 16),  # groups of all sizes
    np.where(rng.random(COLUMNS) < 0.8, 0, rng.standard_normal(COLUMNS)),
    np.zeros(COLUMNS),
    np.full(COLUMNS, 0.37),
    np.abs(rng.standard_normal(COLUMNS)),
    rng.integers(-8, 9, COLUMNS),
    2.0 ** rng.integers(-10, 11, COLUMNS) * rng.choice([-1, 1], COLUMNS),
    rng.standard_normal(COLUMNS) * 1e-7,  # scales become subnormal halves
    rng.standard_normal(COLUMNS) * 1e-39,
    rng.standard_normal(COLUMNS) * 0.02 - 0.1,
]
x = np.ascontiguousarray(np.stack(rows).astype(np.float32))
x[8] = np.nextafter(x[8], np.float32(0))  # a hair below powers of two
importance = (rng.standard_normal(COLUMNS) ** 2).astype(np.float32)
holes = importance.copy()
holes[rng.random(COLUMNS) < 0.5] = 0
holes[:40] = 0
tensors = {"x": x, "importance": importance, "holes": holes}
for name, number in TYPES.items():
    for suffix, weights in (("", None), (".importance", importance), (".holes", holes)):
        data = libgguf.quantize_rows_raw(number, x, len(rows), COLUMNS, weights)
        tensors[name + suffix] = np.frombuffer(data, np.uint8).copy()
save_file(tensors, "quantise.safetensors")
