"""Text and tokens that come bit by bit: tfm_encoder and tfm_decoder of tfm/tokenizer.h. One thread at a time each."""

from __future__ import annotations

from array import array
from ctypes import byref, c_size_t, c_void_p, string_at
from typing import TYPE_CHECKING, Any, List

from ._convert import Text, bytes_of
from ._errors import call, text_of
from ._handles import Handle, Owner
from ._library import DetokenizeOptions, lib

if TYPE_CHECKING:
    from ._tokenizer import Tokenizer


class Encoder(Owner):
    """Takes a text in parts, cut anywhere, and gives ids as soon as no later text can change them; all of them joined are
    those of Tokenizer.encode. The options are those of encode, offsets excepted.

        with tokenizer.encoder() as encoder:
            for part in parts:
                ids += encoder.push(part)
            ids += encoder.finish()
    """

    def __init__(self, tokenizer: "Tokenizer", **options: Any) -> None:
        how = tokenizer._how(**options)
        out = c_void_p()
        call(lib.tfm_encoder_create, tokenizer._pointer, byref(how), byref(out))
        self._handle = Handle(out.value or 0, lib.tfm_encoder_destroy, (tokenizer._open,))

    def _take(self, function: Any, *arguments: Any) -> List[int]:
        start, count = c_void_p(), c_size_t()
        call(function, self._pointer, *arguments, byref(start), byref(count))
        return array("i", string_at(start, 4 * count.value)).tolist() if count.value else []

    def push(self, text: Text) -> List[int]:
        """The ids that are certain now, perhaps none. A character's bytes may lie in two parts."""
        data = bytes_of(text)
        return self._take(lib.tfm_encoder_push, data, len(data))

    def finish(self) -> List[int]:
        """The remaining ids; the encoder is ready for a new text."""
        return self._take(lib.tfm_encoder_finish)


class Decoder(Owner):
    """Gives text as tokens come in, complete characters only; all of it joined is what Tokenizer.decode gives."""

    def __init__(self, tokenizer: "Tokenizer", *, special: bool = False, continued: bool = False) -> None:
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
