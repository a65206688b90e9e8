"""Training: tfm/train.h."""

from __future__ import annotations

from ctypes import addressof, byref, c_float, c_int32, c_uint8, c_void_p
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ._callbacks import Cancel, Carrier, Progress
from ._convert import Path, number_of, path_of
from ._encoding import _Lease, _numpy
from ._errors import call
from ._handles import Handle, Owner
from ._library import NewModelOptions, TrainBatch, TrainedTensor, TrainerOptions, TrainResult, lib
from ._pool import Pool

if TYPE_CHECKING:
    from ._model import Model

_OPTIMIZERS = {"adamw": 0, "sgd": 1, "muon": 2}
_SCHEDULES = {"constant": 0, "linear": 1, "cosine": 2, "wsd": 3}
_WEIGHT, _GRADIENT = 0, 1


class Step(NamedTuple):
    """What a step did: see tfm_train_result."""

    step: int
    loss: float
    gradient_norm: float
    learning_rate: float
    targets: int


def _rows(tokens: Any, what: str, kind: Any) -> Tuple[Any, int, int]:
    """Rows of one length as a C array [rows, length]."""
    numpy = _numpy()
    if numpy is not None and isinstance(tokens, numpy.ndarray):
        if tokens.ndim != 2:
            raise ValueError(f"{what} must have two dimensions, not {tokens.ndim}")
        exact = numpy.ascontiguousarray(tokens, dtype=kind)
        if not (exact == tokens).all():
            raise ValueError(f"{what} must be whole numbers that fit {kind.__name__}")
        made = (kind * exact.size).from_buffer_copy(exact)
        return made, exact.shape[0], exact.shape[1]
    rows: List[Sequence[int]] = [row.tolist() if hasattr(row, "tolist") else list(row) for row in tokens]
    length = len(rows[0]) if rows else 0
    if any(len(row) != length for row in rows):
        raise ValueError(f"the rows of {what} differ in length")
    return (kind * (len(rows) * length))(*[value for row in rows for value in row]), len(rows), length


def write_new_model(
    config: Path, folder: Path, *, seed: int = 0, tokenizer: Optional[Path] = None, byte_budget: int = 0
) -> None:
    """Writes a model that has learned nothing yet as a Hugging Face folder: config is a config.json of a family that can be
    trained, tokenizer a folder whose tokenizer's files are copied. The same seed gives the same weights."""
    options = NewModelOptions.new(seed=seed, byte_budget=byte_budget)
    options.tokenizer = path_of(tokenizer) if tokenizer is not None else None
    call(lib.tfm_model_write_new, path_of(config), byref(options), path_of(folder))


class _Tensors(Dict[str, Any]):
    """Arrays by name, made when they are first asked for."""

    def __init__(self, trainer: "Trainer", what: int) -> None:
        super().__init__()
        self._trainer, self._what = trainer, what

    def __missing__(self, name: str) -> Any:
        if name not in self._trainer._names:
            raise KeyError(name)
        made = self._trainer._array(name, self._what)
        self[name] = made
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._trainer._names)

    def __len__(self) -> int:
        return len(self._trainer._names)

    def __contains__(self, name: object) -> bool:
        return name in self._trainer._names

    def keys(self) -> Any:
        return list(self._trainer._names)

    def values(self) -> Any:
        return [self[name] for name in self._trainer._names]

    def items(self) -> Any:
        return [(name, self[name]) for name in self._trainer._names]


