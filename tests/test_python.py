"""The Python binding on a small model. TFM_LIBRARY names the library, TFM_TEST_MODEL the model (a GGUF file)."""

import gc
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings
from array import array
from pathlib import Path
from typing import Any, Iterator, List

ROOT = Path(__file__).resolve().parent.parent
if os.environ.get("TFM_TEST_INSTALLED") != "1":
    sys.path.insert(0, str(ROOT / "bindings" / "python" / "src"))

import tfm  # noqa: E402

MODEL = os.environ.get("TFM_TEST_MODEL", str(ROOT / "examples" / "models" / "tang.gguf"))
FIXTURES = ROOT / "tests" / "data" / "tokenizer"
PROMPT = "床前明月光"


class Oops(Exception):
    pass


class Library(unittest.TestCase):
    def test_versions(self) -> None:
        self.assertEqual(tfm.__version__, tfm.library_version())
        self.assertTrue(tfm.capability("portable"))
        self.assertFalse(tfm.capability("nonsense"))

    def test_structures_are_as_large_as_the_headers_say(self) -> None:
        """The library refuses a structure whose unknown tail is not zero, but not a wrong layout: compare sizes."""
        from tfm import _library

        names = {
            "tfm_error": "Error", "tfm_pool_options": "PoolOptions", "tfm_tokenizer_options": "TokenizerOptions",
            "tfm_tokenizer_info": "TokenizerInfo", "tfm_tokenize_options": "TokenizeOptions",
            "tfm_detokenize_options": "DetokenizeOptions", "tfm_model_options": "ModelOptions",
            "tfm_model_info": "ModelInfo", "tfm_tensor_info": "TensorInfo", "tfm_session_options": "SessionOptions",
            "tfm_forward_options": "ForwardOptions", "tfm_forward_part": "ForwardPart", "tfm_candidate": "Candidate", "tfm_token_event": "TokenEvent",
            "tfm_generate_options": "GenerateOptions", "tfm_generation_summary": "GenerationSummary",
            "tfm_special_token": "SpecialToken", "tfm_inspect_options": "InspectOptions",
            "tfm_inspect_event": "RawInspectEvent", "tfm_special_choice": "SpecialChoice", "tfm_text_input": "TextInput",
            "tfm_batch_options": "BatchOptions", "tfm_tokenizer_train_options": "TokenizerTrainOptions", "tfm_encoding_view": "EncodingView",
            "tfm_token_score": "TokenScore", "tfm_beam_options": "BeamOptions", "tfm_hypothesis": "HypothesisView", "tfm_phrase_options": "PhraseOptions", "tfm_phrase_result": "PhraseResult", "tfm_score_options": "ScoreOptions", "tfm_score_result": "ScoreResult",
            "tfm_encode_row": "EncodeRow", "tfm_encode_options": "EncodeOptions", "tfm_encoded_view": "EncodedView",
            "tfm_embed_options": "EmbedOptions", "tfm_imatrix_options": "ImatrixOptions", "tfm_quantize_options": "QuantizeOptions", "tfm_quantize_result": "QuantizeResult",
            "tfm_perplexity_options": "PerplexityOptions", "tfm_perplexity_result": "PerplexityResult",
            "tfm_net_data_options": "NetDataOptions", "tfm_net_data_view": "NetDataView", "tfm_net_options": "NetOptions",
            "tfm_net_info": "NetInfo", "tfm_net_layer": "NetLayerView", "tfm_net_train_options": "NetTrainOptions",
            "tfm_net_plane_options": "NetPlaneOptions", "tfm_net_svg_options": "NetSvgOptions",
            "tfm_trainer_options": "TrainerOptions", "tfm_new_model_options": "NewModelOptions", "tfm_train_batch": "TrainBatch",
            "tfm_train_result": "TrainResult", "tfm_trained_tensor": "TrainedTensor",
        }  # fmt: skip
        lines = []
        for c_name, name in names.items():
            structure = getattr(_library, name)
            for field in structure._fields_:
                offset = getattr(structure, field[0]).offset
                lines.append(f"_Static_assert(offsetof({c_name}, {field[0]}) == {offset}, \"{c_name}.{field[0]}\");")
            size = _library.ctypes.sizeof(structure)
            lines.append(f"_Static_assert(sizeof({c_name}) == {size}, \"{c_name}\");")
        source = "#include <tfm/tfm.h>\n" + "\n".join(lines) + "\nint main(void) { return 0; }\n"
        compiler = os.environ.get("CC", "cc").split()
        try:
            command = compiler + ["-x", "c", "-std=c11", "-fsyntax-only", "-I", str(ROOT / "include"), "-"]
            done = subprocess.run(command, input=source, capture_output=True, text=True)
        except FileNotFoundError:
            self.skipTest("no C compiler")
        self.assertEqual(done.returncode, 0, done.stderr)


class Encoders(unittest.TestCase):
    DATA = ROOT / "tests" / "data"

    def test_encode(self) -> None:
        with tfm.Model(self.DATA / "golden" / "bert") as model:
            self.assertEqual(model.info.kind, "encoder")
            with model.encode([[1, 2, 3], [4, 5]], types=[[0, 1, 1], None], keep_layers=True) as encoded:
                self.assertEqual(len(encoded), 2)
                self.assertEqual(encoded.starts, [0, 3, 5])
                hidden = encoded.hidden
                self.assertEqual(tuple(hidden.shape), (5, model.info.width))
                self.assertEqual(encoded[1].tolist() if hasattr(hidden, "dtype") else hidden.tolist()[3:],
                                 hidden.tolist()[3:])  # fmt: skip
                self.assertEqual(encoded.layers, model.info.layers + 1)
                self.assertEqual(encoded.layer(model.info.layers).tolist(), hidden.tolist())
                self.assertEqual(tuple(encoded.pooled.shape), (2, model.info.width))
                self.assertIsNone(encoded.head)
                with self.assertRaises(tfm.TfmError):
                    encoded.logits()
            self.assertEqual(len(hidden.tolist()), 5)  # the array keeps the memory
            with self.assertRaises(ValueError):
                model.encode([[1, 2]], types=[[0]])
            with self.assertRaises(tfm.TfmError):
                model.encode([[1, 2]], types=[[0, 7]])
            with self.assertRaises(TypeError):
                model.encode("a text")
            with self.assertRaises(tfm.TfmError):
                model.session()
        with tfm.Model(MODEL) as model:
            self.assertEqual(model.info.kind, "decoder")
            with self.assertRaises(tfm.TfmError):
                model.encode([[1, 2]])
            self.assertEqual(len(model.encode([[1, 2], [3]], decoder=True)), 2)

    def test_logits(self) -> None:
        with tfm.Model(self.DATA / "encoders" / "bert-tags") as model:
            encoded = model.encode([[1, 2, 3], [4]])
            self.assertEqual((encoded.head, encoded.outputs), ("tokens", 5))
            self.assertEqual([model.label(i) for i in range(5)], [f"LABEL_{i}" for i in range(5)])
            with self.assertRaises(tfm.TfmError):
                model.label(5)
            self.assertEqual(encoded.logits(2, 2).tolist(), encoded.logits().tolist()[2:])

    def test_embed(self) -> None:
        texts = (self.DATA / "embedding" / "texts.txt").read_text().splitlines()
        with tfm.Model(self.DATA / "embedding" / "mean") as model:
            vectors = model.embed(texts)
            self.assertEqual(tuple(vectors.shape), (len(texts), 16))
            one = model.embed(texts[1])
            self.assertEqual(one.tolist(), vectors.tolist()[1])
            assert model.tokenizer is not None
            self.assertEqual(model.embed(model.tokenizer.encode(texts[1])).tolist(), one.tolist())
            self.assertAlmostEqual(sum(x * x for x in one.tolist()), 1, places=5)
            self.assertEqual(len(model.embed("x", pooling=["first", "max"]).tolist()), 32)
            self.assertNotEqual(model.embed("x", prompt="the ").tolist(), model.embed("x").tolist())
            with self.assertRaises(ValueError):
                model.embed("x", pooling="middle")
        with tfm.Model(self.DATA / "embedding" / "cross-encoder") as model:
            scores = model.classify([(texts[0], text) for text in texts[1:]])
            self.assertEqual(tuple(scores.shape), (len(texts) - 1, 1))
            ranked = model.rank(texts[0], texts[1:])
            self.assertEqual(sorted(place for place, _ in ranked), list(range(len(texts) - 1)))
            self.assertEqual([score for _, score in ranked], sorted((row[0] for row in scores.tolist()), reverse=True))


