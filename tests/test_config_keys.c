/* test_config_keys.c - settings of a config.json that change what is computed: those that a family does not
 * know are refused by name and value, those that are off or mean nothing are not. On the small models of
 * tests/data/families, each of which loads as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "families_help.h"
#include "tfm/tfm.h"

static const char *const every[] = {
    "llama",     "llama-linear", "llama-yarn", "llama3-rope", "mistral",     "mixtral", "qwen2",
    "qwen2-moe", "qwen3",        "qwen3-moe",  "gemma",       "gemma2",      "gemma3",  "phi",
    "phi3",      "gpt2",         "gpt-neo",    "gpt-neox",    "gptj",        "opt",     "bloom",
    "mpt",       "falcon",       "falcon-new", "starcoder2",  "stablelm",    "olmo",    "olmo2",
    "olmoe",     "cohere",       "cohere2",    "granite",     "smollm3",     "glm4",    "nemotron",
    "exaone4",   "ernie4_5",     "arcee",      "deepseek-v2", "deepseek-v3", "gpt-oss", "bert",
    "bert-mlm",  "roberta",      "distilbert", "modernbert",  "mpnet",       "t5",      "t5-gated",
    "marian",    "bart",         "m2m100",     "pegasus"};

/* Loads a family whose config.json begins with a member more (the first of two of one name counts). */
static int32_t load_with(const char *family, const char *member, tfm_error *error) {
    char path[512];
    tfm_model *model = NULL;
    folder f;
    snprintf(path, sizeof path, "%s/families/%s", TFM_TEST_DATA, family);
    family_files files = family_make(path);
    size_t more = strlen(member) + 1;
    char *brace = memchr(files.config, '{', files.config_size),
         *config = malloc(files.config_size + more + 1);
    assert_non_null(brace);
    assert_non_null(config);
    size_t head = (size_t)(brace - files.config) + 1;
    memcpy(config, files.config, head);
    snprintf(config + head, more + 1, "%s,", member);
    memcpy(config + head + more, brace + 1, files.config_size - head);
    free(files.config);
    files.config = config;
    files.config_size += more;
    family_folder(&files, &f);
    tfm_source source = folder_source(&f.files[0]);
    int32_t status = tfm_model_load_source(&source, NULL, &model, error);
    tfm_model_release(model);
    assert_int_equal(f.open, 0);
    family_free(&files);
    return status;
}

static void refused(const char *family, const char *key, const char *value) {
    char member[256];
    tfm_error error = TFM_ERROR_INIT;
    snprintf(member, sizeof member, "\"%s\": %s", key, value);
    int32_t status = load_with(family, member, &error);
    if (status != TFM_E_UNSUPPORTED || !strstr(error.message, key) || !strstr(error.message, value))
        fail_msg("%s with %s: status %d, '%s'", family, member, (int)status, error.message);
}

static void accepted(const char *family, const char *member) {
    tfm_error error = TFM_ERROR_INIT;
    if (load_with(family, member, &error)) fail_msg("%s with %s: %s", family, member, error.message);
}

/* ---- By name and value ---- */

