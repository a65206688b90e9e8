"""Writes marian/source.spm, marian/vocab.json and marian/cases.txt: the tokenizer of a small Marian folder and the ids
that transformers' MarianTokenizer gives. sentencepiece 0.2.3, transformers 5.24.0.

A few source pieces have no id, and the vocabulary has a run of characters that the source has no piece for: what happens
to both is what Marian's folders are about."""
import io
import json
import os

import sentencepiece
import transformers

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "marian")
GERMAN = ["Guten Morgen die Welt", "wie geht es dir heute", "das Wetter ist schoen",
          "eins zwei drei vier fuenf sechs sieben", "der Hund und die Katze schlafen im Haus", "wir lernen eine Sprache"]
ENGLISH = ["Good morning world", "how are you today", "the weather is nice", "one two three four five six seven",
           "the dog and the cat sleep in the house", "we learn a language 漢字"]
TEXTS = ["Guten Morgen die Welt", "漢字 die Katze", "eins 漢x zwei", "  wie   geht es", "xyzq QQ Haus", "Wir lernen!",
         "漢字", "", "der Hund 字漢字 und"]


def pieces(name, texts):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts * 3), model_writer=model, vocab_size=60, character_coverage=1.0,
        model_type="unigram", normalization_rule_name="identity", unk_id=1, bos_id=-1, eos_id=0, pad_id=-1,
        num_threads=1, minloglevel=2, hard_vocab_limit=False)
    with open(os.path.join(HERE, name), "wb") as file:
        file.write(model.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())


os.makedirs(HERE, exist_ok=True)
source, target = pieces("source.spm", GERMAN), pieces("target.spm", ENGLISH)
tokens = ["</s>", "<unk>"]
for model in (source, target):
    for i in range(2, model.vocab_size()):
        piece = model.id_to_piece(i)
        if piece not in tokens and not (model is source and i % 17 == 5):
            tokens.append(piece)
tokens += [">>eng<<", "漢字", "<pad>"]
with open(os.path.join(HERE, "vocab.json"), "w") as file:
    json.dump({token: i for i, token in enumerate(tokens)}, file)
marian = transformers.MarianTokenizer(*(os.path.join(HERE, n) for n in ("source.spm", "target.spm", "vocab.json")))
with open(os.path.join(HERE, "cases.txt"), "w") as file:
    for text in TEXTS:
        ids = marian(text)["input_ids"]
        back = marian.decode(ids, skip_special_tokens=True)
        file.write("\t".join([text, " ".join(map(str, ids)), back]) + "\n")
os.remove(os.path.join(HERE, "target.spm"))
