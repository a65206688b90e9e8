"""One timeline through a model: tfm/session.h."""

from __future__ import annotations

import weakref
from contextlib import ExitStack, contextmanager
from array import array
from ctypes import POINTER, byref, c_double, c_float, c_int32, c_size_t, c_void_p, cast, string_at
from typing import Any, Callable, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from ._adapter import Use, Uses, uses_of
from ._beam import Hypothesis, beam_search
from ._callbacks import Cancel, Carrier, Progress
from ._convert import Text, ids_of, number_of
from ._encode import Encoded
from ._errors import E_STATE, TfmError, call, text_of
from ._generation import Generation, Token
from ._handles import Handle, Owner
from ._inspect import InspectEvent, Inspector
from ._library import Candidate as RawCandidate, ForwardOptions, ForwardPart, SessionOptions, lib
from ._sampler import Sampler
from ._score import CACHES, Phrase, Score, phrase_of, score_text

_LOGITS = {"last": 0, "all": 1, "none": 2}


class Candidate(NamedTuple):
    """A row of the next-token table. bytes: what the token stands for, which need not be whole characters."""

    id: int
    text: str
    probability: float
    logit: float
    bytes: bytes


def make_sampler(sampler: Optional[Sampler], **settings: Any) -> Sampler:
    if sampler is None:
        return Sampler(**settings)
    if any(value is not None for value in settings.values()):
        raise ValueError("give either a sampler or its settings")
    return sampler


