"""A parameter file, opened: tfm/model.h."""

from __future__ import annotations

import math
from array import array
from ctypes import POINTER, byref, c_float, c_size_t, c_void_p, cast
from typing import Any, Callable, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

from ._adapter import Uses, uses_of
from ._callbacks import Cancel, Carrier, Log, Progress
from ._convert import ISAS, Path, Text, number_of, path_of
from ._encode import Encoded, Input, classify, embed, encode, label
from ._errors import E_BUFFER, E_STATE, TfmError, call, text_of
from ._generation import Generation, Token
from ._handles import Handle, Owner
from ._library import ModelInfo as RawInfo, ModelOptions, TensorInfo as RawTensor, lib
from ._pool import Pool
from ._quantize import measure_imatrix
from ._sampler import Sampler
from ._score import Perplexity, Score, perplexity_of
from ._session import Candidate, Session
from ._tokenizer import Tokenizer
from ._translate import translate


MATRICES = {"positions": 1, "rotation": 2, "scores": 3}
KINDS = {1: "decoder", 2: "encoder", 3: "encoder-decoder"}


class ModelInfo(NamedTuple):
    family: str
    name: str
    format: str
    weights: str
    parameters: int
    weight_bytes: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int
    vocab_size: int
    context: int
    has_tokenizer: bool
    kv_bytes_per_token: int
    isa: str
    kind: str


class TensorInfo(NamedTuple):
    name: str
    type: str
    shape: Tuple[int, ...]
    bytes: int


