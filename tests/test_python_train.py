"""Training from Python, on a small model of the tests. TFM_LIBRARY names the library."""

import math
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bindings" / "python" / "src"))

import tfm  # noqa: E402

MODEL = ROOT / "tests" / "data" / "golden" / "qwen3"
BATCH = [[(7 * i + 3 * row) % 90 + 1 for i in range(24)] for row in range(3)]

try:
    import numpy
except ImportError:
    numpy = None


class Training(unittest.TestCase):
    def setUp(self) -> None:
        self.model = tfm.Model(MODEL, threads=2)
        self.addCleanup(self.model.close)

    def trainer(self, **options: object) -> tfm.Trainer:
        trainer = tfm.Trainer(self.model, **options)  # type: ignore[arg-type]
        self.addCleanup(trainer.close)
        return trainer

    def test_loss_falls_and_the_model_stays(self) -> None:
        trainer = self.trainer(learning_rate=1e-3)
        before = trainer.evaluate(BATCH)
        self.assertEqual((before.step, before.targets), (0, 3 * 23))
        steps = [trainer.step(BATCH) for _ in range(8)]
        self.assertEqual(steps[0].loss, before.loss)
        self.assertLess(steps[-1].loss, steps[0].loss - 0.1)
        self.assertEqual([s.step for s in steps], list(range(8)))
        self.assertEqual(trainer.steps, 8)
        self.assertEqual(self.trainer().evaluate(BATCH).loss, before.loss)

    def test_tensors_are_views(self) -> None:
        trainer = self.trainer(clip=0)
        name = "model.layers.0.self_attn.q_proj.weight"
        self.assertIn(name, trainer.weights)
        self.assertEqual(len(trainer.weights), len(list(trainer.gradients)))
        weights, gradients = trainer.weights[name], trainer.gradients[name]
        flat = lambda a: memoryview(a).cast("B").cast("f").tolist()  # noqa: E731
        old = flat(weights)
        self.assertTrue(all(g == 0 for g in flat(gradients)))
        step = trainer.step(BATCH)
        self.assertNotEqual(flat(weights), old)  # the same memory
        square = sum(g * g for g2 in trainer.gradients.values() for g in flat(g2))
        self.assertAlmostEqual(math.sqrt(square), step.gradient_norm, delta=1e-4 * step.gradient_norm)
        with self.assertRaises(KeyError):
            trainer.weights["nothing"]
        with self.assertRaises(TypeError):
            memoryview(weights).cast("B")[0] = 1
        if numpy is not None:
            self.assertEqual(weights.shape, trainer.weights[name].shape)
            trainer.close()
            self.assertTrue(numpy.isfinite(weights).all())  # the memory lives as long as the array

    def test_arrays_masks_and_accumulation(self) -> None:
        one, two = self.trainer(), self.trainer()
        mask = [[int(i > 10) for i in range(24)] for _ in BATCH]
        step = one.step(BATCH, mask=[mask])
        self.assertEqual(step.targets, 3 * 13)
        if numpy is not None:
            again = two.step(numpy.array(BATCH), mask=[numpy.array(mask)])
            self.assertEqual(again.loss, step.loss)
            with self.assertRaises(ValueError):
                two.step(numpy.array(BATCH) + 0.5)
        self.assertAlmostEqual(
            self.trainer().step(BATCH[:1], BATCH[1:]).loss, self.trainer().step(BATCH).loss, places=5
        )
        self.assertEqual(self.trainer().step(BATCH, learning_rate=0.5).learning_rate, 0.5)
        self.assertEqual(self.trainer(learning_rate=0.25).step(BATCH).learning_rate, 0.25)

    def test_save_and_resume(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            whole, first, second = self.trainer(), self.trainer(), self.trainer()
            losses = [whole.step(BATCH).loss for _ in range(4)]
            for _ in range(2):
                first.step(BATCH)
            first.checkpoint(Path(folder) / "c.safetensors")
            second.resume(Path(folder) / "c.safetensors")
            self.assertEqual([second.step(BATCH).loss for _ in range(2)], losses[2:])
            second.save(Path(folder) / "model")
            with tfm.Model(Path(folder) / "model") as model, tfm.Trainer(model) as trainer:
                self.assertEqual(trainer.evaluate(BATCH).loss, second.evaluate(BATCH).loss)

    def test_the_model_in_training(self) -> None:
        trainer, alone = self.trainer(learning_rate=1e-2), self.trainer(learning_rate=1e-2)
        tokens = BATCH[0]

        def cost(model: tfm.Model) -> float:
            with model.session() as session:
                session.forward(tokens[:-1])
                return -session.top(1)[0].probability

        before = cost(trainer.model)
        self.assertAlmostEqual(before, cost(self.model), places=5)
        for _ in range(3):
            trainer.step(BATCH)
            alone.step(BATCH)
            cost(trainer.model)
        self.assertNotEqual(cost(trainer.model), before)
        self.assertEqual(trainer.evaluate(BATCH).loss, alone.evaluate(BATCH).loss)
        session = trainer.model.session()  # keeps the trainer
        trainer.close()
        session.forward(tokens)
        session.close()

    def test_muon(self) -> None:
        trainer = self.trainer(optimizer="muon", learning_rate=1e-3, muon_scale=10.0)
        first = trainer.step(BATCH).loss
        for _ in range(6):
            trainer.step(BATCH)
        self.assertLess(trainer.evaluate(BATCH).loss, first - 0.1)
        with self.assertRaises(tfm.TfmError):
            self.trainer(optimizer="muon", muon_momentum=1.0)

    def test_a_new_model(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for seed in (1, 1, 2):
                tfm.write_new_model(MODEL / "config.json", Path(folder) / str(seed), seed=seed)
            with tfm.Model(Path(folder) / "1") as one, tfm.Model(Path(folder) / "2") as two:
                with tfm.Trainer(one) as first, tfm.Trainer(two) as second:
                    loss = first.evaluate(BATCH).loss
                    self.assertAlmostEqual(loss, math.log(one.info.vocab_size), delta=0.3)
                    self.assertNotEqual(loss, second.evaluate(BATCH).loss)

    def test_errors(self) -> None:
        trainer = self.trainer()
        with self.assertRaises(tfm.TfmError):
            trainer.step([[1, 100000]])
        with self.assertRaises(ValueError):
            trainer.step([[1, 2], [3]])
        with self.assertRaises(ValueError):
            trainer.step(BATCH, mask=[[[1, 1]]])
        with self.assertRaises(ValueError):
            tfm.Trainer(self.model, schedule="nonsense")
        with self.assertRaises(tfm.TfmError):
            tfm.Trainer(self.model, beta1=1.0)

        def stop(done: int, total: int) -> bool:
            raise RuntimeError("enough")

        with self.assertRaisesRegex(RuntimeError, "enough"):
            trainer.step(BATCH, progress=stop)
        cancel = tfm.Cancel()
        cancel.set()
        with self.assertRaises(tfm.TfmError):
            trainer.step(BATCH, cancel=cancel)
        self.assertEqual(trainer.steps, 0)
        self.assertEqual(trainer.step(BATCH).loss, self.trainer().step(BATCH).loss)


if __name__ == "__main__":
    unittest.main()
