"""The Python binding on a small model. TFM_LIBRARY names the library, TFM_TEST_MODEL the model (a GGUF file)."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if os.environ.get("TFM_TEST_INSTALLED") != "1":
    sys.path.insert(0, str(ROOT / "bindings" / "python" / "src"))

import tfm  # noqa: E402

MODEL = os.environ.get("TFM_TEST_MODEL", str(ROOT / "examples" / "models" / "tang.gguf"))
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
            "tfm_forward_options": "ForwardOptions", "tfm_candidate": "Candidate", "tfm_token_event": "TokenEvent",
            "tfm_generate_options": "GenerateOptions", "tfm_generation_summary": "GenerationSummary",
            "tfm_special_token": "SpecialToken", "tfm_special_choice": "SpecialChoice", "tfm_text_input": "TextInput",
            "tfm_batch_options": "BatchOptions", "tfm_encoding_view": "EncodingView",
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


if __name__ == "__main__":
    unittest.main()
