#!/usr/bin/env python3
"""Train a tiny Llama on Tang poems and write it as a GGUF v3 file.

    python make_tang.py --corpus DIR --out tang.gguf

DIR holds the poet.tang.*.json files of chinese-poetry/chinese-poetry.  The
anthology that the model should know by heart is listed in tang300.txt, beside
this script.  Needs: torch, numpy, sentencepiece, gguf, opencc-python-reimplemented.

The script does everything from the JSON files to the model file:

  1. convert the poems to simplified characters and clean them;
  2. pick the anthology, apply its corrections, drop other copies of its poems;
  3. train a SentencePiece BPE tokenizer with byte fallback;
  4. train the network, with the anthology strongly over-represented;
  5. write the GGUF file: matrices Q8_0, norms F32, the tokenizer inside;
  6. recite the anthology from its first lines and count the exact poems.
"""
import argparse
import collections
import glob
import json
import math
import os
import random
import re
import sys
import tempfile
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))

# The shape.  Every row length is a multiple of 256, so that the matrices can
# be stored in any of GGUF's block formats.
VOCAB, DIM, LAYERS, HEADS, KV_HEADS, FFN, CONTEXT = 4096, 256, 4, 8, 2, 512, 256
HEAD_DIM, ROPE_BASE, EPS = DIM // HEADS, 10000.0, 1e-5
UNK, BOS, EOS = 0, 1, 2
MAX_CHARS = 200          # longer poems are cut into pieces at sentence ends

# Old forms that the OpenCC conversion leaves alone, and their usual forms.
VARIANTS = str.maketrans(
    "劒鴈猨遶簷鬬徧谿蘂堦褭覩臯皐珮廻飜髪煖暎歛桮隣呌遰顇顦燄罇荅鏁羇逈鵶僊嚬讐隄緜壻栢粧棃鸎筯帬碁牕邨悮"
    "椀虵輭畧効欵衞穉諠姪怱犂鼈嵒擡輙鎗厓塲鳯盌窓鉏椶嵓敧鷰菓撃碪嗁駮悤窻謌羗濶荳慙疎嬾媿斾櫂幷竝螘迳馀胷埽"
    "澘揜汚旛篴狥箇槩贑蠭絃",
    "剑雁猿绕檐斗遍溪蕊阶袅睹皋皋佩回翻发暖映敛杯邻叫递悴憔焰樽答锁羁迥鸦仙颦仇堤绵婿柏妆梨莺箸裙棋窗村误"
    "碗蛇软略效款卫稚喧侄匆犁鳖岩抬辄枪崖场凤碗窗锄棕岩欹燕果击砧啼驳匆窗歌羌阔豆惭疏懒愧旆棹并并蚁径余胸扫"
    "潸掩污幡笛徇个概赣蜂弦")


# ---------------------------------------------------------------- the poems

def clean(text, convert):
    """Simplified characters; editors' notes out, editors' [additions] in."""
    text = re.sub(r"（[^）]*）|\([^)]*\)|〈[^〉]*〉|\{[^}]*\}", "", text)
    text = convert(re.sub(r"[\[\]\s“”‘’「」『』\"'《》〖〗]", "", text))
    return re.sub("。+", "。", text.translate(VARIANTS).replace(",", "，").replace("：", "，"))


def load_corpus(folder):
    """Every usable poem of the corpus as (author, title, text)."""
    from opencc import OpenCC
    convert = OpenCC("t2s").convert
    files = glob.glob(os.path.join(folder, "poet.tang.*.json"))
    if not files:
        sys.exit(f"no poet.tang.*.json in {folder}")
    poems = []
    for name in sorted(files, key=lambda f: int(f.split(".")[-2])):
        with open(name, encoding="utf-8") as f:
            for entry in json.load(f):
                text = clean("".join(entry["paragraphs"]), convert)
                if len(text) < 16 or re.search(r"[□○●◇?？]{2}|□|[A-Za-z0-9/<>|&]", text):
                    continue                       # empty or damaged
                title = clean(entry["title"], convert)
                poems.append((clean(entry["author"], convert), title, text))
    return poems


