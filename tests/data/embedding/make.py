#!/usr/bin/env python3
"""Tiny sentence-transformers folders with random weights, and what the library makes of some texts.

    python3 make.py            # writes a folder per model beside this file

Each folder is as SentenceTransformer.save writes it, with golden.safetensors: `embeddings` [texts, width] of the lines of
texts.txt; cross-encoder has `logits` [texts - 1, 1] of each line paired with the next. Made with sentence-transformers 6.2,
transformers 5.24, torch 2.15, float32."""
import pathlib
import shutil

import torch
import transformers as tf
from safetensors.torch import save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer

HERE = pathlib.Path(__file__).parent
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["the", "cat", "sat", "on", "mat", "dog", "##s", "##ing", "?", ".", ",", "query", ":"]
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS + list(LETTERS) + ["##" + c for c in LETTERS]
SIZE = dict(vocab_size=len(VOCAB), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
            max_position_embeddings=40)


def randomise(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3 + (parameter.ndim == 1) * 0.2)


def base(folder, kind, config):
    torch.manual_seed(len(folder))
    shutil.rmtree(HERE / folder, ignore_errors=True)
    where = HERE / folder
    where.mkdir()
    (where / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
    tokenizer = tf.BertTokenizerFast(vocab=str(where / "vocab.txt"), do_lower_case=True)
    tokenizer.save_pretrained(where)
    model = kind(config)
    randomise(model)
    model.save_pretrained(where)
    return where


def sentence(folder, modules, **options):
    where = base(folder, tf.BertModel, tf.BertConfig(**SIZE))
    first = Transformer(str(where), max_seq_length=options.pop("max_seq_length", 24))
    rest = modules()
    for module in rest:
        randomise(module)
    model = SentenceTransformer(modules=[first] + rest, device="cpu", **options)
    shutil.rmtree(where)
    model.save(str(where), create_model_card=False)
    texts = (HERE / "texts.txt").read_text().splitlines()
    save_file({"embeddings": torch.tensor(model.encode(texts))}, where / "golden.safetensors")


def main():
    sentence("mean", lambda: [Pooling(16, "mean"), Normalize()])
    sentence("dense", lambda: [Pooling(16, pooling_mode_cls_token=True, pooling_mode_max_tokens=True,
                                       pooling_mode_mean_tokens=False),
                               Dense(32, 24, activation_function=torch.nn.Tanh()),
                               Dense(24, 10, bias=False, activation_function=torch.nn.Identity())])
    sentence("prompted", lambda: [Pooling(16, pooling_mode_mean_tokens=False, pooling_mode_mean_sqrt_len_tokens=True,
                                          pooling_mode_weightedmean_tokens=True, pooling_mode_lasttoken=True)],
             prompts={"query": "query: "}, default_prompt_name="query", max_seq_length=12)

    where = base("cross-encoder", tf.BertForSequenceClassification, tf.BertConfig(**SIZE, num_labels=1))
    model = CrossEncoder(str(where), device="cpu", activation_fn=torch.nn.Identity(), max_length=40)
    texts = (HERE / "texts.txt").read_text().splitlines()
    scores = model.predict(list(zip(texts, texts[1:])), convert_to_tensor=True)
    save_file({"logits": scores.reshape(-1, 1).cpu()}, where / "golden.safetensors")


if __name__ == "__main__":
    main()
