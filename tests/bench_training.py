"""Tokens per second of training beside PyTorch, both on this machine and in turn.

    python tests/bench_training.py TFM [--threads 2] [--rounds 3] [--steps 4] [--models gpt2,llama]

TFM is the tfm program. Needs torch and transformers. Random weights: GPT-2 with 124 million parameters, 4 rows of 256
tokens; a Llama of 3 million, 4 rows of 256. float32, AdamW, clipped; the first step of each process is not counted. Prints
the medians, the largest difference of the losses, and the peak of memory.
"""

import argparse
import json
import re
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

PEER = """
import json, struct, sys, time, torch, transformers, resource
folder, data, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
model.train()
for m in model.modules():
    if isinstance(m, torch.nn.Dropout):
        m.p = 0.0
raw = open(data, "rb").read()
size = struct.unpack("<Q", raw[:8])[0]
shape = json.loads(raw[8 : 8 + size])["batches"]["shape"]
ids = torch.frombuffer(bytearray(raw[8 + size :]), dtype=torch.int32).reshape(shape).long()
matrices = [p for p in model.parameters() if p.dim() >= 2]
vectors = [p for p in model.parameters() if p.dim() < 2]
optimizer = torch.optim.AdamW(
    [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=3e-4, betas=(0.9, 0.95)
)
for batch in ids:
    start = time.perf_counter()
    loss = model(batch, labels=batch).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    targets = batch.shape[0] * (batch.shape[1] - 1)
    print(json.dumps({"loss": loss.item(), "tokens_per_second": targets / (time.perf_counter() - start)}))
"""


def make(folder: Path, name: str, steps: int) -> None:
    import torch
    import transformers

    torch.manual_seed(0)
    if name == "gpt2":
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config())
    else:
        model = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                vocab_size=4096, hidden_size=192, intermediate_size=512, num_hidden_layers=4,
                num_attention_heads=6, num_key_value_heads=6, max_position_embeddings=512,
            )
        )  # fmt: skip
    model.save_pretrained(folder / "model")
    ids = torch.randint(0, model.config.vocab_size, (steps, 4, 256), dtype=torch.int32).numpy().tobytes()
    entry = {"dtype": "I32", "shape": [steps, 4, 256], "data_offsets": [0, len(ids)]}
    head = json.dumps({"batches": entry}, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    (folder / "data.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + ids)


def run(command: list) -> tuple:
    """Lines of JSON, and the peak of the process's memory in MiB."""
    with tempfile.NamedTemporaryFile("r") as out:
        timed = subprocess.run(
            ["/usr/bin/time", "-f", "%M", "-o", out.name, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if timed.returncode:
            sys.exit(timed.stderr)
        peak = int(re.findall(r"\d+", out.read())[-1]) // 1024
    return [json.loads(line) for line in timed.stdout.splitlines() if line.startswith("{")], peak


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tfm")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--models", default="gpt2,llama")
    given = parser.parse_args()
    for name in given.models.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            make(folder, name, given.steps)
            (folder / "peer.py").write_text(PEER)
            model, data = str(folder / "model"), str(folder / "data.safetensors")
            commands = {
                "tfm": [given.tfm, "train", "--from", model, "--data", data, "-o", str(folder / "out"), "--json", "-t",
                        str(given.threads)],
                "PyTorch": [sys.executable, str(folder / "peer.py"), model, data, str(given.threads)],
            }  # fmt: skip
            speed: dict = {who: [] for who in commands}
            losses, peaks = {}, {}
            for _ in range(given.rounds):
                for who, command in commands.items():
                    lines, peaks[who] = run(command)
                    losses[who] = [line["loss"] for line in lines]
                    speed[who] += [line["tokens_per_second"] for line in lines[1:]]
            off = max(abs(a - b) for a, b in zip(losses["tfm"], losses["PyTorch"]))
            for who in commands:
                print(f"{name}: {who}: {statistics.median(speed[who]):.0f} tokens/s "
                      f"({min(speed[who]):.0f} to {max(speed[who]):.0f}), peak {peaks[who]} MiB")  # fmt: skip
            print(f"{name}: losses differ by {off:.1e} at most")


if __name__ == "__main__":
    main()
