"""LoRA adapters: tfm/adapter.h."""

from __future__ import annotations

from ctypes import byref, c_void_p
from typing import TYPE_CHECKING, Any, Iterable, List, NamedTuple, Tuple, Union

from ._convert import Path, path_of
from ._errors import call, text_of
from ._handles import Handle, Owner
from ._library import AdapterInfo as RawInfo, AdapterUse, lib

if TYPE_CHECKING:
    from ._model import Model


class AdapterInfo(NamedTuple):
    """See tfm_adapter_info."""

    format: str
    parameters: int
    matrices: int
    rank: int


class Adapter(Owner):
    """An adapter for a model: a folder in PEFT's layout, or a GGUF file. Sessions that use it keep it."""

    def __init__(self, model: "Model", path: Path) -> None:
        out = c_void_p()
        call(lib.tfm_adapter_load, model._pointer, path_of(path), byref(out))
        self._handle = Handle(out.value or 0, lib.tfm_adapter_release, (model._open,))

    @property
    def info(self) -> AdapterInfo:
        raw = RawInfo.new()
        call(lib.tfm_adapter_get_info, self._pointer, byref(raw))
        return AdapterInfo(text_of(raw.format), raw.parameters, raw.matrices, raw.rank)


Use = Tuple[Adapter, float]
Uses = Union[Adapter, Iterable[Union[Adapter, Use]]]


def uses_of(adapters: Uses) -> Tuple[List[Use], Any]:
    """An adapter, or adapters with or without scales, as pairs and as a C array."""
    given = [adapters] if isinstance(adapters, Adapter) else list(adapters)
    pairs = [(item, 1.0) if isinstance(item, Adapter) else (item[0], float(item[1])) for item in given]
    return pairs, (AdapterUse * len(pairs))(*[AdapterUse(adapter._pointer, scale, 0) for adapter, scale in pairs])