def load_anthology(poems):
    """The poems listed in tang300.txt as (weight, author, title, text).

    A line of the list: stars TAB author TAB title TAB first words TAB
    corrections, each "corpus>usual", separated by spaces.  A star is a poem
    that everyone knows; it is shown to the model more often.
    """
    by_start = collections.defaultdict(list)
    for _, title, text in poems:
        by_start[text[:2]].append((title, text))
    found, missing = [], []
    with open(os.path.join(HERE, "tang300.txt"), encoding="utf-8") as f:
        for line in f:
            if not line.strip() or line.startswith("#"):
                continue
            stars, author, title, start, fixes = (line.rstrip("\n").split("\t") + [""])[:5]
            hits = [t for t in by_start[start[:2]] if t[1].startswith(start)]
            if not hits:
                missing.append(start)
                continue
            hits.sort(key=lambda t: t[0] != title)  # prefer the copy of that title
            text = hits[0][1]
            for fix in fixes.split():
                old, new = fix.split(">")
                if old not in text:
                    print(f"note: correction {fix} does not apply to {start}")
                text = text.replace(old, new)
            weight = 1 + 2 * len(stars) if len(text) <= MAX_CHARS else 1
            found.append((weight, author, title, text))
    return found, missing


def bigrams(text):
    text = re.sub(r"[，。？！；]", "", text)
    return {text[i:i + 2] for i in range(len(text) - 1)}


def without_copies(poems, anthology):
    """The corpus less repeated poems and other versions of the anthology's."""
    index = collections.defaultdict(set)
    for n, entry in enumerate(anthology):
        for pair in bigrams(entry[3]):
            index[pair].add(n)
    seen, kept = set(), []
    for author, title, text in poems:
        pairs = bigrams(text)
        shared = collections.Counter(n for pair in pairs for n in index.get(pair, ()))
        if text in seen or (shared and shared.most_common(1)[0][1] > 0.35 * len(pairs)):
            continue
        seen.add(text)
        kept.append((author, title, text))
    return kept


def sentences(text):
    return [s for s in re.split(r"(?<=[。？！])", text) if s]


def pieces(text):
    """Cut a long poem into runs of sentences; True marks the run that ends it."""
    runs, run = [], ""
    for s in sentences(text):
        if run and len(run) + len(s) > MAX_CHARS:
            runs.append((run, False))
            run = ""
        run += s[:MAX_CHARS]
    return runs + [(run, True)]


def header(author, title):
    return f"《{title}》{author}："


# ------------------------------------------------------------ the tokenizer

def train_tokenizer(poems, anthology, folder):
    import sentencepiece as spm
    path = os.path.join(folder, "corpus.txt")
    must = set("《》：，。？！；")
    with open(path, "w", encoding="utf-8") as f:
        for weight, author, title, text in anthology:
            must.update(author + title + text)
            f.write((header(author, title) + text + "\n") * weight)
        for author, title, text in poems:
            f.write(text + "\n")
    must.add("\u2581")                  # how SentencePiece writes a space
    spm.SentencePieceTrainer.train(
        input=path, model_prefix=os.path.join(folder, "tang"), model_type="bpe",
        vocab_size=VOCAB, byte_fallback=True, character_coverage=0.985,
        required_chars="".join(sorted(must)), unk_id=UNK, bos_id=BOS, eos_id=EOS,
        pad_id=-1, normalization_rule_name="identity", add_dummy_prefix=False,
        remove_extra_whitespaces=False, max_sentence_length=20000,
        max_sentencepiece_length=4, num_threads=1, minloglevel=1)
    return spm.SentencePieceProcessor(model_file=os.path.join(folder, "tang.model"))


# --------------------------------------------------------------- the samples

