#!/usr/bin/env python3
"""Makes the small models of this folder and what PyTorch computes on them: for each family a config.json, tensors.txt and
expected.safetensors. The weights are not stored: both this script and tests/test_families.c make them from a formula.

    pip install torch transformers==5.24.0 safetensors numpy
    python3 make_families.py FOLDER [FAMILY...]

FOLDER holds a folder for each family with config.json and model.safetensors, of any weights, from which the names, shapes,
means and spreads of the tensors are taken.

tensors.txt: a line for each tensor, `name mean spread dimensions...`. Weight number i of a tensor is, as a float,
    mean + spread * u(i),   u(i) = (mix(fnv1a(name) + (i + 1) * 0x9E3779B97F4A7C15) >> 40) / 2^23 - 1
with the 64-bit FNV-1a hash and the finaliser of splitmix64 as mix, all modulo 2^64, and the sum in double precision.

expected.safetensors, float32 with eager attention: `tokens` [T] int32, for encoder-decoders also `decoder_tokens`;
`positions` [P] int32, and at those positions `logits` [P, V] where the model has a head, `hidden` [P, D] (the last states,
behind the final norm), `encoder` [P', D] with `encoder_positions`, `pooler` [D].
"""
import json, os, shutil, sys, tempfile
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENS, DECODER_TOKENS = 24, 9
MASK = (1 << 64) - 1


def fnv1a(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 & MASK
    return value


def weights(name, mean, spread, shape):
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        x = np.uint64(fnv1a(name)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    u = (x >> np.uint64(40)).astype(np.float64) / 2**23 - 1
    return (mean + spread * u).astype(np.float32).reshape(shape)


def describe(path):
    from safetensors import safe_open
    table = {}
    with safe_open(path, framework="np") as file:
        for name in sorted(file.keys()):
            values = file.get_tensor(name).astype(np.float64)
            spread = float(f"{values.std() * 3 ** 0.5:.3g}") or 0.02
            table[name] = (float(f"{values.mean():.2g}") if abs(values.mean()) > 0.25 * spread else 0.0, spread, values.shape)
    return table


def make(source, family):
    import torch, transformers
    from safetensors.numpy import save_file
    out = os.path.join(HERE, family)
    os.makedirs(out, exist_ok=True)
    shutil.copy(os.path.join(source, family, "config.json"), out)
    table = describe(os.path.join(source, family, "model.safetensors"))
    with open(os.path.join(out, "tensors.txt"), "w") as file:
        for name, (mean, spread, shape) in table.items():
            file.write(" ".join([name, f"{mean:g}", f"{spread:g}"] + [str(n) for n in shape]) + "\n")
    config = json.load(open(os.path.join(out, "config.json")))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(out, "config.json"), folder)
        save_file({name: weights(name, float(f"{m:g}"), float(f"{s:g}"), shape) for name, (m, s, shape) in table.items()},
                  os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        model = getattr(transformers, config["architectures"][0]).from_pretrained(
            folder, attn_implementation="eager", dtype=torch.float32).eval()
    vocabulary = config["vocab_size"]
    tokens = np.array([(7 + 11 * i + 5 * i * i) % (vocabulary - 10) + 10 for i in range(TOKENS)], np.int32)
    given = {"tokens": tokens}
    ids = torch.tensor(tokens[None].astype(np.int64))
    positions = np.array([1, TOKENS // 2, TOKENS - 1], np.int32)
    with torch.no_grad():
        if config.get("is_encoder_decoder"):
            decoder = np.array([config.get("decoder_start_token_id") or 0] +
                               [(3 + 17 * i) % (vocabulary - 10) + 10 for i in range(DECODER_TOKENS - 1)], np.int32)
            result = model(input_ids=ids, decoder_input_ids=torch.tensor(decoder[None].astype(np.int64)))
            given.update(decoder_tokens=decoder, encoder_positions=positions,
                         encoder=result.encoder_last_hidden_state[0].numpy()[positions])
            positions = np.array([0, DECODER_TOKENS - 1], np.int32)
        else:
            result = model(input_ids=ids, output_hidden_states=True)
            last = getattr(result, "last_hidden_state", None)
            given["hidden"] = (last if last is not None else result.hidden_states[-1])[0].numpy()[positions]
            if getattr(result, "pooler_output", None) is not None:
                given["pooler"] = result.pooler_output[0].numpy()
        if getattr(result, "logits", None) is not None:
            given["logits"] = result.logits[0].numpy()[positions]
    given["positions"] = positions
    save_file({name: np.ascontiguousarray(value) for name, value in given.items()}, os.path.join(out, "expected.safetensors"))
    print(family, {name: value.shape for name, value in given.items()}, "largest", float(np.abs(given.get("logits", given.get("hidden"))).max()))


if __name__ == "__main__":
    for family in sys.argv[2:] or sorted(os.listdir(sys.argv[1])):
        make(sys.argv[1], family)
