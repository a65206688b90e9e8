"""What tfm_tokenize_batch is asked for: the texts, and the shape of the rows by the names that transformers uses."""

from __future__ import annotations

import ctypes
from array import array
from ctypes import c_char_p, c_size_t, c_void_p
from itertools import accumulate
from typing import Any, Iterable, List, Optional, Tuple, Union

from ._convert import bytes_of, number_of
from ._library import BatchOptions

_WANT_OFFSETS, _WANT_CHARS, _WANT_TYPES, _WANT_MASKS, _WANT_OVERFLOW = 1, 2, 4, 8, 16
_OFFSETS = {False: 0, True: _WANT_OFFSETS | _WANT_CHARS, "bytes": _WANT_OFFSETS, "chars": _WANT_CHARS}
_STRATEGIES = {"longest_first": 1, "only_first": 2, "only_second": 3}
_SIDES = {None: 0, "right": 1, "left": 2}
_YES, _NO = 1, 2
_LONGEST, _FIXED = 1, 2
_WORD = {4: "I", 8: "Q"}[ctypes.sizeof(c_size_t)]


def inputs_of(texts: Iterable[Any]) -> Tuple[Any, int, int, Any]:
    """An array of tfm_text_input, how many there are, their bytes, and what must be kept while the array is in use."""
    if isinstance(texts, (str, bytes)):
        raise TypeError("encode_batch takes several texts; encode takes one")
    listed = list(texts)
    seconds: Optional[List[Optional[bytes]]] = None
    try:
        firsts = list(map(str.encode, listed))  # the most frequent case, in one go
    except (TypeError, UnicodeEncodeError):
        firsts, seconds = _mixed(listed)
    count = len(firsts)
    words = array(_WORD, (0,)) * (4 * count)  # text, length, pair, length of the pair
    lengths = array(_WORD, map(len, firsts))
    data = b"".join(firsts)
    size = len(data)
    words[0::4], words[1::4] = _addresses(data, lengths), lengths
    second = b""
    if seconds is not None:
        lengths = array(_WORD, [len(pair or b"") for pair in seconds])
        second = b"".join([pair or b"" for pair in seconds])
        size += len(second)
        for i, address in enumerate(_addresses(second, lengths)):
            if seconds[i] is not None:
                words[4 * i + 2] = address
        words[3::4] = lengths
    return (c_void_p(words.buffer_info()[0]) if count else None), count, size, (words, data, second)


def _addresses(data: bytes, lengths: "array[int]") -> "array[int]":
    """Where texts of these lengths begin that lie in data one behind the other."""
    start = ctypes.cast(c_char_p(data), c_void_p).value or 0
    return array(_WORD, accumulate(lengths, initial=start))[: len(lengths)]


def _mixed(texts: List[Any]) -> Tuple[List[bytes], Optional[List[Optional[bytes]]]]:
    firsts: List[bytes] = []
    seconds: List[Optional[bytes]] = []
    for text in texts:
        if isinstance(text, (tuple, list)):
            if len(text) != 2:
                raise ValueError(f"a pair has two texts, not {len(text)}")
            firsts.append(bytes_of(text[0]))
            seconds.append(bytes_of(text[1]))
        else:
            firsts.append(bytes_of(text))
            seconds.append(None)
    return firsts, seconds


def batch_options(
    *,
    offsets: Union[bool, str] = False,
    ids_only: bool = False,
    truncation: Union[None, bool, str] = None,
    max_length: Optional[int] = None,
    stride: int = 0,
    truncation_side: Optional[str] = None,
    overflow: bool = False,
    padding: Union[None, bool, str] = None,
    pad_to_multiple_of: Optional[int] = None,
    padding_side: Optional[str] = None,
    pad_id: int = -1,
    pad_type_id: int = 0,
) -> BatchOptions:
    want = number_of(_OFFSETS, offsets, "offsets")
    if not ids_only:
        want |= _WANT_TYPES | _WANT_MASKS
    if overflow:
        want |= _WANT_OVERFLOW
    for what, value in (("max_length", max_length), ("stride", stride), ("pad_to_multiple_of", pad_to_multiple_of)):
        if value is not None and not 0 <= value < 2**31:
            raise ValueError(f"{what} cannot be {value}")
    options = BatchOptions.new(
        want=want,
        stride=stride,
        truncate_side=number_of(_SIDES, truncation_side, "truncation_side"),
        pad_multiple=pad_to_multiple_of or 0,
        pad_side=number_of(_SIDES, padding_side, "padding_side"),
        pad_token=pad_id,
        pad_type=pad_type_id,
    )
    if truncation is None and max_length is not None and padding != "max_length":
        truncation = True
    if truncation is not None:
        options.truncate = _YES if truncation else _NO
    if truncation:
        if max_length is None:
            raise ValueError("truncation needs max_length")
        options.max_length = max_length
        strategy = "longest_first" if truncation is True else truncation
        options.truncate_strategy = number_of(_STRATEGIES, strategy, "truncation")
    if padding is not None:
        options.pad = _YES if padding else _NO
    if padding == "max_length":
        if max_length is None:
            raise ValueError("padding to max_length needs max_length")
        options.pad_mode, options.pad_length = _FIXED, max_length
    elif padding:
        options.pad_mode = number_of({True: _LONGEST, "longest": _LONGEST}, padding, "padding")
    return options
