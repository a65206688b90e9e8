"""Whole texts to vectors: tfm/encode.h."""

from __future__ import annotations

from ctypes import POINTER, byref, c_float, c_int32, c_size_t, c_void_p, cast, create_string_buffer
from typing import TYPE_CHECKING, Any, Iterable, List, Optional, Sequence, Tuple, Union

from ._callbacks import Cancel, Carrier, Progress
from ._convert import Text, bytes_of, choice, ids_of, number_of
from ._encoding import _Lease, _numpy
from ._errors import E_STATE, TfmError, call
from ._handles import Handle, Owner
from ._library import EmbedOptions, EncodedView, EncodeOptions, EncodeRow, TextInput, lib

if TYPE_CHECKING:
    from ._model import Model

Input = Union[Text, Sequence[int]]

POOLINGS = {"default": 0, "mean": 1, "first": 2, "last": 4, "max": 8, "mean_sqrt": 16, "weighted": 32}
_HEADS = {0: None, 1: "tokens", 2: "rows"}


def _matrix(memory: Any, rows: int, columns: int) -> Any:
    """[rows, columns] floats: a numpy array where numpy is installed, a memoryview where not."""
    numpy = _numpy()
    if numpy:
        return numpy.frombuffer(memory, dtype=numpy.float32, count=rows * columns).reshape(rows, columns)
    flat = memoryview(memory).cast("B")[: rows * columns * 4]
    return flat.cast("f", (rows, columns)) if rows and columns else flat.cast("f")


class _Rows:
    """tfm_encode_row for lists of ids; the arrays live as long as this object."""

    def __init__(self, rows: Sequence[Sequence[int]], types: Optional[Sequence[Optional[Sequence[int]]]]) -> None:
        self._keep: List[Any] = []
        self.items = (EncodeRow * max(len(rows), 1))()
        if types is not None and len(types) != len(rows):
            raise ValueError(f"{len(types)} rows of types for {len(rows)} rows of tokens")
        for i, row in enumerate(rows):
            ids = ids_of(row)
            self._keep.append(ids)
            self.items[i] = EncodeRow(cast(ids, POINTER(c_int32)), len(ids), None)
            given = types[i] if types is not None else None
            if given is not None:
                of_row = ids_of(given)
                if len(of_row) != len(ids):
                    raise ValueError(f"row {i}: {len(of_row)} types for {len(ids)} tokens")
                self._keep.append(of_row)
                self.items[i].types = cast(of_row, POINTER(c_int32))


def _texts(texts: Sequence[Any]) -> Tuple[Any, List[bytes]]:
    """tfm_text_input for texts and pairs of texts, and what they point to."""
    keep: List[bytes] = []
    items = (TextInput * max(len(texts), 1))()
    for i, text in enumerate(texts):
        pair = text if isinstance(text, tuple) else (text, None)
        first, second = bytes_of(pair[0]), bytes_of(pair[1]) if pair[1] is not None else None
        keep += [first] if second is None else [first, second]
        items[i].text, items[i].length = cast(first, c_void_p), len(first)
        if second is not None:
            items[i].pair, items[i].pair_length = cast(second, c_void_p), len(second)
    return items, keep


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, bytes, bytearray))


class Encoded(Owner):
    """What an encoder makes of rows of tokens. len() is the number of rows, encoded[i] the states of row i, [tokens, width].

    hidden: all rows, one behind the other, [tokens, width]; row i is starts[i] to starts[i + 1]. pooled: what the model's
    pooler makes of each row, [rows, width], or None. The arrays are the library's own memory, to read only. head: "tokens"
    or "rows", what logits() are of, or None.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._view = EncodedView.new()
        call(lib.tfm_encoded_get, handle.pointer, byref(self._view))
        view = self._view
        self.starts: List[int] = list((c_size_t * (view.rows + 1)).from_address(view.starts))
        self.hidden = self._look(view.hidden, view.tokens)
        self.pooled = self._look(view.pooled, view.rows) if view.pooled else None
        self.head: Optional[str] = _HEADS[view.head]
        self.outputs: int = view.outputs
        self.layers: int = view.layers

    def _look(self, address: int, rows: int) -> Any:
        memory = (c_float * (rows * self._view.width)).from_address(address)
        memory._lease = _Lease(self._open)  # goes with the last view of this memory
        return _matrix(memoryview(memory).toreadonly(), rows, self._view.width)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> Any:
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        return self.hidden[self.starts[at] : self.starts[at + 1]]

    def layer(self, layer: int) -> Any:
        """The states after that many layers, [tokens, width]: 0 is the embedding. Only with keep_layers."""
        states = c_void_p()
        call(lib.tfm_encoded_layer, self._pointer, layer, byref(states))
        return self._look(states.value or 0, self._view.tokens)

    def logits(self, first: int = 0, count: Optional[int] = None) -> Any:
        """What the model's head makes of tokens or rows (head says which) from first on: [count, outputs]."""
        whole = self._view.rows if self.head == "rows" else self._view.tokens
        n = whole - first if count is None else count
        out = (c_float * max(n * self.outputs, 1))()
        call(lib.tfm_encoded_logits, self._pointer, first, n, out, n * self.outputs)
        return _matrix(out, n, self.outputs)

    def __repr__(self) -> str:
        return f"<Encoded: {len(self)} rows, {self._view.tokens} tokens>"


