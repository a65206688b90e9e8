"""Encoder-decoders: a text in, the text that belongs to it out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, Optional

from ._convert import Text
from ._encode import Input, _is_text
from ._errors import E_STATE, E_TOKEN, TfmError
from ._tokenizer import Tokenizer

if TYPE_CHECKING:
    from ._model import Model


def _language(tokenizer: Tokenizer, name: Text) -> int:
    token = tokenizer.find(name)
    if token < 0:
        raise TfmError(E_TOKEN, f"there is no token {name!r}")
    return token


def translate(
    model: "Model",
    text: Input,
    source: Optional[Text],
    target: Optional[Text],
    max_tokens: int,
    settings: Dict[str, Any],
) -> str:
    tokenizer, reader = model.tokenizer, model.source_tokenizer
    if tokenizer is None or reader is None:
        raise TfmError(E_STATE, "the model's files hold no tokenizer")
    if settings.get("sampler") is None:
        settings.setdefault("temperature", 0.0)
    with tokenizer, reader:
        tokens: List[int] = [] if target is None else [_language(tokenizer, target)]
        row: Any = text
        if _is_text(text):
            row = list(reader.encode(text, add_special=None if source is None else False))
            if source is not None:
                end = reader.info.eos
                row = [_language(reader, source), *row] + ([end] if end >= 0 else [])
        with model.encode([row]) as encoded, model.session(encoded=encoded) as session:
            return "".join(session.generate(tokens=tokens, max_tokens=max_tokens, **settings))