class Adapters(unittest.TestCase):
    DATA = ROOT / "tests" / "data"

    def test_adapters(self) -> None:
        ids = [5, 6, 7, 40]
        with tfm.Model(self.DATA / "golden" / "qwen3") as model:
            a = tfm.Adapter(model, self.DATA / "adapter" / "qwen3-a")
            b = tfm.Adapter(model, self.DATA / "adapter" / "qwen3-b")
            self.assertEqual((a.info.format, a.info.rank), ("peft", 4))
            with model.session() as plain, model.session() as session:
                plain.forward(ids)
                session.adapters = [(a, 0.5), b]
                self.assertEqual(session.adapters, [(a, 0.5), (b, 1.0)])
                session.forward(ids)
                adapted = session.logits()
                self.assertNotEqual(adapted, plain.logits())
                with session.fork() as fork:
                    self.assertEqual(len(fork.adapters), 2)
                    fork.rewind(3)
                    fork.forward(ids[3:])
                    self.assertEqual(fork.logits(), adapted)
                with model.merge([(a, 0.5), b]) as merged, merged.session() as other:
                    other.forward(ids)
                    self.assertLess(max(abs(x - y) for x, y in zip(other.logits(), adapted)), 1e-3)
                    with self.assertRaises(tfm.TfmError):
                        other.adapters = a
                session.adapters = []
                session.rewind()
                session.forward(ids)
                self.assertEqual(session.logits(), plain.logits())
                session.adapters = a
                a.close()
                session.rewind()
                session.forward(ids)
            text = [(i * i) % 90 + 4 for i in range(32)]
            changed = model.perplexity(text, context=16, adapters=b)
            self.assertNotEqual(changed, model.perplexity(text, context=16))
            with self.assertRaises(tfm.TfmError):
                tfm.Adapter(model, self.DATA / "adapter" / "mistral-a")