class Session(Owner):
    """Made by model.session(). One thread at a time; forks may be on different threads."""

    _generation: "Optional[weakref.ref[Generation]]" = None
    _view: "Optional[memoryview[float]]" = None

    def __init__(self, handle: Handle, model: Handle) -> None:
        self._handle = handle
        self._model = model
        self._adapters: List[Use] = []
        self._inspectors: List[Inspector] = []
        self._raised: List[BaseException] = []  # by an inspector's function
        self._inspecting: List[None] = []  # not empty while one runs
        self._retired: List[Any] = []  # functions of inspectors that were closed meanwhile

    @classmethod
    def _create(
        cls, model: Handle, context: int, batch: int, cache: str, encoded: Optional[Encoded], row: int
    ) -> "Session":
        options = SessionOptions.new(
            context=context,
            batch=batch,
            cache_type=number_of(CACHES, cache, "cache"),
            encoded=encoded._pointer if encoded is not None else None,
            encoded_row=row,
        )
        out = c_void_p()
        call(lib.tfm_session_create, model.pointer, byref(options), byref(out))
        return cls(Handle(out.value or 0, lib.tfm_session_destroy, (model,)), model)

    @property
    def _idle(self) -> int:
        """The pointer, for calls that change the session or read what changes."""
        pointer = self._pointer
        running = self._generation() if self._generation else None
        if running is not None and running._handle is not None:
            raise TfmError(E_STATE, "a generation of this session has not ended: finish it or close it")
        return pointer

    def _forget_view(self) -> None:
        view, self._view = self._view, None
        if view is not None:
            try:
                view.release()
            except BufferError:  # an array of somebody's rests on it
                pass

    def close(self) -> None:
        if self._handle is not None:
            self._forget_view()
            for inspector in list(self._inspectors):
                inspector.close()
        super().close()

    # ---- Looking inside ----

    def inspect(
        self,
        site: str,
        function: Optional[Callable[[InspectEvent], Optional[bool]]] = None,
        *,
        layer: Optional[int] = None,
        head: Optional[int] = None,
        write: bool = False,
        last: bool = False,
    ) -> Inspector:
        """Attaches an inspector: function(event) is called with the values at a site, as numpy arrays, in every call that
        computes. Without a function it keeps copies.

        site: "attention", "stream", "layer_logits", ... (tfm/inspect.h has all); layer, head: None is every one;
        write: what the function leaves in event.values is what the pass goes on with; last: only the last token of each
        call. If the function returns False, or raises, the call stops and the session is as it was before.
        """
        return Inspector(self, site, function, layer, head, write, last)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """What an inspector's function raised comes out where the call was made."""
        if not self._inspecting:
            del self._retired[:]
        try:
            yield
        except TfmError:
            if not self._raised:
                raise
        finally:
            raised = self._raised[:1]
            del self._raised[:]
            if raised:
                raise raised[0]

    # ---- Tokens in, logits out ----

    def forward(
        self,
        tokens: Iterable[int],
        *,
        logits: str = "last",
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Appends tokens and computes the logits of the "last" of them, of "all" or of "none"."""
        carrier = Carrier()
        ids = ids_of(tokens)
        options = ForwardOptions.new(
            logits=number_of(_LOGITS, logits, "logits"),
            progress=carrier.progress(progress),
            cancel=cancel._pointer if cancel else None,
        )
        pointer = self._idle
        self._forget_view()
        with self._watched():
            carrier.call(lib.tfm_forward, pointer, ids, len(ids), byref(options))

    def _row(self, index: int) -> Any:
        pointer, vocab = c_void_p(), c_size_t()
        count = self.logits_count
        if index < 0:
            index += count
        if count and not 0 <= index < count:
            raise IndexError(f"there are logits of {count} tokens")
        call(lib.tfm_logits, self._idle, max(index, 0), byref(pointer), byref(vocab))
        return (c_float * vocab.value).from_address(pointer.value or 0)

    def logits(self, index: int = -1) -> "array[float]":
        """The logits of one token of the last forward call, [vocab]; -1: of the last one. A copy, to keep."""
        row = self._row(index)
        copy = array("f")
        copy.frombytes(memoryview(row).cast("B"))
        return copy

    def logits_view(self, index: int = -1) -> "memoryview[float]":
        """The same without a copy: the session's own memory, to read only, valid until its next forward, generate,
        rewind or close. numpy.frombuffer(view, "float32") makes an array of it."""
        row = self._row(index)
        row._session = self  # the memory lives as long as the view
        self._forget_view()
        self._view = memoryview(row).cast("B").cast("f").toreadonly()
        return self._view

    @property
    def logits_count(self) -> int:
        """For how many tokens there are logits now."""
        return int(lib.tfm_logits_count(self._pointer))

    # ---- The next token ----

    def top(self, k: int = 10) -> List[Candidate]:
        """The most probable next tokens, most probable first."""
        table = (RawCandidate * k)()
        count = c_size_t()
        call(lib.tfm_top_candidates, self._idle, table, k, byref(count))
        rows = []
        for row in table[: count.value]:
            data = string_at(row.bytes, row.length) if row.bytes and row.length else b""
            rows.append(Candidate(row.token, text_of(data), row.probability, row.logit, data))
        return rows

    def probability(self, token: int) -> float:
        """The probability that this token is the next one."""
        value = c_double()
        call(lib.tfm_token_probability, self._idle, token, byref(value))
        return value.value

    def sample(self, sampler: Optional[Sampler] = None) -> int:
        """Chooses the next token (None: the most probable one); forward([token]) appends it."""
        token = c_int32(-1)
        call(lib.tfm_sample_next, self._idle, sampler._pointer if sampler else None, byref(token))
        return token.value

    def score(
        self,
        prompt: Text,
        continuation: Text,
        *,
        add_bos: Optional[bool] = None,
        parse_special: bool = False,
        border: str = "keep",
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
    ) -> Score:
        """How probable it is that the text goes on with a phrase: prompt and continuation are appended. border, where a
        token reaches across the end of the prompt: "keep" the prompt's tokens or "rejoin" both (tfm_score)."""
        pointer = self._idle
        self._forget_view()
        with self._watched():
            return score_text(pointer, prompt, continuation, add_bos, parse_special, border, cancel, progress)

    def phrase(
        self,
        phrase: Text,
        *,
        passes: int = 0,
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
    ) -> Phrase:
        """How probable it is that the text goes on with exactly these characters, however they are cut into tokens. The
        session holds the same afterwards, without logits (tfm_score_phrase)."""
        pointer = self._idle
        self._forget_view()
        return phrase_of(pointer, phrase, passes, cancel, progress)

    def beam_search(
        self,
        prompt: Iterable[int] = (),
        *,
        beams: int = 4,
        hypotheses: int = 1,
        max_tokens: int = 0,
        min_tokens: int = 0,
        stopping: str = "heuristic",
        no_repeat: int = 0,
        length_penalty: float = 1.0,
        repeat_penalty: float = 1.0,
        ends: Optional[Iterable[int]] = None,
        first: Optional[int] = None,
        last: Optional[int] = None,
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
    ) -> List[Hypothesis]:
        """The most probable texts that go on from here behind the prompt's ids, the best first; the session holds the
        prompt afterwards. stopping: "heuristic", "full" or "never"; ends: end tokens instead of the tokenizer's; first,
        last: forced tokens (tfm_beam_search)."""
        pointer = self._idle
        self._forget_view()
        with self._watched():
            return beam_search(
                pointer,
                prompt,
                beams,
                hypotheses,
                max_tokens,
                min_tokens,
                stopping,
                no_repeat,
                length_penalty,
                repeat_penalty,
                ends,
                first,
                last,
                cancel,
                progress,
            )

    # ---- The timeline ----

    @property
    def position(self) -> int:
        """How many tokens the session holds."""
        return int(lib.tfm_session_position(self._pointer))

    @property
    def context(self) -> int:
        """How many it can hold."""
        return int(lib.tfm_session_context(self._pointer))

    @property
    def tokens(self) -> List[int]:
        """The tokens that it holds."""
        return list(lib.tfm_session_tokens(self._idle)[: self.position])

    def rewind(self, position: int = 0) -> None:
        """Forgets every token from position on."""
        if position < 0:
            raise ValueError("position must not be negative")
        pointer = self._idle
        self._forget_view()
        call(lib.tfm_session_rewind, pointer, position)

    def fork(self) -> "Session":
        """A second session with the same past, at the cost of references."""
        out = c_void_p()
        call(lib.tfm_session_fork, self._idle, byref(out))
        fork = Session(Handle(out.value or 0, lib.tfm_session_destroy, (self._model,)), self._model)
        fork._adapters = list(self._adapters)
        return fork

    @property
    def adapters(self) -> List[Use]:
        """The adapters that the session goes through, with their scales. May be set to an Adapter, or to several, each
        alone or as (adapter, scale): from then on; what was read before keeps its keys and values, and there are no
        logits (tfm_session_adapt)."""
        return list(self._adapters)

    @adapters.setter
    def adapters(self, adapters: Uses) -> None:
        pairs, uses = uses_of(adapters)
        pointer = self._idle
        self._forget_view()
        call(lib.tfm_session_adapt, pointer, uses, len(pairs))
        self._adapters = pairs

    # ---- The loop ----

    def generate(
        self,
        prompt: Text = "",
        *,
        max_tokens: int = 0,
        stop: Union[Text, Sequence[Text]] = (),
        temperature: Optional[float] = None,
        top_k: Optional[int] = None,
        top_p: Optional[float] = None,
        min_p: Optional[float] = None,
        repeat_penalty: Optional[float] = None,
        repeat_window: Optional[int] = None,
        seed: Optional[int] = None,
        sampler: Optional[Sampler] = None,
        tokens: Iterable[int] = (),
        add_bos: Optional[bool] = None,
        parse_special: bool = False,
        special: bool = False,
        ignore_end: bool = False,
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
        on_token: Optional[Callable[[Token], Optional[bool]]] = None,
    ) -> Generation:
        """Appends the prompt and goes on from there: an iterator of text pieces.

        With on_token everything is generated before this returns, and on_token(token) is called for each; False from
        it stops. The session then holds prompt and text, to be continued. See tfm/generate.h for the options.
        """
        self._idle
        self._forget_view()
        chosen = make_sampler(
            sampler,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repeat_penalty=repeat_penalty,
            repeat_window=repeat_window,
            seed=seed,
        )
        generation = Generation(
            self,
            chosen,
            prompt,
            max_tokens=max_tokens,
            stop=stop,
            tokens=tokens,
            add_bos=add_bos,
            parse_special=parse_special,
            special=special,
            ignore_end=ignore_end,
            cancel=cancel,
            progress=progress,
        )
        self._generation = weakref.ref(generation)
        if on_token is not None:
            generation._run(on_token)
        return generation


def forward_many(
    parts: Iterable[Tuple[Session, Iterable[int]]],
    *,
    logits: Union[str, Sequence[str]] = "last",
    cancel: Optional[Cancel] = None,
    progress: Optional[Progress] = None,
) -> None:
    """Appends tokens to several sessions of one model, [(session, tokens), ...], in passes that they share: the weights
    are read once for all of them, and each session gets the same bits as from its own forward. logits: which tokens'
    are computed, as in Session.forward, for all sessions or one word for each."""
    carrier = Carrier()
    pairs = [(session, ids_of(tokens)) for session, tokens in parts]
    wanted = [logits] * len(pairs) if isinstance(logits, str) else list(logits)
    if len(wanted) != len(pairs):
        raise ValueError(f"logits has {len(wanted)} words for {len(pairs)} sessions")
    options = ForwardOptions.new(
        progress=carrier.progress(progress), cancel=cancel._pointer if cancel else None
    )
    items = (ForwardPart * max(len(pairs), 1))()
    for item, (session, ids), word in zip(items, pairs, wanted):
        item.session, item.tokens, item.count = session._idle, cast(ids, POINTER(c_int32)), len(ids)
        item.logits = number_of(_LOGITS, word, "logits")
    for session, _ in pairs:
        session._forget_view()
    with ExitStack() as watched:
        for session, _ in pairs:
            watched.enter_context(session._watched())
        carrier.call(lib.tfm_forward_many, items, len(pairs), byref(options))
