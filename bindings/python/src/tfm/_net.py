"""Small networks and their data: tfm/net.h."""

from __future__ import annotations

import html
from ctypes import POINTER, byref, c_double, c_uint32, c_uint64, c_void_p, cast, string_at
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Type, TypeVar, Union

from ._callbacks import Cancel, Carrier, Progress
from ._convert import Path, path_of
from ._errors import call
from ._handles import Handle, Owner
from ._library import (
    NetDataOptions,
    NetDataView,
    NetInfo,
    NetLayerView,
    NetOptions,
    NetPlaneOptions,
    NetSvgOptions,
    NetTrainOptions,
    WriteFn,
    lib,
)

_SETS = {"circle": 1, "xor": 2, "gaussian": 3, "spiral": 4, "plane": 5, "multi-gaussian": 6, "cinema": 7}
_FEATURES = {"x1": 1, "x2": 2, "x1^2": 4, "x2^2": 8, "x1*x2": 16, "sin(x1)": 32, "sin(x2)": 64}
_KINDS = {"look": 0, "classes": 1, "numbers": 2}
_ACTIVATIONS = {"tanh": 1, "relu": 2, "sigmoid": 3, "linear": 4, "step": 5}
_RULES = {"squared": 1, "logistic": 2, "perceptron": 3}
_REGULARISATIONS = {"none": 0, "l1": 1, "l2": 2}
_LEARNING_RATE, _REGULARISATION_RATE, _REGULARISATION, _BATCH = 10, 11, 20, 21
LAST, INPUTS = -1, -2  # layers: the one that is the output, and the inputs

Rows = Sequence[Sequence[float]]
D = TypeVar("D", bound="NetData")


def _number(names: Dict[str, int], value: str, what: str) -> int:
    if value not in names:
        raise ValueError(f"{what} is one of {', '.join(names)}, not {value!r}")
    return names[value]


def _name(names: Dict[str, int], value: int) -> str:
    return next(name for name, number in names.items() if number == value)


def _doubles(values: Sequence[float]) -> Any:
    return (c_double * max(1, len(values)))(*values)


def _flat(rows: Rows, width: int, what: str) -> Any:
    for i, row in enumerate(rows):
        if len(row) != width:
            raise ValueError(f"{what}: row {i} has {len(row)} numbers, not {width}")
    return _doubles([float(x) for row in rows for x in row])


def _lists(pointer: Any, rows: int, width: int) -> List[List[float]]:
    numbers = (c_double * (rows * width)).from_address(pointer) if rows * width else []
    return [list(numbers[i * width : (i + 1) * width]) for i in range(rows)]


