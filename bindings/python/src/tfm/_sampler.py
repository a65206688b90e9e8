"""Choosing the next token: tfm/sampler.h."""

from __future__ import annotations

from ctypes import byref, c_double, c_uint64, c_void_p
from typing import Optional

from ._errors import call
from ._handles import Handle, Owner
from ._library import lib

_TEMPERATURE, _TOP_K, _TOP_P, _MIN_P, _REPEAT_PENALTY, _REPEAT_WINDOW, _SEED = 10, 20, 30, 40, 50, 51, 60


class Sampler(Owner):
    """Settings and a random state. What is not given has the library's default. One thread at a time."""

    def __init__(
        self,
        *,
        temperature: Optional[float] = None,
        top_k: Optional[int] = None,
        top_p: Optional[float] = None,
        min_p: Optional[float] = None,
        repeat_penalty: Optional[float] = None,
        repeat_window: Optional[int] = None,
        seed: Optional[int] = None,
    ) -> None:
        out = c_void_p()
        call(lib.tfm_sampler_create, None, byref(out))
        self._handle = Handle(out.value or 0, lib.tfm_sampler_destroy)
        for number, real in (
            (_TEMPERATURE, temperature),
            (_TOP_P, top_p),
            (_MIN_P, min_p),
            (_REPEAT_PENALTY, repeat_penalty),
        ):
            if real is not None:
                self._set_f64(number, real)
        for number, whole in ((_TOP_K, top_k), (_REPEAT_WINDOW, repeat_window), (_SEED, seed)):
            if whole is not None:
                self._set_u64(number, whole)

    def _set_f64(self, number: int, value: float) -> None:
        call(lib.tfm_sampler_set_f64, self._pointer, number, value)

    def _get_f64(self, number: int) -> float:
        value = c_double()
        call(lib.tfm_sampler_get_f64, self._pointer, number, byref(value))
        return value.value

    def _set_u64(self, number: int, value: int) -> None:
        if not 0 <= value < 2**64:
            raise OverflowError(f"{value} is not a number of 64 bits")
        call(lib.tfm_sampler_set_u64, self._pointer, number, value)

    def _get_u64(self, number: int) -> int:
        value = c_uint64()
        call(lib.tfm_sampler_get_u64, self._pointer, number, byref(value))
        return value.value

    @property
    def temperature(self) -> float:
        return self._get_f64(_TEMPERATURE)

    @temperature.setter
    def temperature(self, value: float) -> None:
        self._set_f64(_TEMPERATURE, value)

    @property
    def top_k(self) -> int:
        return self._get_u64(_TOP_K)

    @top_k.setter
    def top_k(self, value: int) -> None:
        self._set_u64(_TOP_K, value)

    @property
    def top_p(self) -> float:
        return self._get_f64(_TOP_P)

    @top_p.setter
    def top_p(self, value: float) -> None:
        self._set_f64(_TOP_P, value)

    @property
    def min_p(self) -> float:
        return self._get_f64(_MIN_P)

    @min_p.setter
    def min_p(self, value: float) -> None:
        self._set_f64(_MIN_P, value)

    @property
    def repeat_penalty(self) -> float:
        return self._get_f64(_REPEAT_PENALTY)

    @repeat_penalty.setter
    def repeat_penalty(self, value: float) -> None:
        self._set_f64(_REPEAT_PENALTY, value)

    @property
    def repeat_window(self) -> int:
        return self._get_u64(_REPEAT_WINDOW)

    @repeat_window.setter
    def repeat_window(self, value: int) -> None:
        self._set_u64(_REPEAT_WINDOW, value)

    @property
    def seed(self) -> int:
        return self._get_u64(_SEED)

    @seed.setter
    def seed(self, value: int) -> None:
        self._set_u64(_SEED, value)
