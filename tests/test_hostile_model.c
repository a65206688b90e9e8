/* test_hostile_model.c - damaged and absurd model files: each gives an error that names what is wrong, or a
 * model that runs without harm (a sanitizer watches); and no byte is lost. */
#include <math.h>

#include "formats/formats.h"
#include "tiny_model.h"

/* Opens bytes, uses the model if there is one, and gives the status of opening. */
static int32_t try_bytes(const uint8_t *data, size_t size, tfm_error *error) {
    tiny_memory memory = {0};
    tfm_allocator allocator = tiny_allocator(&memory);
    tfm_model_options options = TFM_MODEL_OPTIONS_INIT;
    tfm_model *model = (tfm_model *)&memory;
    tfm_session *session = NULL;
    *error = (tfm_error)TFM_ERROR_INIT;
    options.allocator = &allocator;
    options.byte_budget = (uint64_t)64 << 20; /* no small file may want this much */
    int32_t status = tfm_model_load_memory(data, size, &options, &model, error);
    if (status) {
        assert_null(model);
        assert_int_equal(error->code, status);
        assert_true(error->message[0] != 0);
        if (status == TFM_E_INTERNAL || status == TFM_E_BUDGET || status == TFM_E_MEMORY ||
            status == TFM_E_ARGUMENT)
            fail_msg("%s: %s", tfm_status_name(status), error->message);
        assert_int_equal(memory.out, 0);
        return status;
    }
    assert_int_equal(error->code, TFM_OK); /* a call that succeeds leaves it alone */
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    assert_int_equal(tfm_model_get_info(model, &info, NULL), TFM_OK);
    assert_int_equal(tfm_session_create(model, NULL, &session, NULL), TFM_OK);
    tfm_token ids[3] = {0, info.vocab_size / 2, info.vocab_size - 1}, token;
    size_t count = info.context < 3 ? (size_t)info.context : 3;
    int32_t used = tfm_forward(session, ids, count, NULL, NULL);
    if (!used && info.context > 3) used = tfm_forward(session, ids, 1, NULL, NULL);
    if (used) assert_int_equal(used, TFM_E_BUDGET); /* a context of a quarter of a billion, say */
    if (!used) {
        tfm_generate_options two = TFM_GENERATE_OPTIONS_INIT;
        two.max_tokens = 2;
        two.add_bos = TFM_NO;
        used = tfm_sample_next(session, NULL, &token, NULL);
        if (used) assert_int_equal(used, TFM_E_STATE); /* logits that are no numbers */
        used = tfm_generate(session, NULL, NULL, 0, &two, NULL, NULL, NULL, NULL);
        if (used) assert_int_equal(used, TFM_E_STATE);
    }
    tfm_session_destroy(session);
    tfm_model_release(model);
    assert_int_equal(memory.out, 0);
    return TFM_OK;
}

static int32_t try_spec(const tiny_spec *spec, tfm_error *error) {
    tiny_file file = tiny_make(spec);
    int32_t status = try_bytes(file.data, file.size, error);
    free(file.data);
    return status;
}

/* ---- Damage
 * --------------------------------------------------------------------------------------------------- */

static void damage(const tiny_spec *spec, size_t stride) {
    tiny_file file = tiny_make(spec);
    tfm_error error;
    static const uint8_t flips[] = {0xff, 0x01, 0x80};
    assert_int_equal(try_bytes(file.data, file.size, &error), TFM_OK);
    for (size_t at = 0; at < file.described; at += stride)
        for (size_t i = 0; i < TFM__COUNT(flips); i++) {
            file.data[at] ^= flips[i];
            try_bytes(file.data, file.size, &error);
            file.data[at] ^= flips[i];
        }
    for (size_t size = 1; size < file.size; size += size < file.described ? stride : 997) {
        uint8_t *cut = malloc(size); /* of its own, so that a read behind its end is seen */
        assert_non_null(cut);
        memcpy(cut, file.data, size);
        if (!try_bytes(cut, size, &error))
            fail_msg("cut to %zu of %zu bytes it still opens", size, file.size);
        free(cut);
    }
    free(file.data);
}

