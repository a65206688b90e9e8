"""Python values to what the library takes: texts, paths, ids, choices by name."""

from __future__ import annotations

import os
from array import array
from ctypes import Array, c_int32
from typing import Any, Dict, Iterable, Optional, Union

Text = Union[str, bytes]
Path = Union[str, "os.PathLike[str]"]

ISAS = {"best": 0, "portable": 1, "avx2": 2, "avx512": 3, "neon": 4, "neon-dotprod": 5}


def bytes_of(text: Text) -> bytes:
    """UTF-8. A str with unpaired surrogates is no text: as in tiktoken they become U+FFFD, and pairs one character. Bytes
    are used as they are."""
    if isinstance(text, str):
        try:
            return text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
    if isinstance(text, bytes):
        return text
    if isinstance(text, (bytearray, memoryview)):
        return bytes(text)
    raise TypeError(f"a text is str or bytes, not {type(text).__name__}")


def path_of(path: Path) -> bytes:
    return os.fsencode(path) if os.name != "nt" else os.fspath(path).encode("utf-8")


def id_array(tokens: Iterable[int]) -> "array[int]":
    """Ids as an array of 32-bit integers; what lies in memory as such (numpy, array, memoryview) is copied as a whole."""
    if isinstance(tokens, (str, bytes, bytearray)):
        raise TypeError(f"token ids are integers, not {type(tokens).__name__}")
    if not isinstance(tokens, (list, tuple)):
        try:
            view = memoryview(tokens)  # type: ignore[arg-type]
        except TypeError:
            view = None
        if view is not None and view.format in ("i", "<i") and view.ndim == 1:
            ids = array("i")
            ids.frombytes(view.cast("B") if view.format == "i" and view.c_contiguous else view.tobytes())
            return ids
        tokens = list(tokens)
    try:
        return array("i", tokens)
    except OverflowError:
        raise OverflowError("a token id does not fit in 32 bits") from None


def ids_of(tokens: Iterable[int]) -> "Array[c_int32]":
    ids = id_array(tokens)
    return (c_int32 * len(ids)).from_buffer(ids) if ids else (c_int32 * 0)()


def choice(value: Optional[bool]) -> int:
    """TFM_DEFAULT, TFM_YES or TFM_NO."""
    return 0 if value is None else 1 if value else 2


def number_of(names: Dict[Any, int], name: Any, what: str) -> int:
    if name not in names:
        raise ValueError(f"{what} must be one of {', '.join(map(str, names))}, not {name!r}")
    return names[name]