class NetData(Owner):
    """Rows of numbers with what should come out, divided into training and test rows. Made by generate, from_rows,
    from_csv or load; it never changes."""

    @staticmethod
    def _options(
        features: Sequence[str] = (),
        normalise: bool = False,
        train_share: float = 0.5,
        seed: int = 0,
        kind: str = "look",
        targets: int = 1,
        keep_order: bool = False,
    ) -> NetDataOptions:
        if isinstance(features, str):
            features = features.split(",")
        return NetDataOptions.new(
            features=sum({_number(_FEATURES, name, "a feature") for name in features}),
            normalise=int(normalise),
            train_share=train_share,
            seed=seed,
            kind=_number(_KINDS, kind, "kind"),
            targets=targets,
            keep_order=int(keep_order),
        )

    @classmethod
    def _made(cls: Type[D], function: Callable[..., int], *arguments: Any) -> D:
        out = c_void_p()
        call(function, *arguments, byref(out))
        made = cls.__new__(cls)
        made._handle = Handle(out.value or 0, lib.tfm_net_data_destroy)
        return made

    @classmethod
    def generate(
        cls: Type[D],
        set: str,
        *,
        samples: int = 0,
        noise: float = 0.0,
        habits: Sequence[float] = (0, 0, 0, 0),
        **options: Any,
    ) -> D:
        """A generated set: "circle", "xor", "gaussian", "spiral" (classes), "plane", "multi-gaussian" (numbers) or "cinema".
        features are of "x1", "x2", "x1^2", "x2^2", "x1*x2", "sin(x1)", "sin(x2)"; none: the columns as they are. Further
        options: normalise, train_share, seed."""
        made = cls._options(**options)
        made.set = _number(_SETS, set, "set")
        made.samples = samples
        made.noise = noise
        if len(habits) != 4:
            raise ValueError("habits are four numbers: weather, price, company, threshold")
        made.habits = (c_double * 4)(*habits)
        return cls._made(lib.tfm_net_data_generate, byref(made))

    @classmethod
    def from_rows(cls: Type[D], columns: Rows, targets: Union[Rows, Sequence[float]], **options: Any) -> D:
        """Own rows; targets is one number a row, or a row of them. Options: features, normalise, train_share, seed, kind
        ("look", "classes", "numbers"), keep_order."""
        if len(columns) != len(targets):
            raise ValueError(f"{len(columns)} rows, but {len(targets)} targets")
        wanted: Rows = [t if hasattr(t, "__len__") else [t] for t in targets]  # type: ignore[misc,list-item]
        width, target_width = (len(columns[0]), len(wanted[0])) if columns else (0, 0)
        made = cls._options(targets=target_width, **options)
        x, y = _flat(columns, width, "columns"), _flat(wanted, target_width, "targets")
        return cls._made(lib.tfm_net_data_from_rows, x, y, len(columns), width, byref(made))

    @classmethod
    def from_csv(cls: Type[D], text: Union[str, bytes], name: Optional[str] = None, **options: Any) -> D:
        """Rows of CSV, the target columns last. Options: as from_rows, and targets, how many they are."""
        raw = text.encode() if isinstance(text, str) else text
        made = cls._options(**options)
        return cls._made(lib.tfm_net_data_from_csv, raw, len(raw), name.encode() if name else None, byref(made))

    @classmethod
    def load(cls: Type[D], path: Path, **options: Any) -> D:
        """The same from a file."""
        return cls._made(lib.tfm_net_data_load, path_of(path), byref(cls._options(**options)))

    def _view(self) -> NetDataView:
        view = NetDataView.new()
        call(lib.tfm_net_data_get, self._pointer, byref(view))
        return view

    @property
    def rows(self) -> int:
        return int(self._view().rows)

    @property
    def train_rows(self) -> int:
        """The first ones; the others are test rows."""
        return int(self._view().train_rows)

    @property
    def columns(self) -> int:
        return int(self._view().columns)

    @property
    def inputs(self) -> int:
        """How many numbers a network gets of each row."""
        return int(self._view().inputs)

    @property
    def target_count(self) -> int:
        return int(self._view().target_count)

    @property
    def kind(self) -> str:
        return _name(_KINDS, self._view().kind)

    @property
    def names(self) -> List[str]:
        """What the inputs are called."""
        return [lib.tfm_net_data_input_name(self._pointer, i).decode("utf-8", "replace") for i in range(self.inputs)]

    @property
    def points(self) -> List[List[float]]:
        """The columns as they were given."""
        view = self._view()
        return _lists(view.points, view.rows, view.columns)

    @property
    def input_rows(self) -> List[List[float]]:
        """The rows as a network gets them: features, normalised."""
        view = self._view()
        return _lists(view.inputs_of, view.rows, view.inputs)

    @property
    def targets(self) -> List[List[float]]:
        view = self._view()
        return _lists(view.targets, view.rows, view.target_count)

    def prepare(self, points: Rows) -> List[List[float]]:
        """Points as a network gets them."""
        out = (c_double * max(1, len(points) * self.inputs))()
        call(lib.tfm_net_data_inputs, self._pointer, _flat(points, self.columns, "points"), len(points), out)
        return [list(out[i * self.inputs : (i + 1) * self.inputs]) for i in range(len(points))]


class NetLayer(NamedTuple):
    weights: List[List[float]]  # one row for each neuron
    biases: List[float]
    dead: List[List[bool]]  # links that L1 has cut
    activation: str


class NetLosses(NamedTuple):
    train: List[float]
    test: List[float]


class NetMeasure(NamedTuple):
    loss: float
    right: float  # the share of rows on the right side


