/* test_mxfp4_experts.c - gpt-oss with its experts' weights as FP4 blocks and scales, as it is published,
 * beside the same numbers in f32. Products with FP4 weights round their inputs to bytes, so the logits are
 * near, not equal. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "families_help.h"
#include "tfm/tfm.h"

static const float fp4[16] = {0, .5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -.5f, -1, -1.5f, -2, -3, -4, -6};

typedef struct entry {
    char name[128];
    size_t shape[4], dims, bytes;
    bool packed;
    uint8_t *data;
} entry;

static bool of_experts(const family_tensor *t) {
    static const char *const ends[] = {".experts.gate_up_proj", ".experts.down_proj"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(ends[i]);
        if (t->name_length > n && !memcmp(t->name + t->name_length - n, ends[i], n)) return true;
    }
    return false;
}

static entry *add(entry *list, size_t *count, const family_tensor *t, const char *ending, bool packed) {
    entry *e = &list[(*count)++];
    memset(e, 0, sizeof *e);
    snprintf(e->name, sizeof e->name, "%.*s%s", (int)t->name_length, t->name, ending);
    e->packed = packed;
    return e;
}

/* The tensor of all experts, [experts, columns, rows]: once as blocks and scales, once as f32. */
static void add_experts(entry *list, size_t *count, const family_tensor *t, bool blocks) {
    size_t experts = t->shape[0], columns = t->shape[1], rows = t->shape[2], groups = columns / 32;
    uint64_t hash = family_hash(t->name, t->name_length);
    entry *b = NULL, *s = NULL, *w = NULL;
    if (blocks) {
        b = add(list, count, t, "_blocks", true);
        s = add(list, count, t, "_scales", true);
        b->dims = 4, s->dims = 3;
        b->shape[0] = s->shape[0] = experts, b->shape[1] = s->shape[1] = rows,
        b->shape[2] = s->shape[2] = groups;
        b->shape[3] = 16;
        b->bytes = experts * rows * groups * 16, s->bytes = experts * rows * groups;
        b->data = calloc(1, b->bytes), s->data = calloc(1, s->bytes);
        assert_true(b->data && s->data);
    } else {
        w = add(list, count, t, "", false);
        w->dims = 3;
        memcpy(w->shape, t->shape, 3 * sizeof *w->shape);
        w->bytes = t->count * sizeof(float);
        w->data = malloc(w->bytes);
        assert_non_null(w->data);
    }
    for (size_t i = 0; i < experts * rows * groups; i++) {
        size_t e = i / (rows * groups), row = i / groups % rows, group = i % groups;
        uint8_t scale = (uint8_t)(122 + (family_unit(hash ^ 1, i) > 0)); /* 2^-5 or 2^-4 */
        if (s) s->data[i] = scale;
        for (size_t j = 0; j < 32; j++) {
            unsigned code = (unsigned)((family_unit(hash, i * 32 + j) + 1) * 8) & 15;
            if (b) b->data[i * 16 + j / 2] |= (uint8_t)(code << (j % 2 ? 4 : 0));
            float value = ldexpf(fp4[code], scale - 127);
            if (w)
                memcpy(w->data + ((e * columns + group * 32 + j) * rows + row) * sizeof value, &value,
                       sizeof value);
        }
    }
}

static char *write_file(const entry *list, size_t count, size_t *size) {
    size_t used = 0, offset = 0, total = 0, capacity = count * 256 + 64;
    char *header = malloc(capacity);
    assert_non_null(header);
    for (size_t i = 0; i < count; i++) total += list[i].bytes;
    for (size_t i = 0; i < count; offset += list[i++].bytes) {
        used += (size_t)snprintf(header + used, capacity - used, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                                 used ? "," : "{", list[i].name, list[i].packed ? "U8" : "F32");
        for (size_t d = 0; d < list[i].dims; d++)
            used += (size_t)snprintf(header + used, capacity - used, "%s%zu", d ? "," : "", list[i].shape[d]);
        used += (size_t)snprintf(header + used, capacity - used, "],\"data_offsets\":[%zu,%zu]}", offset,
                                 offset + list[i].bytes);
    }
    header[used++] = '}';
    while (used % 8) header[used++] = ' ';
    *size = 8 + used + total;
    char *file = malloc(*size), *at = file + 8;
    assert_non_null(file);
    for (int i = 0; i < 8; i++) file[i] = (char)(used >> 8 * i);
    memcpy(at, header, used);
    at += used;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, list[i].data, list[i].bytes);
        at += list[i].bytes;
    }
    free(header);
    return file;
}

