"""Text to tokens and back: tfm/tokenizer.h."""

from __future__ import annotations

from array import array
from ctypes import byref, c_char, c_int32, c_size_t, c_void_p, pointer, string_at
from typing import (
    Any, Collection, Dict, Iterable, Iterator, List, Literal, Mapping, NamedTuple, Optional, Tuple, Union, overload,
)  # fmt: skip

from ._convert import ISAS, Path, Text, bytes_of, choice, id_array, number_of, path_of
from ._encoding import Encoding, EncodingRow
from ._errors import E_BUFFER, call, call_unless, text_of
from ._handles import Handle, Owner
from ._library import (
    BatchOptions, DetokenizeOptions, SpecialChoice, SpecialToken, TokenizeOptions, TokenizerInfo as RawInfo,
    TokenizerOptions, lib,
)  # fmt: skip
from ._pool import Pool, shared_pool
from ._requests import batch_options, inputs_of
from ._streams import Decoder, Encoder

_SPECIALS = {False: 0, True: 1, "text": 0, "parse": 1, "refuse": 2}
_INVALID = {None: 0, "keep": 1, "replace": 2, "refuse": 3}
_POOL_BYTES = 1 << 17  # below, one thread has done the work before others have woken up
_LONG_BYTES = 1 << 14
_CONTROL = 3  # TFM_TOKEN_CONTROL

_DEFAULTS = TokenizeOptions.new()
_ORDINARY = TokenizeOptions.new(add_bos=2, add_eos=2)

Specials = Union[Literal["all"], Collection[str]]


class TokenizerInfo(NamedTuple):
    """Ids are -1 where there is no such token."""

    kind: str
    pattern: str
    vocab_size: int
    bos: int
    eos: int
    unknown: int
    padding: int
    end_of_turn: int
    adds_bos: bool
    adds_eos: bool


