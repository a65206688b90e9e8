"""Writing a model anew with smaller weights: tfm/quantize.h."""

from __future__ import annotations

from ctypes import byref, c_void_p
from typing import Iterable, List, NamedTuple, Optional

from ._callbacks import Cancel, Carrier, Log, Progress
from ._convert import Path, choice, ids_of, number_of, path_of
from ._library import ImatrixOptions, QuantizeOptions, QuantizeResult, lib
from ._pool import Pool


_FORMATS = {"gguf": 0, "dat": 1}


class Quantized(NamedTuple):
    """See tfm_quantize_result."""

    tensors: int
    quantized: int
    weighted: int
    fallbacks: int
    parameters: int
    source_bytes: int
    bytes: int


def quantize_types() -> List[str]:
    """The types and mixes that quantize() takes."""
    names: List[str] = []
    while True:
        name = lib.tfm_quantize_type(len(names))
        if name is None:
            return names
        names.append(name.decode())


def quantize(
    source: Path,
    target: Path,
    type: str,
    *,
    imatrix: Optional[Path] = None,
    output_type: Optional[str] = None,
    embedding_type: Optional[str] = None,
    pure: bool = False,
    requantize: bool = False,
    tokenizer: bool = True,
    threads: int = 0,
    pool: Optional[Pool] = None,
    byte_budget: int = 0,
    cancel: Optional[Cancel] = None,
    progress: Optional[Progress] = None,
    log: Optional[Log] = None,
) -> Quantized:
    """Writes a model with other weights into a GGUF file: `tfm.quantize("folder", "model.gguf", "Q4_K_M")`.

    source: GGUF, a Hugging Face folder or a llama2.c file; type: one of quantize_types(); imatrix: a file with an
    importance matrix; tokenizer: False leaves it out. The other options are those of tfm_quantize_options.
    """
    carrier = Carrier()
    workers = pool or Pool(threads)
    remarks = carrier.log(log)
    options = QuantizeOptions.new(
        imatrix=path_of(imatrix) if imatrix is not None else None,
        output_type=output_type.encode() if output_type else None,
        embedding_type=embedding_type.encode() if embedding_type else None,
        pure=int(pure),
        requantize=int(requantize),
        tokenizer=0 if tokenizer else 2,
        pool=workers._pointer,
        progress=carrier.progress(progress),
        cancel=cancel._pointer if cancel else None,
        byte_budget=byte_budget,
        log=remarks,
    )
    r = QuantizeResult.new()
    carrier.call(lib.tfm_quantize, path_of(source), path_of(target), type.encode(), byref(options), byref(r))
    return Quantized(r.tensors, r.quantized, r.weighted, r.fallbacks, r.parameters, r.source_bytes, r.bytes)


def measure_imatrix(
    model: c_void_p,
    tokens: Iterable[int],
    path: Path,
    context: int,
    format: str,
    add_bos: Optional[bool],
    dataset: Optional[str],
    cancel: Optional[Cancel],
    progress: Optional[Progress],
) -> None:
    carrier = Carrier()
    ids = ids_of(tokens)
    options = ImatrixOptions.new(
        context=context,
        format=number_of(_FORMATS, format, "format"),
        add_bos=choice(add_bos),
        dataset=dataset.encode() if dataset else None,
        progress=carrier.progress(progress),
        cancel=cancel._pointer if cancel else None,
    )
    carrier.call(lib.tfm_imatrix_measure, model, ids, len(ids), path_of(path), byref(options))
