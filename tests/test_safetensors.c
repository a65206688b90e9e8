/* test_safetensors.c - reading and writing safetensors (src/formats/safetensors.c) and Hugging Face folders
 * (hf.c). */
#define _POSIX_C_SOURCE 200809L
#include <sys/stat.h>
#include <unistd.h>

#include "formats_help.h"

/* ---- Reading ---------------------------------------------------------------------------------------------
 */

static void check_tensors(const tfm__container *c) {
    const tfm__tensor *t = tfm__container_tensor(c, "x.weight");
    assert_int_equal(c->tensor_count, 7);
    assert_non_null(t);
    assert_true(t->type == TFM__F32 && t->dims == 2 && t->shape[0] == 3 && t->shape[1] == 4 &&
                t->bytes == 48);
    for (size_t i = 0; i < 12; i++) assert_true(tfm__f32_le(t->data + 4 * i) == fixture_value(i, 1));
    t = tfm__container_tensor(c, "y.half");
    assert_true(t && t->type == TFM__F16 && t->bytes == 10);
    for (size_t i = 0; i < 5; i++)
        assert_true(tfm__f16_to_f32(tfm__u16_le(t->data + 2 * i)) == fixture_value(i, 3));
    t = tfm__container_tensor(c, "z \xc3\xa9\"\\.bf16"); /* the name was escaped */
    assert_true(t && t->type == TFM__BF16);
    for (size_t i = 0; i < 4; i++)
        assert_true(tfm__bf16_to_f32(tfm__u16_le(t->data + 2 * i)) == fixture_value(i, 6));
    t = tfm__container_tensor(c, "scalar");
    assert_true(t && t->type == TFM__F64 && t->dims == 0 && t->bytes == 8 &&
                tfm__u64_le(t->data) == 0x4004000000000000u);
    t = tfm__container_tensor(c, "none");
    assert_true(t && t->dims == 2 && t->shape[0] == 0 && t->bytes == 0);
    t = tfm__container_tensor(c, "ids");
    assert_true(t && t->type == TFM__I64 && tfm__u64_le(t->data + 8) == (uint64_t)-4);
    t = tfm__container_tensor(c, "mask");
    assert_true(t && t->type == TFM__I8 && t->bytes == 3 && t->data[2] == 1);
    assert_null(tfm__container_tensor(c, "__metadata__"));
    touch_container(c);
}

static void test_file(void **state) {
    tfm__heap heap;
    tfm__container c;
    bytes file = load(FIXTURE("tiny.safetensors"));
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(open_path(&heap, FIXTURE("tiny.safetensors"), &c, NULL), TFM_OK);
    assert_int_equal(c.format, TFM__FORMAT_SAFETENSORS);
    assert_int_equal(tfm__json_root(&c.config), TFM__JSON_NONE);
    check_tensors(&c);
    tfm__container_release(&c);
    assert_int_equal(open_memory(&heap, file.data, file.size, &c, NULL), TFM_OK);
    assert_int_equal(c.format, TFM__FORMAT_SAFETENSORS);
    check_tensors(&c);
    tfm__container_release(&c);
    assert_int_equal(atomic_load(&heap.live), 0);
    free(file.data);
}

/* A file of this header and so many bytes of data, in exact memory. */
static bytes make_file(const char *header, size_t data) {
    size_t length = strlen(header);
    bytes b;
    b.size = 8 + length + data;
    b.data = malloc(b.size);
    put_u64(b.data, length);
    memcpy(b.data + 8, header, length);
    memset(b.data + 8 + length, 'x', data);
    return b;
}

static int32_t refused_header(const char *header, size_t data, const char *says) {
    bytes b = make_file(header, data);
    int32_t status = refused_memory(b.data, b.size, says);
    free(b.data);
    return status;
}