class Training(unittest.TestCase):
    TEXTS = ["the cat sat on the mat\n", "and the dog sat on the cat\n", "zwölf Boxkämpfer\n"] * 50

    def test_texts_and_files_give_the_same(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "text"
            path.write_text("".join(self.TEXTS), encoding="utf-8", newline="")
            options: Any = {"vocab_size": 290, "special_tokens": ["<s>"]}
            one = tfm.train_tokenizer([path], threads=1, **options)
            two = tfm.train_tokenizer(texts=iter(self.TEXTS), threads=2, **options)
            self.assertEqual(tfm.tokenizer_bytes(one, "json"), tfm.tokenizer_bytes(two, "json"))
            self.assertEqual(len(one), 290)
            self.assertEqual(one.decode(one.encode(self.TEXTS[2])), self.TEXTS[2])
            for ending in ("json", "gguf", "tiktoken"):
                saved = str(Path(folder) / f"t.{ending}")
                tfm.save_tokenizer(one, saved)
                again = tfm.Tokenizer.load(saved, pattern="gpt2")
                self.assertEqual(list(again.encode(self.TEXTS[0])), list(one.encode(self.TEXTS[0])))
            with self.assertRaises(tfm.TfmError):
                tfm.save_tokenizer(one, saved, "model")

    def test_sentencepiece(self) -> None:
        pieces = tfm.train_tokenizer(texts=self.TEXTS, kind="sentencepiece", vocab_size=40, user_symbols=["cat"])
        self.assertEqual(pieces.info.kind, "sentencepiece-bpe")
        again = tfm.Tokenizer.from_bytes(tfm.tokenizer_bytes(pieces, "model"))
        self.assertEqual(list(again.encode("the cat")), list(pieces.encode("the cat")))
        with self.assertRaises(tfm.TfmError):
            tfm.train_tokenizer(texts=self.TEXTS, kind="sentencepiece", vocab_size=5)

    def test_stopping(self) -> None:
        def broken() -> Iterator[str]:
            yield "text"
            raise KeyError("no more")

        with self.assertRaises(KeyError):
            tfm.train_tokenizer(texts=broken())
        with self.assertRaises(tfm.TfmError):
            tfm.train_tokenizer(texts=self.TEXTS, progress=lambda done, total: False)
        with self.assertRaises(ValueError):
            tfm.train_tokenizer(texts=self.TEXTS, kind="other")
        with self.assertRaises(TypeError):
            tfm.train_tokenizer("file")


class Errors(unittest.TestCase):
    def test_missing_file(self) -> None:
        with self.assertRaises(tfm.TfmError) as caught:
            tfm.Model("/nowhere/at/all.gguf")
        error = caught.exception
        self.assertEqual((error.code, error.name), (-31, "TFM_E_NOT_FOUND"))
        self.assertIn("all.gguf", error.message)
        self.assertIn("TFM_E_NOT_FOUND", str(error))
        copy = pickle.loads(pickle.dumps(error))
        self.assertEqual((copy.code, copy.message, copy.file), (error.code, error.message, error.file))

    def test_broken_file(self) -> None:
        data = Path(MODEL).read_bytes()
        with tempfile.TemporaryDirectory() as folder:
            for length in (0, 3, 30, 3000, len(data) - 1):
                path = Path(folder) / "broken.gguf"
                path.write_bytes(data[:length])
                with self.assertRaises(tfm.TfmError):
                    tfm.Model(path)
        with self.assertRaises(tfm.TfmError):
            tfm.Model.from_bytes(data[:1000])
        with self.assertRaises(tfm.TfmError):
            tfm.Tokenizer.from_bytes(b"hello")

    def test_wrong_arguments(self) -> None:
        with self.assertRaises(ValueError):
            tfm.Model(MODEL, isa="mmx")
        with self.assertRaises(tfm.TfmError):
            tfm.Sampler(top_p=2)
        with self.assertRaises(OverflowError):
            tfm.Sampler(seed=-1)
        with tfm.Model(MODEL) as model, model.session() as session:
            with self.assertRaises(ValueError):
                session.forward([1], logits="some")
            with self.assertRaises(tfm.TfmError):
                session.forward([-1])
            with self.assertRaises(OverflowError):
                session.forward([2**40])
            with self.assertRaises(tfm.TfmError):
                session.logits()
            with self.assertRaises(tfm.TfmError):
                session.rewind(1)
            with self.assertRaises(ValueError):
                session.generate(PROMPT, sampler=tfm.Sampler(), seed=1)

    def test_closed(self) -> None:
        model = tfm.Model(MODEL)
        session = model.session()
        tokenizer = model.tokenizer
        model.close()
        model.close()
        with self.assertRaises(ValueError):
            model.info
        session.forward([1])  # what rests on the model goes on
        assert tokenizer is not None
        self.assertGreater(tokenizer.info.vocab_size, 0)
        session.close()
        with self.assertRaises(ValueError):
            session.position


class Small(unittest.TestCase):
    model: tfm.Model

    @classmethod
    def setUpClass(cls) -> None:
        cls.model = tfm.Model(MODEL, threads=2)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.model.close()

    @property
    def tokenizer(self) -> tfm.Tokenizer:
        tokenizer = self.model.tokenizer
        assert tokenizer is not None
        return tokenizer


class Tokenizing(Small):
    def test_there_and_back(self) -> None:
        alone = tfm.Tokenizer.load(MODEL)
        ids = alone.encode(PROMPT)
        self.assertEqual(ids, self.tokenizer.encode(PROMPT))
        self.assertEqual(ids, alone.encode(PROMPT.encode()))
        self.assertEqual(alone.decode(ids), PROMPT)
        self.assertEqual(alone.decode_bytes(alone.encode(PROMPT, add_bos=False)), PROMPT.encode())
        self.assertEqual(alone.encode("", add_bos=False, add_eos=False), [])
        self.assertEqual(alone.decode([]), "")
        self.assertGreater(len(alone.encode("a" * 5000)), 0)

    def test_info(self) -> None:
        info = self.tokenizer.info
        self.assertTrue(info.kind)
        self.assertEqual(info.vocab_size, self.model.info.vocab_size)

    def test_tokens(self) -> None:
        token = self.tokenizer.encode("月")[-1]
        data = self.tokenizer.token_bytes(token)
        self.assertTrue(data)
        self.assertGreaterEqual(self.tokenizer.find(data), 0)
        self.assertEqual(self.tokenizer.find("no such token at all"), -1)
        self.assertNotEqual(self.tokenizer.token_kind(token), 0)
        self.assertEqual(self.tokenizer.token_kind(10**9), 0)
        with self.assertRaises(tfm.TfmError):
            self.tokenizer.token_bytes(10**9)

    def test_decoder(self) -> None:
        ids = self.tokenizer.encode(PROMPT)
        with self.tokenizer.decoder() as decoder:
            text = "".join(decoder.push(token) for token in ids) + decoder.finish()
        self.assertEqual(text, PROMPT)


class Sessions(Small):
    def test_info(self) -> None:
        info = self.model.info
        self.assertTrue(info.family)
        self.assertEqual(info.format, "gguf")
        self.assertGreater(info.layers, 0)
        self.assertGreater(self.model.bytes, 0)
        tensors = self.model.tensors
        self.assertTrue(tensors and all(tensor.name and tensor.shape for tensor in tensors))
        embedding = next(tensor for tensor in tensors if tensor.name == "token_embd.weight")
        values = self.model.tensor(embedding.name)
        self.assertEqual(values.shape, embedding.shape)
        row = self.model.embedding(7)
        self.assertEqual([values[7, column] for column in range(len(row))], list(row))
        self.assertEqual(len(self.model.embedding(7, output=True)), info.width)
        with self.assertRaises(KeyError):
            self.model.tensor("nobody")
        with self.assertRaises(tfm.TfmError):
            self.model.embedding(info.vocab_size)

    def test_forward_many(self) -> None:
        ids = self.tokenizer.encode(PROMPT)
        with self.model.session() as one, self.model.session() as other, self.model.session() as alone:
            alone.forward(ids)
            expected = alone.logits()
            tfm.forward_many([(one, ids), (other, ids[:2])], logits=["last", "none"])
            self.assertEqual(one.logits(), expected)
            self.assertEqual((one.position, other.position, other.logits_count), (len(ids), 2, 0))
            tfm.forward_many([(other, ids[2:]), (one, ids[:1])])
            self.assertEqual(other.logits(), expected)
            with self.assertRaises(tfm.TfmError):
                tfm.forward_many([(one, ids), (one, ids)])
            with self.assertRaises(ValueError):
                tfm.forward_many([(one, ids)], logits=["last", "last"])
            self.assertEqual(one.position, len(ids) + 1)

    def test_forward(self) -> None:
        ids = self.tokenizer.encode(PROMPT)
        with self.model.session() as session:
            session.forward(ids, logits="all")
            self.assertEqual(session.logits_count, len(ids))
            self.assertEqual(session.position, len(ids))
            self.assertEqual(session.tokens, ids)
            self.assertGreaterEqual(session.context, len(ids))
            logits = session.logits()
            self.assertEqual(len(logits), self.model.info.vocab_size)
            self.assertEqual(logits, session.logits(len(ids) - 1))
            with self.assertRaises(IndexError):
                session.logits(len(ids))
            best = max(range(len(logits)), key=logits.__getitem__)
            table = session.top(5)
            self.assertEqual(len(table), 5)
            self.assertEqual(table[0].id, best)
            self.assertEqual(table[0].text, table[0].bytes.decode("utf-8", "replace"))
            self.assertEqual(table[0].logit, logits[best])
            self.assertEqual(session.probability(best), table[0].probability)
            self.assertEqual(session.sample(), best)
            self.assertEqual(session.sample(tfm.Sampler(temperature=0)), best)
            self.assertEqual(self.model.top(PROMPT, 5), table)

            # Back and again, in a fork too, and token by token: the same bits.
            fork = session.fork()
            session.rewind(len(ids) - 1)
            self.assertEqual(session.logits_count, 0)
            session.forward(ids[-1:])
            self.assertEqual(session.logits(), logits)
            self.assertEqual(fork.logits(), logits)
            fork.rewind()
            for token in ids:
                fork.forward([token])
            self.assertEqual(fork.logits(), logits)

    def test_view(self) -> None:
        session = self.model.session()
        session.forward(self.tokenizer.encode(PROMPT))
        view = session.logits_view()
        self.assertEqual((view.format, view.readonly), ("f", True))
        self.assertEqual(list(view), list(session.logits()))
        session.forward([1])
        with self.assertRaises(ValueError):  # released: its memory may be another's now
            view[0]
        view = session.logits_view()
        del session
        gc.collect()
        self.assertEqual(len(list(view)), self.model.info.vocab_size)

    def test_numpy(self) -> None:
        try:
            import numpy
        except ImportError:
            self.skipTest("numpy is not here")
        with self.model.session() as session:
            session.forward(self.tokenizer.encode(PROMPT))
            row = numpy.frombuffer(session.logits_view(), dtype="float32")
            self.assertEqual(int(row.argmax()), session.top(1)[0].id)

    def test_options(self) -> None:
        with self.model.session(context=16, batch=4, cache="f32") as session:
            self.assertEqual(session.context, 16)
            with self.assertRaises(tfm.TfmError):
                session.forward([1] * 17)
            self.assertEqual(session.position, 0)
        with self.assertRaises(ValueError):
            self.model.session(cache="f8")

    def test_caches(self) -> None:
        ids = self.tokenizer.encode(PROMPT)
        exact: "list[float]" = []
        for cache in ("f32", "f16", "bf16", "q8_0", "q4_0"):
            with self.model.session(cache=cache) as session, session.fork() as fork:
                session.forward(ids)
                for token in ids:
                    fork.forward([token])
                logits = list(session.logits_view())
                self.assertEqual(list(fork.logits_view()), logits)
                self.assertNotEqual(logits, exact)
                exact = exact or logits

    def test_pool(self) -> None:
        pool = tfm.Pool(2)
        self.assertEqual(pool.threads, 2)
        first, second = tfm.Model(MODEL, pool=pool), tfm.Model(MODEL, pool=pool, isa="portable", read_into_memory=True)
        del pool
        gc.collect()
        self.assertEqual(first.top(PROMPT), second.top(PROMPT))
        memory = tfm.Model.from_bytes(Path(MODEL).read_bytes())
        gc.collect()
        self.assertEqual(first.top(PROMPT), memory.top(PROMPT))

    def test_threads(self) -> None:
        expected = self.model.generate(PROMPT, max_tokens=8, on_token=lambda _token: None).text
        found = []

        def work() -> None:
            found.append("".join(self.model.generate(PROMPT, max_tokens=8)))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, [expected] * 4)

    def test_garbage(self) -> None:
        """Whatever the order in which a cycle is taken apart, nothing is freed too early."""
        for _ in range(20):
            model = tfm.Model(MODEL)
            session = model.session()
            generation = session.generate(PROMPT)
            next(generation)
            cycle = [model, session, generation, model.tokenizer]
            cycle.append(cycle)  # type: ignore[arg-type]
            del model, session, generation, cycle
            gc.collect()


