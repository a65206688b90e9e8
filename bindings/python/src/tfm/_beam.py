"""Beam search: tfm/beam.h."""

from __future__ import annotations

from ctypes import POINTER, byref, c_int32, c_void_p, cast
from typing import Iterable, List, NamedTuple, Optional, Tuple

from ._callbacks import Cancel, Carrier, Progress
from ._convert import ids_of, number_of
from ._errors import call
from ._library import BeamOptions, HypothesisView, lib

_STOPPING = {"heuristic": 0, "full": 1, "never": 2}


class Hypothesis(NamedTuple):
    """A text that a beam search found. tokens: without the prompt, the end token included; score: the sum of logarithms
    with the length penalty; ended: an end token is the last."""

    tokens: Tuple[int, ...]
    score: float
    ended: bool


def beam_search(
    session: c_void_p,
    prompt: Iterable[int],
    beams: int,
    hypotheses: int,
    max_tokens: int,
    min_tokens: int,
    stopping: str,
    no_repeat: int,
    length_penalty: float,
    repeat_penalty: float,
    ends: Optional[Iterable[int]],
    first: Optional[int],
    last: Optional[int],
    cancel: Optional[Cancel],
    progress: Optional[Progress],
) -> List[Hypothesis]:
    if min(beams, hypotheses, max_tokens, min_tokens, no_repeat) < 0:
        raise ValueError("a count must not be negative")
    ids = ids_of(prompt)
    end_ids = None if ends is None else ids_of(ends)
    carrier = Carrier()
    options = BeamOptions.new(
        beams=beams,
        hypotheses=hypotheses,
        max_tokens=max_tokens,
        min_tokens=min_tokens,
        stopping=number_of(_STOPPING, stopping, "stopping"),
        no_repeat=no_repeat,
        length_penalty=length_penalty,
        repeat_penalty=repeat_penalty,
        ends=None if end_ids is None else cast(end_ids, POINTER(c_int32)),
        end_count=0 if end_ids is None else len(end_ids),
        first=-1 if first is None else first,
        last=-1 if last is None else last,
        progress=carrier.progress(progress),
        cancel=cancel._pointer if cancel else None,
    )
    out = c_void_p()
    carrier.call(
        lib.tfm_beam_search, session, ids, len(ids), byref(options), byref(out), undo=lambda: lib.tfm_beams_destroy(out)
    )
    try:
        found = []
        for i in range(lib.tfm_beams_count(out)):
            view = HypothesisView.new()
            call(lib.tfm_beams_get, out, i, byref(view))
            found.append(Hypothesis(tuple(view.tokens[: view.count]), view.score, bool(view.ended)))
        return found
    finally:
        lib.tfm_beams_destroy(out)
