"""Worker threads: the pool of tfm/base.h."""

from __future__ import annotations

import os
import threading
from ctypes import byref, c_void_p
from typing import Any, Dict, Tuple

from ._errors import call
from ._handles import Handle, Owner
from ._library import PoolOptions, lib


class Pool(Owner):
    """Worker threads that models and tokenizers may share; threads 0: one per available processor."""

    def __init__(self, threads: int = 0) -> None:
        options = PoolOptions.new(threads=threads)
        out = c_void_p()
        call(lib.tfm_pool_create, byref(options), byref(out))
        destroy, maker = lib.tfm_pool_destroy, os.getpid()

        def free(pointer: Any) -> None:
            if os.getpid() == maker:  # after a fork the workers are the parent's, and nobody could wait for them
                destroy(pointer)

        self._handle = Handle(out.value or 0, free)

    @property
    def threads(self) -> int:
        """How many threads work in it, the calling one included."""
        return int(lib.tfm_pool_threads(self._pointer))


_shared: Dict[Tuple[int, int], Pool] = {}
_lock = threading.Lock()


def shared_pool(threads: int) -> Pool:
    """The pool that all calls with this number of threads use; a forked process makes its own."""
    key = (os.getpid(), threads)
    with _lock:
        if key not in _shared:
            _shared[key] = Pool(threads)
        return _shared[key]


def _new_lock() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have held it when the process was forked


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)
