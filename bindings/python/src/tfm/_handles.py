"""Lifetimes. A handle is one object of the library with a count of who uses it, and the handles that it rests on: a
session on its model, a model on its pool. Nothing is freed before what rests on it, in whatever order Python lets go."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Callable, Optional, Tuple, Type, TypeVar

# One lock for all counts; reentrant, because freeing may run inside the garbage collector, at any place.
_lock = threading.RLock()


class Handle:
    __slots__ = ("pointer", "_free", "_rests_on", "_keep", "_count")

    def __init__(
        self, pointer: int, free: Callable[[Any], Any], rests_on: Tuple["Handle", ...] = (), keep: Any = None
    ) -> None:
        self.pointer = pointer
        self._free = free
        self._rests_on = tuple(handle.retain() for handle in rests_on)
        self._keep = keep  # Python objects that the library points to
        self._count = 1

    def retain(self) -> "Handle":
        with _lock:
            self._count += 1
        return self

    def release(self) -> None:
        with _lock:
            self._count -= 1
            last = self._count == 0
        if last:
            self._free(self.pointer)
            self._keep = None
            for handle in self._rests_on:
                handle.release()


class Borrowed:
    """A handle held for the time of one call, so that close() on another thread does not free it meanwhile."""

    __slots__ = ("_handle",)

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    def __enter__(self) -> int:
        return self._handle.pointer

    def __exit__(self, *_exception: Any) -> None:
        self._handle.release()


O = TypeVar("O", bound="Owner")


class Owner:
    """Base of the classes that own a handle: close(), `with`, and freeing when Python forgets the object."""

    _handle: Optional[Handle] = None

    @property
    def _open(self) -> Handle:
        if self._handle is None:
            raise ValueError(f"this {type(self).__name__} is closed")
        return self._handle

    @property
    def _pointer(self) -> int:
        return self._open.pointer

    def _borrowed(self) -> Borrowed:
        with _lock:
            return Borrowed(self._open.retain())

    def close(self) -> None:
        """Frees it, at once or when the last object that rests on it is closed. May be called again."""
        with _lock:
            handle, self._handle = self._handle, None
        if handle is not None:
            handle.release()

    def __enter__(self: O) -> O:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        value: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
