#!/usr/bin/env python3
"""Makes the adapters of this folder and what PEFT computes with them on the small models of ../golden.

    pip install torch transformers==5.24.0 peft==0.21.2 safetensors numpy gguf
    python3 make_adapters.py

Each adapter is saved by PEFT itself (adapter_config.json, adapter_model.safetensors) with random matrices; qwen3-a.gguf and
mistral-a.gguf hold the same numbers as qwen3-a and mistral-a, named and laid out as llama.cpp's convert_lora_to_gguf.py does. MODEL.safetensors has the logits
[tokens, vocab] of MODEL with its adapters, float32 with eager attention.
"""
import json, os, shutil
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
TOKENS = [(7 + 11 * i + 5 * i * i) % 80 + 5 for i in range(12)]
WIDE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "qwen3-a": dict(r=4, lora_alpha=8, target_modules=WIDE),
    "qwen3-b": dict(r=3, lora_alpha=4, target_modules=["q_proj", "v_proj"], use_rslora=True,
                    rank_pattern={"layers.0.self_attn.q_proj": 2, "^model.layers.1.self_attn.v_proj": 5},
                    alpha_pattern={"v_proj": 6}),
    "gpt2-a": dict(r=4, lora_alpha=6, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True),
    "mistral-a": dict(r=2, lora_alpha=4, target_modules=WIDE),
}


def base(name):
    return AutoModelForCausalLM.from_pretrained(os.path.join(HERE, "..", "golden", name), attn_implementation="eager",
                                                dtype=torch.float32).eval()


def make(name):
    torch.manual_seed(sum(name.encode()))
    model = get_peft_model(base(name.split("-")[0]), LoraConfig(task_type="CAUSAL_LM", **ADAPTERS[name]))
    for key, value in model.named_parameters():
        if "lora_" in key:
            value.data = torch.randn_like(value) * (0.25 if "lora_B" in key else 0.12)
    folder = os.path.join(HERE, name)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    config = json.load(open(os.path.join(folder, "adapter_config.json")))
    config["base_model_name_or_path"] = name.split("-")[0]
    config["target_modules"] = sorted(config["target_modules"])
    json.dump(config, open(os.path.join(folder, "adapter_config.json"), "w"), indent=1)


def logits(name, *uses):
    """uses: (adapter, scale)"""
    model = None
    for adapter, scale in uses:
        folder = os.path.join(HERE, adapter)
        if model is None:
            model = PeftModel.from_pretrained(base(name), folder, adapter_name=adapter)
        else:
            model.load_adapter(folder, adapter_name=adapter)
    model = model if model is not None else base(name)
    if uses:
        model.base_model.set_adapter([adapter for adapter, _ in uses])
        for module in model.modules():
            for adapter, scale in uses:
                if adapter in getattr(module, "lora_A", {}):
                    module.set_scale(adapter, scale)
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([TOKENS])).logits[0].numpy()


def neighbours(b, heads):
    """Rows of q or k as GGUF has Llama's: rotary pairs side by side instead of in the halves of a head."""
    return b.reshape(heads, 2, b.shape[0] // heads // 2, b.shape[1]).swapaxes(1, 2).reshape(b.shape)


def to_gguf(name, architecture):
    import gguf
    names = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "gate_proj": "ffn_gate",
             "up_proj": "ffn_up", "down_proj": "ffn_down"}
    config = json.load(open(os.path.join(HERE, name, "adapter_config.json")))
    model = json.load(open(os.path.join(HERE, "..", "golden", name.split("-")[0], "config.json")))
    writer = gguf.GGUFWriter(os.path.join(HERE, name + ".gguf"), architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(config["lora_alpha"]))
    for key, value in sorted(load_file(os.path.join(HERE, name, "adapter_model.safetensors")).items()):
        part = key.split(".")
        layer, module, which = part[part.index("layers") + 1], part[-3], part[-2]
        if architecture == "llama" and module in ("q_proj", "k_proj") and which == "lora_B":
            value = np.ascontiguousarray(neighbours(value, model["num_attention_heads" if module[0] == "q" else
                                                                 "num_key_value_heads"]))
        writer.add_tensor(f"blk.{layer}.{names[module]}.weight.{which.lower()}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    for name in ADAPTERS:
        shutil.rmtree(os.path.join(HERE, name), ignore_errors=True)
        make(name)
    to_gguf("qwen3-a", "qwen3")
    to_gguf("mistral-a", "llama")
    tokens = np.array(TOKENS, np.int32)
    made = {
        "qwen3": {"a": logits("qwen3", ("qwen3-a", 1.0)), "b": logits("qwen3", ("qwen3-b", 1.0)),
                  "both": logits("qwen3", ("qwen3-a", 0.5), ("qwen3-b", -1.5))},
        "gpt2": {"a": logits("gpt2", ("gpt2-a", 1.0))},
        "mistral": {"a": logits("mistral", ("mistral-a", 1.0))},
    }
    for name, given in made.items():
        plain = logits(name)
        save_file({"tokens": tokens, **{k: np.ascontiguousarray(v) for k, v in given.items()}},
                  os.path.join(HERE, name + ".safetensors"))
        for k, v in given.items():
            print(name, k, v.shape, "largest", np.abs(v).max(), "change", np.abs(v - plain).max())