class Samples:
    """Draws training documents: BOS, perhaps a header, the text, EOS."""

    def __init__(self, sp, poems, anthology, rng):
        self.sp, self.rng = sp, rng
        self.rest = [(a, t, run, end) for a, t, text in poems for run, end in pieces(text)]
        self.known, self.weights = [], []
        for weight, a, t, text in anthology:
            runs = pieces(text)
            for n, (run, end) in enumerate(runs):
                self.known.append((a, t, run, end, n == 0))
                self.weights.append(weight)
        self.order = []

    def encode(self, head, text, end):
        # BPE dropout now and then, so that a prompt that stops in the middle
        # of a two-character token is no surprise.
        if self.rng.random() < 0.25:
            ids = self.sp.encode(text, enable_sampling=True, alpha=0.1, nbest_size=-1)
        else:
            ids = self.sp.encode(text)
        ids = [BOS] + (self.sp.encode(head) if head else []) + ids + ([EOS] if end else [])
        return ids[:CONTEXT]

    def one_known(self):
        a, t, run, end, first = self.rng.choices(self.known, self.weights)[0]
        r = self.rng.random()
        if r < 0.25 and first:
            return self.encode(header(a, t), run, end)
        if r > 0.85:                    # from a sentence inside the poem
            parts = sentences(run)
            run = "".join(parts[self.rng.randrange(len(parts)):])
        return self.encode("", run, end)

    def one_other(self):
        if not self.order:
            self.order = list(range(len(self.rest)))
            self.rng.shuffle(self.order)
        a, t, run, end = self.rest[self.order.pop()]
        head = header(a, t) if self.rng.random() < 0.3 and len(t) < 16 else ""
        return self.encode(head, run, end)

    def batches(self, tokens, share):
        """Batches of about `tokens` tokens, of documents of similar length."""
        pool = []
        for kind, quota in ((self.one_known, share), (self.one_other, 1 - share)):
            need = 8 * tokens * quota
            while need > 0:
                pool.append(kind())
                need -= len(pool[-1])
        pool.sort(key=len)
        groups, rows = [], []
        for doc in pool:
            if rows and (len(rows) + 1) * len(doc) > tokens:
                groups.append(rows)
                rows = []
            rows.append(doc)
        groups.append(rows)
        self.rng.shuffle(groups)
        for rows in groups:
            width = max(map(len, rows))
            x = np.full((len(rows), width), EOS, dtype=np.int64)
            y = np.full((len(rows), width), -100, dtype=np.int64)
            for i, doc in enumerate(rows):
                x[i, :len(doc)] = doc
                y[i, :len(doc) - 1] = doc[1:]
            yield x, y


# --------------------------------------------------------------- the network

