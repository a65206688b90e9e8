"""Makes muon.safetensors: five steps of PyTorch's Muon on the small Qwen3 of tests/data/golden.

    python tests/data/train/make_muon.py

Needs torch (2.9 or later), transformers and safetensors. Matrices of the layers go to torch.optim.Muon (momentum 0.95,
Nesterov, five Newton-Schulz steps, decay 0.1) at 20 times the learning rate, everything else to AdamW as in make.py. Muon's
iteration runs in float32 here: torch's own rounds it to bfloat16.
"""

from pathlib import Path

import torch
import torch.optim._muon as torch_muon
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

here = Path(__file__).resolve().parent
RATES = [2e-4, 6e-4, 1e-3, 7e-4, 3e-4]


def newton_schulz(update, coefficients, steps, eps):
    a, b, c = coefficients
    x = update.T if update.size(0) > update.size(1) else update
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if update.size(0) > update.size(1) else x


torch_muon._zeropower_via_newtonschulz = newton_schulz
torch.manual_seed(2)
model = AutoModelForCausalLM.from_pretrained(
    here.parent / "golden" / "qwen3", dtype=torch.float32, attn_implementation="eager"
)
model.train()
names = dict(model.named_parameters())
hidden = {n for n, p in names.items() if ".layers." in n and p.dim() == 2}
rest = {n: p for n, p in names.items() if n not in hidden}
adamw = torch.optim.AdamW(
    [
        {"params": [p for p in rest.values() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in rest.values() if p.dim() < 2], "weight_decay": 0.0},
    ],
    lr=1e-3, betas=(0.9, 0.95), eps=1e-8,
)  # fmt: skip
muon = torch.optim.Muon([names[n] for n in sorted(hidden)], lr=1e-3, momentum=0.95, weight_decay=0.1)
batches = torch.randint(0, model.config.vocab_size, (5, 2, 20), dtype=torch.int32)
out = {"batches": batches, "lr": torch.tensor(RATES), "loss": [], "grad_norm": []}
kept = {n: p for n, p in names.items() if p.numel() <= 600 or ("layers.0." in n and p.numel() <= 8192)}
for step, rate in enumerate(RATES):
    for group in adamw.param_groups:
        group["lr"] = rate
    for group in muon.param_groups:
        group["lr"] = rate * 20
    ids = batches[step].long()
    loss = model(ids, labels=ids).loss
    loss.backward()
    if step == 0:
        out.update({f"grad.{n}": p.grad.clone() for n, p in kept.items()})
    out["loss"].append(loss.item())
    out["grad_norm"].append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
    adamw.step()
    muon.step()
    adamw.zero_grad()
    muon.zero_grad()
out.update({f"end.{n}": p.detach().clone() for n, p in kept.items()})
for key in ("loss", "grad_norm"):
    out[key] = torch.tensor(out[key])
save_file(out, here / "muon.safetensors")
print({n: tuple(p.shape) for n, p in kept.items()})