class Tokenizer(Owner):
    """A tokenizer, of a model (model.tokenizer) or alone (Tokenizer.load). Any number of threads may use one.

    Unless told otherwise, encoding adds what the file says stands around a text, and takes special tokens that are written
    in the text as ordinary text.
    """

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._special: Optional[Dict[str, int]] = None

    # ---- Loading ----

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        pattern: Optional[str] = None,
        special_tokens: Optional[Mapping[str, int]] = None,
        llama_cpp: bool = False,
        isa: str = "best",
        cache_bytes: int = 0,
        byte_budget: int = 0,
    ) -> "Tokenizer":
        """From any file that holds one: GGUF, a Hugging Face folder or its tokenizer.json, a SentencePiece .model, a
        .tiktoken file, vocab.json beside merges.txt, a WordPiece vocab.txt, a llama2.c tokenizer.bin.

        pattern, special_tokens: for .tiktoken files, which hold neither: "gpt2", "cl100k", "o200k", "llama3" or a regular
        expression, and the special tokens with their ids; None: those of the published encoding that the file is.
        llama_cpp: of a GGUF file the ids that llama.cpp gives where they are not those of the original tokenizer.
        isa: "best", "portable" or another name of tfm.Model's; never changes an id. cache_bytes: most memory that a thread may
        use to remember pieces of text, 0 for 16 MiB, 1 for none. byte_budget: most bytes in all, 0 for no bound.
        """
        options = _load_options(pattern, special_tokens, llama_cpp, isa, cache_bytes, byte_budget)
        out = c_void_p()
        call(lib.tfm_tokenizer_load, path_of(path), byref(options), byref(out))
        return cls(Handle(out.value or 0, lib.tfm_tokenizer_release))

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        pattern: Optional[str] = None,
        special_tokens: Optional[Mapping[str, int]] = None,
        llama_cpp: bool = False,
        isa: str = "best",
        cache_bytes: int = 0,
        byte_budget: int = 0,
    ) -> "Tokenizer":
        """From one file's content; the options are those of load."""
        options = _load_options(pattern, special_tokens, llama_cpp, isa, cache_bytes, byte_budget)
        out = c_void_p()
        call(lib.tfm_tokenizer_load_memory, data, len(data), byref(options), byref(out))
        return cls(Handle(out.value or 0, lib.tfm_tokenizer_release))

    # ---- Facts ----

    @property
    def info(self) -> TokenizerInfo:
        """Kind, splitting pattern, size, and the ids of the tokens with a meaning."""
        raw = RawInfo.new()
        call(lib.tfm_tokenizer_get_info, self._pointer, byref(raw))
        return TokenizerInfo(
            text_of(raw.kind),
            text_of(raw.pattern),
            raw.vocab_size,
            raw.bos,
            raw.eos,
            raw.unknown,
            raw.padding,
            raw.end_of_turn,
            bool(raw.adds_bos),
            bool(raw.adds_eos),
        )

    @property
    def vocab_size(self) -> int:
        """Ids are 0 to vocab_size - 1; some may be unused."""
        return self.info.vocab_size

    def __len__(self) -> int:
        return self.vocab_size

    def __bool__(self) -> bool:
        return True

    @property
    def special_tokens(self) -> Dict[str, int]:
        """The tokens that are never ordinary text (begin, end, chat markers), with their ids."""
        if self._special is None:
            ids = [token for token in range(self.vocab_size) if self.token_kind(token) == _CONTROL]
            self._special = {text_of(self.token_bytes(token)): token for token in ids}
        return dict(self._special)

    def token_bytes(self, token: int) -> bytes:
        """What one token stands for in the middle of a text; special tokens give their name."""
        start, length = c_void_p(), c_size_t()
        with self._borrowed() as tokenizer:
            call(lib.tfm_token_bytes, tokenizer, token, byref(start), byref(length))
            return string_at(start, length.value) if length.value else b""

    def token_kind(self, token: int) -> int:
        """TFM_TOKEN_* of tfm/tokenizer.h, or 0 outside the vocabulary."""
        return int(lib.tfm_token_kind(self._pointer, token))

    def find(self, text: Text) -> int:
        """The id of the token that stands for exactly this text, or -1."""
        data = bytes_of(text)
        return int(lib.tfm_token_find(self._pointer, data, len(data)))

    def token_to_id(self, token: Text) -> Optional[int]:
        """The id of the token that stands for exactly this text (special tokens by their name), or None."""
        found = self.find(token)
        return found if found >= 0 else None

    def id_to_token(self, token: int) -> Optional[str]:
        """What a token stands for as a str, parts of characters replaced by U+FFFD; None outside the vocabulary."""
        return text_of(self.token_bytes(token)) if self.token_kind(token) else None

    # ---- Encoding ----

    @overload
    def encode(
        self,
        text: Text,
        pair: Optional[Text] = None,
        *,
        offsets: Literal[False] = False,
        add_special: Optional[bool] = None,
        add_bos: Optional[bool] = None,
        add_eos: Optional[bool] = None,
        parse_special: Union[bool, str] = False,
        allowed_special: Optional[Specials] = None,
        disallowed_special: Optional[Specials] = None,
        invalid_utf8: Optional[str] = None,
    ) -> List[int]: ...

    @overload
    def encode(
        self,
        text: Text,
        pair: Optional[Text] = None,
        *,
        offsets: Literal[True, "bytes", "chars"],
        add_special: Optional[bool] = None,
        add_bos: Optional[bool] = None,
        add_eos: Optional[bool] = None,
        parse_special: Union[bool, str] = False,
        allowed_special: Optional[Specials] = None,
        disallowed_special: Optional[Specials] = None,
        invalid_utf8: Optional[str] = None,
    ) -> EncodingRow: ...

    def encode(
        self,
        text: Text,
        pair: Optional[Text] = None,
        *,
        offsets: Union[bool, str] = False,
        add_special: Optional[bool] = None,
        add_bos: Optional[bool] = None,
        add_eos: Optional[bool] = None,
        parse_special: Union[bool, str] = False,
        allowed_special: Optional[Specials] = None,
        disallowed_special: Optional[Specials] = None,
        invalid_utf8: Optional[str] = None,
    ) -> Any:
        """The ids of a text, or of a pair of texts.

        add_special: whether what belongs around a text ([CLS], begin and end tokens) is put there; None: as the file says.
        add_bos, add_eos: the same for the front and the end alone.
        parse_special: special tokens that are written in the text are text (False), become their ids (True), or raise a
        TokenError ("refuse").
        allowed_special, disallowed_special: as in tiktoken, "all" or names. With either of them, names that are allowed
        become their ids, those disallowed (where not given: all others) raise a TokenError, and the rest is text.
        invalid_utf8: what becomes of bytes that are not UTF-8: "keep", "replace", "refuse"; None: as the original does.
        offsets: True, "bytes" or "chars": gives an EncodingRow, which knows where in the text each token lies.
        """
        how = self._how(
            add_special, add_bos, add_eos, parse_special, allowed_special, disallowed_special, invalid_utf8
        )  # fmt: skip
        if offsets or pair is not None:
            batch = batch_options(offsets=offsets, truncation=False, padding=False)
            row = self._batch([text] if pair is None else [(text, pair)], how, batch, None)[0]
            return row if offsets else row.tolist()
        return self._list(bytes_of(text), how)

    def encode_ordinary(self, text: Text) -> List[int]:
        """The ids of the text alone: nothing around it, and special tokens are text."""
        return self._list(bytes_of(text), _ORDINARY)

    def count(
        self,
        text: Text,
        *,
        add_special: Optional[bool] = None,
        add_bos: Optional[bool] = None,
        add_eos: Optional[bool] = None,
        parse_special: Union[bool, str] = False,
        allowed_special: Optional[Specials] = None,
        disallowed_special: Optional[Specials] = None,
        invalid_utf8: Optional[str] = None,
    ) -> int:
        """How many tokens a text has: len(encode(...)), without making the list."""
        how = self._how(
            add_special, add_bos, add_eos, parse_special, allowed_special, disallowed_special, invalid_utf8
        )  # fmt: skip
        data, count = bytes_of(text), c_size_t()
        with self._borrowed() as tokenizer:
            call(lib.tfm_count_tokens, tokenizer, data, len(data), byref(how), byref(count))
        return count.value

    def encode_batch(
        self,
        texts: Iterable[Union[Text, Tuple[Text, Text]]],
        *,
        threads: int = 0,
        pool: Optional[Pool] = None,
        add_special: Optional[bool] = None,
        add_bos: Optional[bool] = None,
        add_eos: Optional[bool] = None,
        parse_special: Union[bool, str] = False,
        allowed_special: Optional[Specials] = None,
        disallowed_special: Optional[Specials] = None,
        invalid_utf8: Optional[str] = None,
        offsets: Union[bool, str] = False,
        ids_only: bool = False,
        truncation: Union[None, bool, str] = None,
        max_length: Optional[int] = None,
        stride: int = 0,
        truncation_side: Optional[str] = None,
        overflow: bool = False,
        padding: Union[None, bool, str] = None,
        pad_to_multiple_of: Optional[int] = None,
        padding_side: Optional[str] = None,
        pad_id: int = -1,
        pad_type_id: int = 0,
    ) -> Encoding:
        """Many texts, or pairs of texts as tuples, at once.

        threads: how many work, 0 for one per processor; or pool: a Pool of the caller's. Neither changes the result.
        add_special and so on: as for encode.

        What the rows hold beside ids, type ids and masks:
        offsets: False, True, "bytes" or "chars". ids_only: True leaves out type ids and masks, which is faster.

        The rows' shape, by the names that transformers uses; None: as the file says, which mostly is nothing:
        truncation: None, False, True, "longest_first", "only_first" or "only_second"; max_length: the most tokens of a
        row; stride: how many tokens an overflowing row repeats; truncation_side: "right" or "left";
        overflow: what truncation cuts off comes as further rows.
        padding: None, False, True or "longest" (to the longest row), "max_length" (to max_length);
        pad_to_multiple_of; padding_side; pad_id: -1 for the file's padding token; pad_type_id.
        """
        how = self._how(
            add_special, add_bos, add_eos, parse_special, allowed_special, disallowed_special, invalid_utf8
        )  # fmt: skip
        shape = batch_options(
            offsets=offsets, ids_only=ids_only, truncation=truncation, max_length=max_length, stride=stride,
            truncation_side=truncation_side, overflow=overflow, padding=padding, pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side, pad_id=pad_id, pad_type_id=pad_type_id,
        )  # fmt: skip
        return self._batch(texts, how, shape, pool, threads)

    def encoder(self, **options: Any) -> "Encoder":
        """Ids from a text that comes in parts; the options are those of encode, offsets excepted."""
        return Encoder(self, **options)

    def encode_iter(self, parts: Iterable[Text], **options: Any) -> Iterator[int]:
        """The ids of a text that comes in parts (an open file, say), as soon as they are certain."""
        with Encoder(self, **options) as encoder:
            for part in parts:
                yield from encoder.push(part)
            yield from encoder.finish()

    # ---- Decoding ----

    def decode(self, tokens: Iterable[int], *, special: bool = False, continued: bool = False) -> str:
        """The text of some ids; special: special tokens appear as their text; continued: the ids go on from earlier
        text, so a leading space stays."""
        return str(self._detokenize(tokens, special, continued, raw=False), "utf-8", "replace")

    def decode_bytes(self, tokens: Iterable[int], *, special: bool = False, continued: bool = False) -> bytes:
        """The bytes exactly as the tokens hold them, which need not be valid UTF-8."""
        return bytes(self._detokenize(tokens, special, continued, raw=True))

    def decode_batch(
        self, batch: Iterable[Any], *, special: bool = False, continued: bool = False
    ) -> List[str]:
        """The texts of many rows of ids: lists, arrays, or an Encoding."""
        rows = (row.ids if isinstance(row, EncodingRow) else row for row in batch)
        return [self.decode(row, special=special, continued=continued) for row in rows]

    def decoder(self, *, special: bool = False, continued: bool = False) -> "Decoder":
        """Text from tokens that come one at a time."""
        return Decoder(self, special=special, continued=continued)

    def decode_iter(self, tokens: Iterable[int], *, special: bool = False, continued: bool = False) -> Iterator[str]:
        """Text from tokens as they come, in pieces of complete characters; never an empty piece."""
        with self.decoder(special=special, continued=continued) as decoder:
            for token in tokens:
                piece = decoder.push(token)
                if piece:
                    yield piece
            piece = decoder.finish()
            if piece:
                yield piece

    # ---- Inside ----

    def _how(
        self,
        add_special: Optional[bool] = None,
        add_bos: Optional[bool] = None,
        add_eos: Optional[bool] = None,
        parse_special: Union[bool, str] = False,
        allowed: Optional[Specials] = None,
        disallowed: Optional[Specials] = None,
        invalid_utf8: Optional[str] = None,
    ) -> TokenizeOptions:
        if parse_special is False and add_special is None and add_bos is None and add_eos is None:
            if allowed is None and disallowed is None and invalid_utf8 is None:
                return _DEFAULTS
        options = TokenizeOptions.new(
            add_bos=choice(add_special if add_bos is None else add_bos),
            add_eos=choice(add_special if add_eos is None else add_eos),
            parse_special=number_of(_SPECIALS, parse_special, "parse_special"),
            invalid_utf8=number_of(_INVALID, invalid_utf8, "invalid_utf8"),
        )
        if allowed is None and disallowed is None:
            return options
        if parse_special is not False:
            raise ValueError("parse_special, or allowed_special and disallowed_special, not both")
        named = {}
        if allowed is not None and allowed != "all":
            named.update({name: 1 for name in _names(allowed, "allowed_special")})
        if disallowed is not None and disallowed != "all":
            named.update({name: 2 for name in _names(disallowed, "disallowed_special")})
        options.parse_special = 1 if allowed == "all" else 2 if disallowed in (None, "all") else 0
        choices = [SpecialChoice(self._special_id(name), what) for name, what in named.items()]
        options.special = (SpecialChoice * len(choices))(*choices)
        options.special_count = len(choices)
        return options

    def _special_id(self, name: str) -> int:
        found = self.find(name)
        if found < 0:
            raise ValueError(f"there is no special token {name!r}")
        return found

    def _list(self, data: bytes, how: TokenizeOptions) -> List[int]:
        if len(data) > _LONG_BYTES:  # the library's own memory is cheaper than a guess of how many ids there will be
            shape = batch_options(ids_only=True, truncation=False, padding=False)
            return self._batch([data], how, shape, None)[0].tolist()
        room, count = len(data) // 2 + 16, c_size_t()
        with self._borrowed() as tokenizer:
            while True:
                ids = array("i", (0,)) * room
                start = byref(c_int32.from_buffer(ids))
                if call_unless(
                    E_BUFFER, lib.tfm_tokenize, tokenizer, data, len(data), byref(how), start, room, byref(count)
                ):  # fmt: skip
                    return ids[: count.value].tolist()
                room = count.value

    def _batch(
        self, texts: Iterable[Any], how: TokenizeOptions, options: BatchOptions, pool: Optional[Pool], threads: int = 1
    ) -> Encoding:
        inputs, count, size, keep = inputs_of(texts)
        if pool is None and threads != 1 and (threads > 1 or size >= _POOL_BYTES):
            pool = shared_pool(threads)
        workers = pool._open.retain() if pool is not None else None
        options.tokenize = pointer(how)
        options.pool = workers.pointer if workers else None
        out = c_void_p()
        try:
            with self._borrowed() as tokenizer:
                call(lib.tfm_tokenize_batch, tokenizer, inputs, count, byref(options), byref(out))
                return Encoding(Handle(out.value or 0, lib.tfm_encoding_destroy, (self._open,)), self)
        finally:
            if workers:
                workers.release()
            del keep

    def _detokenize(self, tokens: Iterable[int], special: bool, continued: bool, raw: bool) -> memoryview:
        ids = id_array(tokens)
        if not ids:
            return memoryview(b"")
        options = DetokenizeOptions.new(special=int(special), raw=int(raw), continued=int(continued))
        start, count, length, room = byref(c_int32.from_buffer(ids)), len(ids), c_size_t(), len(ids) * 8 + 64
        with self._borrowed() as tokenizer:
            while True:
                text = bytearray(room)
                if call_unless(
                    E_BUFFER, lib.tfm_detokenize, tokenizer, start, count, byref(options),
                    byref(c_char.from_buffer(text)), room, byref(length),
                ):  # fmt: skip
                    return memoryview(text)[: length.value]
                room = length.value


def _names(names: Collection[str], what: str) -> List[str]:
    if isinstance(names, str):
        raise TypeError(f"{what} is \"all\" or a collection of names, not one name")
    return list(names)


def _load_options(
    pattern: Optional[str],
    special_tokens: Optional[Mapping[str, int]],
    llama_cpp: bool,
    isa: str,
    cache_bytes: int,
    byte_budget: int,
) -> TokenizerOptions:
    options = TokenizerOptions.new(
        byte_budget=byte_budget,
        pattern=None if pattern is None else _c_string(pattern, "pattern"),
        compatibility=int(llama_cpp),
        isa=number_of(ISAS, isa, "isa"),
        cache_bytes=cache_bytes,
    )
    if special_tokens is not None:
        listed = [SpecialToken(_c_string(text, "special token"), token) for text, token in special_tokens.items()]
        options.special = (SpecialToken * max(len(listed), 1))(*listed)  # not NULL: none is not the default
        options.special_count = len(listed)
    return options


def _c_string(text: str, what: str) -> bytes:
    data = bytes_of(text)
    if b"\0" in data:
        raise ValueError(f"a {what} cannot hold a NUL")
    return data