def build_model():
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    freq = ROPE_BASE ** (-torch.arange(0, HEAD_DIM, 2).float() / HEAD_DIM)
    angle = torch.outer(torch.arange(CONTEXT).float(), freq)

    class RMSNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(DIM))

        def forward(self, x):
            x = x.float()
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * self.weight

    def rope(x, cos, sin):
        # Neighbouring elements (2i, 2i+1) are one pair.  That is the layout
        # GGUF's "llama" expects, so q and k need no permutation on export.
        x0, x1 = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack((x0 * cos - x1 * sin, x0 * sin + x1 * cos), -1).flatten(-2)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.attn_norm, self.ffn_norm = RMSNorm(), RMSNorm()
            self.attn_q = nn.Linear(DIM, HEADS * HEAD_DIM, bias=False)
            self.attn_k = nn.Linear(DIM, KV_HEADS * HEAD_DIM, bias=False)
            self.attn_v = nn.Linear(DIM, KV_HEADS * HEAD_DIM, bias=False)
            self.attn_output = nn.Linear(HEADS * HEAD_DIM, DIM, bias=False)
            self.ffn_gate = nn.Linear(DIM, FFN, bias=False)
            self.ffn_up = nn.Linear(DIM, FFN, bias=False)
            self.ffn_down = nn.Linear(FFN, DIM, bias=False)

        def forward(self, x, cos, sin, mask):
            h = self.attn_norm(x)
            q, k, v = (m(h).unflatten(-1, (-1, HEAD_DIM)).transpose(1, 2)
                       for m in (self.attn_q, self.attn_k, self.attn_v))
            q, k = rope(q, cos, sin).to(v.dtype), rope(k, cos, sin).to(v.dtype)
            k, v = (t.repeat_interleave(HEADS // KV_HEADS, 1) for t in (k, v))
            # Written out: for such short sequences it is faster on a CPU than
            # the fused kernel, whose backward pass is slow.
            s = q @ k.transpose(-1, -2) * HEAD_DIM ** -0.5 + mask
            h = s.softmax(-1).to(v.dtype) @ v
            x = x + self.attn_output(h.transpose(1, 2).flatten(2))
            h = self.ffn_norm(x)
            return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))

    class Llama(nn.Module):
        def __init__(self):
            super().__init__()
            self.token_embd = nn.Embedding(VOCAB, DIM)
            self.blk = nn.ModuleList(Block() for _ in range(LAYERS))
            self.output_norm = RMSNorm()
            self.register_buffer("cos", angle.cos(), persistent=False)
            self.register_buffer("sin", angle.sin(), persistent=False)
            for name, p in self.named_parameters():
                if p.dim() == 2:
                    out = name.endswith(("attn_output.weight", "ffn_down.weight"))
                    nn.init.normal_(p, std=0.02 / math.sqrt(2 * LAYERS) if out else
                                    0.02 if "token" in name else 1 / math.sqrt(p.shape[1]))

        def forward(self, ids, targets=None):
            x = self.token_embd(ids)    # also the output matrix: tied
            n = ids.shape[1]
            mask = torch.full((n, n), float("-inf")).triu(1)
            for block in self.blk:
                x = block(x, self.cos[:n], self.sin[:n], mask)
            x = self.output_norm(x)
            if targets is None:
                return F.linear(x[:, -1], self.token_embd.weight)
            keep = targets.flatten() != -100        # no logits for the padding
            logits = F.linear(x.flatten(0, 1)[keep], self.token_embd.weight)
            return F.cross_entropy(logits.float(), targets.flatten()[keep])

    return Llama()


def train(args, samples, save):
    import torch
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    model = build_model()
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    # Muon for the matrices inside the blocks, AdamW for the rest.
    inner = [p for p in model.blk.parameters() if p.dim() == 2]
    rest = [p for p in model.parameters() if not any(p is q for q in inner)]
    opts = [torch.optim.Muon(inner, lr=args.lr, weight_decay=args.decay,
                             adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True)]
    start, step, total, recent, done = time.time(), 0, 0, [], 0.0
    while done < 1:
        # The anthology's share of the tokens rises in the last part.
        share = args.share if done < 0.6 else args.final_share
        for x, y in samples.batches(args.batch, share):
            spent = (time.time() - start) / 60
            done = max(step / args.steps, spent / args.minutes if args.minutes else 0)
            if done >= 1:
                break
            if args.save_every and step and step % args.save_every == 0:
                save(model)
            # Warm up, then a cosine down to a fiftieth.
            lr = args.lr * min(1.0, (step + 1) / 100) * (0.51 + 0.49 * math.cos(math.pi * done))
            for opt in opts:
                for group in opt.param_groups:
                    group["lr"] = lr
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not args.float32):
                loss = model(torch.from_numpy(x), torch.from_numpy(y))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for opt in opts:
                opt.step()
                opt.zero_grad(set_to_none=True)
            step += 1
            total += int((y != -100).sum())
            recent.append(loss.item())
            if step % 50 == 0:
                print(f"step {step:5d}  loss {sum(recent) / len(recent):.3f}  lr {lr:.5f}  "
                      f"{total / spent / 60:.0f} tok/s  {spent:.1f} min", flush=True)
                recent = []
    print(f"{step} steps, {total} tokens, {(time.time() - start) / 60:.1f} minutes")
    save(model)
    return model


# ------------------------------------------------------------- the GGUF file