def encode(
    model: "Model",
    rows: Iterable[Input],
    types: Optional[Sequence[Optional[Sequence[int]]]],
    keep_layers: bool,
    decoder: bool,
    cancel: Optional[Cancel],
    progress: Optional[Progress],
) -> Encoded:
    if _is_text(rows):
        raise TypeError("rows is a list of texts or of lists of token ids")
    listed: List[Any] = list(rows)
    if listed and all(map(_is_text, listed)):
        if types is not None:
            raise ValueError("types go with token ids, not with texts")
        tokenizer = model.tokenizer
        if tokenizer is None:
            raise TfmError(E_STATE, "the model's files hold no tokenizer")
        with tokenizer:
            listed = [tokenizer.encode(text) for text in listed]
    given = _Rows(listed, types)
    carrier = Carrier()
    options = EncodeOptions.new(
        keep_layers=int(keep_layers),
        decoder=int(decoder),
        cancel=cancel._pointer if cancel else None,
        progress=carrier.progress(progress),
    )
    out = c_void_p()
    carrier.call(
        lib.tfm_encode, model._pointer, given.items, len(listed), byref(options), byref(out),
        undo=lambda: lib.tfm_encoded_release(out),
    )  # fmt: skip
    return Encoded(Handle(out.value or 0, lib.tfm_encoded_release, (model._open,)))


def embed(
    model: "Model",
    texts: Union[Input, Iterable[Input]],
    pooling: Union[str, Sequence[str]],
    normalize: Optional[bool],
    max_tokens: int,
    prompt: Optional[Text],
    cancel: Optional[Cancel],
    progress: Optional[Progress],
) -> Any:
    alone = _is_text(texts)
    listed: List[Any] = [texts] if alone else list(texts)
    if listed and isinstance(listed[0], int):  # one row of ids
        alone, listed = True, [listed]
    names = [pooling] if isinstance(pooling, str) else pooling
    before = bytes_of(prompt) if prompt is not None else None
    carrier = Carrier()
    options = EmbedOptions.new(
        pooling=sum({number_of(POOLINGS, name, "pooling") for name in names}),
        normalize=choice(normalize),
        max_tokens=max_tokens,
        prompt=before,
        prompt_length=len(before or b""),
        cancel=cancel._pointer if cancel else None,
        progress=carrier.progress(progress),
    )
    keep: Any
    if all(map(_is_text, listed)):
        function = lib.tfm_embed
        items, keep = _texts(listed)
    else:
        function = lib.tfm_embed_tokens
        keep = _Rows(listed, None)
        items = keep.items
    width = c_size_t()
    carrier.call(function, model._pointer, items, len(listed), byref(options), None, 0, byref(width))
    out = (c_float * max(len(listed) * width.value, 1))()
    carrier.call(function, model._pointer, items, len(listed), byref(options), out, len(out), byref(width))
    found = _matrix(out, len(listed), width.value)
    if not alone:
        return found
    return found[0] if _numpy() else memoryview(out).cast("B").cast("f")


def label(model: "Model", index: int) -> str:
    length = c_size_t()
    call(lib.tfm_model_label, model._pointer, index, None, 0, byref(length))
    text = create_string_buffer(length.value + 1)
    call(lib.tfm_model_label, model._pointer, index, text, length.value, byref(length))
    return text.raw[: length.value].decode("utf-8", "replace")


def classify(model: "Model", texts: Iterable[Any], max_tokens: int) -> Any:
    if _is_text(texts):
        raise TypeError("texts is a list of texts or of pairs of texts")
    listed = list(texts)
    items, _keep = _texts(listed)
    outputs = c_size_t()
    call(lib.tfm_classify, model._pointer, items, len(listed), max_tokens, None, 0, byref(outputs))
    out = (c_float * max(len(listed) * outputs.value, 1))()
    call(lib.tfm_classify, model._pointer, items, len(listed), max_tokens, out, len(out), byref(outputs))
    return _matrix(out, len(listed), outputs.value)
