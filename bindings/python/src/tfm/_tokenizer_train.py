"""Learning tokenizers from text, and saving them: tfm/tokenizer_train.h."""

from __future__ import annotations

from ctypes import POINTER, Array, byref, c_char_p, c_void_p, cast, string_at
from typing import Any, Dict, Iterable, Optional, Sequence, Tuple, Union

from ._callbacks import Cancel, Carrier, Progress
from ._convert import Path, path_of
from ._errors import call
from ._handles import Handle
from ._library import TextFn, TokenizerTrainOptions, WriteFn, lib
from ._pool import shared_pool
from ._tokenizer import Tokenizer

_FORMATS = {"json": 1, "gguf": 2, "tiktoken": 3, "model": 4}
_KINDS = {"byte-level": 0, "sentencepiece": 1}
_INVALID = {"default": 0, "keep": 1, "replace": 2, "refuse": 3}
_UNITS = {"default": 0, "line": 1, "text": 2}


class _Texts(Carrier):
    """Hands an iterator's texts to the library."""

    def texts(self, texts: Iterable[Union[str, bytes]]) -> Any:
        iterator = iter(texts)
        held: Dict[str, bytes] = {}  # the text handed out last: it must live until the next one is asked for

        def next_text(_user: Any, text: Any, length: Any) -> int:
            try:
                piece = next(iterator, None)
                if piece is None:
                    text[0] = None
                    return 0
                held["text"] = piece.encode() if isinstance(piece, str) else bytes(piece)
                text[0] = cast(c_char_p(held["text"]), c_void_p).value
                length[0] = len(held["text"])
                return int(self._interrupts.noted)
            except BaseException as error:
                self._raised = error
                return 1

        return TextFn(next_text)


def _strings(texts: Sequence[str]) -> "Tuple[Array[c_char_p], int]":
    if isinstance(texts, str):
        raise TypeError("a list of texts is needed, not one text")
    return (c_char_p * max(1, len(texts)))(*[text.encode() for text in texts]), len(texts)


def _choice(value: Optional[bool]) -> int:
    return 0 if value is None else 1 if value else 2


def _one_of(names: Dict[str, int], value: str, what: str) -> int:
    if value not in names:
        raise ValueError(f"{what} is one of {', '.join(names)}, not {value!r}")
    return names[value]