def write_gguf(path, model, sp):
    import gguf
    Q8 = gguf.GGMLQuantizationType.Q8_0
    part = path + ".part"
    w = gguf.GGUFWriter(part, "llama")
    w.add_name("Tang")
    w.add_description("A tiny Llama that continues Tang poems (simplified Chinese), "
                      "trained on the Quan Tang Shi of chinese-poetry/chinese-poetry")
    w.add_license("MIT")
    w.add_languages(["zh"])
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_vocab_size(VOCAB)
    w.add_context_length(CONTEXT)
    w.add_embedding_length(DIM)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(FFN)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV_HEADS)
    w.add_layer_norm_rms_eps(EPS)
    w.add_rope_dimension_count(HEAD_DIM)
    w.add_rope_freq_base(ROPE_BASE)
    kind = gguf.TokenType
    tokens, scores, types = [], [], []
    for i in range(VOCAB):
        tokens.append(sp.id_to_piece(i).encode("utf-8"))
        scores.append(sp.get_score(i))
        types.append(kind.UNKNOWN if sp.is_unknown(i) else kind.CONTROL if sp.is_control(i)
                     else kind.BYTE if sp.is_byte(i) else kind.NORMAL)
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list(tokens)
    w.add_token_scores(scores)
    w.add_token_types(types)
    w.add_bos_token_id(BOS)
    w.add_eos_token_id(EOS)
    w.add_unk_token_id(UNK)
    w.add_add_bos_token(True)
    w.add_add_eos_token(False)
    w.add_add_space_prefix(False)
    for name, p in model.named_parameters():
        data = p.detach().float().numpy()
        if data.ndim == 2:
            w.add_tensor(name, gguf.quants.quantize(data, Q8), raw_dtype=Q8)
        else:
            w.add_tensor(name, data)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(part, path)


# ----------------------------------------------------------------- reciting

def recite(model, sp, prompt, limit=120):
    """The greedy continuation, every position computed anew at each step."""
    import torch
    ids = [BOS] + sp.encode(prompt)
    start = len(ids)
    with torch.no_grad():
        while len(ids) < min(start + limit, CONTEXT):
            best = int(model(torch.tensor([ids])).argmax())
            if best == EOS:
                break
            ids.append(best)
    return sp.decode(ids[start:])


def report(model, sp, anthology):
    """Give the model the first line of every poem that is not too long."""
    good = tried = 0
    for weight, author, title, text in anthology:
        if len(text) <= 100:
            line = text[:text.index("，") + 1]
            said = line + recite(model, sp, line, len(text))
            tried, good = tried + 1, good + (said == text)
            if weight > 1:
                print("exact" if said == text else "     ", title, said)
    print(f"{good} of {tried} poems recited exactly from their first lines")


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--corpus", required=True, help="folder of poet.tang.*.json")
    ap.add_argument("--out", required=True, help="the GGUF file to write")
    ap.add_argument("--steps", type=int, default=3500)
    ap.add_argument("--minutes", type=float, help="stop after this time if that comes sooner; "
                    "the learning rate is planned for it")
    ap.add_argument("--batch", type=int, default=2048, help="tokens in a batch")
    ap.add_argument("--lr", type=float, default=3e-3)
    ap.add_argument("--decay", type=float, default=0.05)
    ap.add_argument("--share", type=float, default=0.35, help="the anthology's share of the tokens")
    ap.add_argument("--final-share", type=float, default=0.45, help="the same in the last 40 %%")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--seed", type=int, default=300)
    ap.add_argument("--float32", action="store_true", help="train without bfloat16")
    ap.add_argument("--save-every", type=int, default=0, help="write the file every N steps too")
    args = ap.parse_args()
    poems = load_corpus(args.corpus)
    anthology, missing = load_anthology(poems)
    print(f"{len(poems)} poems; anthology: {len(anthology)} found, "
          f"{len(missing)} missing {' '.join(missing)}")
    poems = without_copies(poems, anthology)
    print(f"{len(poems)} other poems after removing copies", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        sp = train_tokenizer(poems, anthology, folder)
        samples = Samples(sp, poems, anthology, random.Random(args.seed))
        model = train(args, samples, lambda model: write_gguf(args.out, model, sp))
        print(f"{args.out}: {os.path.getsize(args.out)} bytes")
        report(model, sp, anthology)


if __name__ == "__main__":
    main()
