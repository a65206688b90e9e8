#!/usr/bin/env python3
"""Tiny encoders with random weights, one for each kind of head, and what PyTorch computes on them.

    python3 make.py            # writes a folder per model beside this file

Each folder has config.json and model.safetensors as transformers saves them, and golden.safetensors: input_ids and types
[2, 11], lengths [2] (how many tokens of each row count), logits of each row or token that counts, one behind the other,
and hidden, the last states likewise. Made with torch 2.15 and transformers 5.24, float32, eager attention."""
import pathlib

import torch
import transformers as tf
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
VOCAB, T = 40, 11
SIZE = dict(vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
            max_position_embeddings=20)
LENGTHS = [11, 7]

MODELS = {
    "bert-labels": (tf.BertForSequenceClassification, tf.BertConfig(**SIZE, num_labels=3, type_vocab_size=2)),
    "bert-tags": (tf.BertForTokenClassification, tf.BertConfig(**SIZE, num_labels=5, type_vocab_size=3)),
    "bert-spans": (tf.BertForQuestionAnswering, tf.BertConfig(**SIZE)),
    "bert-next": (tf.BertForNextSentencePrediction, tf.BertConfig(**SIZE)),
    "bert-untied": (tf.BertForMaskedLM, tf.BertConfig(**SIZE, tie_word_embeddings=False, hidden_act="relu")),
    "roberta-masked": (tf.RobertaForMaskedLM, tf.RobertaConfig(**SIZE, type_vocab_size=1, pad_token_id=1)),
    "roberta-score": (tf.RobertaForSequenceClassification,
                      tf.RobertaConfig(**SIZE, type_vocab_size=1, pad_token_id=1, num_labels=1)),
    "roberta-tags": (tf.RobertaForTokenClassification,
                     tf.RobertaConfig(**SIZE, type_vocab_size=1, pad_token_id=1, num_labels=4)),
    "distilbert-masked": (tf.DistilBertForMaskedLM,
                          tf.DistilBertConfig(vocab_size=VOCAB, dim=16, n_layers=1, n_heads=2, hidden_dim=24,
                                              max_position_embeddings=20)),
    "distilbert-labels": (tf.DistilBertForSequenceClassification,
                          tf.DistilBertConfig(vocab_size=VOCAB, dim=16, n_layers=1, n_heads=2, hidden_dim=24,
                                              max_position_embeddings=20, num_labels=2)),
    "mpnet-masked": (tf.MPNetForMaskedLM, tf.MPNetConfig(**SIZE)),
    "mpnet-labels": (tf.MPNetForSequenceClassification, tf.MPNetConfig(**SIZE, num_labels=2)),
    "modernbert-masked": (tf.ModernBertForMaskedLM,
                          tf.ModernBertConfig(**{**SIZE, "num_hidden_layers": 3}, local_attention=4,
                                              global_attn_every_n_layers=2, norm_bias=True, mlp_bias=True,
                                              attention_bias=True, pad_token_id=0)),
    "modernbert-labels": (tf.ModernBertForSequenceClassification,
                          tf.ModernBertConfig(**{**SIZE, "num_hidden_layers": 2}, local_attention=4,
                                              classifier_pooling="mean", num_labels=3, classifier_bias=True,
                                              pad_token_id=0)),
    "modernbert-tags": (tf.ModernBertForTokenClassification,
                        tf.ModernBertConfig(**SIZE, local_attention=4, num_labels=3, pad_token_id=0)),
    "gemma3-both": (tf.Gemma3TextModel,
                    tf.Gemma3TextConfig(**{**SIZE, "num_hidden_layers": 4}, num_key_value_heads=1, head_dim=8,
                                        sliding_window=4, sliding_window_pattern=2, query_pre_attn_scalar=8,
                                        use_bidirectional_attention=True, pad_token_id=0, eos_token_id=1,
                                        bos_token_id=2)),
}


