"""Python functions inside calls of the library. An exception cannot pass through C: it is kept, the call is stopped, and
the exception comes out where the call was made.

Ctrl-C works in the same way. The interpreter looks at its signals when a Python function runs, so long calls always carry
a progress function. But it may look before the first line of that function, where nothing can catch an exception;
so Python's own handler of SIGINT, and no other, is replaced during the call by one that only notes the signal.
"""

from __future__ import annotations

import signal
import threading
from ctypes import byref, c_void_p
from types import FrameType
from typing import Any, Callable, Optional

from ._errors import TfmError, call, text_of
from ._library import LogFn, ProgressFn, lib

Progress = Callable[[int, int], Optional[bool]]  # (done, total); False stops the call
Log = Callable[[int, str], None]  # (1 information, 2 warning; text)


class Interrupts:
    """Between start() and stop(), SIGINT is noted instead of raised."""

    def __init__(self) -> None:
        self.noted = False
        self._replaced = False

    def _note(self, _number: int, _frame: Optional[FrameType]) -> None:
        self.noted = True

    def start(self) -> None:
        main = threading.current_thread() is threading.main_thread()  # no other thread gets signals
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._replaced = True
            signal.signal(signal.SIGINT, self._note)

    def stop(self) -> None:
        if self._replaced:
            self._replaced = False
            signal.signal(signal.SIGINT, signal.default_int_handler)


class Carrier:
    def __init__(self) -> None:
        self._raised: Optional[BaseException] = None
        self._interrupts = Interrupts()

    def progress(self, function: Optional[Progress]) -> Any:
        def report(_user: Any, done: int, total: int) -> int:
            try:
                stop = function is not None and function(done, total) is False
                return int(stop or self._interrupts.noted)
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

    def call(self, function: Callable[..., int], *arguments: Any, undo: Optional[Callable[[], Any]] = None) -> None:
        """_errors.call; what a Python function raised inside goes first. undo: takes back what a successful call did,
        when there is something to raise all the same."""
        failed: Optional[TfmError] = None
        self._interrupts.start()
        try:
            call(function, *arguments)
        except TfmError as error:
            failed = error
        finally:
            self._interrupts.stop()
        raised, self._raised = self._raised, None
        if raised is None and self._interrupts.noted:
            raised = KeyboardInterrupt()
        if raised is not None and failed is None and undo is not None:
            undo()
        if raised is not None:
            raise raised from None
        if failed is not None:
            raise failed


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