static void test_damage(void **state) {
    (void)state;
    damage(&(tiny_spec){.layers = 1, .no_tokenizer = true}, 1);
    damage(&(tiny_spec){.layers = 1, .no_tokenizer = true, .family = "gemma3", .window = 16}, 1);
    damage(&(tiny_spec){.layers = 1, .no_tokenizer = true, .family = "gpt2", .context = 16}, 1);
    damage(&(tiny_spec){.layers = 1}, 37);
}

/* Random bytes in place of the weights: infinities, numbers that are none, any scale. */
static void test_wild_weights(void **state) {
    (void)state;
    static const uint32_t types[] = {TFM__F32, TFM__F16, TFM__Q8_0};
    static const char *const families[] = {"llama", "gemma3", "gpt2"};
    for (size_t f = 0; f < TFM__COUNT(families); f++)
        for (size_t i = 0; i < TFM__COUNT(types); i++)
            for (uint64_t seed = 0; seed < 4; seed++) {
                tiny_file file = tiny_make(&(tiny_spec){
                    .family = families[f], .type = types[i], .window = f == 1 ? 8 : 0, .context = 64});
                tfm_error error;
                tfm__rng rng;
                tfm__rng_seed(&rng, seed);
                for (size_t at = file.described + 32; at < file.size; at++)
                    file.data[at] = (uint8_t)tfm__rng_u32(&rng);
                assert_int_equal(try_bytes(file.data, file.size, &error), TFM_OK);
                free(file.data);
            }
}

/* ---- Absurd descriptions
 * -------------------------------------------------------------------------------------- */

typedef struct absurd {
    const char *key;
    uint32_t type;
    double value;
    int32_t status;
} absurd;