def train_tokenizer(
    files: Sequence[Path] = (),
    *,
    texts: Optional[Iterable[Union[str, bytes]]] = None,
    kind: str = "byte-level",
    vocab_size: int = 0,
    special_tokens: Sequence[str] = (),
    unit: str = "default",
    invalid_utf8: str = "default",
    pattern: Optional[str] = None,
    add_prefix_space: bool = False,
    alphabet: Optional[bytes] = None,
    limit_alphabet: int = 0,
    min_frequency: int = 0,
    max_token_length: int = 0,
    user_symbols: Sequence[str] = (),
    required_chars: str = "",
    character_coverage: float = 0.0,
    max_piece_length: int = 0,
    max_sentence_length: int = 0,
    byte_fallback: Optional[bool] = None,
    add_dummy_prefix: Optional[bool] = None,
    remove_extra_whitespaces: Optional[bool] = None,
    split_digits: Optional[bool] = None,
    split_by_number: Optional[bool] = None,
    split_by_unicode_script: Optional[bool] = None,
    split_by_whitespace: Optional[bool] = None,
    treat_whitespace_as_suffix: Optional[bool] = None,
    allow_whitespace_only_pieces: Optional[bool] = None,
    hard_vocab_limit: Optional[bool] = None,
    threads: int = 0,
    progress: Optional[Progress] = None,
    cancel: Optional[Cancel] = None,
    byte_budget: int = 0,
) -> Tokenizer:
    """Learns a tokenizer from files, or from the texts of an iterable.

    kind: "byte-level" learns what Hugging Face's BpeTrainer learns, "sentencepiece" what SentencePiece's BPE trainer learns.
    unit: "line" or "text", what is split on its own; the default is lines of files and whole texts. invalid_utf8: what is
    done with bytes that are not UTF-8. pattern to max_token_length are for byte-level BPE: pattern is "gpt2", "cl100k",
    "o200k", "llama3", "qwen2", a regular expression, or "" for none; alphabet None makes all 256 bytes tokens, otherwise
    the bytes that occur and these. user_symbols to hard_vocab_limit are SentencePiece's, None and 0 being its defaults.
    threads 0: one per processor; they never change the result.
    """
    if isinstance(files, (str, bytes)) or hasattr(files, "__fspath__"):
        raise TypeError("a list of files is needed, not one path")
    if texts is not None and files:
        raise ValueError("files or texts, not both")
    options = TokenizerTrainOptions.new(
        kind=_one_of(_KINDS, kind, "kind"),
        unit=_one_of(_UNITS, unit, "unit"),
        vocab_size=vocab_size,
        invalid_utf8=_one_of(_INVALID, invalid_utf8, "invalid_utf8"),
        pattern=None if pattern is None else pattern.encode(),
        add_prefix_space=_choice(add_prefix_space),
        alphabet=0 if alphabet is None else 1,
        limit_alphabet=limit_alphabet,
        min_frequency=min_frequency,
        max_token_length=max_token_length,
        required_chars=required_chars.encode() if required_chars else None,
        character_coverage=character_coverage,
        max_piece_length=max_piece_length,
        max_sentence_length=max_sentence_length,
        byte_fallback=_choice(byte_fallback),
        add_dummy_prefix=_choice(add_dummy_prefix),
        remove_extra_whitespaces=_choice(remove_extra_whitespaces),
        split_digits=_choice(split_digits),
        split_by_number=_choice(split_by_number),
        split_by_unicode_script=_choice(split_by_unicode_script),
        split_by_whitespace=_choice(split_by_whitespace),
        treat_whitespace_as_suffix=_choice(treat_whitespace_as_suffix),
        allow_whitespace_only_pieces=_choice(allow_whitespace_only_pieces),
        hard_vocab_limit=_choice(hard_vocab_limit),
        byte_budget=byte_budget,
    )
    special, options.special_count = _strings(special_tokens)
    user, options.user_count = _strings(user_symbols)
    options.special_tokens = cast(special, POINTER(c_char_p))
    options.user_symbols = cast(user, POINTER(c_char_p))
    if alphabet is not None:
        options.initial_alphabet = cast(c_char_p(alphabet), c_void_p)
        options.initial_count = len(alphabet)
    if cancel is not None:
        options.cancel = cancel._pointer
    carrier, out, pool = _Texts(), c_void_p(), shared_pool(threads)
    report = carrier.progress(progress)
    options.progress = report
    with pool._borrowed() as pointer:
        options.pool = pointer
        if texts is None:
            paths = (c_char_p * max(1, len(files)))(*[path_of(path) for path in files])
            carrier.call(lib.tfm_tokenizer_train, paths, len(files), byref(options), byref(out), undo=lambda: _release(out))
        else:
            source = carrier.texts(texts)
            carrier.call(lib.tfm_tokenizer_train_text, source, None, byref(options), byref(out), undo=lambda: _release(out))
    return Tokenizer(Handle(out.value or 0, lib.tfm_tokenizer_release))


def _release(pointer: c_void_p) -> None:
    lib.tfm_tokenizer_release(pointer)


def _format_of(path: str, format: Optional[str], kind: str) -> int:
    if format is not None:
        return _one_of(_FORMATS, format, "format")
    for name, number in _FORMATS.items():
        if path.endswith("." + name):
            return number
    return _FORMATS["model" if kind == "sentencepiece-bpe" else "json"]


def save_tokenizer(tokenizer: Tokenizer, path: Path, format: Optional[str] = None) -> None:
    """Writes a tokenizer into a file, whole or not at all. format: "json" (Hugging Face's tokenizer.json), "gguf", "tiktoken"
    or "model" (SentencePiece); None: by the path's ending. What the format cannot say is a TfmError that names it."""
    raw = path_of(path)
    number = _format_of(raw.decode("utf-8", "replace"), format, tokenizer.info.kind)
    with tokenizer._borrowed() as pointer:
        call(lib.tfm_tokenizer_save, pointer, raw, number)


def tokenizer_bytes(tokenizer: Tokenizer, format: str) -> bytes:
    """The content of the file that save_tokenizer would write."""
    parts = []

    def write(_user: Any, data: int, size: int) -> int:
        parts.append(string_at(data, size))
        return 0

    with tokenizer._borrowed() as pointer:
        call(lib.tfm_tokenizer_write, pointer, _one_of(_FORMATS, format, "format"), WriteFn(write), None)
    return b"".join(parts)
