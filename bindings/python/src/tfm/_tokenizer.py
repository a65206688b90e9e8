"""Text to tokens and back: tfm/tokenizer.h."""

from __future__ import annotations

import os
from ctypes import Array, byref, c_int32, c_size_t, c_void_p, create_string_buffer, string_at
from typing import Any, Iterable, List, NamedTuple, Optional, Union

from ._errors import call, text_of
from ._handles import Handle, Owner
from ._library import DetokenizeOptions, TokenizeOptions, TokenizerInfo as RawInfo, TokenizerOptions, lib

Text = Union[str, bytes]
Path = Union[str, "os.PathLike[str]"]


class TokenizerInfo(NamedTuple):
    """Ids are -1 where there is no such token."""

    kind: str
    pattern: str
    vocab_size: int
    bos: int
    eos: int
    unknown: int
    padding: int
    end_of_turn: int
    adds_bos: bool
    adds_eos: bool


def bytes_of(text: Text) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else bytes(text)


def path_of(path: Path) -> bytes:
    return os.fsencode(path) if os.name != "nt" else os.fspath(path).encode("utf-8")


def ids_of(tokens: Iterable[int]) -> "Array[c_int32]":
    listed = list(tokens)
    for token in listed:
        if not -(2**31) <= token < 2**31:
            raise OverflowError(f"{token} is no token id")
    return (c_int32 * len(listed))(*listed)


def choice(value: Optional[bool]) -> int:
    """TFM_DEFAULT, TFM_YES or TFM_NO."""
    return 0 if value is None else 1 if value else 2


class Tokenizer(Owner):
    """A tokenizer, of a model (model.tokenizer) or alone (Tokenizer.load). Any number of threads may use one."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    @classmethod
    def load(cls, path: Path, *, pattern: Optional[str] = None, byte_budget: int = 0) -> "Tokenizer":
        """From any file that holds one: GGUF, tokenizer.json, a SentencePiece .model, .tiktoken, tokenizer.bin."""
        options = TokenizerOptions.new(byte_budget=byte_budget, pattern=pattern.encode() if pattern else None)
        out = c_void_p()
        call(lib.tfm_tokenizer_load, path_of(path), byref(options), byref(out))
        return cls(Handle(out.value or 0, lib.tfm_tokenizer_release))

    @classmethod
    def from_bytes(cls, data: bytes, *, pattern: Optional[str] = None, byte_budget: int = 0) -> "Tokenizer":
        """From one file's content."""
        options = TokenizerOptions.new(byte_budget=byte_budget, pattern=pattern.encode() if pattern else None)
        out = c_void_p()
        call(lib.tfm_tokenizer_load_memory, data, len(data), byref(options), byref(out))
        return cls(Handle(out.value or 0, lib.tfm_tokenizer_release))

    @property
    def info(self) -> TokenizerInfo:
        raw = RawInfo.new()
        call(lib.tfm_tokenizer_get_info, self._pointer, byref(raw))
        return TokenizerInfo(
            text_of(raw.kind),
            text_of(raw.pattern),
            raw.vocab_size,
            raw.bos,
            raw.eos,
            raw.unknown,
            raw.padding,
            raw.end_of_turn,
            bool(raw.adds_bos),
            bool(raw.adds_eos),
        )

    def encode(
        self,
        text: Text,
        *,
        add_bos: Optional[bool] = None,
        add_eos: Optional[bool] = None,
        parse_special: bool = False,
    ) -> List[int]:
        """The ids of a text. add_bos, add_eos: None as the model's file says; parse_special: special tokens written in
        the text become their ids, otherwise they are ordinary text."""
        data = bytes_of(text)
        options = TokenizeOptions.new(
            add_bos=choice(add_bos), add_eos=choice(add_eos), parse_special=int(parse_special)
        )
        count = c_size_t()
        call(lib.tfm_tokenize, self._pointer, data, len(data), byref(options), None, 0, byref(count))
        ids = (c_int32 * count.value)()
        call(lib.tfm_tokenize, self._pointer, data, len(data), byref(options), ids, count, byref(count))
        return list(ids)

    def _detokenize(self, tokens: Iterable[int], special: bool, continued: bool, raw: bool) -> bytes:
        ids = ids_of(tokens)
        options = DetokenizeOptions.new(special=int(special), raw=int(raw), continued=int(continued))
        length = c_size_t()
        call(lib.tfm_detokenize, self._pointer, ids, len(ids), byref(options), None, 0, byref(length))
        text = create_string_buffer(max(length.value, 1))
        call(lib.tfm_detokenize, self._pointer, ids, len(ids), byref(options), text, length, byref(length))
        return text.raw[: length.value]

    def decode(self, tokens: Iterable[int], *, special: bool = False, continued: bool = False) -> str:
        """The text of some ids; special: special tokens appear as their text; continued: the ids go on from earlier
        text, so a leading space stays."""
        return text_of(self._detokenize(tokens, special, continued, raw=False))

    def decode_bytes(self, tokens: Iterable[int], *, special: bool = False, continued: bool = False) -> bytes:
        """The bytes exactly as the tokens hold them, which need not be valid UTF-8."""
        return self._detokenize(tokens, special, continued, raw=True)

    def token_bytes(self, token: int) -> bytes:
        """What one token stands for in the middle of a text."""
        pointer, length = c_void_p(), c_size_t()
        call(lib.tfm_token_bytes, self._pointer, token, byref(pointer), byref(length))
        return string_at(pointer, length.value) if length.value else b""

    def token_kind(self, token: int) -> int:
        """TFM_TOKEN_* of tfm/tokenizer.h, or 0 outside the vocabulary."""
        return int(lib.tfm_token_kind(self._pointer, token))

    def find(self, text: Text) -> int:
        """The id of the token that stands for exactly this text, or -1."""
        data = bytes_of(text)
        return int(lib.tfm_token_find(self._pointer, data, len(data)))

    def decoder(self, *, special: bool = False, continued: bool = False) -> "Decoder":
        """Text from tokens that come one at a time."""
        return Decoder(self, special=special, continued=continued)


class Decoder(Owner):
    """Hands out text as tokens come in, complete characters only."""

    def __init__(self, tokenizer: Tokenizer, *, special: bool = False, continued: bool = False) -> None:
        options = DetokenizeOptions.new(special=int(special), continued=int(continued))
        out = c_void_p()
        call(lib.tfm_decoder_create, tokenizer._pointer, byref(options), byref(out))
        self._handle = Handle(out.value or 0, lib.tfm_decoder_destroy, (tokenizer._open,))

    def _take(self, function: Any, *arguments: Any) -> str:
        text, length = c_void_p(), c_size_t()
        call(function, self._pointer, *arguments, byref(text), byref(length))
        return text_of(string_at(text, length.value)) if length.value else ""

    def push(self, token: int) -> str:
        """The text that is complete with this token, perhaps empty."""
        return self._take(lib.tfm_decoder_push, token)

    def finish(self) -> str:
        """What was held back; the decoder is ready for a new text."""
        return self._take(lib.tfm_decoder_finish)
