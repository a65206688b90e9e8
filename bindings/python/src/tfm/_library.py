"""Finds and loads libtfm, and declares what of it is used: the structures and signatures of tfm/*.h.

Looked for in this order: the file that the environment variable TFM_LIBRARY names, the one beside this file, the one
that the system's loader finds.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from ctypes import POINTER, c_char, c_char_p, c_double, c_float, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, List, Type, TypeVar

ABI = 0  # the number of the binary interface that the declarations below describe

# ---- Structures: each as in the header of the same name ------------------------------------------------------------

S = TypeVar("S", bound="Sized")


class Sized(ctypes.Structure):
    """A structure whose first field is its size."""

    @classmethod
    def new(cls: Type[S], **fields: Any) -> S:
        made = cls(**fields)
        made.struct_size = ctypes.sizeof(cls)
        return made


class Error(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("code", c_int32),
        ("reserved", c_int32),
        ("offset", c_uint64),
        ("message", c_char * 512),
        ("file", c_char * 256),
        ("tensor", c_char * 128),
    ]


LogFn = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
ProgressFn = ctypes.CFUNCTYPE(c_int32, c_void_p, c_uint64, c_uint64)


class PoolOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("threads", c_uint32),
        ("reserved", c_uint32),
        ("parallel_for", c_void_p),
        ("parallel_for_user", c_void_p),
        ("allocator", c_void_p),
    ]


class SpecialToken(ctypes.Structure):
    _fields_ = [("text", c_char_p), ("token", c_int32), ("reserved", c_int32)]


class TokenizerOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("allocator", c_void_p),
        ("byte_budget", c_uint64),
        ("pattern", c_char_p),
        ("special", POINTER(SpecialToken)),
        ("special_count", c_size_t),
        ("compatibility", c_int32),
        ("isa", c_int32),
        ("cache_bytes", c_uint64),
    ]


class TokenizerInfo(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("vocab_size", c_int32),
        ("bos", c_int32),
        ("eos", c_int32),
        ("unknown", c_int32),
        ("padding", c_int32),
        ("end_of_turn", c_int32),
        ("adds_bos", c_int32),
        ("adds_eos", c_int32),
        ("kind", c_char * 32),
        ("pattern", c_char * 32),
    ]


class SpecialChoice(ctypes.Structure):
    _fields_ = [("token", c_int32), ("choice", c_int32)]


class TokenizeOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("add_bos", c_int32),
        ("add_eos", c_int32),
        ("parse_special", c_int32),
        ("invalid_utf8", c_int32),
        ("special", POINTER(SpecialChoice)),
        ("special_count", c_size_t),
    ]


class DetokenizeOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("special", c_int32),
        ("raw", c_int32),
        ("continued", c_int32),
        ("reserved", c_int32),
    ]


class TextInput(ctypes.Structure):
    _fields_ = [("text", c_void_p), ("length", c_size_t), ("pair", c_void_p), ("pair_length", c_size_t)]


class BatchOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("tokenize", POINTER(TokenizeOptions)),
        ("pool", c_void_p),
        ("want", c_uint32),
        ("truncate", c_int32),
        ("max_length", c_size_t),
        ("stride", c_size_t),
        ("truncate_side", c_int32),
        ("truncate_strategy", c_int32),
        ("pad", c_int32),
        ("pad_mode", c_int32),
        ("pad_length", c_size_t),
        ("pad_multiple", c_size_t),
        ("pad_side", c_int32),
        ("pad_token", c_int32),
        ("pad_type", c_int32),
        ("reserved", c_int32),
    ]


class EncodingView(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("count", c_size_t),
        ("ids", c_void_p),
        ("byte_begins", c_void_p),
        ("byte_ends", c_void_p),
        ("char_begins", c_void_p),
        ("char_ends", c_void_p),
        ("types", c_void_p),
        ("sequences", c_void_p),
        ("special", c_void_p),
        ("attention", c_void_p),
        ("inputs", c_void_p),
    ]


class ModelOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("allocator", c_void_p),
        ("byte_budget", c_uint64),
        ("pool", c_void_p),
        ("read_into_memory", c_int32),
        ("isa", c_int32),
        ("log", LogFn),
        ("log_user", c_void_p),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
    ]


class ModelInfo(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("family", c_char * 32),
        ("name", c_char * 128),
        ("format", c_char * 32),
        ("weights", c_char * 32),
        ("parameters", c_uint64),
        ("weight_bytes", c_uint64),
        ("layers", c_int32),
        ("width", c_int32),
        ("heads", c_int32),
        ("kv_heads", c_int32),
        ("head_dim", c_int32),
        ("feed_forward", c_int32),
        ("vocab_size", c_int32),
        ("context", c_int32),
        ("has_tokenizer", c_int32),
        ("kv_bytes_per_token", c_uint64),
        ("isa", c_char * 32),
        ("kind", c_int32),
        ("start_token", c_int32),
    ]


class EncodeRow(ctypes.Structure):
    _fields_ = [("tokens", POINTER(c_int32)), ("count", c_size_t), ("types", POINTER(c_int32))]


class EncodeOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("keep_layers", c_int32),
        ("decoder", c_int32),
        ("cancel", c_void_p),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("inspectors", c_void_p),
        ("inspector_count", c_size_t),
    ]


class EncodedView(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("rows", c_size_t),
        ("tokens", c_size_t),
        ("width", c_size_t),
        ("starts", c_void_p),
        ("hidden", c_void_p),
        ("pooled", c_void_p),
        ("layers", c_size_t),
        ("head", c_int32),
        ("reserved", c_int32),
        ("outputs", c_size_t),
    ]


class EmbedOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("pooling", c_uint32),
        ("normalize", c_int32),
        ("max_tokens", c_size_t),
        ("prompt", c_char_p),
        ("prompt_length", c_size_t),
        ("cancel", c_void_p),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
    ]


class TensorInfo(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("type", c_char_p),
        ("dims", c_uint32),
        ("reserved", c_uint32),
        ("shape", c_uint64 * 8),
        ("bytes", c_uint64),
    ]


class SessionOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("context", c_uint32),
        ("batch", c_uint32),
        ("cache_type", c_int32),
        ("reserved", c_int32),
        ("encoded", c_void_p),
        ("encoded_row", c_size_t),
    ]


class ForwardOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("logits", c_int32),
        ("reserved", c_int32),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
    ]


class ForwardPart(ctypes.Structure):
    _fields_ = [
        ("session", c_void_p),
        ("tokens", POINTER(c_int32)),
        ("count", c_size_t),
        ("logits", c_int32),
        ("reserved", c_int32),
    ]


class AdapterUse(ctypes.Structure):
    _fields_ = [("adapter", c_void_p), ("scale", c_float), ("reserved", c_uint32)]


class AdapterInfo(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("format", c_char * 32),
        ("parameters", c_uint64),
        ("matrices", c_uint32),
        ("rank", c_uint32),
    ]


class InspectOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("site", c_int32),
        ("layer", c_int32),
        ("head", c_int32),
        ("write", c_int32),
        ("last", c_int32),
        ("reserved", c_int32),
    ]


class RawInspectEvent(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("site", c_int32),
        ("layer", c_int32),
        ("head", c_int32),
        ("row", c_int32),
        ("position", c_size_t),
        ("rows", c_size_t),
        ("columns", c_size_t),
        ("stride", c_size_t),
        ("values", c_void_p),
        ("experts", c_void_p),
    ]


InspectFn = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(RawInspectEvent))


class Candidate(ctypes.Structure):
    _fields_ = [
        ("token", c_int32),
        ("logit", c_float),
        ("probability", c_double),
        ("bytes", c_void_p),
        ("length", c_size_t),
    ]


class TokenEvent(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("token", c_int32),
        ("stop", c_int32),
        ("probability", c_double),
        ("position", c_uint64),
        ("bytes", c_void_p),
        ("length", c_size_t),
    ]


class GenerateOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("max_tokens", c_uint64),
        ("stops", POINTER(c_char_p)),
        ("stop_lengths", POINTER(c_size_t)),
        ("stop_count", c_size_t),
        ("ignore_end", c_int32),
        ("parse_special", c_int32),
        ("add_bos", c_int32),
        ("special", c_int32),
        ("prompt_tokens", POINTER(c_int32)),
        ("prompt_token_count", c_size_t),
        ("cancel", c_void_p),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
    ]


class GenerationSummary(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("stop", c_int32),
        ("stop_string", c_int32),
        ("prompt_tokens", c_uint64),
        ("generated_tokens", c_uint64),
        ("prompt_ns", c_uint64),
        ("generated_ns", c_uint64),
    ]


TextFn = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(c_void_p), POINTER(c_size_t))
WriteFn = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t)


class TokenizerTrainOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("kind", c_int32),
        ("unit", c_int32),
        ("vocab_size", c_size_t),
        ("special_tokens", POINTER(c_char_p)),
        ("special_count", c_size_t),
        ("invalid_utf8", c_int32),
        ("reserved", c_int32),
        ("pattern", c_char_p),
        ("add_prefix_space", c_int32),
        ("alphabet", c_int32),
        ("initial_alphabet", c_void_p),
        ("initial_count", c_size_t),
        ("limit_alphabet", c_size_t),
        ("min_frequency", c_uint64),
        ("max_token_length", c_size_t),
        ("user_symbols", POINTER(c_char_p)),
        ("user_count", c_size_t),
        ("required_chars", c_char_p),
        ("character_coverage", c_double),
        ("max_piece_length", c_size_t),
        ("max_sentence_length", c_size_t),
        ("byte_fallback", c_int32),
        ("add_dummy_prefix", c_int32),
        ("remove_extra_whitespaces", c_int32),
        ("split_digits", c_int32),
        ("split_by_number", c_int32),
        ("split_by_unicode_script", c_int32),
        ("split_by_whitespace", c_int32),
        ("treat_whitespace_as_suffix", c_int32),
        ("allow_whitespace_only_pieces", c_int32),
        ("hard_vocab_limit", c_int32),
        ("pool", c_void_p),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
        ("allocator", c_void_p),
        ("byte_budget", c_uint64),
    ]


class TokenScore(ctypes.Structure):
    _fields_ = [("token", c_int32), ("rank", c_uint32), ("log_probability", c_double)]


class ScoreOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("add_bos", c_int32),
        ("parse_special", c_int32),
        ("border", c_int32),
        ("reserved", c_int32),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
    ]


class ScoreResult(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("prompt_tokens", c_size_t),
        ("count", c_size_t),
        ("log_probability", c_double),
        ("split", c_int32),
        ("reserved", c_int32),
    ]


class BeamOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("beams", c_uint32),
        ("hypotheses", c_uint32),
        ("max_tokens", c_uint32),
        ("min_tokens", c_uint32),
        ("stopping", c_int32),
        ("no_repeat", c_uint32),
        ("length_penalty", c_double),
        ("repeat_penalty", c_double),
        ("ends", POINTER(c_int32)),
        ("end_count", c_size_t),
        ("first", c_int32),
        ("last", c_int32),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
    ]


class HypothesisView(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("tokens", POINTER(c_int32)),
        ("count", c_size_t),
        ("score", c_double),
        ("ended", c_int32),
        ("reserved", c_int32),
    ]


class PhraseOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("passes", c_uint32),
        ("reserved", c_uint32),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
    ]


class PhraseResult(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("probability", c_double),
        ("unexplored", c_double),
        ("passes", c_uint32),
        ("reserved", c_uint32),
    ]


class PerplexityOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("context", c_uint32),
        ("stride", c_uint32),
        ("windows", c_int32),
        ("add_bos", c_int32),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
        ("cache_type", c_int32),
        ("reserved", c_int32),
        ("adapters", POINTER(AdapterUse)),
        ("adapter_count", c_size_t),
    ]


class PerplexityResult(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("windows", c_uint64),
        ("tokens", c_uint64),
        ("bytes", c_uint64),
        ("log_probability", c_double),
        ("perplexity", c_double),
        ("perplexity_error", c_double),
        ("byte_perplexity", c_double),
        ("bits_per_byte", c_double),
    ]


class QuantizeOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("imatrix", c_char_p),
        ("output_type", c_char_p),
        ("embedding_type", c_char_p),
        ("pure", c_int32),
        ("requantize", c_int32),
        ("tokenizer", c_int32),
        ("reserved", c_int32),
        ("pool", c_void_p),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
        ("allocator", c_void_p),
        ("byte_budget", c_uint64),
        ("log", LogFn),
        ("log_user", c_void_p),
    ]


class QuantizeResult(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("tensors", c_uint64),
        ("quantized", c_uint64),
        ("weighted", c_uint64),
        ("fallbacks", c_uint64),
        ("parameters", c_uint64),
        ("source_bytes", c_uint64),
        ("bytes", c_uint64),
    ]


class ImatrixOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("context", c_uint32),
        ("format", c_int32),
        ("add_bos", c_int32),
        ("reserved", c_int32),
        ("dataset", c_char_p),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
    ]


class NetDataOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("features", c_int32),
        ("normalise", c_int32),
        ("train_share", c_double),
        ("seed", c_uint64),
        ("set", c_int32),
        ("samples", c_uint32),
        ("noise", c_double),
        ("habits", c_double * 4),
        ("kind", c_int32),
        ("targets", c_uint32),
        ("keep_order", c_int32),
        ("reserved", c_int32),
        ("allocator", c_void_p),
        ("byte_budget", c_uint64),
    ]


class NetDataView(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("rows", c_size_t),
        ("train_rows", c_size_t),
        ("columns", c_uint32),
        ("inputs", c_uint32),
        ("target_count", c_uint32),
        ("kind", c_int32),
        ("points", c_void_p),
        ("inputs_of", c_void_p),
        ("targets", c_void_p),
        ("low", c_void_p),
        ("high", c_void_p),
    ]


class NetOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("inputs", c_uint32),
        ("outputs", c_uint32),
        ("hidden", c_void_p),
        ("hidden_count", c_uint32),
        ("activation", c_int32),
        ("activations", c_void_p),
        ("output", c_int32),
        ("rule", c_int32),
        ("seed", c_uint64),
        ("zero_start", c_int32),
        ("reserved", c_int32),
        ("allocator", c_void_p),
        ("byte_budget", c_uint64),
    ]


class NetInfo(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("inputs", c_uint32),
        ("outputs", c_uint32),
        ("layers", c_uint32),
        ("rule", c_int32),
        ("parameters", c_uint64),
        ("epochs", c_uint64),
        ("updates", c_uint64),
        ("dead", c_uint64),
    ]


class NetLayerView(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("inputs", c_uint32),
        ("outputs", c_uint32),
        ("activation", c_int32),
        ("reserved", c_int32),
        ("weights", c_void_p),
        ("biases", c_void_p),
        ("dead", c_void_p),
    ]


class NetTrainOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("epochs", c_uint64),
        ("train_losses", c_void_p),
        ("test_losses", c_void_p),
        ("progress", ProgressFn),
        ("progress_user", c_void_p),
        ("cancel", c_void_p),
    ]


class NetPlaneOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("resolution", c_uint32),
        ("column_x", c_uint32),
        ("column_y", c_uint32),
        ("discretise", c_int32),
    ]


class NetSvgOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("title", c_char_p),
        ("discretise", c_int32),
        ("show_test", c_int32),
        ("train_losses", c_void_p),
        ("test_losses", c_void_p),
        ("loss_count", c_size_t),
        ("column_x", c_uint32),
        ("column_y", c_uint32),
    ]


class TrainerOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("optimizer", c_int32),
        ("schedule", c_int32),
        ("learning_rate", c_double),
        ("last_rate", c_double),
        ("beta1", c_double),
        ("beta2", c_double),
        ("epsilon", c_double),
        ("momentum", c_double),
        ("weight_decay", c_double),
        ("vector_decay", c_double),
        ("clip", c_double),
        ("steps", c_uint64),
        ("warmup", c_uint64),
        ("decay", c_uint64),
        ("pool", c_void_p),
        ("allocator", c_void_p),
        ("byte_budget", c_uint64),
        ("muon_momentum", c_double),
        ("muon_scale", c_double),
    ]


class NewModelOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("seed", c_uint64),
        ("tokenizer", c_char_p),
        ("allocator", c_void_p),
        ("byte_budget", c_uint64),
    ]


class TrainBatch(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("tokens", c_void_p),
        ("rows", c_size_t),
        ("length", c_size_t),
        ("mask", c_void_p),
    ]


class TrainResult(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("step", c_uint64),
        ("loss", c_double),
        ("gradient_norm", c_double),
        ("learning_rate", c_double),
        ("targets", c_uint64),
    ]


class TrainedTensor(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("data", c_void_p),
        ("count", c_uint64),
        ("dims", c_uint32),
        ("reserved", c_uint32),
        ("shape", c_uint64 * 8),
    ]


# ---- Functions: name, result, arguments -----------------------------------------------------------------------------

_error = POINTER(Error)
_out = POINTER(c_void_p)
_size_out = POINTER(c_size_t)
_ids = POINTER(c_int32)
_doubles = POINTER(c_double)

_SIGNATURES: List[Any] = [
    ("tfm_version", c_char_p, []),
    ("tfm_abi_version", c_uint32, []),
    ("tfm_capability", c_int32, [c_char_p]),
    ("tfm_status_name", c_char_p, [c_int32]),
    ("tfm_status_text", c_char_p, [c_int32]),
    ("tfm_cancel_create", c_int32, [c_void_p, _out, _error]),
    ("tfm_cancel_destroy", None, [c_void_p]),
    ("tfm_cancel_set", None, [c_void_p]),
    ("tfm_cancel_reset", None, [c_void_p]),
    ("tfm_cancel_is_set", c_int32, [c_void_p]),
    ("tfm_pool_create", c_int32, [POINTER(PoolOptions), _out, _error]),
    ("tfm_pool_destroy", None, [c_void_p]),
    ("tfm_pool_threads", c_uint32, [c_void_p]),
    ("tfm_tokenizer_load", c_int32, [c_char_p, POINTER(TokenizerOptions), _out, _error]),
    ("tfm_tokenizer_load_memory", c_int32, [c_char_p, c_size_t, POINTER(TokenizerOptions), _out, _error]),
    ("tfm_tokenizer_release", None, [c_void_p]),
    ("tfm_tokenizer_get_info", c_int32, [c_void_p, POINTER(TokenizerInfo), _error]),
    ("tfm_tokenize", c_int32, [c_void_p, c_char_p, c_size_t, POINTER(TokenizeOptions), _ids, c_size_t, _size_out, _error]),
    ("tfm_count_tokens", c_int32, [c_void_p, c_char_p, c_size_t, POINTER(TokenizeOptions), _size_out, _error]),
    ("tfm_detokenize", c_int32,
     [c_void_p, _ids, c_size_t, POINTER(DetokenizeOptions), c_void_p, c_size_t, _size_out, _error]),
    ("tfm_token_bytes", c_int32, [c_void_p, c_int32, _out, _size_out, _error]),
    ("tfm_token_kind", c_int32, [c_void_p, c_int32]),
    ("tfm_token_find", c_int32, [c_void_p, c_char_p, c_size_t]),
    ("tfm_decoder_create", c_int32, [c_void_p, POINTER(DetokenizeOptions), _out, _error]),
    ("tfm_decoder_push", c_int32, [c_void_p, c_int32, _out, _size_out, _error]),
    ("tfm_decoder_finish", c_int32, [c_void_p, _out, _size_out, _error]),
    ("tfm_decoder_destroy", None, [c_void_p]),
    ("tfm_encoder_create", c_int32, [c_void_p, POINTER(TokenizeOptions), _out, _error]),
    ("tfm_encoder_push", c_int32, [c_void_p, c_char_p, c_size_t, _out, _size_out, _error]),
    ("tfm_encoder_finish", c_int32, [c_void_p, _out, _size_out, _error]),
    ("tfm_encoder_destroy", None, [c_void_p]),
    ("tfm_tokenize_batch", c_int32, [c_void_p, c_void_p, c_size_t, POINTER(BatchOptions), _out, _error]),
    ("tfm_encoding_destroy", None, [c_void_p]),
    ("tfm_encoding_ids", c_int32, [c_void_p, _out, _out, _size_out, _error]),
    ("tfm_encoding_get", c_int32, [c_void_p, POINTER(EncodingView), _error]),
    ("tfm_tokenizer_train", c_int32, [POINTER(c_char_p), c_size_t, POINTER(TokenizerTrainOptions), _out, _error]),
    ("tfm_tokenizer_train_text", c_int32, [TextFn, c_void_p, POINTER(TokenizerTrainOptions), _out, _error]),
    ("tfm_tokenizer_save", c_int32, [c_void_p, c_char_p, c_int32, _error]),
    ("tfm_tokenizer_write", c_int32, [c_void_p, c_int32, WriteFn, c_void_p, _error]),
    ("tfm_model_load", c_int32, [c_char_p, POINTER(ModelOptions), _out, _error]),
    ("tfm_model_load_memory", c_int32, [c_char_p, c_size_t, POINTER(ModelOptions), _out, _error]),
    ("tfm_model_retain", None, [c_void_p]),
    ("tfm_model_release", None, [c_void_p]),
    ("tfm_model_get_info", c_int32, [c_void_p, POINTER(ModelInfo), _error]),
    ("tfm_tokenizer_of", c_void_p, [c_void_p]),
    ("tfm_source_tokenizer_of", c_void_p, [c_void_p]),
    ("tfm_model_bytes", c_uint64, [c_void_p]),
    ("tfm_model_tensor_count", c_size_t, [c_void_p]),
    (
        "tfm_model_matrix",
        c_int32,
        [c_void_p, c_int32, c_size_t, c_size_t, POINTER(c_float), POINTER(c_size_t), POINTER(c_size_t), _error],
    ),
    ("tfm_model_tensor", c_int32, [c_void_p, c_size_t, POINTER(TensorInfo), _error]),
    ("tfm_model_tensor_read", c_int32, [c_void_p, c_size_t, c_uint64, c_size_t, c_void_p, _error]),
    ("tfm_token_embedding", c_int32, [c_void_p, c_int32, c_int32, c_void_p, c_size_t, _size_out, _error]),
    ("tfm_session_create", c_int32, [c_void_p, POINTER(SessionOptions), _out, _error]),
    ("tfm_session_destroy", None, [c_void_p]),
    ("tfm_forward_many", c_int32, [POINTER(ForwardPart), c_size_t, POINTER(ForwardOptions), _error]),
    ("tfm_forward", c_int32, [c_void_p, _ids, c_size_t, POINTER(ForwardOptions), _error]),
    ("tfm_logits", c_int32, [c_void_p, c_size_t, _out, _size_out, _error]),
    ("tfm_logits_count", c_size_t, [c_void_p]),
    ("tfm_session_position", c_size_t, [c_void_p]),
    ("tfm_session_tokens", _ids, [c_void_p]),
    ("tfm_session_context", c_size_t, [c_void_p]),
    ("tfm_session_rewind", c_int32, [c_void_p, c_size_t, _error]),
    ("tfm_session_fork", c_int32, [c_void_p, _out, _error]),
    ("tfm_adapter_load", c_int32, [c_void_p, c_char_p, _out, _error]),
    ("tfm_adapter_release", None, [c_void_p]),
    ("tfm_adapter_get_info", c_int32, [c_void_p, POINTER(AdapterInfo), _error]),
    ("tfm_session_adapt", c_int32, [c_void_p, POINTER(AdapterUse), c_size_t, _error]),
    ("tfm_adapter_merge", c_int32, [c_void_p, POINTER(AdapterUse), c_size_t, _out, _error]),
    ("tfm_inspect", c_int32, [c_void_p, POINTER(InspectOptions), InspectFn, c_void_p, _out, _error]),
    ("tfm_inspector_destroy", None, [c_void_p]),
    ("tfm_sampler_create", c_int32, [c_void_p, _out, _error]),
    ("tfm_sampler_destroy", None, [c_void_p]),
    ("tfm_sampler_set_f64", c_int32, [c_void_p, c_int32, c_double, _error]),
    ("tfm_sampler_set_u64", c_int32, [c_void_p, c_int32, c_uint64, _error]),
    ("tfm_sampler_get_f64", c_int32, [c_void_p, c_int32, POINTER(c_double), _error]),
    ("tfm_sampler_get_u64", c_int32, [c_void_p, c_int32, POINTER(c_uint64), _error]),
    ("tfm_sample_next", c_int32, [c_void_p, c_void_p, POINTER(c_int32), _error]),
    ("tfm_top_candidates", c_int32, [c_void_p, POINTER(Candidate), c_size_t, _size_out, _error]),
    ("tfm_token_probability", c_int32, [c_void_p, c_int32, POINTER(c_double), _error]),
    ("tfm_generation_begin", c_int32,
     [c_void_p, c_void_p, c_char_p, c_size_t, POINTER(GenerateOptions), _out, _error]),
    ("tfm_generation_next", c_int32, [c_void_p, POINTER(TokenEvent), _error]),
    ("tfm_generation_end", None, [c_void_p, POINTER(GenerationSummary)]),
    ("tfm_encode", c_int32, [c_void_p, POINTER(EncodeRow), c_size_t, POINTER(EncodeOptions), _out, _error]),
    ("tfm_encoded_release", None, [c_void_p]),
    ("tfm_encoded_get", c_int32, [c_void_p, POINTER(EncodedView), _error]),
    ("tfm_encoded_layer", c_int32, [c_void_p, c_size_t, _out, _error]),
    ("tfm_encoded_logits", c_int32, [c_void_p, c_size_t, c_size_t, c_void_p, c_size_t, _error]),
    ("tfm_embed", c_int32,
     [c_void_p, POINTER(TextInput), c_size_t, POINTER(EmbedOptions), c_void_p, c_size_t, _size_out, _error]),
    ("tfm_embed_tokens", c_int32,
     [c_void_p, POINTER(EncodeRow), c_size_t, POINTER(EmbedOptions), c_void_p, c_size_t, _size_out, _error]),
    ("tfm_model_label", c_int32, [c_void_p, c_size_t, c_char_p, c_size_t, _size_out, _error]),
    ("tfm_classify", c_int32,
     [c_void_p, POINTER(TextInput), c_size_t, c_size_t, c_void_p, c_size_t, _size_out, _error]),
    ("tfm_quantize", c_int32,
     [c_char_p, c_char_p, c_char_p, POINTER(QuantizeOptions), POINTER(QuantizeResult), _error]),
    ("tfm_quantize_type", c_char_p, [c_size_t]),
    ("tfm_imatrix_measure", c_int32,
     [c_void_p, _ids, c_size_t, c_char_p, POINTER(ImatrixOptions), _error]),
    ("tfm_beam_search", c_int32,
     [c_void_p, _ids, c_size_t, POINTER(BeamOptions), _out, _error]),
    ("tfm_beams_count", c_size_t, [c_void_p]),
    ("tfm_beams_get", c_int32, [c_void_p, c_size_t, POINTER(HypothesisView), _error]),
    ("tfm_beams_destroy", None, [c_void_p]),
    ("tfm_score", c_int32,
     [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, POINTER(ScoreOptions), POINTER(TokenScore), c_size_t,
      POINTER(ScoreResult), _error]),
    ("tfm_score_tokens", c_int32,
     [c_void_p, _ids, c_size_t, c_size_t, POINTER(ScoreOptions), POINTER(TokenScore), _error]),
    ("tfm_score_phrase", c_int32,
     [c_void_p, c_char_p, c_size_t, POINTER(PhraseOptions), POINTER(PhraseResult), _error]),
    ("tfm_perplexity", c_int32,
     [c_void_p, _ids, c_size_t, POINTER(PerplexityOptions), POINTER(PerplexityResult), _error]),
    ("tfm_model_write_new", c_int32, [c_char_p, POINTER(NewModelOptions), c_char_p, _error]),
    ("tfm_trainer_create", c_int32, [c_void_p, POINTER(TrainerOptions), _out, _error]),
    ("tfm_trainer_destroy", None, [c_void_p]),
    ("tfm_trainer_step", c_int32,
     [c_void_p, POINTER(TrainBatch), c_size_t, POINTER(TrainResult), _error]),
    ("tfm_trainer_evaluate", c_int32,
     [c_void_p, POINTER(TrainBatch), c_size_t, POINTER(TrainResult), _error]),
    ("tfm_trainer_watch", None, [c_void_p, ProgressFn, c_void_p, c_void_p]),
    ("tfm_trainer_set_rate", c_int32, [c_void_p, c_double, _error]),
    ("tfm_trainer_model", c_void_p, [c_void_p]),
    ("tfm_trainer_steps", c_uint64, [c_void_p]),
    ("tfm_trainer_tensor_count", c_size_t, [c_void_p]),
    ("tfm_trainer_tensor", c_int32, [c_void_p, c_size_t, c_int32, POINTER(TrainedTensor), _error]),
    ("tfm_trainer_find", c_int32, [c_void_p, c_char_p, c_int32, POINTER(TrainedTensor), _error]),
    ("tfm_trainer_save", c_int32, [c_void_p, c_char_p, _error]),
    ("tfm_trainer_checkpoint", c_int32, [c_void_p, c_char_p, _error]),
    ("tfm_trainer_resume", c_int32, [c_void_p, c_char_p, _error]),
    ("tfm_net_data_generate", c_int32, [POINTER(NetDataOptions), _out, _error]),
    ("tfm_net_data_from_rows", c_int32,
     [_doubles, _doubles, c_size_t, c_size_t, POINTER(NetDataOptions), _out, _error]),
    ("tfm_net_data_from_csv", c_int32, [c_char_p, c_size_t, c_char_p, POINTER(NetDataOptions), _out, _error]),
    ("tfm_net_data_load", c_int32, [c_char_p, POINTER(NetDataOptions), _out, _error]),
    ("tfm_net_data_destroy", None, [c_void_p]),
    ("tfm_net_data_get", c_int32, [c_void_p, POINTER(NetDataView), _error]),
    ("tfm_net_data_input_name", c_char_p, [c_void_p, c_uint32]),
    ("tfm_net_data_inputs", c_int32, [c_void_p, _doubles, c_size_t, _doubles, _error]),
    ("tfm_net_create", c_int32, [POINTER(NetOptions), _out, _error]),
    ("tfm_net_destroy", None, [c_void_p]),
    ("tfm_net_set_f64", c_int32, [c_void_p, c_int32, c_double, _error]),
    ("tfm_net_set_u64", c_int32, [c_void_p, c_int32, c_uint64, _error]),
    ("tfm_net_get_f64", c_int32, [c_void_p, c_int32, _doubles, _error]),
    ("tfm_net_get_u64", c_int32, [c_void_p, c_int32, POINTER(c_uint64), _error]),
    ("tfm_net_reset", c_int32, [c_void_p, c_uint64, _error]),
    ("tfm_net_get_info", c_int32, [c_void_p, POINTER(NetInfo), _error]),
    ("tfm_net_get_layer", c_int32, [c_void_p, c_int32, POINTER(NetLayerView), _error]),
    ("tfm_net_set_layer", c_int32, [c_void_p, c_int32, _doubles, _doubles, _error]),
    ("tfm_net_run", c_int32, [c_void_p, c_int32, _doubles, c_size_t, _doubles, _error]),
    ("tfm_net_train", c_int32, [c_void_p, c_void_p, POINTER(NetTrainOptions), _error]),
    ("tfm_net_measure", c_int32, [c_void_p, c_void_p, c_int32, _doubles, _doubles, _error]),
    ("tfm_net_plane", c_int32, [c_void_p, c_void_p, c_int32, POINTER(NetPlaneOptions), _doubles, _error]),
    ("tfm_net_svg", c_int32, [c_void_p, c_void_p, POINTER(NetSvgOptions), WriteFn, c_void_p, _error]),
]

# ---- Loading --------------------------------------------------------------------------------------------------------


def _candidates() -> List[str]:
    given = os.environ.get("TFM_LIBRARY")
    if given:
        return [given]
    here = Path(__file__).resolve().parent
    bundled = [here / name for name in ("libtfm.so", "libtfm.dylib", "tfm.dll")]
    system = {"win32": "tfm.dll", "darwin": f"libtfm.{ABI}.dylib"}.get(sys.platform, f"libtfm.so.{ABI}")
    return [str(path) for path in bundled if path.is_file()] + [system, ctypes.util.find_library("tfm") or system]


def _load() -> ctypes.CDLL:
    reasons: List[str] = []
    for name in _candidates():
        try:
            library = ctypes.CDLL(name)
        except OSError as error:
            reasons.append(str(error))
            continue
        library.tfm_abi_version.restype = c_uint32
        found = library.tfm_abi_version()
        if found != ABI:
            raise ImportError(f"{name} has binary interface {found}, this package needs {ABI}")
        for function, result, arguments in _SIGNATURES:
            bound = getattr(library, function)
            bound.restype = result
            bound.argtypes = arguments
        return library
    raise ImportError("libtfm was not found (TFM_LIBRARY may name it): " + "; ".join(dict.fromkeys(reasons)))


lib: ctypes.CDLL = _load()
