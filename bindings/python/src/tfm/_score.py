"""How probable a given text is: tfm/score.h."""

from __future__ import annotations

from ctypes import byref, c_void_p
from typing import Iterable, NamedTuple, Optional, Tuple

from ._adapter import Uses, uses_of
from ._callbacks import Cancel, Carrier, Progress
from ._convert import Text, bytes_of, choice, ids_of, number_of
from ._library import (
    PerplexityOptions,
    PerplexityResult,
    PhraseOptions,
    PhraseResult,
    ScoreOptions,
    ScoreResult,
    TokenScore,
    lib,
)

_BORDERS = {"keep": 0, "rejoin": 1}
CACHES = {"default": 0, "f32": 1, "f16": 2, "bf16": 3, "q8_0": 4, "q4_0": 5}  # TFM_CACHE_*
_WINDOWS = {"halves": 0, "sliding": 1}


class ScoredToken(NamedTuple):
    """One token of a scored text. rank: how many tokens the model held for more probable."""

    id: int
    log_probability: float
    rank: int


class Score(NamedTuple):
    """log_probability: of all tokens together, natural; prompt_tokens: read before the first of them; split: a token
    reaches across the end of the prompt."""

    log_probability: float
    tokens: Tuple[ScoredToken, ...]
    prompt_tokens: int
    split: bool


class Phrase(NamedTuple):
    """probability: that the text goes on with the phrase, at least; unexplored: and at most so much more."""

    probability: float
    unexplored: float
    passes: int


class Perplexity(NamedTuple):
    """See tfm_perplexity_result."""

    perplexity: float
    perplexity_error: float
    byte_perplexity: float
    bits_per_byte: float
    log_probability: float
    tokens: int
    bytes: int
    windows: int


def score_text(
    session: c_void_p,
    prompt: Text,
    continuation: Text,
    add_bos: Optional[bool],
    parse_special: bool,
    border: str,
    cancel: Optional[Cancel],
    progress: Optional[Progress],
) -> Score:
    carrier = Carrier()
    before, after = bytes_of(prompt), bytes_of(continuation)
    options = ScoreOptions.new(
        add_bos=choice(add_bos),
        parse_special=int(parse_special),
        border=number_of(_BORDERS, border, "border"),
        progress=carrier.progress(progress),
        cancel=cancel._pointer if cancel else None,
    )
    capacity = len(before) + len(after) + 8  # a token has a byte or more
    scores = (TokenScore * capacity)()
    result = ScoreResult.new()
    carrier.call(
        lib.tfm_score, session, before, len(before), after, len(after), byref(options), scores, capacity, byref(result)
    )
    rows = tuple(ScoredToken(row.token, row.log_probability, row.rank) for row in scores[: result.count])
    return Score(result.log_probability, rows, result.prompt_tokens, bool(result.split))


def phrase_of(
    session: c_void_p, phrase: Text, passes: int, cancel: Optional[Cancel], progress: Optional[Progress]
) -> Phrase:
    carrier = Carrier()
    data = bytes_of(phrase)
    options = PhraseOptions.new(
        passes=passes, progress=carrier.progress(progress), cancel=cancel._pointer if cancel else None
    )
    result = PhraseResult.new()
    carrier.call(lib.tfm_score_phrase, session, data, len(data), byref(options), byref(result))
    return Phrase(result.probability, result.unexplored, result.passes)


def perplexity_of(
    model: c_void_p,
    tokens: Iterable[int],
    context: int,
    stride: int,
    windows: str,
    add_bos: Optional[bool],
    cache: str,
    adapters: Uses,
    cancel: Optional[Cancel],
    progress: Optional[Progress],
) -> Perplexity:
    carrier = Carrier()
    ids = ids_of(tokens)
    pairs, uses = uses_of(adapters)
    options = PerplexityOptions.new(
        context=context,
        stride=stride,
        windows=number_of(_WINDOWS, windows, "windows"),
        add_bos=choice(add_bos),
        progress=carrier.progress(progress),
        cancel=cancel._pointer if cancel else None,
        cache_type=number_of(CACHES, cache, "cache"),
        adapters=uses,
        adapter_count=len(pairs),
    )
    r = PerplexityResult.new()
    carrier.call(lib.tfm_perplexity, model, ids, len(ids), byref(options), byref(r))
    return Perplexity(
        r.perplexity, r.perplexity_error, r.byte_perplexity, r.bits_per_byte, r.log_probability, r.tokens, r.bytes, r.windows
    )