class Model(Owner):
    """A GGUF file, a Hugging Face folder or a llama2.c file.

    threads: how many work, 0 for one per processor; or pool: a Pool to share. isa: "best", "portable", "avx2",
    "avx512", "neon" or "neon-dotprod". byte_budget: most bytes for model, sessions and caches, 0 for no bound.
    progress(done, total) and log(level, text) are called meanwhile. Any number of threads may use a model, through one session each.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 0,
        pool: Optional[Pool] = None,
        isa: str = "best",
        byte_budget: int = 0,
        read_into_memory: bool = False,
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
        log: Optional[Log] = None,
    ) -> None:
        self._load(
            lib.tfm_model_load, (path_of(path),), None, threads, pool, isa, byte_budget, read_into_memory, cancel,
            progress, log,
        )  # fmt: skip

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        threads: int = 0,
        pool: Optional[Pool] = None,
        isa: str = "best",
        byte_budget: int = 0,
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
        log: Optional[Log] = None,
    ) -> "Model":
        """From one file's content, used where it is."""
        model = cls.__new__(cls)
        model._load(
            lib.tfm_model_load_memory, (data, len(data)), data, threads, pool, isa, byte_budget, False, cancel, progress,
            log,
        )  # fmt: skip
        return model

    def _load(
        self,
        function: Callable[..., int],
        source: Tuple[Any, ...],
        keep: Any,
        threads: int,
        pool: Optional[Pool],
        isa: str,
        byte_budget: int,
        read_into_memory: bool,
        cancel: Optional[Cancel],
        progress: Optional[Progress],
        log: Optional[Log],
    ) -> None:
        carrier = Carrier()
        remarks = carrier.log(log)
        workers = pool or Pool(threads)  # the model's handle keeps what is inside
        options = ModelOptions.new(
            byte_budget=byte_budget,
            pool=workers._pointer,
            read_into_memory=int(read_into_memory),
            isa=number_of(ISAS, isa, "isa"),
            log=remarks,
            progress=carrier.progress(progress),
            cancel=cancel._pointer if cancel else None,
        )
        out = c_void_p()
        carrier.call(function, *source, byref(options), byref(out), undo=lambda: lib.tfm_model_release(out))
        self._handle = Handle(out.value or 0, lib.tfm_model_release, (workers._open,), keep=(keep, remarks))

    @property
    def info(self) -> ModelInfo:
        raw = RawInfo.new()
        call(lib.tfm_model_get_info, self._pointer, byref(raw))
        return ModelInfo(
            text_of(raw.family),
            text_of(raw.name),
            text_of(raw.format),
            text_of(raw.weights),
            raw.parameters,
            raw.weight_bytes,
            raw.layers,
            raw.width,
            raw.heads,
            raw.kv_heads,
            raw.head_dim,
            raw.feed_forward,
            raw.vocab_size,
            raw.context,
            bool(raw.has_tokenizer),
            raw.kv_bytes_per_token,
            text_of(raw.isa),
            KINDS.get(raw.kind, "unknown"),
        )

    @property
    def tensors(self) -> List[TensorInfo]:
        """Every tensor of the file."""
        listed = []
        for index in range(lib.tfm_model_tensor_count(self._pointer)):
            raw = RawTensor.new()
            call(lib.tfm_model_tensor, self._pointer, index, byref(raw))
            shape = tuple(raw.shape[: raw.dims])
            listed.append(TensorInfo(text_of(raw.name), text_of(raw.type), shape, raw.bytes))
        return listed

    def tensor(self, name: str) -> "memoryview[float]":
        """The numbers of one tensor of the file as f32, whatever its type, in its shape: a copy, to keep.
        numpy.asarray(model.tensor(name)) makes an array of it."""
        for index, info in enumerate(self.tensors):
            if info.name == name:
                values = array("f", bytes(4 * math.prod(info.shape)))
                call(lib.tfm_model_tensor_read, self._pointer, index, 0, len(values), values.buffer_info()[0])
                flat = memoryview(values).cast("B")
                return flat.cast("f", list(info.shape)) if info.shape and len(values) else flat.cast("f")
        raise KeyError(name)

    def embedding(self, token: int, output: bool = False) -> "array[float]":
        """The row of a token: what it begins with, before positions and layers; output: the row that its logit is the
        product with. A copy."""
        count = c_size_t()
        arguments = (self._pointer, token, int(output))
        if lib.tfm_token_embedding(*arguments, None, 0, byref(count), None) not in (0, E_BUFFER):
            call(lib.tfm_token_embedding, *arguments, None, 0, None)
        values = array("f", bytes(4 * count.value))
        call(lib.tfm_token_embedding, *arguments, values.buffer_info()[0], len(values), None)
        return values

    def matrix(self, name: str, first: int = 0, count: Optional[int] = None) -> Any:
        """Rows of a table as a numpy array in float32 (tfm_model_matrix). name: "positions" has a row for
        each position (what is added to the embedding), "rotation" one for each layer (radians per position), "scores" one
        for each layer (factor, soft cap, window). count: None is all from first on."""
        try:
            import numpy
        except ImportError:
            raise ImportError("model.matrix needs numpy") from None
        which = number_of(MATRICES, name, "matrix")
        rows, columns = c_size_t(), c_size_t()
        call(lib.tfm_model_matrix, self._pointer, which, 0, 0, None, byref(rows), byref(columns))
        if first < 0 or (count is not None and count < 0):
            raise ValueError("first and count must not be negative")
        if count is None:
            count = max(rows.value - first, 0)
        if count > rows.value:
            raise ValueError(f"{count} rows of {rows.value}")
        made = numpy.zeros((count, columns.value), numpy.float32)
        values = cast(made.ctypes.data, POINTER(c_float))
        call(lib.tfm_model_matrix, self._pointer, which, first, count, values, None, None)
        return made

    @property
    def bytes(self) -> int:
        """Bytes that the model and everything made from it hold now, mapped weights not counted."""
        return int(lib.tfm_model_bytes(self._pointer))

    @property
    def tokenizer(self) -> Optional[Tokenizer]:
        """The model's tokenizer, or None if its files hold none."""
        return self._tokenizer_at(lib.tfm_tokenizer_of(self._pointer))

    @property
    def source_tokenizer(self) -> Optional[Tokenizer]:
        """What an encoder-decoder's encoder reads is cut by this one; only where the files hold two vocabularies is it
        another than tokenizer."""
        return self._tokenizer_at(lib.tfm_source_tokenizer_of(self._pointer))

    def _tokenizer_at(self, pointer: Optional[int]) -> Optional[Tokenizer]:
        return Tokenizer(Handle(pointer, lambda _pointer: None, (self._open,))) if pointer else None

    def session(
        self,
        *,
        context: int = 0,
        batch: int = 0,
        cache: str = "default",
        encoded: Optional[Encoded] = None,
        row: int = 0,
    ) -> Session:
        """An empty session. context: most positions, 0 for what the model was made for; batch: tokens processed
        together, 0 for the default; cache: "default", "f32", "f16", "bf16", "q8_0" or "q4_0".
        encoded, row: for encoder-decoders, what encode() made of a text, which the decoder looks at; it may be
        dropped afterwards."""
        return Session._create(self._open, context, batch, cache, encoded, row)

    def merge(self, adapters: Uses) -> "Model":
        """A copy with adapters in its weights, which must be F32, F16 or BF16. adapters: as for session.adapters
        (tfm_adapter_merge)."""
        pairs, uses = uses_of(adapters)
        out = c_void_p()
        call(lib.tfm_adapter_merge, self._pointer, uses, len(pairs), byref(out))
        merged = type(self).__new__(type(self))
        merged._handle = Handle(out.value or 0, lib.tfm_model_release, (self._open,))
        return merged

    def translate(
        self,
        text: Input,
        *,
        source: Optional[Text] = None,
        target: Optional[Text] = None,
        max_tokens: int = 0,
        **settings: Any,
    ) -> str:
        """What an encoder-decoder writes to a text, or to a list of token ids. source, target: language tokens, for models
        that translate between many ("eng_Latn", "__en__"). settings: as for Session.generate; without a temperature the
        likeliest token is taken."""
        return translate(self, text, source, target, max_tokens, settings)

    def top(self, prompt: Text, k: int = 10, *, parse_special: bool = False) -> List[Candidate]:
        """The most probable tokens after a text."""
        tokenizer = self.tokenizer
        if tokenizer is None:
            raise TfmError(E_STATE, "the model's files hold no tokenizer")
        with tokenizer, self.session() as session:
            session.forward(tokenizer.encode(prompt, parse_special=parse_special))
            return session.top(k)

    def encode(
        self,
        rows: Iterable[Input],
        *,
        types: Optional[Sequence[Optional[Sequence[int]]]] = None,
        keep_layers: bool = False,
        decoder: bool = False,
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
    ) -> Encoded:
        """Runs an encoder over rows: texts, which the model's tokenizer frames, or lists of token ids, with token types
        for models that have them. keep_layers: the states of every layer too. decoder: the model may be a decoder, whose
        tokens see those before them (tfm_encode)."""
        return encode(self, rows, types, keep_layers, decoder, cancel, progress)

    def embed(
        self,
        texts: Union[Input, Iterable[Input]],
        *,
        pooling: Union[str, Sequence[str]] = "default",
        normalize: Optional[bool] = None,
        max_tokens: int = 0,
        prompt: Optional[Text] = None,
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
    ) -> Any:
        """Vectors of texts, or of lists of token ids: [count, width], or [width] for one text alone. pooling: "default"
        (what the model's files say), "mean", "first", "last", "max", "mean_sqrt", "weighted", or several of them; normalize:
        None for what the files say; prompt: put in front of every text, None for what the files say (tfm_embed)."""
        return embed(self, texts, pooling, normalize, max_tokens, prompt, cancel, progress)

    def classify(self, texts: Iterable[Union[Text, Tuple[Text, Text]]], *, max_tokens: int = 0) -> Any:
        """What the model's head makes of texts or pairs of texts: [count, outputs], without softmax (tfm_classify)."""
        return classify(self, texts, max_tokens)

    def label(self, index: int) -> str:
        """What the files call an output of the head ("POSITIVE"), or "" (tfm_model_label)."""
        return label(self, index)

    def rank(self, query: Text, texts: Iterable[Text], *, max_tokens: int = 0) -> List[Tuple[int, float]]:
        """Texts ordered by a cross-encoder's score beside the query, the best first: (place in texts, score)."""
        scores = classify(self, [(query, text) for text in texts], max_tokens)
        first = [float(row[0]) for row in scores.tolist()]
        return sorted(enumerate(first), key=lambda pair: -pair[1])

    def score(self, prompt: Text, continuation: Text, **options: Any) -> Score:
        """Session.score in a session of its own: `model.score("中华人民", "共和国").log_probability`."""
        with self.session() as session:
            return session.score(prompt, continuation, **options)

    def _text_tokens(self, text: Union[Text, Iterable[int]]) -> Iterable[int]:
        """Of a text, without those that frame it; tokens as they are."""
        if not isinstance(text, (str, bytes)):
            return text
        tokenizer = self.tokenizer
        if tokenizer is None:
            raise TfmError(E_STATE, "the model's files hold no tokenizer")
        with tokenizer:
            return tokenizer.encode(text, add_bos=False, add_eos=False)

    def imatrix(
        self,
        text: Union[Text, Iterable[int]],
        path: Path,
        *,
        context: int = 0,
        format: str = "gguf",
        add_bos: Optional[bool] = None,
        dataset: Optional[str] = None,
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
    ) -> None:
        """Measures an importance matrix on a text, for quantize(..., imatrix=path). format: "gguf" or "dat"
        (tfm_imatrix_measure)."""
        tokens = self._text_tokens(text)
        measure_imatrix(self._pointer, tokens, path, context, format, add_bos, dataset, cancel, progress)

    def perplexity(
        self,
        text: Union[Text, Iterable[int]],
        *,
        context: int = 0,
        stride: int = 0,
        windows: str = "halves",
        add_bos: Optional[bool] = None,
        cache: str = "default",
        adapters: Uses = (),
        cancel: Optional[Cancel] = None,
        progress: Optional[Progress] = None,
    ) -> Perplexity:
        """The perplexity of a text, or of tokens. windows: "halves", as llama.cpp measures it, or "sliding", every token;
        cache: how keys and values are kept, as in session(); adapters: as for session.adapters (tfm_perplexity)."""
        tokens = self._text_tokens(text)
        return perplexity_of(self._pointer, tokens, context, stride, windows, add_bos, cache, adapters, cancel, progress)

    def generate(
        self,
        prompt: Text = "",
        *,
        context: int = 0,
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
        """Session.generate in a session of its own: `for piece in model.generate("Once upon a time"): ...`."""
        return self.session(context=context).generate(
            prompt,
            max_tokens=max_tokens,
            stop=stop,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            min_p=min_p,
            repeat_penalty=repeat_penalty,
            repeat_window=repeat_window,
            seed=seed,
            sampler=sampler,
            tokens=tokens,
            add_bos=add_bos,
            parse_special=parse_special,
            special=special,
            ignore_end=ignore_end,
            cancel=cancel,
            progress=progress,
            on_token=on_token,
        )