class Trainer(Owner):
    """Trains copies of a decoder's weights; the model itself never changes.

        trainer = tfm.Trainer(model, learning_rate=3e-4, schedule="cosine", steps=1000, warmup=50)
        for batch in batches:            # [rows, length] token ids
            print(trainer.step(batch).loss)
        trainer.save("folder")

    weights and gradients are arrays by tensor name, without copies: numpy's where it is installed, memoryviews otherwise;
    they change with each step. The options are those of tfm_trainer_options. One thread at a time.
    """

    def __init__(
        self,
        model: "Model",
        *,
        optimizer: str = "adamw",
        schedule: str = "constant",
        learning_rate: float = 3e-4,
        last_rate: float = 0.0,
        beta1: float = 0.9,
        beta2: float = 0.95,
        epsilon: float = 1e-8,
        momentum: float = 0.9,
        weight_decay: float = 0.1,
        vector_decay: float = 0.0,
        clip: float = 1.0,
        muon_momentum: float = 0.95,
        muon_scale: float = 20.0,
        steps: int = 0,
        warmup: int = 0,
        decay: int = 0,
        pool: Optional[Pool] = None,
        byte_budget: int = 0,
    ) -> None:
        options = TrainerOptions.new(
            optimizer=number_of(_OPTIMIZERS, optimizer, "optimizer"),
            schedule=number_of(_SCHEDULES, schedule, "schedule"),
            learning_rate=learning_rate,
            last_rate=last_rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            momentum=momentum,
            weight_decay=weight_decay,
            vector_decay=vector_decay,
            clip=clip,
            muon_momentum=muon_momentum,
            muon_scale=muon_scale,
            steps=steps,
            warmup=warmup,
            decay=decay,
            pool=pool._pointer if pool else None,
            byte_budget=byte_budget,
        )
        out = c_void_p()
        with model._borrowed() as pointer:
            call(lib.tfm_trainer_create, pointer, byref(options), byref(out))
        assert out.value is not None
        rests_on = (model._open, pool._open) if pool else (model._open,)
        self._handle = Handle(out.value, lib.tfm_trainer_destroy, rests_on)
        self._names: Dict[str, TrainedTensor] = {}
        for index in range(lib.tfm_trainer_tensor_count(out.value)):
            tensor = TrainedTensor.new()
            call(lib.tfm_trainer_tensor, out.value, index, _WEIGHT, byref(tensor))
            self._names[tensor.name.decode("utf-8", "replace")] = tensor

    def _array(self, name: str, what: int) -> Any:
        tensor = TrainedTensor.new()
        call(lib.tfm_trainer_find, self._pointer, self._names[name].name, what, byref(tensor))
        shape = tuple(tensor.shape[: tensor.dims])
        memory = (c_float * tensor.count).from_address(tensor.data)
        memory._lease = _Lease(self._open)  # goes with the last view of this memory
        view = memoryview(memory).toreadonly()
        numpy = _numpy()
        if numpy is not None:
            return numpy.frombuffer(view, dtype=c_float).reshape(shape)
        return view.cast("B").cast("f", shape) if shape else view.cast("B").cast("f")

    def _run(
        self,
        function: Any,
        batches: Sequence[Any],
        masks: Optional[Sequence[Any]],
        progress: Optional[Progress],
        cancel: Optional[Cancel],
    ) -> Step:
        raw = (TrainBatch * len(batches))()
        keep: List[Any] = []
        for i, tokens in enumerate(batches):
            ids, rows, length = _rows(tokens, "tokens", c_int32)
            raw[i] = TrainBatch.new(tokens=addressof(ids), rows=rows, length=length)
            keep.append(ids)
            if masks is not None:
                mask, mask_rows, mask_length = _rows(masks[i], "mask", c_uint8)
                if (mask_rows, mask_length) != (rows, length):
                    raise ValueError(f"a mask of {mask_rows} x {mask_length} for tokens of {rows} x {length}")
                raw[i].mask = addressof(mask)
                keep.append(mask)
        result = TrainResult.new()
        carrier = Carrier()
        report = carrier.progress(progress)
        with self._borrowed() as pointer:
            lib.tfm_trainer_watch(pointer, report, None, cancel._pointer if cancel else None)
            try:
                carrier.call(function, pointer, raw, len(batches), byref(result))
            finally:
                lib.tfm_trainer_watch(pointer, type(report)(), None, None)
        return Step(result.step, result.loss, result.gradient_norm, result.learning_rate, result.targets)

    def step(
        self,
        *batches: Any,
        mask: Optional[Sequence[Any]] = None,
        learning_rate: Optional[float] = None,
        progress: Optional[Progress] = None,
        cancel: Optional[Cancel] = None,
    ) -> Step:
        """One step on a batch of token ids [rows, length]; several are gradient accumulation.

        mask: for each batch, [rows, length], 0 where a token is no target. learning_rate: for this step, instead of the
        schedule's. Until the return of this call, and if it fails, the weights are those before it.
        """
        call(lib.tfm_trainer_set_rate, self._pointer, -1.0 if learning_rate is None else learning_rate)
        return self._run(lib.tfm_trainer_step, batches, mask, progress, cancel)

    def evaluate(
        self,
        *batches: Any,
        mask: Optional[Sequence[Any]] = None,
        progress: Optional[Progress] = None,
        cancel: Optional[Cancel] = None,
    ) -> Step:
        """The mean loss of batches, without a step."""
        return self._run(lib.tfm_trainer_evaluate, batches, mask, progress, cancel)

    @property
    def weights(self) -> Dict[str, Any]:
        return _Tensors(self, _WEIGHT)

    @property
    def gradients(self) -> Dict[str, Any]:
        """Of the last step, before clipping."""
        return _Tensors(self, _GRADIENT)

    @property
    def steps(self) -> int:
        """How many were made."""
        return int(lib.tfm_trainer_steps(self._pointer))

    @property
    def model(self) -> "Model":
        """The model that is being trained: trainer.model.generate("Once upon") shows what it writes now. A session on it holds
        keys and values of the weights that it read with: after a step, rewind it to 0 or make another."""
        from ._model import Model

        model = Model.__new__(Model)
        pointer = lib.tfm_trainer_model(self._pointer)
        model._handle = Handle(pointer, lambda _pointer: None, (self._open,))  # the trainer's own
        return model

    def save(self, folder: Path) -> None:
        """As a Hugging Face folder."""
        call(lib.tfm_trainer_save, self._pointer, path_of(folder))

    def checkpoint(self, path: Path) -> None:
        """Everything that going on needs, into one file."""
        call(lib.tfm_trainer_checkpoint, self._pointer, path_of(path))

    def resume(self, path: Path) -> None:
        """Goes on from a checkpoint, with the same bits as if nothing had been between."""
        call(lib.tfm_trainer_resume, self._pointer, path_of(path))