class Quantizing(unittest.TestCase):
    def test_types(self) -> None:
        self.assertIn("Q4_K_M", tfm.quantize_types())
        self.assertIn("F16", tfm.quantize_types())

    def test_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "q.gguf"
            self.assertRaises(tfm.TfmError, tfm.quantize, MODEL, target, "Q4_K_M")  # quantised already
            self.assertRaises(tfm.TfmError, tfm.quantize, MODEL, target, "Q4_K_X")
            seen = []
            result = tfm.quantize(
                MODEL, target, "Q4_K_M", requantize=True, threads=2, progress=lambda done, total: seen.append((done, total))
            )
            self.assertEqual(seen[-1][0], seen[-1][1])
            self.assertLess(result.bytes, result.source_bytes)
            with tfm.Model(target) as model:
                self.assertEqual(len(model.tensors), result.tensors)
                text = "".join(model.generate("床前明月光，", max_tokens=9, temperature=0))
                self.assertTrue(text.startswith("疑是地上霜"), text)

            def raising(done: int, total: int) -> None:
                raise Oops()

            with tfm.Model(MODEL) as model:
                matrix = Path(folder) / "matrix.gguf"
                model.imatrix("床前明月光，疑是地上霜。" * 9, matrix, context=16)
                self.assertRaises(ValueError, model.imatrix, "床", matrix, format="zip")
            result = tfm.quantize(MODEL, target, "Q4_K_M", requantize=True, imatrix=matrix)
            self.assertGreater(result.weighted, 20)

            other = Path(folder) / "other.gguf"
            self.assertRaises(Oops, tfm.quantize, MODEL, other, "Q8_0", requantize=True, progress=raising)
            self.assertFalse(other.exists())