class Net(Owner):
    """Layers of neurons. hidden: neurons of each hidden layer; activation: "tanh", "relu", "sigmoid", "linear", "step", one for
    all or one for each hidden layer; output: the last layer's, or None for what the rule needs; rule: "squared",
    "logistic" or "perceptron". In a notebook it shows itself with the data that it was trained on last."""

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int] = (),
        outputs: int = 1,
        *,
        activation: Union[str, Sequence[str]] = "tanh",
        output: Optional[str] = None,
        rule: str = "squared",
        seed: int = 0,
        zero_start: bool = False,
        learning_rate: float = 0.03,
        batch: int = 10,
        regularisation: str = "none",
        regularisation_rate: float = 0.0,
    ) -> None:
        options = NetOptions.new(inputs=inputs, outputs=outputs, hidden_count=len(hidden), seed=seed, zero_start=int(zero_start))
        sizes = (c_uint32 * max(1, len(hidden)))(*hidden)
        options.hidden = cast(sizes, c_void_p)
        if isinstance(activation, str):
            options.activation = _number(_ACTIVATIONS, activation, "activation")
        else:
            if len(activation) != len(hidden):
                raise ValueError(f"{len(activation)} activations for {len(hidden)} hidden layers")
            each = (c_uint32 * max(1, len(hidden)))(*[_number(_ACTIVATIONS, name, "activation") for name in activation])
            options.activations = cast(each, c_void_p)
        options.output = _number(_ACTIVATIONS, output, "output") if output else 0
        options.rule = _number(_RULES, rule, "rule")
        out = c_void_p()
        call(lib.tfm_net_create, byref(options), byref(out))
        self._handle = Handle(out.value or 0, lib.tfm_net_destroy)
        self._data: Optional[NetData] = None
        self._losses = NetLosses([], [])
        self.learning_rate = learning_rate
        self.batch = batch
        self.regularisation = regularisation
        self.regularisation_rate = regularisation_rate

    def _get(self, function: Any, kind: Any, setting: int) -> Any:
        value = kind()
        call(function, self._pointer, setting, byref(value))
        return value.value

    @property
    def learning_rate(self) -> float:
        return float(self._get(lib.tfm_net_get_f64, c_double, _LEARNING_RATE))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        call(lib.tfm_net_set_f64, self._pointer, _LEARNING_RATE, value)

    @property
    def regularisation_rate(self) -> float:
        return float(self._get(lib.tfm_net_get_f64, c_double, _REGULARISATION_RATE))

    @regularisation_rate.setter
    def regularisation_rate(self, value: float) -> None:
        call(lib.tfm_net_set_f64, self._pointer, _REGULARISATION_RATE, value)

    @property
    def regularisation(self) -> str:
        return _name(_REGULARISATIONS, self._get(lib.tfm_net_get_u64, c_uint64, _REGULARISATION))

    @regularisation.setter
    def regularisation(self, value: str) -> None:
        call(lib.tfm_net_set_u64, self._pointer, _REGULARISATION, _number(_REGULARISATIONS, value, "regularisation"))

    @property
    def batch(self) -> int:
        """Rows between two steps; 0: all training rows."""
        return int(self._get(lib.tfm_net_get_u64, c_uint64, _BATCH))

    @batch.setter
    def batch(self, value: int) -> None:
        if value < 0:
            raise ValueError(f"batch cannot be {value}")
        call(lib.tfm_net_set_u64, self._pointer, _BATCH, value)

    def _info(self) -> NetInfo:
        info = NetInfo.new()
        call(lib.tfm_net_get_info, self._pointer, byref(info))
        return info

    @property
    def epochs(self) -> int:
        return int(self._info().epochs)

    @property
    def updates(self) -> int:
        return int(self._info().updates)

    @property
    def parameters(self) -> int:
        return int(self._info().parameters)

    @property
    def dead(self) -> int:
        """Links that L1 has cut."""
        return int(self._info().dead)

    @property
    def layer_count(self) -> int:
        return int(self._info().layers)

    @property
    def losses(self) -> NetLosses:
        """After each epoch since the start or the last reset."""
        return NetLosses(list(self._losses.train), list(self._losses.test))

    def reset(self, seed: int = 0) -> None:
        """Begins anew with other weights; settings stay."""
        call(lib.tfm_net_reset, self._pointer, seed)
        self._losses = NetLosses([], [])

    def _layer_view(self, layer: int) -> NetLayerView:
        view = NetLayerView.new()
        call(lib.tfm_net_get_layer, self._pointer, layer, byref(view))
        return view

    def layer(self, layer: int = LAST) -> NetLayer:
        """A layer's numbers as they are now."""
        view = self._layer_view(layer)
        cut = string_at(view.dead, view.outputs * view.inputs)
        return NetLayer(
            _lists(view.weights, view.outputs, view.inputs),
            _lists(view.biases, 1, view.outputs)[0],
            [[bool(x) for x in cut[i * view.inputs : (i + 1) * view.inputs]] for i in range(view.outputs)],
            _name(_ACTIVATIONS, view.activation),
        )

    def set_layer(
        self, layer: int, weights: Optional[Rows] = None, biases: Optional[Sequence[float]] = None
    ) -> None:
        """Sets a layer's weights (a row for each neuron), or its biases, or both."""
        view = self._layer_view(layer)
        if weights is not None and len(weights) != view.outputs:
            raise ValueError(f"{len(weights)} rows of weights for {view.outputs} neurons")
        if biases is not None and len(biases) != view.outputs:
            raise ValueError(f"{len(biases)} biases for {view.outputs} neurons")
        w = None if weights is None else _flat(weights, view.inputs, "weights")
        call(lib.tfm_net_set_layer, self._pointer, layer, w, None if biases is None else _doubles(biases))

    def run(self, inputs: Rows, layer: int = LAST) -> List[List[float]]:
        """What comes out of a layer for rows of inputs (see NetData.prepare)."""
        width = self._layer_view(layer).outputs
        out = (c_double * max(1, len(inputs) * width))()
        call(lib.tfm_net_run, self._pointer, layer, _flat(inputs, self._info().inputs, "inputs"), len(inputs), out)
        return [list(out[i * width : (i + 1) * width]) for i in range(len(inputs))]

    def train(
        self, data: NetData, epochs: int = 1, *, progress: Optional[Progress] = None, cancel: Optional[Cancel] = None
    ) -> NetLosses:
        """Trains for some epochs; gives the losses after each."""
        if epochs < 1:
            raise ValueError(f"epochs cannot be {epochs}")
        train, test = (c_double * epochs)(), (c_double * epochs)()
        options = NetTrainOptions.new(epochs=epochs)
        options.train_losses = cast(train, c_void_p)
        options.test_losses = cast(test, c_void_p)
        if cancel is not None:
            options.cancel = cancel._pointer
        carrier, before = Carrier(), self.epochs
        report = carrier.progress(progress)
        options.progress = report
        self._data = data
        try:
            with data._borrowed() as rows, self._borrowed() as net:
                carrier.call(lib.tfm_net_train, net, rows, byref(options))
        finally:
            done = self.epochs - before
            self._losses.train.extend(train[:done])
            self._losses.test.extend(test[:done])
        return NetLosses(list(train), list(test))

    def measure(self, data: NetData, test: bool = True) -> NetMeasure:
        """Mean loss and share of right rows, of the test rows or the training rows."""
        loss, right = c_double(), c_double()
        call(lib.tfm_net_measure, self._pointer, data._pointer, int(test), byref(loss), byref(right))
        return NetMeasure(loss.value, right.value)

    def plane(
        self,
        data: NetData,
        layer: int = LAST,
        *,
        resolution: int = 50,
        columns: Sequence[int] = (0, 1),
        discretise: bool = False,
    ) -> List[List[List[float]]]:
        """What comes out of each neuron of a layer over the plane of two columns: [neuron][y][x], y rising. layer -2: the
        inputs themselves."""
        width = data.inputs if layer == INPUTS else self._layer_view(layer).outputs
        x, y = columns if data.columns > 1 or tuple(columns) != (0, 1) else (0, 0)
        options = NetPlaneOptions.new(resolution=resolution, column_x=x, column_y=y, discretise=int(discretise))
        n = resolution
        out = (c_double * max(1, n * n * width))()
        call(lib.tfm_net_plane, self._pointer, data._pointer, layer, byref(options), out)
        return [[list(out[(r * n * width) + i : ((r + 1) * n * width) + i : width][:n]) for r in range(n)] for i in range(width)]

    def svg(
        self,
        data: Optional[NetData] = None,
        *,
        title: Optional[str] = None,
        discretise: bool = False,
        show_test: bool = False,
        columns: Sequence[int] = (0, 0),
    ) -> str:
        """A picture of everything; data None: what it was trained on last."""
        rows = data if data is not None else self._data
        if rows is None:
            raise ValueError("a network that was not trained needs data to be drawn")
        parts: List[bytes] = []
        train, test = _doubles(self._losses.train), _doubles(self._losses.test)
        options = NetSvgOptions.new(
            title=None if title is None else title.encode(),
            discretise=int(discretise),
            show_test=int(show_test),
            loss_count=len(self._losses.train),
            column_x=columns[0],
            column_y=columns[1],
        )
        options.train_losses = cast(train, c_void_p)
        options.test_losses = cast(test, c_void_p)

        def write(_user: Any, data: int, size: int) -> int:
            parts.append(string_at(data, size))
            return 0

        call(lib.tfm_net_svg, self._pointer, rows._pointer, byref(options), WriteFn(write), None)
        return b"".join(parts).decode()

    def _repr_html_(self) -> str:
        if self._handle is not None and self._data is not None and self._data._handle is not None:
            return self.svg()
        return f"<pre>{html.escape(repr(self))}</pre>"

    def __repr__(self) -> str:
        if self._handle is None:
            return "<tfm.Net, closed>"
        sizes = [self._info().inputs] + [self._layer_view(i).outputs for i in range(self.layer_count)]
        return f"<tfm.Net {'-'.join(map(str, sizes))}, {self.parameters} parameters, epoch {self.epochs}>"