def write_gemma_gguf(model, config, path):
    """EmbeddingGemma as llama.cpp's converter writes it, with two dense layers behind the mean."""
    import gguf

    parts = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
             "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
             "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "post_attention_norm",
             "pre_feedforward_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "post_feedforward_layernorm": "post_ffw_norm"}
    writer = gguf.GGUFWriter(path, "gemma-embedding")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(1e6)
    writer.add_sliding_window(4)
    writer.add_sliding_window_pattern(2)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    for name, tensor in model.state_dict().items():
        stem = name[: -len(".weight")]
        values = tensor.numpy() + (1 if "norm" in name else 0)
        if stem.startswith("layers."):
            layer, part = stem[len("layers.") :].split(".", 1)
            stem = f"blk.{layer}.{parts[part]}"
        else:
            stem = {"embed_tokens": "token_embd", "norm": "output_norm"}[stem]
        writer.add_tensor(f"{stem}.weight", values)
    writer.add_tensor("dense_2.weight", (torch.randn(24, 16) * 0.3).numpy())
    writer.add_tensor("dense_3.weight", (torch.randn(10, 24) * 0.3).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_gguf(model, config, path):
    """A reranker as llama.cpp's converter writes it: positions without those in front of the first."""
    import gguf

    names = {"roberta.embeddings.word_embeddings": "token_embd", "roberta.embeddings.LayerNorm": "token_embd_norm",
             "roberta.embeddings.position_embeddings": "position_embd",
             "roberta.embeddings.token_type_embeddings": "token_types", "classifier.dense": "cls",
             "classifier.out_proj": "cls.output"}
    parts = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
             "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm",
             "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings - 2)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.CLS)
    for name, tensor in model.state_dict().items():
        stem, ending = name.rsplit(".", 1)
        if stem.startswith("roberta.encoder.layer."):
            layer, part = stem[len("roberta.encoder.layer.") :].split(".", 1)
            stem = f"blk.{layer}.{parts[part]}"
        elif stem in names:
            stem = names[stem]
        else:
            continue
        values = tensor.numpy()
        writer.add_tensor(f"{stem}.{ending}", values[2:] if stem == "position_embd" else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    for number, (name, (make, config)) in enumerate(MODELS.items()):
        torch.manual_seed(1000 + number)
        config._attn_implementation = "eager"
        model = make(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():  # large enough for every part to matter, biases too
                parameter.copy_(torch.randn_like(parameter) * 0.3 + (parameter.ndim == 1) * 0.4)
        model.tie_weights()
        folder = HERE / name
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)

        if name == "roberta-score":
            write_gguf(model, config, folder / "model.gguf")
        if name == "gemma3-both":
            write_gemma_gguf(model, config, folder / "model.gguf")
        pad = config.pad_token_id
        ids = torch.randint(2, VOCAB, (2, T))
        types = torch.zeros_like(ids)
        if getattr(config, "type_vocab_size", 1) > 1:
            types[0, 5:] = config.type_vocab_size - 1
        if pad == 1 and config.model_type != "modernbert":
            ids[0, 4] = pad  # padding in the middle: it has no place among the positions
        keep = torch.arange(T)[None, :] < torch.tensor(LENGTHS)[:, None]
        arguments = dict(input_ids=torch.where(keep, ids, pad), attention_mask=keep.long(), output_hidden_states=True)
        if config.model_type == "bert":
            arguments["token_type_ids"] = types
        with torch.no_grad():
            out = model(**arguments)
        tensors = {"input_ids": ids.int(), "types": types.int(), "lengths": torch.tensor(LENGTHS).int(),
                   "hidden": out.hidden_states[-1][keep].contiguous()}
        if "last_hidden_state" in out:  # no head
            save_file(tensors, folder / "golden.safetensors")
            continue
        logits = torch.stack((out.start_logits, out.end_logits), 2) if "start_logits" in out else out.logits
        if logits.ndim == 3:
            logits = logits[keep]
        save_file({**tensors, "logits": logits.contiguous()}, folder / "golden.safetensors")


if __name__ == "__main__":
    main()
