"""Makes the tiny CTranslate2 folders beside it, of random weights, and what the ctranslate2 package computes with them.

    python make_ctranslate2.py        (needs numpy and ctranslate2; made with 4.8)

The package writes version 6. Older files are the same variables under the older headers: version 5, 4 and 3 differ from
it in nothing here but that they do not look into config.json for special tokens, version 3 has item sizes for types, version 2 no second names. The package itself reads them all.

expected.txt: for each folder the source's tokens, what greedy search writes (at most 12 tokens), and the
log-probabilities of those tokens and of the end behind them, computed in float32."""

import os
import struct

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = ["<blank>", "<s>", "</s>", "un", "deux", "trois", "quatre", "cinq", "six", "sept"]
TARGET = ["<blank>", "<s>", "</s>", "one", "two", "three", "four", "five"]
SENTENCES = [["un"], ["deux", "trois", "un"], ["sept", "six", "huit", "quatre", "deux", "un"]]
WIDTH, INNER, HEADS = 8, 16, 2


def fill(rng, shape, scale):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def linear(rng, spec, rows, columns):
    spec.weight = fill(rng, (rows, columns), 0.5)
    spec.bias = fill(rng, rows, 0.2)


def norm(rng, spec):
    spec.gamma = 1 + fill(rng, WIDTH, 0.2)
    spec.beta = fill(rng, WIDTH, 0.2)


def attention(rng, spec, own):
    norm(rng, spec.layer_norm)
    if own:
        linear(rng, spec.linear[0], 3 * WIDTH, WIDTH)
        linear(rng, spec.linear[1], WIDTH, WIDTH)
    else:
        linear(rng, spec.linear[0], WIDTH, WIDTH)
        linear(rng, spec.linear[1], 2 * WIDTH, WIDTH)
        linear(rng, spec.linear[2], WIDTH, WIDTH)


def tower(rng, spec, is_decoder, rows, stored, embed_norm):
    for layer in spec.layer:
        attention(rng, layer.self_attention, True)
        if is_decoder:
            attention(rng, layer.attention, False)
        norm(rng, layer.ffn.layer_norm)
        linear(rng, layer.ffn.linear_0, INNER, WIDTH)
        linear(rng, layer.ffn.linear_1, WIDTH, INNER)
    embeddings = spec.embeddings if is_decoder else spec.embeddings[0]
    embeddings.weight = fill(rng, (rows, WIDTH), 0.6)
    if hasattr(spec, "layer_norm"):
        norm(rng, spec.layer_norm)
    if embed_norm:
        norm(rng, spec.layernorm_embedding)
    if stored:
        spec.position_encodings.encodings = fill(rng, (32, WIDTH), 0.5)
    if is_decoder:
        linear(rng, spec.projection, rows, WIDTH)


def make(name, seed, quantization, version, pre_norm=True, activation=common_spec.Activation.RELU, stored=False,
         embed_norm=False, scale=True, shared=False, source_eos=False):
    rng = np.random.default_rng(seed)
    spec = transformer_spec.TransformerSpec.from_config(
        (1, 1), HEADS, pre_norm=pre_norm, activation=activation, layernorm_embedding=embed_norm)
    target = SOURCE if shared else TARGET
    for part in (spec.encoder, spec.decoder):
        part.scale_embeddings = scale
    tower(rng, spec.encoder, False, len(SOURCE) + 1, stored, embed_norm)
    tower(rng, spec.decoder, True, len(target) + 1, stored, embed_norm)
    if shared:
        spec.decoder.embeddings.weight = spec.encoder.embeddings[0].weight
        spec.decoder.projection.weight = spec.encoder.embeddings[0].weight
    spec.register_source_vocabulary(SOURCE + ["<unk>"])
    spec.register_target_vocabulary(target + ["<unk>"])
    spec.config.add_source_eos = source_eos
    spec.config.decoder_start_token = "</s>" if source_eos else "<s>"
    spec.validate()
    spec.optimize(quantization=quantization)
    folder = os.path.join(HERE, name)
    os.makedirs(folder, exist_ok=True)
    spec.save(folder)
    path = os.path.join(folder, "model.bin")
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(older(data, version))
    return folder


def older(data, version):
    """The same variables in the form of another version."""
    at = 4

    def take(form):
        nonlocal at
        value = struct.unpack_from("<" + form, data, at)[0]
        at += struct.calcsize(form)
        return value

    def text():
        nonlocal at
        length = take("H")
        at += length
        return data[at - length - 2:at]

    assert struct.unpack_from("<I", data)[0] == 6
    out = [struct.pack("<I", version), text(), struct.pack("<I", take("I"))]
    count = take("I")
    out.append(struct.pack("<I", count))
    for _ in range(count):
        out.append(text())
        rank = take("B")
        out.append(struct.pack("<B", rank) + data[at:at + 4 * rank])
        at += 4 * rank
        kind, size = take("B"), take("I")
        item = {0: 4, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2}[kind]
        assert version >= 4 or kind < 3
        out.append(struct.pack("<BI", kind, size) if version >= 4 else struct.pack("<BI", item, size // item))
        out.append(data[at:at + size])
        at += size
    if version >= 3:
        out.append(data[at:])
    else:
        assert take("I") == 0
    return b"".join(out)


def main():
    gelu, swish = common_spec.Activation.GELU, common_spec.Activation.SWISH
    folders = [
        make("v6-f32", 1, None, 6),
        make("v6-int8", 2, "int8", 6, activation=gelu, source_eos=True),
        make("v5-f16-behind", 3, "float16", 5, pre_norm=False, activation=swish, stored=True, source_eos=True),
        make("v4-bf16-embed-norm", 4, "bfloat16", 4, activation=common_spec.Activation.GELUTanh, embed_norm=True),
        make("v3-int8-shared", 5, "int8", 3, shared=True, scale=False),
        make("v2-int16", 6, "int16", 2),
    ]
    with open(os.path.join(HERE, "expected.txt"), "w", encoding="utf-8") as out:
        for folder in folders:
            translator = ctranslate2.Translator(folder, device="cpu", compute_type="float32")
            for sentence in SENTENCES:
                hypothesis = translator.translate_batch([sentence], beam_size=1, max_decoding_length=12)[0].hypotheses[0]
                scores = translator.score_batch([sentence], [hypothesis])[0].log_probs
                out.write("%s\t%s\t%s\t%s\n" % (os.path.basename(folder), " ".join(sentence), " ".join(hypothesis),
                                                " ".join("%.6f" % score for score in scores)))


main()
