"""tfm for Python: transformers from the files that people have.

    import tfm

    with tfm.Model("model.gguf") as model:
        for piece in model.generate("Once upon a time"):
            print(piece, end="", flush=True)

A thin layer over the C library libtfm (ctypes): objects, iterators and exceptions, and no logic of its own. Ctrl-C stops
any call; what a callback raises comes out where the call was made; errors of the library are TfmError.
"""

from ._adapter import Adapter, AdapterInfo
from ._beam import Hypothesis
from ._callbacks import Cancel, Log, Progress
from ._encode import Encoded
from ._encoding import Encoding, EncodingRow
from ._errors import TfmError, TokenError
from ._inspect import InspectEvent, Inspector
from ._generation import Generation, Summary, Token
from ._library import lib as _lib
from ._model import Model, ModelInfo, TensorInfo
from ._net import Net, NetData, NetLayer, NetLosses, NetMeasure
from ._pool import Pool
from ._quantize import Quantized, quantize, quantize_types
from ._sampler import Sampler
from ._score import Perplexity, Phrase, Score, ScoredToken
from ._session import Candidate, Session, forward_many
from ._streams import Decoder, Encoder
from ._tokenizer import Tokenizer, TokenizerInfo
from ._tokenizer_train import save_tokenizer, tokenizer_bytes, train_tokenizer
from ._train import Step, Trainer, write_new_model
from ._version import __version__


def library_version() -> str:
    """The version of the C library in use."""
    version: bytes = _lib.tfm_version()
    return version.decode()


def capability(name: str) -> bool:
    """Whether the library, on this processor, has a named capability: see tfm_capability."""
    return bool(_lib.tfm_capability(name.encode()))


__all__ = [
    "Adapter",
    "AdapterInfo",
    "Cancel",
    "Candidate",
    "Decoder",
    "Encoded",
    "Encoder",
    "Encoding",
    "EncodingRow",
    "Generation",
    "Hypothesis",
    "InspectEvent",
    "Inspector",
    "Log",
    "Model",
    "ModelInfo",
    "Perplexity",
    "Net",
    "NetData",
    "NetLayer",
    "NetLosses",
    "NetMeasure",
    "Phrase",
    "Pool",
    "Progress",
    "Quantized",
    "Sampler",
    "Score",
    "ScoredToken",
    "Session",
    "forward_many",
    "Step",
    "Summary",
    "TensorInfo",
    "TfmError",
    "Token",
    "TokenError",
    "Tokenizer",
    "TokenizerInfo",
    "Trainer",
    "__version__",
    "capability",
    "library_version",
    "quantize",
    "quantize_types",
    "save_tokenizer",
    "tokenizer_bytes",
    "train_tokenizer",
    "write_new_model",
]