/* Logits of the last of some tokens. what: 0 f32, 1 blocks, 2 blocks with scales of another shape. */
static int32_t run(int what, float *logits, tfm_error *error) {
    static const tfm_token ids[] = {11, 22, 33, 44, 55, 66, 77, 88, 99, 110, 121, 132};
    char path[600], *table, *at;
    entry list[128];
    family_tensor t;
    size_t count = 0, size, config_size;
    snprintf(path, sizeof path, "%s/families/gpt-oss/tensors.txt", TFM_TEST_DATA);
    table = family_read(path, &size);
    for (at = table; family_line(&at, &t);) {
        if (of_experts(&t)) {
            add_experts(list, &count, &t, what > 0);
            continue;
        }
        entry *e = add(list, &count, &t, "", false);
        e->dims = t.rank;
        memcpy(e->shape, t.shape, sizeof e->shape);
        e->bytes = t.count * sizeof(float);
        e->data = malloc(e->bytes);
        assert_non_null(e->data);
        uint64_t hash = family_hash(t.name, t.name_length);
        for (size_t i = 0; i < t.count; i++) {
            float value = (float)(t.mean + t.spread * family_unit(hash, i));
            memcpy(e->data + i * sizeof value, &value, sizeof value);
        }
    }
    if (what == 2)
        for (size_t i = 0; i < count; i++)
            if (strstr(list[i].name, "_scales")) list[i].shape[1] *= 2, list[i].shape[0] /= 2;
    family_files files = {.weights = write_file(list, count, &size)};
    files.weights_size = size;
    snprintf(path, sizeof path, "%s/families/gpt-oss/config.json", TFM_TEST_DATA);
    files.config = family_read(path, &config_size);
    /* one layer: with more, a rounding here and there sends a token to another expert */
    char *layers = strstr(files.config, "\"num_hidden_layers\": 4"),
         *kinds = strstr(files.config, "\"layer_types\": [");
    assert_true(layers && kinds);
    layers[strlen("\"num_hidden_layers\": ")] = '1';
    kinds += strlen("\"layer_types\": [");
    char *end = strchr(kinds, ']'), *first = strchr(kinds, ',');
    assert_true(first && end && first < end);
    memset(first, ' ', (size_t)(end - first));
    if (what) { /* as the published file says it */
        static const char says[] = "{\"quantization_config\":{\"quant_method\":\"mxfp4\"},";
        char *config = malloc(config_size + sizeof says);
        assert_non_null(config);
        memcpy(config, says, sizeof says - 1);
        memcpy(config + sizeof says - 1, files.config + 1, config_size);
        free(files.config);
        files.config = config;
        config_size += sizeof says - 2;
    }
    files.config_size = config_size;
    folder f;
    tfm_model *model = NULL;
    tfm_session *session = NULL;
    family_folder(&files, &f);
    tfm_source source = folder_source(&f.files[0]);
    int32_t status = tfm_model_load_source(&source, NULL, &model, error);
    if (!status) {
        const float *last;
        if (tfm_session_create(model, NULL, &session, error) ||
            tfm_forward(session, ids, sizeof ids / sizeof *ids, NULL, error) ||
            tfm_logits(session, 0, &last, NULL, error))
            fail_msg("%s", error->message);
        memcpy(logits, last, 384 * sizeof *logits);
    }
    tfm_session_destroy(session);
    tfm_model_release(model);
    family_free(&files);
    for (size_t i = 0; i < count; i++) free(list[i].data);
    free(table);
    return status;
}

static void test_blocks(void **state) {
    static float plain[384], blocks[384];
    tfm_error error = TFM_ERROR_INIT;
    double largest = 0, worst = 0;
    (void)state;
    if (run(0, plain, &error) || run(1, blocks, &error)) fail_msg("%s", error.message);
    for (size_t i = 0; i < 384; i++) {
        largest = fmax(largest, fabs((double)plain[i]));
        worst = fmax(worst, fabs((double)plain[i] - (double)blocks[i]));
    }
    if (!(worst < 0.02 * largest) || worst == 0) fail_msg("off by %g of %g", worst, largest);
}

static void test_wrong(void **state) {
    tfm_error error = TFM_ERROR_INIT;
    float logits[384];
    (void)state;
    assert_int_equal(run(2, logits, &error), TFM_E_SHAPE);
    assert_non_null(strstr(error.message, "FP4"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blocks), cmocka_unit_test(test_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
