"""Makes the .safetensors files here: five steps of PyTorch on the small models of tests/data/golden.

    python tests/data/train/make.py

Needs torch, transformers and safetensors. float32, eager attention, AdamW (betas 0.9 and 0.95, epsilon 1e-8, decay 0.1 of
matrices), gradients clipped to a norm of 1.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

here = Path(__file__).resolve().parent
RATES = [2e-4, 6e-4, 1e-3, 7e-4, 3e-4]

for family in ("gpt2", "mistral", "qwen3"):
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(
        here.parent / "golden" / family, dtype=torch.float32, attn_implementation="eager"
    )
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    names = dict(model.named_parameters())
    groups = [
        {"params": [p for p in names.values() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in names.values() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
    batches = torch.randint(0, model.config.vocab_size, (5, 2, 20), dtype=torch.int32)
    out = {"batches": batches, "lr": torch.tensor(RATES), "loss": [], "grad_norm": []}
    kept = {n: p for n, p in names.items() if p.numel() <= 600}
    for step, rate in enumerate(RATES):
        for group in optimizer.param_groups:
            group["lr"] = rate
        ids = batches[step].long()
        loss = model(ids, labels=ids).loss
        loss.backward()
        if step == 0:
            out.update({f"grad.{n}": p.grad.clone() for n, p in kept.items()})
        out["loss"].append(loss.item())
        out["grad_norm"].append(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0).item())
        optimizer.step()
        optimizer.zero_grad()
    out.update({f"end.{n}": p.detach().clone() for n, p in kept.items()})
    for key in ("loss", "grad_norm"):
        out[key] = torch.tensor(out[key])
    save_file(out, here / f"{family}.safetensors")