static void test_refused(void **state) {
    static const struct {
        const char *family, *key, *value;
    } cases[] = {
        {"olmo2", "sliding_window", "4096"},
        {"llama", "attention_chunk_size", "8192"},
        {"olmo2", "layer_types", "[\"full_attention\", \"linear_attention\"]"},
        {"llama", "no_rope_layers", "[1, 0]"},
        {"llama", "qk_layernorm", "true"},
        {"llama", "is_causal", "false"},
        {"llama", "query_pre_attn_scalar", "256"},
        {"llama", "rope_local_base_freq", "10000.0"},
        {"llama", "scale_embedding", "true"},
        {"llama", "scale_emb", "12"},
        {"llama", "quantization", "{\"bits\": 4}"},
        {"mistral", "sliding_window_pattern", "6"},
        {"mistral", "attn_temperature_tuning", "true"},
        {"qwen2", "kv_lora_rank", "512"},
        {"qwen2", "use_qk_norm", "true"},
        {"qwen2", "dual_chunk_attention_config", "{\"chunk_size\": 262144}"},
        {"qwen3-moe", "scoring_func", "\"sigmoid\""},
        {"mixtral", "moe_router_logit_softcapping", "30.0"},
        {"gemma2", "sliding_window_pattern", "6"},
        {"gemma2", "hidden_size_per_layer_input", "256"},
        {"gemma3", "num_kv_shared_layers", "10"},
        {"gemma3", "activation_sparsity_pattern", "[0.95, 0.0]"},
        {"granite", "shared_intermediate_size", "1024"},
        {"granite", "position_embedding_type", "\"nope\""},
        {"falcon", "mamba_d_state", "256"},
        {"falcon", "key_multiplier", "0.5"},
        {"gpt2", "add_cross_attention", "true"},
        {"gpt2", "position_embedding_type", "\"relative_key\""},
        {"opt", "do_layer_norm_before", "false"},
        {"llama", "do_layer_norm_before", "false"},
        {"bloom", "apply_residual_connection_post_layernorm", "true"},
        {"deepseek-v2", "topk_method", "\"noaux_tc\""},
        {"deepseek-v3", "index_topk", "2048"},
        {"gpt-oss", "num_shared_experts", "1"},
        {"cohere2", "qk_layernorm", "true"},
        {"stablelm", "qk_layernorm", "true"},
        {"bert", "position_embedding_type", "\"relative_key_query\""},
        {"distilbert", "relative_attention", "true"},
        {"modernbert", "attention_window", "[512, 512]"},
        {"mpnet", "relative_attention_max_distance", "64"},
        {"bart", "scale_decoder_outputs", "true"},
        {"t5", "feed_forward_proj", "\"gated-tanh\""},
        {"marian", "normalize_before", "true"},
        {"m2m100", "relative_attention_num_buckets", "32"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(cases[i].family, cases[i].key, cases[i].value);
}

/* A family that reads the kinds of its layers names the one that it has not. */
static void test_layers(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    assert_int_equal(
        load_with("qwen3", "\"layer_types\": [\"full_attention\", \"linear_attention\"]", &error),
        TFM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "layer_types"));
    assert_non_null(strstr(error.message, "\"linear_attention\""));
}

/* MPT's settings are members of an object. */
static void test_members(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    assert_int_equal(load_with("mpt", "\"attn_config\": {\"alibi\": true, \"prefix_lm\": true}", &error),
                     TFM_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "attn_config.prefix_lm"));
    assert_non_null(strstr(error.message, "true"));
    accepted("mpt",
             "\"attn_config\": {\"alibi\": true, \"prefix_lm\": false, \"sliding_window_size\": -1.0}");
}

/* ---- What is off, and what means nothing ---- */

static void test_accepted(void **state) {
    static const char *const members[] = {
        "\"attention_chunk_size\": null",
        "\"attention_chunk_size\": 0",
        "\"attention_chunk_size\": 0.0",
        "\"qk_norm\": false",
        "\"scale_emb\": 1.0",
        "\"scale_emb\": 1",
        "\"mlp_multipliers\": [1.0, 1]",
        "\"cross_attention_layers\": []",
        "\"dual_chunk_attention_config\": {}",
        "\"position_embedding_type\": \"absolute\"",
        "\"router_aux_loss_coef\": 0.5, \"attention_dropout\": 0.5, \"initializer_range\": 7, \"use_cache\": "
        "3",
        "\"somebodys_own_note\": {\"a\": [1, 2]}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        accepted("llama", members[i]);
        accepted("modernbert", members[i]);
        accepted("t5", members[i]);
    }
    accepted("llama", "\"no_rope_layers\": [1, 1, 1, 1, 1]");
    accepted("olmo2", "\"layer_types\": [\"full_attention\", \"full_attention\"]");
    accepted("modernbert", "\"is_causal\": false");
    accepted("cohere2", "\"position_embedding_type\": \"rope_gptj\"");
}

/* Every family loads as it is, and none takes a key that no family knows. */
static void test_every_family(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
        accepted(every[i], "\"somebodys_own_note\": true");
        refused(every[i], "attention_chunk_size", "64");
        refused(every[i], "altup_num_inputs", "4");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_layers),       cmocka_unit_test(test_members),
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_every_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
