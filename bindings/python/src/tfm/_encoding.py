"""The rows of ids that a batch of texts becomes: tfm_encoding of tfm/tokenizer.h.

All arrays are the library's own memory, to read only: numpy arrays where numpy is installed, memoryviews where not. None of
them is a copy, and the memory lives as long as the last of them.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int32, c_size_t, c_uint8, c_uint32, c_void_p
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Tuple, Union, overload

from ._errors import call
from ._handles import Handle, Owner
from ._library import EncodingView, lib

if TYPE_CHECKING:
    from ._tokenizer import Tokenizer

_SIZES = {4: "I", 8: "Q"}  # of size_t
_FORMATS: Any = {c_int32: "i", c_uint32: "I", c_uint8: "B", c_size_t: _SIZES[ctypes.sizeof(c_size_t)]}

# name: field of tfm_encoding_view, type of its elements
_FIELDS = {
    "ids": ("ids", c_int32),
    "type_ids": ("types", c_uint8),
    "sequence_ids": ("sequences", c_uint8),
    "special_tokens_mask": ("special", c_uint8),
    "attention_mask": ("attention", c_uint8),
    "byte_begins": ("byte_begins", c_uint32),
    "byte_ends": ("byte_ends", c_uint32),
    "char_begins": ("char_begins", c_uint32),
    "char_ends": ("char_ends", c_uint32),
}


@lru_cache(maxsize=None)
def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        return None
    return numpy


class _Lease:
    """Keeps a handle's memory while an array looks at it."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle.retain()

    def __del__(self) -> None:
        self._handle.release()


class Encoding(Owner):
    """Rows of token ids with what is known of each token. encoding[i] is row i, len(encoding) how many there are.

    The arrays run over all rows, one behind the other; row i is starts[i] to starts[i + 1]. matrix() has them with two
    dimensions, where all rows are of one length. Asking for what the call did not want is an AttributeError.
    """

    def __init__(self, handle: Handle, tokenizer: "Tokenizer") -> None:
        self._handle = handle
        self._tokenizer = tokenizer
        starts, rows = c_void_p(), c_size_t()
        call(lib.tfm_encoding_ids, handle.pointer, None, byref(starts), byref(rows))
        self._view = EncodingView.new()
        call(lib.tfm_encoding_get, handle.pointer, byref(self._view))
        self._rows: int = rows.value
        self.starts = self._look(starts.value, c_size_t, self._rows + 1)
        self.inputs = self._look(self._view.inputs, c_size_t, self._rows)

    def _look(self, address: Optional[int], kind: Any, count: int) -> Any:
        numpy = _numpy()
        if count == 0 or not address:
            empty = memoryview(b"").cast(_FORMATS[kind])
            return numpy.frombuffer(bytearray(), dtype=kind) if numpy else empty
        memory = (kind * count).from_address(address)
        memory._lease = _Lease(self._open)  # goes with the last view of this memory
        view = memoryview(memory).toreadonly()
        return numpy.frombuffer(view, dtype=kind) if numpy else view.cast("B").cast(_FORMATS[kind])

    def __getattr__(self, name: str) -> Any:
        # Arrays are made when they are first asked for.
        field = _FIELDS.get(name)
        if field is None:
            raise AttributeError(name)
        address = getattr(self._view, field[0])
        if self._view.count and not address:
            raise AttributeError(f"{name} was not asked for when the texts were encoded")
        made = self._look(address, field[1], self._view.count)
        setattr(self, name, made)
        return made

    def __len__(self) -> int:
        return self._rows

    @overload
    def __getitem__(self, index: int) -> "EncodingRow": ...

    @overload
    def __getitem__(self, index: slice) -> "List[EncodingRow]": ...

    def __getitem__(self, index: Union[int, slice]) -> "Union[EncodingRow, List[EncodingRow]]":
        if isinstance(index, slice):
            return [EncodingRow(self, i) for i in range(*index.indices(self._rows))]
        at = index + self._rows if index < 0 else index
        if not 0 <= at < self._rows:
            raise IndexError(f"row {index} of {self._rows}")
        return EncodingRow(self, at)

    def __iter__(self) -> "Iterator[EncodingRow]":
        return (EncodingRow(self, i) for i in range(self._rows))

    def tolist(self) -> List[List[int]]:
        """The ids of every row as lists."""
        ids, starts = self.ids.tolist(), self.starts.tolist()
        return [ids[starts[i] : starts[i + 1]] for i in range(self._rows)]

    def matrix(self, name: str = "ids") -> Any:
        """One of the arrays as [rows, length], without a copy; ValueError if the rows differ in length."""
        lengths = {self.starts[i + 1] - self.starts[i] for i in range(self._rows)}
        if len(lengths) > 1:
            raise ValueError("the rows differ in length: pad them")
        length = int(lengths.pop()) if lengths else 0
        found = getattr(self, name)
        if _numpy():
            return found.reshape(self._rows, length)
        if length == 0:
            return found
        return found.cast("B").cast(_FORMATS[_FIELDS[name][1]], (self._rows, length))

    def __repr__(self) -> str:
        return f"<Encoding of {self._rows} rows, {self._view.count} tokens>"


class EncodingRow:
    """One row of an Encoding. Its arrays are slices of the encoding's."""

    __slots__ = ("_encoding", "index")

    def __init__(self, encoding: Encoding, index: int) -> None:
        self._encoding = encoding
        self.index = index

    def __getattr__(self, name: str) -> Any:
        if name not in _FIELDS:
            raise AttributeError(name)
        starts = self._encoding.starts
        return getattr(self._encoding, name)[starts[self.index] : starts[self.index + 1]]

    def __len__(self) -> int:
        return int(self._encoding.starts[self.index + 1] - self._encoding.starts[self.index])

    @property
    def input(self) -> int:
        """Which text the row belongs to: with overflow there may be several rows for one."""
        return int(self._encoding.inputs[self.index])

    @property
    def offsets(self) -> List[Tuple[int, int]]:
        """(begin, end) of every token in characters: text[begin:end] of a str. Tokens of the pair count in the pair."""
        return list(zip(self.char_begins.tolist(), self.char_ends.tolist()))

    @property
    def byte_offsets(self) -> List[Tuple[int, int]]:
        """(begin, end) of every token in bytes of the text's UTF-8."""
        return list(zip(self.byte_begins.tolist(), self.byte_ends.tolist()))

    @property
    def tokens(self) -> List[str]:
        """What each token stands for, as Tokenizer.id_to_token says it."""
        tokenizer = self._encoding._tokenizer
        return [tokenizer.id_to_token(token) or "" for token in self.ids.tolist()]

    def tolist(self) -> List[int]:
        """The ids as a list."""
        listed: List[int] = self.ids.tolist()
        return listed

    def __repr__(self) -> str:
        return f"<row {self.index} of an Encoding, {len(self)} tokens>"