static void test_descriptions(void **state) {
    (void)state;
    static const absurd cases[] = {
        {"block_count", TINY_U32, 0, TFM_E_FORMAT},
        {"block_count", TINY_U32, 1, TFM_OK},
        {"block_count", TINY_U32, 3, TFM_E_MISSING},
        {"block_count", TINY_U32, 4097, TFM_E_FORMAT},
        {"block_count", TINY_U32, 2147483648.0, TFM_E_FORMAT},
        {"block_count", TINY_U32, 4294967295.0, TFM_E_FORMAT},
        {"block_count", TINY_U64, 1e15, TFM_E_FORMAT},
        {"block_count", TINY_I32, -1, TFM_E_FORMAT},
        {"block_count", TINY_F32, 2, TFM_E_FORMAT},
        {"block_count", TINY_STRING, 0, TFM_E_FORMAT},
        {"embedding_length", TINY_U32, 0, TFM_E_FORMAT},
        {"embedding_length", TINY_U32, 40, TFM_E_SHAPE},
        {"embedding_length", TINY_U32, 2147483648.0, TFM_E_FORMAT},
        {"feed_forward_length", TINY_U32, 0, TFM_E_FORMAT},
        {"feed_forward_length", TINY_U32, 47, TFM_E_SHAPE},
        {"feed_forward_length", TINY_U32, 4294967295.0, TFM_E_FORMAT},
        {"attention.head_count", TINY_U32, 0, TFM_E_FORMAT},
        {"attention.head_count", TINY_U32, 3, TFM_E_FORMAT},
        {"attention.head_count", TINY_U32, 1, TFM_E_FORMAT}, /* fewer than key/value heads */
        {"attention.head_count", TINY_U32, 8, TFM_E_SHAPE},
        {"attention.head_count", TINY_U32, 4294967294.0, TFM_E_FORMAT},
        {"attention.head_count_kv", TINY_U32, 0, TFM_E_FORMAT},
        {"attention.head_count_kv", TINY_U32, 3, TFM_E_FORMAT},
        {"attention.head_count_kv", TINY_U32, 1, TFM_E_SHAPE},
        {"attention.head_count_kv", TINY_U32, 8, TFM_E_FORMAT},
        {"context_length", TINY_U32, 0, TFM_E_FORMAT},
        {"context_length", TINY_U32, 1, TFM_OK},
        {"context_length", TINY_U32, 268435456.0, TFM_OK},
        {"context_length", TINY_U32, 268435457.0, TFM_E_FORMAT},
        {"attention.layer_norm_rms_epsilon", TINY_F32, 0, TFM_OK},
        {"attention.layer_norm_rms_epsilon", TINY_F32, -1e-6, TFM_E_FORMAT},
        {"attention.layer_norm_rms_epsilon", TINY_F32, NAN, TFM_E_FORMAT},
        {"attention.layer_norm_rms_epsilon", TINY_F32, INFINITY, TFM_E_FORMAT},
        {"attention.layer_norm_rms_epsilon", TINY_F32, 1, TFM_E_FORMAT},
        {"attention.layer_norm_rms_epsilon", TINY_STRING, 0, TFM_E_FORMAT},
        {"rope.freq_base", TINY_F32, 0, TFM_E_FORMAT},
        {"rope.freq_base", TINY_F32, -10000, TFM_E_FORMAT},
        {"rope.freq_base", TINY_F32, NAN, TFM_E_FORMAT},
        {"rope.freq_base", TINY_F32, INFINITY, TFM_E_FORMAT},
        {"rope.dimension_count", TINY_U32, 0, TFM_E_FORMAT},
        {"rope.dimension_count", TINY_U32, 1, TFM_E_FORMAT},
        {"rope.dimension_count", TINY_U32, 3, TFM_E_FORMAT},
        {"rope.dimension_count", TINY_U32, 4, TFM_OK}, /* part of each head turns */
        {"rope.dimension_count", TINY_U32, 10, TFM_E_FORMAT},
        {"rope.dimension_count", TINY_U32, 4294967294.0, TFM_E_FORMAT},
        {"rope.scaling.factor", TINY_F32, 4, TFM_OK},
        {"rope.scaling.factor", TINY_F32, 0, TFM_E_FORMAT},
        {"rope.scaling.factor", TINY_F32, -2, TFM_E_FORMAT},
        {"rope.scaling.factor", TINY_F32, NAN, TFM_E_FORMAT},
        {"rope.scaling.type", TINY_STRING, 0, TFM_E_UNSUPPORTED},
        {"attention.key_length", TINY_U32, 0, TFM_E_FORMAT},
        {"attention.key_length", TINY_U32, 7, TFM_E_FORMAT},
        {"attention.key_length", TINY_U32, 16, TFM_E_SHAPE},
        {"attention.key_length", TINY_U32, 1026, TFM_E_FORMAT},
        {"attention.value_length", TINY_U32, 0, TFM_E_FORMAT},
        {"attention.value_length", TINY_U32, 4, TFM_E_SHAPE},
        {"attention.value_length", TINY_U32, 1048576, TFM_E_FORMAT},
        {"attention.scale", TINY_F32, NAN, TFM_E_FORMAT},
        {"attention.scale", TINY_F32, -INFINITY, TFM_E_FORMAT},
        {"final_logit_softcapping", TINY_F32, NAN, TFM_E_FORMAT},
        {"final_logit_softcapping", TINY_F32, 20, TFM_OK},
        {"general.alignment", TINY_U32, 0, TFM_E_FORMAT},
        {"general.alignment", TINY_U32, 3, TFM_E_FORMAT},
        {"general.alignment", TINY_U32, 2147483648.0, TFM_E_FORMAT},
    };
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        tfm_error error;
        tiny_spec spec = {.no_tokenizer = true,
                          .key = cases[i].key,
                          .key_type = cases[i].type,
                          .key_value = cases[i].value};
        int32_t status = try_spec(&spec, &error);
        if (status != cases[i].status)
            fail_msg("%s = %g: %s, expected %s (%s)", cases[i].key, cases[i].value, tfm_status_name(status),
                     tfm_status_name(cases[i].status), error.message);
    }
}

