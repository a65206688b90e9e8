"""Errors: a negative status of the library becomes a TfmError."""

from __future__ import annotations

from ctypes import byref
from typing import Any, Callable, List

from ._library import Error, lib


class TfmError(Exception):
    """What the library says went wrong.

    code: the status (a TFM_E_* number of tfm/base.h); name: its name, "TFM_E_FORMAT"; message: one sentence;
    file, tensor: where, or ""; offset: in bytes in the file, or 0.
    """

    def __init__(self, code: int, message: str = "", file: str = "", tensor: str = "", offset: int = 0) -> None:
        self.code = code
        self.name: str = lib.tfm_status_name(code).decode()
        self.message: str = message or lib.tfm_status_text(code).decode()
        self.file = file
        self.tensor = tensor
        self.offset = offset
        super().__init__(f"{self.message} ({self.name})")

    def __reduce__(self) -> Any:
        return TfmError, (self.code, self.message, self.file, self.tensor, self.offset)


class TokenError(TfmError, ValueError):
    """A token id outside the vocabulary, or a special token in a text where it is refused (TFM_E_TOKEN)."""

    def __reduce__(self) -> Any:
        return TokenError, (self.code, self.message, self.file, self.tensor, self.offset)


_spare: List[Error] = []  # making one costs as much as a short call; both ends of a list are safe among threads

E_ARGUMENT = -10
E_TOKEN = -70
E_BUFFER = -80
E_STATE = -100


def text_of(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def call(function: Callable[..., int], *arguments: Any) -> None:
    """Calls a fallible function of the library; its last argument, the error, is added here."""
    call_unless(0, function, *arguments)


def call_unless(expected: int, function: Callable[..., int], *arguments: Any) -> bool:
    """The same; False if the status is the expected one, which is then no error."""
    try:
        error = _spare.pop()
    except IndexError:
        error = Error.new()
    status = function(*arguments, byref(error))
    if status == 0:
        _spare.append(error)
        return True
    if status == expected:
        return False
    kind = TokenError if status == E_TOKEN else TfmError
    raise kind(status, text_of(error.message), text_of(error.file), text_of(error.tensor), error.offset)