class Generating(Small):
    def test_pieces(self) -> None:
        generation = self.model.generate(PROMPT, max_tokens=12, temperature=0)
        pieces = list(generation)
        self.assertTrue(pieces and all(isinstance(piece, str) and piece for piece in pieces))
        self.assertEqual("".join(pieces), generation.text)
        self.assertIn(generation.stop, ("limit", "end"))
        self.assertEqual(list(generation), [])
        summary = generation.summary
        self.assertEqual(summary.prompt_tokens, len(self.tokenizer.encode(PROMPT)))
        self.assertGreater(summary.generated_tokens, 0)
        self.assertGreater(summary.generated_seconds, 0)

    def test_tokens(self) -> None:
        first = len(self.tokenizer.encode(PROMPT))
        tokens = list(self.model.generate(PROMPT, max_tokens=6, temperature=0).tokens())
        real = [token for token in tokens if token.id >= 0]
        self.assertEqual([token.position for token in real], list(range(first, first + len(real))))
        self.assertTrue(all(0 < token.probability <= 1 for token in real))
        self.assertEqual(real[0].id, self.model.top(PROMPT, 1)[0].id)

    def test_score(self) -> None:
        score = self.model.score("床前明月光，", "疑是地上霜")
        self.assertEqual(b"".join(self.tokenizer.token_bytes(t.id) for t in score.tokens).decode(), "疑是地上霜")
        self.assertAlmostEqual(score.log_probability, sum(t.log_probability for t in score.tokens))
        self.assertLess(self.model.score("床前明月光，", "疑是天上霜").log_probability, score.log_probability)
        self.assertFalse(score.split)
        with self.model.session() as session:  # in two steps
            first = session.score("床前明月光，", "疑是")
            second = session.score("", "地上霜")
            self.assertAlmostEqual(first.log_probability + second.log_probability, score.log_probability)
            session.rewind(score.prompt_tokens)
            phrase = session.phrase("疑是地上霜")
            self.assertGreaterEqual(phrase.probability, math.exp(score.log_probability) * (1 - 1e-6))
            self.assertLess(phrase.probability + phrase.unexplored, 1 + 1e-6)
            self.assertEqual(session.position, score.prompt_tokens)
            self.assertRaises(tfm.TfmError, session.phrase, "")
            self.assertRaises(tfm.TfmError, session.score, "", "")
            self.assertRaises(ValueError, session.score, "", "月", border="cut")

            def raising(done: int, total: int) -> None:
                raise Oops()

            self.assertRaises(Oops, session.score, "", "月", progress=raising)

    def test_beam_search(self) -> None:
        ids = self.tokenizer.encode(PROMPT, add_eos=False)
        with self.model.session() as session:
            found = session.beam_search(ids, beams=5, hypotheses=3, max_tokens=6, ends=[])
            self.assertEqual(session.tokens, list(ids))
            self.assertEqual([len(one.tokens) for one in found], [6, 6, 6])
            self.assertFalse(any(one.ended for one in found))
            self.assertEqual(sorted((one.score for one in found), reverse=True), [one.score for one in found])
            # a score is what the tokens' own probabilities add up to
            for one in found:
                total = 0.0
                for token in one.tokens:
                    total += math.log(session.probability(token))
                    session.forward([token])
                session.rewind(len(ids) - 1)
                session.forward([ids[-1]])
                self.assertAlmostEqual(total / 6, one.score, places=4)
            forced = session.beam_search(max_tokens=3, first=found[1].tokens[0], last=found[0].tokens[0], ends=[])
            self.assertEqual(forced[0].tokens[0], found[1].tokens[0])
            self.assertEqual(forced[0].tokens[-1], found[0].tokens[0])
            self.assertRaises(tfm.TfmError, session.beam_search, hypotheses=9, beams=2)
            self.assertRaises(ValueError, session.beam_search, beams=-1)
            self.assertRaises(ValueError, session.beam_search, stopping="soon")

            def raising(done: int, total: int) -> None:
                raise Oops()

            self.assertRaises(Oops, session.beam_search, max_tokens=4, progress=raising)
            cancel = tfm.Cancel()
            cancel.set()
            self.assertRaises(tfm.TfmError, session.beam_search, max_tokens=4, cancel=cancel)

    def test_perplexity(self) -> None:
        text = "床前明月光，疑是地上霜。举头望明月，低头思故乡。" * 4
        ids = self.tokenizer.encode(text, add_bos=False, add_eos=False)
        measured = self.model.perplexity(text, context=16)
        self.assertEqual(measured, self.model.perplexity(ids, context=16))
        self.assertNotEqual(measured, self.model.perplexity(ids, context=16, cache="q4_0"))
        self.assertEqual(measured.tokens, measured.windows * 7)
        all_tokens = self.model.perplexity(text, context=16, windows="sliding", stride=8)
        self.assertGreaterEqual(all_tokens.tokens, len(ids) - 1)
        self.assertGreater(all_tokens.bits_per_byte, 0)
        self.assertRaises(tfm.TfmError, self.model.perplexity, text[:3])

    def test_settings(self) -> None:
        def text(**settings: object) -> str:
            return "".join(self.model.generate(PROMPT, max_tokens=24, **settings))  # type: ignore[arg-type]

        wild = {"temperature": 5.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
        self.assertEqual(text(seed=7, **wild), text(seed=7, **wild))
        self.assertGreater(len({text(seed=seed, **wild) for seed in range(4)}), 1)
        self.assertEqual(text(top_k=1, temperature=2.0), text(temperature=0))
        self.assertEqual(text(sampler=tfm.Sampler(seed=3)), text(seed=3))
        self.assertEqual(text(seed=0), text())
        text(repeat_penalty=1.3, repeat_window=8)
        sampler = tfm.Sampler()
        sampler.temperature, sampler.top_k, sampler.top_p, sampler.min_p = 0.5, 7, 0.25, 0.125
        sampler.repeat_penalty, sampler.repeat_window, sampler.seed = 1.5, 9, 2**64 - 1
        self.assertEqual((sampler.temperature, sampler.top_k, sampler.top_p, sampler.min_p), (0.5, 7, 0.25, 0.125))
        self.assertEqual((sampler.repeat_penalty, sampler.repeat_window, sampler.seed), (1.5, 9, 2**64 - 1))

    def test_prompt_as_tokens(self) -> None:
        ids = self.tokenizer.encode(PROMPT)
        self.assertEqual(
            "".join(self.model.generate(PROMPT, max_tokens=8)),
            "".join(self.model.generate(tokens=ids, add_bos=False, max_tokens=8)),
        )

    def test_stop(self) -> None:
        text = "".join(self.model.generate(PROMPT, max_tokens=12, temperature=0))
        stop = text[2:4]
        for given in (stop, stop.encode(), ["@@@@", stop]):
            generation = self.model.generate(PROMPT, max_tokens=12, temperature=0, stop=given)
            self.assertEqual("".join(generation), text[: text.index(stop)])
            self.assertEqual(generation.stop, "string")

    def test_goes_on(self) -> None:
        with self.model.session() as session:
            first = list(session.generate(PROMPT, max_tokens=4).tokens())
            position = session.position
            self.assertGreaterEqual(position, len(first))
            list(session.generate("月", max_tokens=4))
            self.assertGreater(session.position, position)

    def test_one_at_a_time(self) -> None:
        with self.model.session() as session:
            generation = session.generate(PROMPT)
            next(generation)
            for forbidden in (session.rewind, session.fork, lambda: session.forward([1]), lambda: session.generate("x")):
                with self.assertRaises(tfm.TfmError) as caught:
                    forbidden()
                self.assertEqual(caught.exception.name, "TFM_E_STATE")
            generation.close()
            self.assertEqual(generation.stop, "")
            session.rewind()
            for _ in session.generate(PROMPT):
                break  # forgotten half-way: the session is free again
            session.rewind()

    def test_callback(self) -> None:
        seen = []
        generation = self.model.generate(PROMPT, max_tokens=5, temperature=0, on_token=seen.append)
        self.assertEqual("".join(token.text for token in seen), generation.text)
        generation = self.model.generate(PROMPT, temperature=0, on_token=lambda token: False)
        self.assertEqual((generation.stop, len(generation.summary)), ("callback", 6))

    def test_exceptions_come_out(self) -> None:
        def fail(*_: object) -> bool:
            raise Oops("mine")

        with self.model.session() as session:
            with self.assertRaises(Oops):
                session.generate(PROMPT, on_token=fail)
            session.rewind()
            with self.assertRaises(Oops):
                session.forward(self.tokenizer.encode(PROMPT), progress=fail)
            with self.assertRaises(Oops):
                session.generate(PROMPT, progress=fail)
            session.rewind()
            self.assertTrue(list(session.generate(PROMPT, max_tokens=3)))
        with self.assertRaises(Oops):
            tfm.Model(MODEL, read_into_memory=True, progress=fail)
        with self.assertRaises(tfm.TfmError) as caught:
            tfm.Model(MODEL, read_into_memory=True, progress=lambda done, total: False)
        self.assertEqual(caught.exception.name, "TFM_E_CANCELLED")

    def test_cancel(self) -> None:
        cancel = tfm.Cancel()
        generation = self.model.generate(PROMPT, cancel=cancel)
        next(generation)
        cancel.set()
        self.assertTrue(cancel.is_set)
        list(generation)
        self.assertEqual(generation.stop, "cancelled")
        cancel.reset()
        self.assertFalse(cancel.is_set)

    def test_control_c(self) -> None:
        """SIGINT while tokens come, and while a prompt is read: a KeyboardInterrupt where the call was made."""
        session = self.model.session()
        for position in ("between tokens", "inside a call"):
            for _ in range(20):
                timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT))
                with self.assertRaises(KeyboardInterrupt, msg=position):
                    timer.start()
                    start = time.monotonic()
                    while time.monotonic() < start + 30:
                        if time.monotonic() > start + 5:  # Python swallowed it, in a __del__: once more
                            os.kill(os.getpid(), signal.SIGINT)
                        session.rewind()
                        if position == "between tokens":
                            for _ in session.generate(PROMPT, ignore_end=True):
                                pass
                        else:
                            session.forward([1] * (session.context - 1))
                timer.join()
        self.assertIs(signal.getsignal(signal.SIGINT), signal.default_int_handler)
        session.rewind()
        self.assertTrue(list(session.generate(PROMPT, max_tokens=3)))

    def test_example(self) -> None:
        env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
        script = str(ROOT / "examples" / "generate.py")
        done = subprocess.run([sys.executable, script, MODEL, PROMPT], env=env, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode(), "".join(self.model.generate(PROMPT)) + "\n")
        done = subprocess.run([sys.executable, script, "/nowhere", PROMPT], env=env, capture_output=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"nowhere", done.stderr)


def numpy_or_none() -> Any:
    try:
        import numpy
    except ImportError:
        return None
    return numpy


