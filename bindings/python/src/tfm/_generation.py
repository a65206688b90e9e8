"""The loop, pulled: tfm/generate.h."""

from __future__ import annotations

from ctypes import byref, c_char_p, c_size_t, c_void_p, string_at
from typing import TYPE_CHECKING, Callable, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Union

from ._callbacks import Cancel, Carrier, Progress
from ._convert import Text, bytes_of, choice, ids_of
from ._errors import call, text_of
from ._handles import Handle, Owner
from ._library import GenerateOptions, GenerationSummary, TokenEvent, lib
from ._sampler import Sampler

if TYPE_CHECKING:
    from ._session import Session

_STOPS = ("", "end", "limit", "string", "context", "callback", "cancelled")


class Token(NamedTuple):
    """One generated token. text: what became certain with it, perhaps empty while an incomplete character, or what may
    become a stop string, is held back. Text held back at the very end comes with id -1 and probability 0."""

    id: int
    text: str
    probability: float
    position: int


class Summary(NamedTuple):
    """How a generation went. stop: see Generation.stop; stop_string: which one, or -1."""

    stop: str
    stop_string: int
    prompt_tokens: int
    generated_tokens: int
    prompt_seconds: float
    generated_seconds: float


class Generation(Owner, Iterator[str]):
    """An iterator of text pieces. tokens() gives the same with ids and probabilities. The session is its own until the
    end, or until close()."""

    def __init__(
        self,
        session: "Session",
        sampler: Sampler,
        prompt: Text,
        *,
        max_tokens: int,
        stop: Union[Text, Sequence[Text]],
        tokens: Iterable[int],
        add_bos: Optional[bool],
        parse_special: bool,
        special: bool,
        ignore_end: bool,
        cancel: Optional[Cancel],
        progress: Optional[Progress],
    ) -> None:
        self._pieces: List[str] = []
        self._summary = GenerationSummary.new(stop_string=-1)
        self._stopped_by_callback = False
        self._session = session
        carrier = Carrier()
        data = bytes_of(prompt)
        stops = [bytes_of(text) for text in ([stop] if isinstance(stop, (str, bytes)) else stop)]
        ids = ids_of(tokens)
        options = GenerateOptions.new(
            max_tokens=max_tokens,
            stops=(c_char_p * len(stops))(*stops),
            stop_lengths=(c_size_t * len(stops))(*map(len, stops)),
            stop_count=len(stops),
            ignore_end=int(ignore_end),
            parse_special=int(parse_special),
            add_bos=choice(add_bos),
            special=int(special),
            prompt_tokens=ids,
            prompt_token_count=len(ids),
            cancel=cancel._pointer if cancel else None,
            progress=carrier.progress(progress),
        )
        out = c_void_p()
        with session._watched():
            carrier.call(
                lib.tfm_generation_begin,
                session._pointer,
                sampler._pointer,
                data,
                len(data),
                byref(options),
                byref(out),
                undo=lambda: lib.tfm_generation_end(out, None),
            )
        summary = self._summary
        self._handle = Handle(
            out.value or 0,
            lambda pointer: lib.tfm_generation_end(pointer, byref(summary)),
            (session._open, sampler._open),
            keep=(options, cancel),
        )

    def _pull(self) -> Optional[Token]:
        """The next token, or None at the end."""
        if self._handle is None:
            return None
        event = TokenEvent.new()
        with self._session._watched():
            call(lib.tfm_generation_next, self._pointer, byref(event))
        text = text_of(string_at(event.bytes, event.length)) if event.length else ""
        self._pieces.append(text)
        if event.stop:
            self.close()
            return Token(event.token, text, event.probability, event.position) if text else None
        return Token(event.token, text, event.probability, event.position)

    def __iter__(self) -> "Generation":
        return self

    def __next__(self) -> str:
        while True:
            token = self._pull()
            if token is None:
                raise StopIteration
            if token.text:
                return token.text

    def tokens(self) -> Iterator[Token]:
        """The tokens that are still to come, one by one."""
        while True:
            token = self._pull()
            if token is None:
                return
            yield token

    def _run(self, on_token: Callable[[Token], Optional[bool]]) -> None:
        with self:
            for token in self.tokens():
                if on_token(token) is False:
                    self._stopped_by_callback = True
                    return

    @property
    def text(self) -> str:
        """All of the text until now."""
        return "".join(self._pieces)

    @property
    def stop(self) -> str:
        """Why it ended: "end", "limit", "string", "context", "callback" or "cancelled"; "" while it has not, or when it
        was closed before."""
        return "callback" if self._stopped_by_callback else _STOPS[self._summary.stop]

    @property
    def summary(self) -> Summary:
        """How it went; the numbers are there once it has ended."""
        raw = self._summary
        return Summary(
            self.stop,
            raw.stop_string,
            raw.prompt_tokens,
            raw.generated_tokens,
            raw.prompt_ns / 1e9,
            raw.generated_ns / 1e9,
        )
