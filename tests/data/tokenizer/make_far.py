#!/usr/bin/env python3
"""Makes far.model, a Unigram model with scores so low that sums soon reach the place where sentencepiece counts anew, with
a user-defined piece, and far.txt: a text and the ids that sentencepiece gives for it.

    pip install sentencepiece==0.2.3 protobuf
    python3 make_far.py
"""
import os, random
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto

HERE = os.path.dirname(os.path.abspath(__file__))
r = random.Random(5)
model = proto.ModelProto()
for text, kind in [("<unk>", 2), ("<s>", 3), ("</s>", 3), ("aab", 4)]:
    model.pieces.add(piece=text, score=0, type=kind)
pieces = ["a", "b", "c", "\u2581"] + ["".join(r.choice("abc") for _ in range(r.randint(2, 5))) for _ in range(40)]
for text in dict.fromkeys(pieces):
    if text != "aab":
        model.pieces.add(piece=text, score=-600.0 * len(text) + r.choice([0, 0.001, 0.01, 1]), type=1)
model.trainer_spec.model_type = proto.TrainerSpec.UNIGRAM
model.trainer_spec.vocab_size = len(model.pieces)
model.normalizer_spec.name = "identity"
model.normalizer_spec.add_dummy_prefix = False
model.normalizer_spec.remove_extra_whitespaces = False
data = model.SerializeToString()
open(os.path.join(HERE, "far.model"), "wb").write(data)
text = "".join(r.choice("aabbcc ") for _ in range(1500))
ids = sentencepiece.SentencePieceProcessor(model_proto=data).encode(text)
open(os.path.join(HERE, "far.txt"), "w").write(text + "\n" + " ".join(map(str, ids)) + "\n")