@unittest.skipUnless(FIXTURES.is_dir(), "the fixtures are not here")
class Matrices(Small):
    def test_matrix(self) -> None:
        numpy = numpy_or_none()
        if numpy is None:
            self.skipTest("numpy is not here")
        info = self.model.info
        turns = self.model.matrix("rotation")
        self.assertEqual(turns.shape, (info.layers, info.head_dim // 2))
        self.assertTrue(numpy.allclose(turns[0], 10000.0 ** (-numpy.arange(16) / 16), rtol=1e-6))
        self.assertTrue(numpy.allclose(self.model.matrix("scores"), [info.head_dim**-0.5, 0, 0]))
        for name, first, count in (("positions", 0, None), ("scores", info.layers, 1)):
            with self.assertRaises(tfm.TfmError):
                self.model.matrix(name, first, count)
        with self.assertRaises(ValueError):
            self.model.matrix("nothing")
        with self.assertRaises(ValueError):
            self.model.matrix("scores", -1)


class Inspecting(Small):
    def setUp(self) -> None:
        self.numpy = numpy_or_none()
        if self.numpy is None:
            self.skipTest("numpy is not here")
        self.ids = self.tokenizer.encode(PROMPT)

    def logits(self, session: tfm.Session) -> Any:
        session.rewind(0)
        session.forward(self.ids)
        return session.logits()

    def test_reading(self) -> None:
        numpy, count = self.numpy, len(self.ids)
        with self.model.session() as session:
            plain = self.logits(session)
            weights = session.inspect("attention")
            stream = session.inspect("stream", layer=0)
            guesses = session.inspect("layer_logits", last=True)
            self.assertEqual(self.logits(session), plain)
            info = self.model.info
            self.assertEqual(weights.array().shape, (info.layers, info.heads, count, count))
            self.assertTrue(numpy.allclose(weights.array().sum(-1), 1, atol=1e-5))
            self.assertFalse(numpy.triu(weights.array()[1, 2], 1).any())
            self.assertEqual(stream.array().shape, (count, info.width))
            self.assertEqual(guesses.array().shape, (info.layers, 1, info.vocab_size))
            self.assertEqual(guesses.array()[-1, 0].tolist(), plain.tolist())
            self.assertEqual(stream.events[0].site, "stream")
            self.assertIsNone(stream.events[0].head)
            stream.clear()
            weights.close()
            self.logits(session)
            self.assertEqual(len(weights.events), info.layers * info.heads)
            self.assertEqual(len(stream.events), 1)

    def test_writing(self) -> None:
        def ablate(event: tfm.InspectEvent) -> None:
            event.values[:] = 0

        with self.model.session() as session:
            plain = self.logits(session)
            with session.inspect("mixed", ablate, layer=1, head=2, write=True):
                by_result = self.logits(session)
            with session.inspect("attention", ablate, layer=1, head=2, write=True):
                by_weights = self.logits(session)
            self.assertEqual(by_result, by_weights)
            self.assertNotEqual(by_result, plain)
            self.assertEqual(self.logits(session), plain)
            with session.inspect("mixed", ablate, layer=1):
                with self.assertRaises(ValueError):  # to be read only
                    self.logits(session)
            self.assertEqual(self.logits(session), plain)

    def test_refusals(self) -> None:
        with self.model.session() as session:
            for wrong in ({"layer": 99}, {"layer": -5}, {"head": 0}):
                with self.assertRaises(tfm.TfmError) as caught:
                    session.inspect("stream", **wrong)
                self.assertEqual(caught.exception.name, "TFM_E_ARGUMENT")
            with self.assertRaises(ValueError):
                session.inspect("nonsense")
            with self.assertRaises(ValueError):
                session.inspect("stream", write=True)

    def test_stopping_and_exceptions(self) -> None:
        with self.model.session() as session:
            session.inspect("stream", lambda event: False, layer=0)
            with self.assertRaises(tfm.TfmError) as caught:
                session.forward(self.ids)
            self.assertEqual(caught.exception.name, "TFM_E_CANCELLED")
            self.assertEqual(session.position, 0)

        def fail(event: tfm.InspectEvent) -> None:
            if event.position:
                raise Oops(event.position)

        with self.model.session() as session:
            inspector = session.inspect("stream", fail, layer=0)
            session.forward(self.ids)
            for call in (lambda: session.forward([5]), lambda: list(session.generate("月", max_tokens=3))):
                with self.assertRaises(Oops):
                    call()
            inspector.close()
            inspector.close()
            session.forward([5])
            self.assertEqual(session.position, len(self.ids) + 1)

    def test_lifetimes(self) -> None:
        seen: List[str] = []
        session = self.model.session()

        def once(event: tfm.InspectEvent) -> None:
            seen.append(event.site)
            inspector.close()

        inspector = session.inspect("embedding", once)
        session.inspect("logits", lambda event: seen.append(event.site))  # nobody keeps it: the session does
        gc.collect()
        session.forward(self.ids)
        session.forward(self.ids)
        self.assertEqual(seen, ["embedding", "logits", "logits"])
        kept = session.inspect("stream")
        session.close()
        kept.close()
        with self.assertRaises(ValueError):
            session.inspect("stream")


class Encodings(unittest.TestCase):
    """Tokenizers alone, on the fixtures of tests/data/tokenizer."""

    TEXTS = ["", "The sea", "I'm 中文, naïve 🙂 1234", "a\n\n  b", "<|endoftext|>", "x" * 300, "é" * 7]

    @classmethod
    def setUpClass(cls) -> None:
        cls.ranks = tfm.Tokenizer.load(FIXTURES / "ranks.tiktoken", pattern="cl100k", special_tokens={"<|end|>": 100000})
        cls.spm = tfm.Tokenizer.load(FIXTURES / "spm-llama.model")
        cls.json = tfm.Tokenizer.load(FIXTURES / "bl-gpt2.json")
        cls.all = [cls.ranks, cls.spm, cls.json]

    def test_one_call_or_many(self) -> None:
        for tokenizer in self.all:
            single = [tokenizer.encode(text) for text in self.TEXTS]
            self.assertEqual([tokenizer.count(text) for text in self.TEXTS], [len(ids) for ids in single])
            self.assertEqual([tokenizer.encode(text.encode()) for text in self.TEXTS], single)
            for options in ({"threads": 1}, {"threads": 2}, {"pool": tfm.Pool(3)}, {"ids_only": True}, {}):
                encoding = tokenizer.encode_batch(self.TEXTS, **options)
                self.assertEqual(encoding.tolist(), single)
                self.assertEqual([row.tolist() for row in encoding], single)
                self.assertEqual([row.input for row in encoding], list(range(len(single))))
            self.assertEqual(tokenizer.decode_batch(encoding), [tokenizer.decode(ids) for ids in single])
            self.assertEqual(tokenizer.decode_batch(single), [tokenizer.decode(ids) for ids in single])

    def test_many_texts(self) -> None:
        texts = [f"{i} lines of text" * (i % 50) for i in range(2000)]  # enough bytes for a pool
        one, two = self.ranks.encode_batch(texts, threads=1), self.ranks.encode_batch(iter(texts))
        self.assertEqual(one.tolist(), two.tolist())
        self.assertEqual(one.tolist()[1999], self.ranks.encode(texts[1999]))
        self.assertEqual(self.ranks.encode_batch([]).tolist(), [])
        self.assertEqual(len(self.ranks.encode_batch([]).ids), 0)

    def test_encode_beyond_the_guess(self) -> None:
        text = "".join(chr(0x4E00 + 37 * i % 20000) for i in range(3000))  # more tokens than half its bytes
        ids = self.ranks.encode(text)
        self.assertGreater(len(ids), len(text.encode()) // 2 + 16)
        self.assertEqual(self.ranks.decode(ids), text)

    def test_offsets(self) -> None:
        for tokenizer in (self.ranks, self.json):
            for text in self.TEXTS:
                row = tokenizer.encode(text, offsets=True, add_special=False)
                data = text.encode()
                self.assertEqual(row.tolist(), tokenizer.encode(text, add_special=False))
                self.assertEqual(b"".join(data[begin:end] for begin, end in row.byte_offsets), data)
                self.assertEqual("".join(row.tokens) if text.isascii() else text, text)
                for (begin, end), (first, last) in zip(row.byte_offsets, row.offsets):
                    self.assertLessEqual(data[begin:end].decode("utf-8", "ignore"), text[first:last])
        # What is put in front comes from where the first character does, as in the original.
        for name in ("bl-prefix.json", "marks-first.json", "marks-split.json"):
            row = tfm.Tokenizer.load(FIXTURES / name).encode("éa", offsets=True, add_special=False)
            self.assertEqual((row.offsets[0], row.byte_offsets[0]), ((0, 1), (0, 2)))
        row = self.ranks.encode("é中", offsets="bytes")
        with self.assertRaises(AttributeError):
            row.offsets
        with self.assertRaises(AttributeError):
            self.ranks.encode_batch(["a"], ids_only=True).attention_mask

    def test_arrays(self) -> None:
        encoding = self.ranks.encode_batch(["a b c", "d"], offsets=True, padding=True, pad_to_multiple_of=4)
        ids = encoding.ids
        self.assertIs(ids, encoding.ids)
        kept, table = encoding.ids.tolist(), encoding.matrix()
        mask = encoding.matrix("attention_mask")
        numpy = numpy_or_none()
        if numpy:
            self.assertEqual((ids.dtype, encoding.starts.dtype), (numpy.dtype("int32"), numpy.dtype("uint64")))
            self.assertEqual((table.shape, mask.shape), ((2, 4), (2, 4)))
            self.assertTrue(numpy.shares_memory(ids, table))
            self.assertFalse(ids.flags.writeable)
        else:
            self.assertEqual((ids.format, ids.readonly, table.shape), ("i", True, (2, 4)))
        self.assertEqual(mask.tolist(), [[1, 1, 1, 0], [1, 0, 0, 0]])
        row = encoding[0].ids
        encoding.close()
        del encoding
        gc.collect()
        self.assertEqual(ids.tolist(), kept)  # the memory lives as long as the arrays
        self.assertEqual(row.tolist(), kept[:4])
        with self.assertRaises(ValueError):
            self.ranks.encode_batch(["a", "a b"]).matrix()
        self.assertEqual(list(self.ranks.encode_batch([""]).matrix().shape[-1:]), [0])

    def test_shapes(self) -> None:
        def rows(*texts: Any, **options: Any) -> List[List[int]]:
            return self.ranks.encode_batch(texts, **options).tolist()

        a, b, c = (self.ranks.encode(text)[0] for text in (" a", " b", " c"))
        self.assertEqual(rows(" a b c", max_length=2), [[a, b]])
        self.assertEqual(rows(" a b c", max_length=2, truncation_side="left"), [[b, c]])
        self.assertEqual(rows(" a b c", truncation=True, max_length=2, overflow=True), [[a, b], [c]])
        self.assertEqual(rows(" a b c", truncation=True, max_length=2, stride=1, overflow=True), [[a, b], [b, c]])
        self.assertEqual(rows((" a b", " c"), truncation="only_first", max_length=2), [[a, c]])
        self.assertEqual(rows(" a", " a b", padding=True, pad_id=7), [[a, 7], [a, b]])
        self.assertEqual(rows(" a", padding="max_length", max_length=3, padding_side="left", pad_id=7), [[7, 7, a]])
        self.assertEqual(self.ranks.encode(" a", " b"), [a, b])
        pair = self.ranks.encode(" a", " b", offsets=True)
        self.assertEqual((pair.type_ids.tolist(), pair.sequence_ids.tolist()), ([0, 1], [0, 1]))
        encoding = self.ranks.encode_batch([" a b", " c"], max_length=1, overflow=True)
        self.assertEqual([row.input for row in encoding], [0, 0, 1])
        self.assertEqual([row.tolist() for row in encoding[1:]], [[b], [c]])
        self.assertEqual(encoding[-1].tolist(), [c])
        with self.assertRaises(IndexError):
            encoding[3]
        for wrong in ({"truncation": True}, {"padding": "max_length"}, {"padding": "wide"}, {"truncation": "most", "max_length": 1},
                      {"padding_side": "up"}, {"max_length": -1}, {"offsets": "lines"}, {"stride": -1}):  # fmt: skip
            with self.assertRaises(ValueError):
                rows("a", **wrong)
        with self.assertRaises(tfm.TokenError):
            rows("a", padding=True, pad_id=10**6)

    def test_types_of_what_is_cut_off(self) -> None:
        """A template types what stays; parts that were cut off keep 0 and 1, but for BertProcessing (tokenizers 0.23)."""
        words = {word: i for i, word in enumerate("[UNK] [CLS] [SEP] a b c d".split())}
        pieces = [{"Sequence": {"id": "A", "type_id": 3}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
                  {"Sequence": {"id": "B", "type_id": 0}}]  # fmt: skip
        template = {"type": "TemplateProcessing", "single": pieces[:2], "pair": pieces,
                    "special_tokens": {"[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}}  # fmt: skip
        bert = {"type": "RobertaProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1], "trim_offsets": False,
                "add_prefix_space": False}  # fmt: skip
        expected = {"TemplateProcessing": [[3, 0, 0], [0, 0, 0], [0, 0, 1], [3, 0, 1]], "RobertaProcessing": [[0] * 6] * 4}
        for processor, length in ((template, 3), (bert, 6)):
            file = {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"},
                    "post_processor": processor, "decoder": None,
                    "model": {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"}}  # fmt: skip
            tokenizer = tfm.Tokenizer.from_bytes(json.dumps(file).encode())
            encoding = tokenizer.encode_batch([("a b", "c d")], max_length=length, overflow=True)
            self.assertEqual([row.type_ids.tolist() for row in encoding], expected[processor["type"]])

    def test_special_tokens(self) -> None:
        end, text = self.ranks.special_tokens["<|end|>"], "a<|end|>"
        self.assertEqual(end, 100000)
        self.assertEqual(self.ranks.decode(self.ranks.encode(text)), text)
        self.assertNotIn(end, self.ranks.encode(text))
        self.assertEqual(self.ranks.encode_ordinary(text), self.ranks.encode(text))
        for options in ({"parse_special": True}, {"parse_special": "parse"}, {"allowed_special": "all"},
                        {"allowed_special": {"<|end|>"}}, {"allowed_special": ["<|end|>"], "disallowed_special": ()}):  # fmt: skip
            self.assertEqual(self.ranks.encode(text, **options)[-1], end)
            self.assertEqual(self.ranks.count(text, **options), 2)
            self.assertEqual(self.ranks.encode_batch([text], **options)[0].tolist()[-1], end)
        for options in ({"parse_special": "refuse"}, {"allowed_special": set()}, {"disallowed_special": "all"},
                        {"disallowed_special": {"<|end|>"}}, {"allowed_special": "all", "disallowed_special": ["<|end|>"]}):  # fmt: skip
            with self.assertRaises(tfm.TokenError) as caught:
                self.ranks.encode(text, **options)
            self.assertIsInstance(caught.exception, ValueError)  # what tiktoken raises
            self.assertIn("<|end|>", str(caught.exception))
        self.assertEqual(self.ranks.encode(text, disallowed_special=()), self.ranks.encode(text))
        self.assertEqual(self.ranks.decode([end], special=True), "<|end|>")
        for wrong in ({"allowed_special": {"<|none|>"}}, {"parse_special": "some"},
                      {"parse_special": True, "allowed_special": "all"}, {"invalid_utf8": "maybe"}):  # fmt: skip
            with self.assertRaises(ValueError):
                self.ranks.encode(text, **wrong)
        with self.assertRaises(TypeError):
            self.ranks.encode(text, allowed_special="<|end|>")

    def test_vocabulary(self) -> None:
        self.assertEqual(self.ranks.vocab_size, 100001)
        self.assertEqual(len(self.ranks), 100001)
        self.assertEqual(self.ranks.token_to_id("a"), self.ranks.encode("a")[0])
        self.assertEqual(self.ranks.id_to_token(self.ranks.encode(" a")[0]), " a")
        self.assertIsNone(self.ranks.token_to_id("no such token"))
        self.assertIsNone(self.ranks.id_to_token(10**6))
        self.assertEqual(self.ranks.id_to_token(self.ranks.find(b"\xff")), "\ufffd")

    def test_what_is_no_text(self) -> None:
        for tokenizer in self.all:
            self.assertEqual(tokenizer.encode("a\ud800b"), tokenizer.encode("a\ufffdb"))  # as tiktoken does
            self.assertEqual(tokenizer.encode("\ud83d\ude42"), tokenizer.encode("🙂"))
            self.assertEqual(tokenizer.encode("a\0b"), tokenizer.encode(b"a\0b"))
            self.assertEqual(tokenizer.encode(bytearray(b"ab")), tokenizer.encode("ab"))
            for wrong in (None, 5, ["a"], 1.5):
                for function in (tokenizer.encode, tokenizer.count, tokenizer.find):
                    with self.assertRaises(TypeError):
                        function(wrong)
            with self.assertRaises(TypeError):
                tokenizer.encode_batch("abc")
            with self.assertRaises(TypeError):
                tokenizer.encode_batch(["a", 5])
            with self.assertRaises(ValueError):
                tokenizer.encode_batch([("a", "b", "c")])
            for wrong in ("abc", b"abc", [1.5], ["1"], 5):
                with self.assertRaises(TypeError):
                    tokenizer.decode(wrong)
            with self.assertRaises(OverflowError):
                tokenizer.decode([2**31])
            for wrong in ([-1], [10**9]):
                with self.assertRaises(tfm.TokenError):
                    tokenizer.decode(wrong)
        bad = b"ab\xffc"
        self.assertEqual(self.ranks.decode_bytes(self.ranks.encode(bad, invalid_utf8="keep")), bad)
        self.assertEqual(self.ranks.encode(bad, invalid_utf8="replace"), self.ranks.encode("ab\ufffdc"))
        with self.assertRaises(tfm.TfmError) as caught:
            self.ranks.encode(bad, invalid_utf8="refuse")
        self.assertIn("2", str(caught.exception))

    def test_ids_of_any_kind(self) -> None:
        ids = self.ranks.encode("any kind of ids")
        arrays: List[Any] = [tuple(ids), iter(ids), array("i", ids), array("q", ids), memoryview(array("i", ids))]
        numpy = numpy_or_none()
        if numpy:
            arrays += [numpy.array(ids, dtype=kind) for kind in ("int32", "int64", "uint16")]
            arrays.append(numpy.array(ids * 2, dtype="int32").reshape(2, -1).T[:, 0])
        for given in arrays:
            self.assertEqual(self.ranks.decode(given), "any kind of ids")

    def test_streams(self) -> None:
        text = "Once upon a time 中文\n" * 20 + "<|end|> the end 🙂"
        for tokenizer in self.all:
            ids = tokenizer.encode(text, parse_special=True)
            with tokenizer.encoder(parse_special=True) as encoder:
                for size in (1, 7, 1000):
                    found = []
                    for at in range(0, len(text), size):
                        found += encoder.push(text[at : at + size])
                    self.assertEqual(found + encoder.finish(), ids)
                data, found = text.encode(), []
                for at in range(len(data)):
                    found += encoder.push(data[at : at + 1])
                self.assertEqual(found + encoder.finish(), ids)
                self.assertEqual(encoder.push(""), [])
                encoder.finish()
            lines = text.splitlines(keepends=True)
            self.assertEqual(list(tokenizer.encode_iter(lines, parse_special=True)), ids)
            pieces = list(tokenizer.decode_iter(ids))
            self.assertNotIn("", pieces)
            self.assertEqual("".join(pieces), tokenizer.decode(ids))
        encoder = tfm.Tokenizer.load(FIXTURES / "bl-gpt2.json").encoder()
        gc.collect()  # the encoder keeps its tokenizer
        self.assertEqual(encoder.push("a") + encoder.finish(), self.json.encode("a"))

    def test_load_options(self) -> None:
        data = (FIXTURES / "ranks.tiktoken").read_bytes()
        plain = tfm.Tokenizer.from_bytes(data, pattern="cl100k", special_tokens={})
        self.assertEqual(plain.special_tokens, {})
        for options in ({"isa": "portable"}, {"cache_bytes": 1}, {"cache_bytes": 1 << 20}):
            other = tfm.Tokenizer.from_bytes(data, pattern="cl100k", special_tokens={}, **options)
            self.assertEqual(other.encode("the same"), plain.encode("the same"))
        with self.assertRaises(tfm.TfmError) as caught:
            tfm.Tokenizer.from_bytes(data, pattern="cl100k", byte_budget=1000)
        self.assertEqual(caught.exception.name, "TFM_E_BUDGET")
        for wrong in ({"special_tokens": {"": 1000}}, {"special_tokens": {"x": -1}}):
            with self.assertRaises(tfm.TfmError):
                tfm.Tokenizer.from_bytes(data, pattern="cl100k", **wrong)
        for wrong in ({"isa": "mmx"}, {"special_tokens": {"a\0b": 1000}}, {"pattern": "a\0b"}):
            with self.assertRaises(ValueError):
                tfm.Tokenizer.from_bytes(data, **wrong)

    def test_threads(self) -> None:
        text = "Threads may share one. " * 200
        tokenizer = tfm.Tokenizer.load(FIXTURES / "bl-gpt2.json")
        expected, found = tokenizer.encode(text), []

        def work() -> None:
            for _ in range(20):
                found.append(tokenizer.encode(text) == expected and tokenizer.decode(expected) == text)
                found.append(tokenizer.encode_batch([text] * 40).tolist() == [expected] * 40)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(found, [True] * 160)
        tokenizer.close()
        with self.assertRaises(ValueError):
            tokenizer.encode("a")

    @unittest.skipUnless(hasattr(os, "fork"), "no fork here")
    def test_fork(self) -> None:
        texts = ["A forked process has no workers. " * 100] * 100
        expected = self.ranks.encode_batch(texts, threads=2).tolist()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads, which is the point
            child = os.fork()
        if child == 0:
            os._exit(0 if self.ranks.encode_batch(texts, threads=2).tolist() == expected else 1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)


if __name__ == "__main__":
    unittest.main()
