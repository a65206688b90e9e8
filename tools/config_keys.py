#!/usr/bin/env python3
"""Which keys of config.json does transformers compute with that src/model neither reads nor refuses?

    python3 tools/config_keys.py [MODEL_TYPE ...]     (needs transformers; without a type: every family of the table)

For each model type: the fields of its configuration class that its modelling code mentions, less the names that stand
in src/model (read, demanded, or in the table of config_keys.c), less PASSED below. Prints what is left, and ends with 1
if anything is. Run it when a family is added and when transformers has a new version; what it prints must be read,
demanded by the family's row, made a row of config_keys.c or, with its reason, put into PASSED."""
import glob
import os
import re
import sys

import transformers

# Keys that change nothing in inference, or that say which tensors there are, with the reason.
PASSED = {
    "biases: one that is in the file is used": "attention_bias mlp_bias qkv_bias use_qkv_bias use_bias bias"
    " enable_bias no_bias norm_bias decoder_bias classifier_bias",
    "which norms there are: seen by their tensors": "num_ln_in_parallel_attn layer_norm_elementwise_affine",
    "sizes that the tensors' shapes are checked against": "word_embed_proj_dim decoder_vocab_size",
    "how it is computed, not what": "pretraining_tp slow_but_exact reorder_and_upcast_attn deterministic_flash_attn"
    " attn_impl sinusoidal_pos_embds",
    "training and its losses": "router_jitter_noise sparse_prediction sparse_pred_ignore_index embedding_fraction",
    "what a call returns": "output_router_logits is_encoder_decoder",
    "heads that are not run": "summary_type summary_use_proj summary_activation summary_proj_to_labels",
    "images beside the text": "vision_config mm_tokens_per_image",
}
NEVER = re.compile(r"drop|init|aux|use_cache|_token_id|_token_index")


def known_names(folder):
    """Every name in a string of the sources that read or refuse a config.json; those with | or . between them apart."""
    names = set()
    for path in glob.glob(f"{folder}/config_*.c") + glob.glob(f"{folder}/families*.c"):
        with open(path, encoding="utf-8") as file:
            for literal in re.findall(r'"((?:\\.|[^"\\])*)"', file.read()):
                names.update(re.split(r"[|.]", literal))
    return names


def model_types(folder):
    types = []
    for path in sorted(glob.glob(f"{folder}/families*.c")):
        with open(path, encoding="utf-8") as file:
            for row in re.findall(r"\.hf = \{([^}]*)\}", file.read()):
                types += re.findall(r'"([^"]+)"', row)
    return types


def read_all(pattern):
    text = ""
    for path in sorted(glob.glob(pattern)):
        with open(path, encoding="utf-8") as file:
            text += file.read()
    return text


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "model")
    models = os.path.join(os.path.dirname(transformers.__file__), "models")
    passed = set(" ".join(PASSED.values()).split())
    known = known_names(folder)
    left_any = False
    for model_type in sys.argv[1:] or model_types(folder):
        name = model_type.replace("-", "_").removesuffix("_text")
        configuration = read_all(f"{models}/{name}/configuration_*.py")
        modelling = read_all(f"{models}/{name}/modeling_*.py")
        if not configuration or not modelling:
            sys.exit(f"config_keys.py: transformers {transformers.__version__} has no {model_type}")
        fields = dict.fromkeys(re.findall(r"^    (\w+): ", configuration, re.M))
        left = [key for key in fields if key not in known and key not in passed and not NEVER.search(key)
                and re.search(rf"\b{key}\b", modelling)]
        if left:
            print(f"{model_type}: {' '.join(left)}")
            left_any = True
    sys.exit(1 if left_any else 0)


if __name__ == "__main__":
    main()