/* The same for what only other families read, or do not. */
static void test_other_families(void **state) {
    (void)state;
    static const struct {
        const char *family;
        absurd a;
    } cases[] = {
        {"gpt2", {"context_length", TINY_U32, 257, TFM_E_SHAPE}},           /* fewer learned positions */
        {"gpt2", {"rope.dimension_count", TINY_U32, 4294967294.0, TFM_OK}}, /* nothing turns */
        {"gpt2", {"rope.freq_base", TINY_F32, NAN, TFM_OK}},
        {"gpt2", {"attention.layer_norm_epsilon", TINY_F32, NAN, TFM_E_FORMAT}},
        {"gemma3", {"attention.sliding_window", TINY_U32, 0, TFM_OK}},
        {"gemma3", {"attention.sliding_window", TINY_U32, 1, TFM_OK}},
        {"gemma3", {"attention.sliding_window", TINY_U32, 4294967295.0, TFM_OK}},
        {"gemma3", {"attention.sliding_window", TINY_STRING, 0, TFM_E_FORMAT}},
        {"gemma3", {"attention.sliding_window_pattern", TINY_U32, 0, TFM_E_FORMAT}},
        {"gemma3", {"attention.sliding_window_pattern", TINY_STRING, 0, TFM_E_FORMAT}},
        {"gemma3", {"block_count", TINY_U32, 4294967295.0, TFM_E_FORMAT}},
        {"nobody", {"block_count", TINY_U32, 2, TFM_E_UNSUPPORTED}},
        /* what changes the arithmetic and what this family does not read */
        {"gpt2", {"attention.sliding_window", TINY_U32, 8, TFM_E_UNSUPPORTED}},
        {"gpt2", {"attention.sliding_window", TINY_U32, 1048576, TFM_OK}}, /* past the context */
        {"gpt2", {"attention.max_alibi_bias", TINY_F32, 8, TFM_E_UNSUPPORTED}},
        {"gpt2", {"attention.max_alibi_bias", TINY_F32, 0, TFM_OK}},
        {"gemma3", {"attention.causal", TINY_BOOL, 1, TFM_OK}},
        {"gpt2", {"attention.causal", TINY_BOOL, 0, TFM_E_UNSUPPORTED}},
        {"gpt2", {"attention.causal", TINY_U32, 1, TFM_E_FORMAT}},
        {"gemma3", {"altup.num_inputs", TINY_U32, 4, TFM_E_UNSUPPORTED}},
        {"gemma3", {"altup.num_inputs", TINY_U32, 1, TFM_OK}},
        {"gemma3", {"attention.shared_kv_layers", TINY_U32, 10, TFM_E_UNSUPPORTED}},
        {"gemma3", {"swin_norm", TINY_BOOL, 1, TFM_E_UNSUPPORTED}},
        {"gemma3", {"rope.scaling.yarn_ext_factor", TINY_F32, 1, TFM_OK}},
        {"gemma3", {"rope.scaling.yarn_ext_factor", TINY_F32, NAN, TFM_E_UNSUPPORTED}},
        {"gemma3", {"router_logit_softcapping", TINY_STRING, 0, TFM_E_UNSUPPORTED}},
        {"llama", {"attention.kv_lora_rank", TINY_U32, 512, TFM_E_UNSUPPORTED}},
        {"llama", {"rope.scaling.finetuned", TINY_BOOL, 1, TFM_OK}},
    };
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        tfm_error error;
        const absurd *a = &cases[i].a;
        tiny_spec spec = {.family = cases[i].family,
                          .window = strcmp(cases[i].family, "gemma3") ? 0 : 8,
                          .no_tokenizer = true,
                          .key = a->key,
                          .key_type = a->type,
                          .key_value = a->value};
        int32_t status = try_spec(&spec, &error);
        if (status != a->status)
            fail_msg("%s %s = %g: %s, expected %s (%s)", cases[i].family, a->key, a->value,
                     tfm_status_name(status), tfm_status_name(a->status), error.message);
    }
}

