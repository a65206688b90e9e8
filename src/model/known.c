/* known.c - shapes of models that people speak of, each as the config.json that describes it. Read by the
 * same code as any other; tests hold the counts to the published ones.
 *
 * Sources: Radford et al. 2019 (GPT-2), Brown et al. 2020, table 2.1 (GPT-3; its vocabulary and learned
 * positions are GPT-2's, and that half of its layers attend sparsely changes no parameter), Touvron et al.
 * 2023a and b (Llama), Grattafiori et al. 2024 (Llama 3), Jiang et al. 2023 and 2024 (Mistral, Mixtral). */
#include "model/shape.h"

#define GPT2(layers, width, heads)                                                                           \
    "{\"model_type\":\"gpt2\",\"n_layer\":" #layers ",\"n_embd\":" #width ",\"n_head\":" #heads              \
    ",\"n_positions\":1024,\"vocab_size\":50257,\"activation_function\":\"gelu_new\"}"
#define GPT3(layers, width, heads)                                                                           \
    "{\"model_type\":\"gpt2\",\"n_layer\":" #layers ",\"n_embd\":" #width ",\"n_head\":" #heads              \
    ",\"n_positions\":2048,\"vocab_size\":50257,\"activation_function\":\"gelu_new\"}"
#define LLAMA(type, layers, width, heads, kv, wide, vocabulary, positions)                                   \
    "{\"model_type\":\"" type "\",\"num_hidden_layers\":" #layers ",\"hidden_size\":" #width                 \
    ",\"num_attention_heads\":" #heads ",\"num_key_value_heads\":" #kv ",\"intermediate_size\":" #wide       \
    ",\"vocab_size\":" #vocabulary ",\"max_position_embeddings\":" #positions                                \
    ",\"rms_norm_eps\":1e-5,\"hidden_act\":\"silu\",\"tie_word_embeddings\":false"
#define PLAIN(...) LLAMA("llama", __VA_ARGS__) "}"

static const struct {
    const char *name, *config;
} known[] = {
    {"gpt2", GPT2(12, 768, 12)},
    {"gpt2-medium", GPT2(24, 1024, 16)},
    {"gpt2-large", GPT2(36, 1280, 20)},
    {"gpt2-xl", GPT2(48, 1600, 25)},
    {"gpt-3-small", GPT3(12, 768, 12)},
    {"gpt-3-medium", GPT3(24, 1024, 16)},
    {"gpt-3-large", GPT3(24, 1536, 16)},
    {"gpt-3-2.7b", GPT3(32, 2560, 32)},
    {"gpt-3-6.7b", GPT3(32, 4096, 32)},
    {"gpt-3-13b", GPT3(40, 5120, 40)},
    {"gpt-3", GPT3(96, 12288, 96)},
    {"gpt-3-175b", GPT3(96, 12288, 96)},
    {"llama-7b", PLAIN(32, 4096, 32, 32, 11008, 32000, 2048)},
    {"llama-13b", PLAIN(40, 5120, 40, 40, 13824, 32000, 2048)},
    {"llama-33b", PLAIN(60, 6656, 52, 52, 17920, 32000, 2048)},
    {"llama-65b", PLAIN(80, 8192, 64, 64, 22016, 32000, 2048)},
    {"llama-2-7b", PLAIN(32, 4096, 32, 32, 11008, 32000, 4096)},
    {"llama-2-13b", PLAIN(40, 5120, 40, 40, 13824, 32000, 4096)},
    {"llama-2-70b", PLAIN(80, 8192, 64, 8, 28672, 32000, 4096)},
    {"llama-3-8b", PLAIN(32, 4096, 32, 8, 14336, 128256, 8192)},
    {"llama-3-70b", PLAIN(80, 8192, 64, 8, 28672, 128256, 8192)},
    {"llama-3-405b", PLAIN(126, 16384, 128, 8, 53248, 128256, 131072)},
    {"mistral-7b", LLAMA("mistral", 32, 4096, 32, 8, 14336, 32000, 32768) ",\"sliding_window\":4096}"},
    {"mixtral-8x7b", LLAMA("mixtral", 32, 4096, 32, 8, 14336, 32000,
                           32768) ",\"num_local_experts\":8,\"num_experts_per_tok\":2}"},
};

const char *tfm__known_name(size_t index) { return index < TFM__COUNT(known) ? known[index].name : NULL; }
const char *tfm__known_config(size_t index) { return index < TFM__COUNT(known) ? known[index].config : NULL; }
