"""Small networks from Python. TFM_LIBRARY names the library."""

import math
import os
import sys
import unittest
import xml.etree.ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if os.environ.get("TFM_TEST_INSTALLED") != "1":
    sys.path.insert(0, str(ROOT / "bindings" / "python" / "src"))

import tfm  # noqa: E402

DATA = ROOT / "tests" / "data" / "net"
ALL = ("x1", "x2", "x1^2", "x2^2", "x1*x2", "sin(x1)", "sin(x2)")


class Data(unittest.TestCase):
    def test_generated(self) -> None:
        with tfm.NetData.generate("circle", features=("x1", "x2^2"), seed=3, train_share=0.4) as data:
            self.assertEqual((data.rows, data.train_rows, data.columns, data.inputs), (500, 200, 2, 2))
            self.assertEqual(data.names, ["x1", "x2²"])
            self.assertEqual(data.kind, "classes")
            for (x1, x2), (a, b), (target,) in zip(data.points, data.input_rows, data.targets):
                self.assertEqual((a, b), (x1, x2 * x2))
                self.assertEqual(target, 1 if math.hypot(x1, x2) < 2.5 else -1)
            self.assertEqual(data.prepare([[2, 3]]), [[2.0, 9.0]])
        with self.assertRaises(ValueError):
            data.rows
        with self.assertRaisesRegex(ValueError, "set is one of circle"):
            tfm.NetData.generate("square")
        with self.assertRaisesRegex(tfm.TfmError, "noise is 0 to 1"):
            tfm.NetData.generate("circle", noise=2)

    def test_own(self) -> None:
        data = tfm.NetData.from_rows([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [0, 1, 1], keep_order=True)
        self.assertEqual((data.columns, data.kind, data.targets), (3, "classes", [[-1.0], [1.0], [1.0]]))
        two = tfm.NetData.from_rows([[1], [2]], [[1, 5], [2, 7]], keep_order=True)
        self.assertEqual((two.target_count, two.kind, two.targets), (2, "numbers", [[1.0, 5.0], [2.0, 7.0]]))
        with self.assertRaisesRegex(ValueError, "row 1 has 1 numbers"):
            tfm.NetData.from_rows([[1, 2], [3]], [0, 1])
        with self.assertRaisesRegex(tfm.TfmError, "row 1, column 0"):
            tfm.NetData.from_rows([[1], [math.nan]], [0, 1])

    def test_csv(self) -> None:
        data = tfm.NetData.load(DATA / "flowers.csv", keep_order=True, train_share=1)
        self.assertEqual((data.rows, data.train_rows, data.names), (4, 4, ["width, cm", 'height "h"']))
        self.assertEqual(tfm.NetData.from_csv("1,2\n3,4\n", keep_order=True).points, [[1.0], [3.0]])
        with self.assertRaisesRegex(tfm.TfmError, "my.csv: line 2: column 1"):
            tfm.NetData.from_csv("1,2\nx,4\n", "my.csv")


class Networks(unittest.TestCase):
    def test_cinema(self) -> None:
        net = tfm.Net(3, output="step")
        net.set_layer(0, [[8, 4, 4]], [-8])
        inputs = [[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]
        self.assertEqual([int(out) for (out,) in net.run(inputs)], [0, 0, 0, 0, 0, 1, 1, 1])

    def test_habits(self) -> None:
        people = tfm.NetData.generate("cinema", noise=1)
        net = tfm.Net(3, rule="logistic", zero_start=True, learning_rate=0.1)
        net.train(people, 20)
        layer = net.layer()
        weather, price, company = layer.weights[0]
        self.assertGreater(company, 2 * max(weather, price))
        self.assertEqual(layer.activation, "sigmoid")

    def test_life(self) -> None:
        data = tfm.NetData.generate("xor")
        net = tfm.Net(2, (4, 2), seed=5, batch=5)
        self.assertEqual(repr(net), "<tfm.Net 2-4-2-1, 25 parameters, epoch 0>")
        start = net.layer(0)
        self.assertIn("2-4-2-1", net._repr_html_())
        losses = net.train(data, 50)
        self.assertEqual((net.epochs, net.updates, len(losses.train)), (50, 50 * 50, 50))
        self.assertLess(losses.test[-1], losses.test[0])
        self.assertEqual(net.measure(data).loss, losses.test[-1])
        self.assertEqual(net.measure(data, test=False).loss, losses.train[-1])
        self.assertEqual(net.losses, losses)
        net.reset(5)
        self.assertEqual((net.epochs, net.layer(0), net.losses.train), (0, start, []))
        self.assertEqual(net.train(data, 50), losses)
        net.close()
        self.assertEqual(repr(net), "<tfm.Net, closed>")

    def test_settings(self) -> None:
        net = tfm.Net(2, (3,), activation=["relu"], regularisation="l1", regularisation_rate=0.1)
        self.assertEqual((net.learning_rate, net.batch, net.regularisation, net.regularisation_rate), (0.03, 10, "l1", 0.1))
        self.assertEqual(net.layer(0).activation, "relu")
        net.learning_rate = 0.5
        self.assertEqual(net.learning_rate, 0.5)
        with self.assertRaises(tfm.TfmError):
            net.learning_rate = math.nan
        for wrong in (lambda: tfm.Net(2, (0,)), lambda: tfm.Net(2, (5000,)), lambda: tfm.Net(0)):
            with self.assertRaises(tfm.TfmError):
                wrong()
        with self.assertRaisesRegex(ValueError, "2 activations for 1"):
            tfm.Net(2, (3,), activation=["relu", "tanh"])
        data = tfm.NetData.generate("xor", features=ALL)
        with self.assertRaisesRegex(tfm.TfmError, "7 inputs, the network 2"):
            net.train(data)
        net = tfm.Net(7, regularisation="l1", regularisation_rate=0.01)
        net.train(data, 200)
        layer = net.layer()
        self.assertGreater(net.dead, 0)
        self.assertEqual(sum(map(sum, layer.dead)), net.dead)
        self.assertFalse(layer.dead[0][4])  # x1 x2

    def test_not_finite(self) -> None:
        net = tfm.Net(2, output="linear", learning_rate=10)
        with self.assertRaisesRegex(tfm.TfmError, "not finite any more since epoch") as caught:
            net.train(tfm.NetData.generate("plane"), 100)
        self.assertEqual(caught.exception.name, "TFM_E_STATE")
        self.assertLess(net.epochs, 100)

    def test_stopping(self) -> None:
        net = tfm.Net(2, (8, 8))
        with self.assertRaises(tfm.TfmError):
            net.train(tfm.NetData.generate("circle"), 100000, progress=lambda done, total: done < 5)
        self.assertTrue(5 <= net.epochs < 100000)
        with self.assertRaises(ZeroDivisionError):
            net.train(tfm.NetData.generate("circle"), 100000, progress=lambda done, total: bool(1 // 0))

    def test_looking(self) -> None:
        data = tfm.NetData.generate("gaussian")
        net = tfm.Net(2, (3,))
        net.train(data, 5)
        plane = net.plane(data, 0, resolution=10)
        self.assertEqual((len(plane), len(plane[0]), len(plane[0][0])), (3, 10, 10))
        self.assertEqual(plane[1][2][7], net.run([[-6 + 7.5 * 1.2, -6 + 2.5 * 1.2]], 0)[0][1])
        inputs = net.plane(data, -2, resolution=4)
        self.assertEqual([row[0] for row in inputs[1]], [-4.5, -1.5, 1.5, 4.5])
        self.assertEqual({x for row in net.plane(data, discretise=True)[0] for x in row}, {-1.0, 1.0})
        svg = net.svg(title="<&>", show_test=True, discretise=True)
        root = xml.etree.ElementTree.fromstring(svg)
        self.assertTrue(root.tag.endswith("svg"))
        self.assertEqual(net._repr_html_()[:4], "<svg")
        self.assertEqual(sum(1 for node in root.iter() if node.tag.endswith("circle")), 500)
        with self.assertRaises(ValueError):
            tfm.Net(2).svg()

    def test_any_number_of_inputs(self) -> None:
        rows = [[(i * k) % 7 for k in range(1, 11)] for i in range(60)]
        data = tfm.NetData.from_rows(rows, [float(sum(row)) for row in rows], normalise=True)
        net = tfm.Net(10, output="linear", learning_rate=0.01)
        net.train(data, 300)
        self.assertLess(net.measure(data).loss, 1e-3)
        xml.etree.ElementTree.fromstring(net.svg(columns=(3, 9)))
        one = tfm.NetData.from_rows([[1.0], [2.0], [3.0]], [1, 2, 3.5])
        xml.etree.ElementTree.fromstring(tfm.Net(1).svg(one))


if __name__ == "__main__":
    unittest.main()