static void test_missing_keys(void **state) {
    (void)state;
    static const struct {
        const char *key;
        int32_t status;
    } cases[] = {{"block_count", TFM_E_MISSING},
                 {"embedding_length", TFM_E_MISSING},
                 {"attention.head_count", TFM_E_MISSING},
                 {"feed_forward_length", TFM_E_MISSING},
                 {"general.architecture", TFM_E_MISSING},
                 {"attention.head_count_kv", TFM_E_SHAPE},
                 {"context_length", TFM_OK},
                 {"rope.freq_base", TFM_OK},
                 {"general.name", TFM_OK},
                 {"attention.layer_norm_rms_epsilon", TFM_OK}};
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        tfm_error error;
        tiny_spec spec = {.no_tokenizer = true, .drop = cases[i].key};
        assert_int_equal(try_spec(&spec, &error), cases[i].status);
        if (cases[i].status == TFM_E_MISSING) assert_string_equal(error.tensor, cases[i].key);
    }
}

/* ---- Wrong tensors
 * -------------------------------------------------------------------------------------------- */

/* Each tensor of a family in turn: left out, of another shape, of every type. */
static void wrong_tensors(const char *family) {
    tiny_spec plain = {.family = family, .no_tokenizer = true, .layers = 1};
    tiny t = tiny_open(&plain, NULL);
    tfm_error error;
    for (size_t i = 0; i < tfm_model_tensor_count(t.model); i++) {
        tfm_tensor_info info = TFM_TENSOR_INFO_INIT;
        assert_int_equal(tfm_model_tensor(t.model, i, &info, NULL), TFM_OK);
        bool bias = strstr(info.name, ".bias") != NULL, output = !strcmp(info.name, "output.weight");
        tiny_spec spec = plain;
        spec.drop = info.name;
        int32_t status = try_spec(&spec, &error);
        assert_int_equal(status, bias || output ? TFM_OK : TFM_E_MISSING);
        /* without the fused matrix, the three that it stands for are asked for */
        if (status)
            assert_string_equal(error.tensor,
                                strstr(info.name, "attn_qkv") ? "blk.0.attn_q.weight" : info.name);

        spec = plain;
        spec.tensor = info.name;
        spec.tensor_shape[0] = info.shape[info.dims - 1] / 2;
        assert_int_equal(try_spec(&spec, &error), TFM_E_SHAPE);
        assert_string_equal(error.tensor, info.name);
        if (info.dims == 2) {
            spec.tensor_shape[0] = 0;
            spec.tensor_shape[1] = info.shape[0] - 1;
            /* one embedding row fewer is a smaller vocabulary, which does not fit the output, if there is one
             */
            bool embedding = !strcmp(info.name, "token_embd.weight"), tied = !strcmp(family, "gemma3");
            assert_int_equal(try_spec(&spec, &error), embedding && tied ? TFM_OK : TFM_E_SHAPE);
            if (error.code) assert_string_equal(error.tensor, embedding ? "output.weight" : info.name);
        }
        for (uint32_t type = 1; type < TFM__DTYPE_COUNT + 5; type++) {
            const tfm__dtype *dtype = tfm__dtype_of(type);
            spec = plain;
            spec.tensor = info.name;
            spec.tensor_type = type;
            status = try_spec(&spec, &error);
            if (!dtype || !dtype->block)
                assert_int_equal(status, TFM_E_UNSUPPORTED);
            else if (dtype->weights && !status)
                continue; /* other numbers, but a model */
            else if (type == TFM__I8 || type == TFM__I16 || type == TFM__I32)
                assert_int_equal(status, TFM_E_UNSUPPORTED);
            else
                assert_true(status == TFM_E_FORMAT || status == TFM_E_TRUNCATED ||
                            status == TFM_E_UNSUPPORTED);
            if (status != TFM_E_FORMAT)
                assert_string_equal(error.tensor, info.name); /* an overlap names its neighbour */
        }
    }
    tiny_close(&t);
}

static void test_tensors(void **state) {
    (void)state;
    wrong_tensors("llama");
    wrong_tensors("gpt2");
    wrong_tensors("gemma3");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage),       cmocka_unit_test(test_wild_weights),
        cmocka_unit_test(test_descriptions), cmocka_unit_test(test_other_families),
        cmocka_unit_test(test_missing_keys), cmocka_unit_test(test_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
