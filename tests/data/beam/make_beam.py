#!/usr/bin/env python3
"""Writes cases.txt: what the beam search of transformers 5.24.0 finds on the small models of ../families (float32).

    pip install torch transformers==5.24.0 safetensors numpy
    python3 make_beam.py

A line is a case: family, beams, hypotheses, most tokens, least tokens, stopping (0 heuristic, 1 full, 2 never), no_repeat,
length penalty, repeat penalty, end tokens by comma; then between bars what the encoder reads (- where there is none), the
prompt, and the hypotheses `score:ids`, the best first.
"""
import os, random, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "families"))
from make_families import weights  # noqa: E402

FAMILIES = ["gpt2", "llama", "gemma3", "t5", "bart", "marian", "pegasus"]
STOPPING = [False, True, "never"]


def load(family, folder):
    import shutil, torch, transformers
    from safetensors.numpy import save_file
    source = os.path.join(HERE, "..", "families", family)
    shutil.copy(os.path.join(source, "config.json"), folder)
    tensors = {}
    for line in open(os.path.join(source, "tensors.txt")):
        name, mean, spread, *shape = line.split()
        tensors[name] = weights(name, float(mean), float(spread), [int(n) for n in shape])
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    config = transformers.AutoConfig.from_pretrained(folder)
    kind = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    return kind.from_pretrained(folder, torch_dtype=torch.float32, attn_implementation="eager").eval()


def main():
    import torch
    out = open(os.path.join(HERE, "cases.txt"), "w")
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            model = load(family, folder)
        two = model.config.is_encoder_decoder
        vocab = model.config.get_text_config().vocab_size
        dice = random.Random(family)
        for case in range(8):
            beams = dice.choice([1, 2, 3, 4, 5]) if case else 4
            beams = max(beams, 2)
            wanted = dice.randint(1, beams)
            most, least = dice.randint(3, 14), dice.choice([0, 0, 3])
            stopping = dice.randrange(3)
            repeat, no_repeat = dice.choice([1.0, 1.0, 1.3]), dice.choice([0, 0, 2, 3])
            length = dice.choice([1.0, 0.6, 2.0, 0.0, -0.5])
            ids = [dice.randrange(3, vocab) for _ in range(dice.randint(3, 9))]
            # ends that come up: tokens that a first search finds
            common = dict(do_sample=False, num_beams=beams, num_return_sequences=wanted, max_new_tokens=most,
                          min_new_tokens=least or None, early_stopping=STOPPING[stopping], length_penalty=length,
                          repetition_penalty=repeat, no_repeat_ngram_size=no_repeat, pad_token_id=0,
                          return_dict_in_generate=True, output_scores=True, forced_eos_token_id=None,
                          forced_bos_token_id=None, bad_words_ids=None)
            model.generation_config.forced_eos_token_id = model.generation_config.forced_bos_token_id = None
            model.generation_config.bad_words_ids = None
            tensor = torch.tensor([ids])
            mask = torch.ones_like(tensor)
            ends = [vocab - 1]
            with torch.no_grad():
                before = model.generate(tensor, attention_mask=mask, eos_token_id=ends, **common)
                found = before.sequences[0].tolist()[1 if two else len(ids):]
                if case % 4 != 3:
                    ends = sorted({found[dice.randrange(len(found))], dice.choice(found)})
                result = model.generate(tensor, attention_mask=mask, eos_token_id=ends, **common)
            lines = []
            for row, score in zip(result.sequences.tolist(), result.sequences_scores.tolist()):
                row = row[1 if two else len(ids):]
                for i, token in enumerate(row):
                    if token in ends:
                        row = row[: i + 1]
                        break
                lines.append(f"{score:.7g}:" + ",".join(map(str, row)))
            start = "-" if two else ",".join(map(str, ids))
            print(family, beams, wanted, most, least, stopping, no_repeat, length, repeat, ",".join(map(str, ends)), "|",
                  ",".join(map(str, ids)) if two else "-", "|", start, "|", *lines, file=out)
    out.close()


main()