#define ENTRY(name, dtype, shape, offsets)                                                                   \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void test_lies(void **state) {
    static const struct {
        const char *header;
        size_t data;
        int32_t status;
        const char *says;
    } cases[] = {
        {"{" ENTRY("w", "F32", "[2]", "[0,8]") "}", 7, TFM_E_TRUNCATED, "'w'"},
        {"{" ENTRY("w", "F32", "[2]", "[0,8]") "}", 9, TFM_E_FORMAT, "no tensor"},
        {"{" ENTRY("w", "F32", "[2]", "[0,4]") "}", 8, TFM_E_FORMAT, "need 8"},
        {"{" ENTRY("w", "F32", "[2]", "[0,12]") "}", 12, TFM_E_FORMAT, "need 8"},
        {"{" ENTRY("w", "F32", "[2]", "[8,0]") "}", 8, TFM_E_FORMAT, "data_offsets"},
        {"{" ENTRY("w", "F32", "[2]", "[-8,0]") "}", 8, TFM_E_FORMAT, "data_offsets"},
        {"{" ENTRY("w", "F32", "[2]", "[0]") "}", 8, TFM_E_FORMAT, "data_offsets"},
        {"{" ENTRY("w", "F32", "[2]", "[0,8,9]") "}", 8, TFM_E_FORMAT, "data_offsets"},
        {"{" ENTRY("w", "F32", "[2]", "\"08\"") "}", 8, TFM_E_FORMAT, "data_offsets"},
        {"{" ENTRY("w", "F32", "[2]", "[0,99999999999999999999]") "}", 8, TFM_E_FORMAT, "data_offsets"},
        {"{" ENTRY("w", "F32", "[-2]", "[0,8]") "}", 8, TFM_E_FORMAT, "shape"},
        {"{" ENTRY("w", "F32", "[1.5]", "[0,8]") "}", 8, TFM_E_FORMAT, "shape"},
        {"{" ENTRY("w", "F32", "[null]", "[0,8]") "}", 8, TFM_E_FORMAT, "shape"},
        {"{" ENTRY("w", "F32", "2", "[0,8]") "}", 8, TFM_E_FORMAT, "shape"},
        {"{" ENTRY("w", "F32", "[4611686018427387904,4]", "[0,8]") "}", 8, TFM_E_FORMAT, "overflows"},
        {"{" ENTRY("w", "F32", "[4611686018427387904]", "[0,8]") "}", 8, TFM_E_FORMAT, "overflows"},
        {"{" ENTRY("w", "F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", 8, TFM_E_UNSUPPORTED, "dimensions"},
        {"{" ENTRY("w", "F8_E4M3", "[8]", "[0,8]") "}", 8, TFM_E_UNSUPPORTED, "F8_E4M3"},
        {"{" ENTRY("w", "U32", "[2]", "[0,8]") "}", 8, TFM_E_UNSUPPORTED, "U32"},
        {"{" ENTRY("w", "a very long name of a type", "[2]", "[0,8]") "}", 8, TFM_E_UNSUPPORTED, "dtype"},
        {"{\"w\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, TFM_E_FORMAT, "dtype"},
        {"{\"w\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, TFM_E_FORMAT, "dtype"},
        {"{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, TFM_E_FORMAT, "shape"},
        {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, TFM_E_FORMAT, "data_offsets"},
        {"{\"w\":[]}", 0, TFM_E_FORMAT, "dtype"},
        {"{\"w\":null}", 0, TFM_E_FORMAT, "dtype"},
        {"{" ENTRY("", "F32", "[2]", "[0,8]") "}", 8, TFM_E_FORMAT, "name"},
        {"{" ENTRY("a\\u0000b", "F32", "[2]", "[0,8]") "}", 8, TFM_E_FORMAT, "NUL"},
        {"{" ENTRY("a", "F32", "[2]", "[0,8]") "," ENTRY("b", "F32", "[2]", "[4,12]") "}", 12, TFM_E_FORMAT,
         "overlap"},
        {"{" ENTRY("a", "F32", "[2]", "[0,8]") "," ENTRY("b", "F32", "[2]", "[0,8]") "}", 8, TFM_E_FORMAT,
         "overlap"},
        {"{" ENTRY("a", "F32", "[2]", "[0,8]") "," ENTRY("b", "F32", "[1]", "[12,16]") "}", 16, TFM_E_FORMAT,
         "hole"},
        {"{" ENTRY("a", "F32", "[1]", "[4,8]") "}", 8, TFM_E_FORMAT, "hole"},
        {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("a", "F32", "[1]", "[4,8]") "}", 8, TFM_E_FORMAT,
         "two tensors"},
        {"{" ENTRY("a", "F32", "[1]", "[0,4]") "," ENTRY("\\u0061", "F32", "[1]", "[4,8]") "}", 8,
         TFM_E_FORMAT, "two tensors"},
        {"{" ENTRY("w", "F32", "[2]", "[0,8]"), 8, TFM_E_FORMAT, "not JSON"},
        {"{\"w\":3}", 0, TFM_E_FORMAT, "dtype"},
        {"{\"w\":{\"dtype\":\"F32\"", 8, TFM_E_FORMAT, "not JSON"},
    };
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        int32_t status = refused_header(cases[i].header, cases[i].data, cases[i].says);
        if (status != cases[i].status) fail_msg("%s: %s", cases[i].header, tfm_status_name(status));
    }
}

static void test_honest(void **state) {
    static const struct {
        const char *header;
        size_t data, tensors;
    } cases[] = {
        {"{}", 0, 0},
        {"{\"__metadata__\":{\"a\":\"b\"}}", 0, 0},
        {"{" ENTRY("w", "F32", "[2]", "[0,8]") "}      ", 8, 1},
        {"{" ENTRY("b", "F32", "[2]", "[8,16]") "," ENTRY("a", "I16", "[4]", "[0,8]") "}", 16, 2},
        {"{" ENTRY("e", "F32", "[0]", "[0,0]") "," ENTRY("a", "U8", "[4]",
                                                         "[0,4]") "," ENTRY("f", "F16", "[3,0]", "[4,4]") "}",
         4, 3},
        {"{\"w\":{\"extra\":[{}],\"dtype\":\"I8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, 1},
    };
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        bytes b = make_file(cases[i].header, cases[i].data);
        tfm__heap heap;
        tfm__container c;
        tfm_error error = TFM_ERROR_INIT;
        tfm__heap_init(&heap, NULL, 0);
        if (open_memory(&heap, b.data, b.size, &c, &error)) fail_msg("%s", error.message);
        assert_int_equal(c.tensor_count, cases[i].tensors);
        touch_container(&c);
        tfm__container_release(&c);
        assert_int_equal(atomic_load(&heap.live), 0);
        free(b.data);
    }
}

static void test_header_length(void **state) {
    bytes file = load(FIXTURE("tiny.safetensors"));
    (void)state;
    put_u64(file.data, file.size);
    assert_int_equal(refused_memory(file.data, file.size, "header"), TFM_E_TRUNCATED);
    put_u64(file.data, 200000000);
    assert_int_equal(refused_memory(file.data, file.size, "header"), TFM_E_FORMAT);
    put_u64(file.data, UINT64_MAX);
    assert_int_not_equal(refused_memory(file.data, file.size, ""), TFM_OK);
    put_u64(file.data, 1);
    assert_int_equal(refused_memory(file.data, file.size, "not JSON"), TFM_E_FORMAT);
    free(file.data);
}

static void test_damage(void **state) {
    bytes file = load(FIXTURE("tiny.safetensors"));
    (void)state;
    sweep_truncations(file);
    sweep_flips(file, SIZE_MAX);
    free(file.data);
}

/* ---- Folders
 * ----------------------------------------------------------------------------------------------- */

static void check_folder(const char *path, size_t blobs) {
    tfm__heap heap;
    tfm__container c;
    tfm_error error = TFM_ERROR_INIT;
    tfm__json_value root;
    double d = 0;
    int64_t i = 0;
    tfm__heap_init(&heap, NULL, 0);
    if (open_path(&heap, path, &c, &error)) fail_msg("%s", error.message);
    assert_int_equal(c.format, TFM__FORMAT_HF);
    assert_int_equal(c.blob_count, blobs);
    root = tfm__json_root(&c.config);
    assert_true(tfm__json_i64(&c.config, tfm__json_get(&c.config, root, "hidden_size"), &i) && i == 4);
    assert_true(tfm__json_f64(&c.config, tfm__json_get(&c.config, root, "rms_norm_eps"), &d) && d == 1e-5);
    check_tensors(&c);
    tfm__container_release(&c);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void test_folders(void **state) {
    (void)state;
    check_folder(FIXTURE("single"), 3);
    check_folder(FIXTURE("single/"), 3);
    check_folder(FIXTURE("single/config.json"), 3);
    check_folder(FIXTURE("single/model.safetensors"), 3);
    check_folder(FIXTURE("sharded"), 4);
    check_folder(FIXTURE("sharded/config.json"), 4);
    check_folder(FIXTURE("sharded/model.safetensors.index.json"), 4);
    assert_int_equal(refused_path(FIXTURE("pickle"), "safetensors"), TFM_E_UNSUPPORTED);
    assert_int_equal(refused_path(FIXTURE("pickle/pytorch_model.bin"), "safetensors"), TFM_E_UNSUPPORTED);
    assert_int_equal(refused_path(FIXTURE("split"), "config.json"), TFM_E_MISSING);
    assert_int_equal(refused_path(FIXTURE("nowhere"), "nowhere"), TFM_E_NOT_FOUND);
}

static void test_generation_config(void **state) {
    tfm__heap heap;
    tfm__container c;
    int64_t i = 0;
    const tfm__json *json = &c.generation_config;
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(open_path(&heap, FIXTURE("single"), &c, NULL), TFM_OK);
    assert_true(tfm__json_i64(json, tfm__json_at(json, tfm__json_get(json, 0, "eos_token_id"), 1), &i) &&
                i == 2);
    tfm__container_release(&c);
    assert_int_equal(open_path(&heap, FIXTURE("sharded"), &c, NULL), TFM_OK);
    assert_int_equal(tfm__json_root(json), TFM__JSON_NONE);
    tfm__container_release(&c);
}

/* A folder for a test, with a few files in it. */
typedef struct folder {
    char path[64];
    char last[128];
} folder;

static void make_folder(folder *f) {
    strcpy(f->path, "/tmp/tfm-hf-XXXXXX");
    assert_non_null(mkdtemp(f->path));
}
static const char *in_folder(folder *f, const char *name) {
    snprintf(f->last, sizeof f->last, "%s/%s", f->path, name);
    return f->last;
}
static void put_file(folder *f, const char *name, const char *text) {
    store_bytes(in_folder(f, name), text, strlen(text));
}
static void copy_file(folder *f, const char *from, const char *name) {
    bytes file = load(from);
    store_bytes(in_folder(f, name), file.data, file.size);
    free(file.data);
}
static void remove_folder(folder *f) {
    static const char *const names[] = {"config.json",
                                        "generation_config.json",
                                        "model.safetensors",
                                        "model.safetensors.index.json",
                                        "consolidated.safetensors",
                                        "a.safetensors",
                                        "b.safetensors",
                                        "adapter_model.safetensors"};
    for (size_t i = 0; i < TFM__COUNT(names); i++) unlink(in_folder(f, names[i]));
    assert_int_equal(rmdir(f->path), 0);
}

static void test_broken_folders(void **state) {
    folder f;
    (void)state;
    make_folder(&f);
    put_file(&f, "config.json", "{\"a\": 1}");
    assert_int_equal(refused_path(f.path, "neither model.safetensors"), TFM_E_MISSING);
    copy_file(&f, FIXTURE("tiny.safetensors"), "consolidated.safetensors");
    {
        tfm__heap heap;
        tfm__container c;
        tfm__heap_init(&heap, NULL, 0);
        assert_int_equal(open_path(&heap, f.path, &c, NULL), TFM_OK);
        check_tensors(&c);
        tfm__container_release(&c);
        /* an adapter beside the model it belongs to is no model */
        copy_file(&f, FIXTURE("tiny.safetensors"), "adapter_model.safetensors");
        assert_int_equal(open_path(&heap, in_folder(&f, "adapter_model.safetensors"), &c, NULL), TFM_OK);
        assert_int_equal(c.format, TFM__FORMAT_SAFETENSORS);
        tfm__container_release(&c);
    }
    put_file(&f, "consolidated.safetensors", "short");
    assert_int_equal(refused_path(f.path, "too short"), TFM_E_TRUNCATED);
    store_bytes(in_folder(&f, "consolidated.safetensors"), "\2\0\0\0\0\0\0\0[]", 10);
    assert_int_equal(refused_path(f.path, "header is not"), TFM_E_FORMAT);
    put_file(&f, "generation_config.json", "{");
    assert_int_equal(refused_path(f.path, "generation_config.json"), TFM_E_FORMAT);
    put_file(&f, "generation_config.json", "[]");
    assert_int_equal(refused_path(f.path, "generation_config.json"), TFM_E_FORMAT);
    unlink(in_folder(&f, "generation_config.json"));
    put_file(&f, "config.json", "[1]");
    assert_int_equal(refused_path(f.path, "config.json"), TFM_E_FORMAT);
    put_file(&f, "config.json", "{\"a\": 1");
    assert_int_equal(refused_path(f.path, "config.json"), TFM_E_FORMAT);
    put_file(&f, "config.json", "");
    assert_int_equal(refused_path(f.path, "config.json"), TFM_E_FORMAT);
    unlink(in_folder(&f, "config.json"));
    assert_int_equal(refused_path(f.path, "config.json"), TFM_E_MISSING);
    remove_folder(&f);
}

#define A_HEADER "{" ENTRY("a", "U8", "[1]", "[0,1]") "}"
#define B_HEADER "{" ENTRY("b", "U8", "[1]", "[0,1]") "}"

static void test_indices(void **state) {
    static const struct {
        const char *index;
        int32_t status;
        const char *says;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"a.safetensors\",\"b\":\"b.safetensors\"}}", TFM_OK, ""},
        {"{\"weight_map\":{\"\\u0061\":\"\\u0061.safetensors\"}}", TFM_OK, ""},
        {"{\"weight_map\":{\"a\":\"b.safetensors\",\"b\":\"a.safetensors\"}}", TFM_E_MISSING,
         "b.safetensors"},
        {"{\"weight_map\":{\"a\":\"a.safetensors\",\"c\":\"b.safetensors\"}}", TFM_E_MISSING, "'c'"},
        {"{\"weight_map\":{\"a\":\"c.safetensors\"}}", TFM_E_MISSING, "c.safetensors"},
        {"{\"weight_map\":{\"a\":\"../a.safetensors\"}}", TFM_E_FORMAT, "plain file name"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", TFM_E_FORMAT, "plain file name"},
        {"{\"weight_map\":{\"a\":\"x\\\\y\"}}", TFM_E_FORMAT, "plain file name"},
        {"{\"weight_map\":{\"a\":\"\"}}", TFM_E_FORMAT, "plain file name"},
        {"{\"weight_map\":{\"a\":\".\"}}", TFM_E_FORMAT, "plain file name"},
        {"{\"weight_map\":{\"a\":\"a.safetensors\\u0000\"}}", TFM_E_FORMAT, "file name"},
        {"{\"weight_map\":{\"a\":7}}", TFM_E_FORMAT, "file name"},
        {"{\"weight_map\":{\"a\":{\"b\":\"c\"}}}", TFM_E_FORMAT, "file name"},
        {"{\"weight_map\":{}}", TFM_E_FORMAT, "weight_map"},
        {"{\"weight_map\":[]}", TFM_E_FORMAT, "weight_map"},
        {"{\"metadata\":{}}", TFM_E_FORMAT, "weight_map"},
        {"[]", TFM_E_FORMAT, "object"},
        {"{", TFM_E_FORMAT, "not JSON"},
        {"{\"weight_map\":{\"a\":\"a.safetensors\",\"b\":\"config.json\"}}", TFM_E_FORMAT, "config.json"},
    };
    folder f;
    bytes a = make_file(A_HEADER, 1), b = make_file(B_HEADER, 1);
    (void)state;
    make_folder(&f);
    put_file(&f, "config.json", "{\"hidden_size\": 1}");
    store_bytes(in_folder(&f, "a.safetensors"), a.data, a.size);
    store_bytes(in_folder(&f, "b.safetensors"), b.data, b.size);
    for (size_t i = 0; i < TFM__COUNT(cases); i++) {
        tfm__heap heap;
        tfm__container c;
        put_file(&f, "model.safetensors.index.json", cases[i].index);
        if (cases[i].status) {
            int32_t status = refused_path(f.path, cases[i].says);
            if (status != cases[i].status) fail_msg("%s: %s", cases[i].index, tfm_status_name(status));
            continue;
        }
        tfm__heap_init(&heap, NULL, 0);
        assert_int_equal(open_path(&heap, f.path, &c, NULL), TFM_OK);
        touch_container(&c);
        tfm__container_release(&c);
        assert_int_equal(atomic_load(&heap.live), 0);
    }
    /* the same tensor in two files */
    store_bytes(in_folder(&f, "b.safetensors"), a.data, a.size);
    put_file(&f, "model.safetensors.index.json",
             "{\"weight_map\":{\"a\":\"a.safetensors\",\"b\":\"b.safetensors\"}}");
    assert_int_equal(refused_path(f.path, "two tensors"), TFM_E_FORMAT);
    remove_folder(&f);
    free(a.data);
    free(b.data);
}

/* ---- Writing
 * ----------------------------------------------------------------------------------------------- */

static const float saved_f32[6] = {1, -2, 3.5f, 0, 1e-30f, -7};
static const uint16_t saved_f16[3] = {0x3c00, 0xc000, 0x0001};
static const int64_t saved_i64[2] = {5, -6};

static const tfm__save_tensor saved[] = {
    {"half \"quoted\"\\ \xc3\xa9\n", TFM__F16, 1, {3}, saved_f16},
    {"weight", TFM__F32, 2, {2, 3}, saved_f32},
    {"ids", TFM__I64, 1, {2}, saved_i64},
    {"scalar", TFM__F32, 0, {0}, saved_f32},
    {"empty", TFM__BF16, 2, {0, 5}, saved_f16},
};

static void test_save(void **state) {
    folder f;
    tfm__heap heap;
    tfm__container c;
    tfm_error error = TFM_ERROR_INIT;
    bytes file;
    (void)state;
    make_folder(&f);
    tfm__heap_init(&heap, NULL, 0);
    if (tfm__safetensors_save(&heap, in_folder(&f, "a.safetensors"), saved, TFM__COUNT(saved), &error))
        fail_msg("%s", error.message);
    file = load(f.last);
    assert_int_equal(tfm__u64_le(file.data) % 8, 0);
    free(file.data);
    assert_int_equal(open_path(&heap, f.last, &c, &error), TFM_OK);
    assert_int_equal(c.tensor_count, TFM__COUNT(saved));
    for (size_t i = 0; i < TFM__COUNT(saved); i++) {
        const tfm__tensor *t = tfm__container_tensor(&c, saved[i].name);
        assert_non_null(t);
        assert_int_equal(t->type, saved[i].type);
        assert_int_equal(t->dims, saved[i].dims);
        for (uint32_t k = 0; k < t->dims; k++) assert_int_equal(t->shape[k], saved[i].shape[k]);
        if (t->bytes) assert_memory_equal(t->data, saved[i].data, t->bytes);
        if (t->bytes) assert_int_equal(t->offset % tfm__dtype_of(t->type)->block_bytes, 0);
    }
    tfm__container_release(&c);
    /* an empty list, over the old file */
    assert_int_equal(tfm__safetensors_save(&heap, f.last, NULL, 0, NULL), TFM_OK);
    assert_int_equal(open_path(&heap, f.last, &c, &error), TFM_OK);
    assert_int_equal(c.tensor_count, 0);
    tfm__container_release(&c);
    assert_int_equal(atomic_load(&heap.live), 0);
    remove_folder(&f);
}

static void test_save_refuses(void **state) {
    tfm__save_tensor twice[2] = {saved[1], saved[1]}, blocked = saved[1], huge = saved[1];
    folder f;
    tfm__heap heap;
    tfm_error error = TFM_ERROR_INIT;
    (void)state;
    make_folder(&f);
    tfm__heap_init(&heap, NULL, 0);
    in_folder(&f, "a.safetensors");
    assert_int_equal(tfm__safetensors_save(&heap, f.last, twice, 2, &error), TFM_E_ARGUMENT);
    blocked.type = TFM__Q8_0;
    assert_int_equal(tfm__safetensors_save(&heap, f.last, &blocked, 1, &error), TFM_E_ARGUMENT);
    huge.shape[0] = huge.shape[1] = (uint64_t)1 << 40;
    assert_int_equal(tfm__safetensors_save(&heap, f.last, &huge, 1, &error), TFM_E_ARGUMENT);
    assert_false(file_exists(f.last));
    in_folder(&f, "no/such.safetensors");
    assert_int_equal(tfm__safetensors_save(&heap, f.last, saved, 1, &error), TFM_E_NOT_FOUND);
    assert_int_equal(atomic_load(&heap.live), 0);
    remove_folder(&f);
}

/* ---- Memory, real files
 * ------------------------------------------------------------------------------------ */

static int32_t open_job(tfm__heap *heap, void *arg, tfm_error *error) {
    tfm__container c;
    int32_t status = open_path(heap, arg, &c, error);
    tfm__container_release(&c);
    return status;
}

static int32_t save_job(tfm__heap *heap, void *arg, tfm_error *error) {
    return tfm__safetensors_save(heap, arg, saved, TFM__COUNT(saved), error);
}

static void test_memory(void **state) {
    folder f;
    (void)state;
    sweep_allocations(open_job, FIXTURE("tiny.safetensors"));
    sweep_allocations(open_job, FIXTURE("single"));
    sweep_allocations(open_job, FIXTURE("sharded"));
    make_folder(&f);
    in_folder(&f, "a.safetensors");
    sweep_allocations(save_job, f.last);
    remove_folder(&f);
}

static void test_shared_folders(void **state) {
    static const char *const names[] = {"llama", "gpt2", "bert", "t5", "mixtral", "qwen3", "gemma3", "bloom"};
    size_t found = 0;
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        char path[512];
        tfm__heap heap;
        tfm__container c;
        tfm_error error = TFM_ERROR_INIT;
        snprintf(path, sizeof path, TFM_SHARED "/golden/forward/%s/config.json", names[i]);
        if (!file_exists(path)) continue;
        snprintf(path, sizeof path, TFM_SHARED "/golden/forward/%s", names[i]);
        tfm__heap_init(&heap, NULL, 0);
        if (open_path(&heap, path, &c, &error)) fail_msg("%s", error.message);
        assert_true(c.tensor_count > 10);
        assert_int_equal(tfm__json_kind(&c.config, tfm__json_get(&c.config, 0, "model_type")),
                         TFM__JSON_STRING);
        touch_container(&c);
        tfm__container_release(&c);
        assert_int_equal(atomic_load(&heap.live), 0);
        found++;
    }
    if (!found) skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_honest),
        cmocka_unit_test(test_header_length),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_generation_config),
        cmocka_unit_test(test_broken_folders),
        cmocka_unit_test(test_indices),
        cmocka_unit_test(test_save),
        cmocka_unit_test(test_save_refuses),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_shared_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
