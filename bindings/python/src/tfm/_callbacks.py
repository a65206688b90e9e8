"""Python functions inside calls of the library. An exception cannot pass through C: it is kept, the call is stopped, and
the exception comes out where the call was made. Ctrl-C works in the same way, so long calls always carry a progress
function: the interpreter looks at its signals when one runs."""

from __future__ import annotations

from ctypes import byref, c_void_p
from typing import Any, Callable, Optional

from ._errors import TfmError, call, text_of
from ._library import LogFn, ProgressFn, lib

Progress = Callable[[int, int], Optional[bool]]  # (done, total); False stops the call
Log = Callable[[int, str], None]  # (1 information, 2 warning; text)


class Carrier:
    def __init__(self) -> None:
        self._raised: Optional[BaseException] = None

    def progress(self, function: Optional[Progress]) -> Any:
        def report(_user: Any, done: int, total: int) -> int:
            try:
                return int(function is not None and function(done, total) is False)
            except BaseException as error:
                self._raised = error
                return 1

        return ProgressFn(report)

    def log(self, function: Optional[Log]) -> Any:
        if function is None:
            return LogFn()

        def remark(_user: Any, level: int, text: bytes) -> None:
            try:
                function(level, text_of(text))
            except BaseException as error:
                self._raised = error

        return LogFn(remark)

    def call(self, function: Callable[..., int], *arguments: Any) -> None:
        """_errors.call; what a Python function raised inside goes first."""
        try:
            call(function, *arguments)
        except TfmError as stopped:
            self._raise(stopped)
            raise
        self._raise(None)

    def _raise(self, stopped: Optional[TfmError]) -> None:
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised from None


class Cancel:
    """A flag that any thread may raise to stop the calls that were given it."""

    def __init__(self) -> None:
        self._destroy = lib.tfm_cancel_destroy
        self._pointer = c_void_p()
        call(lib.tfm_cancel_create, None, byref(self._pointer))

    def set(self) -> None:
        lib.tfm_cancel_set(self._pointer)

    def reset(self) -> None:
        lib.tfm_cancel_reset(self._pointer)

    @property
    def is_set(self) -> bool:
        return bool(lib.tfm_cancel_is_set(self._pointer))

    def __del__(self) -> None:
        if self._pointer:
            self._destroy(self._pointer)
