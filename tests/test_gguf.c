/* test_gguf.c - reading GGUF (src/formats/gguf.c, meta.c, container.c): all versions and value types, files
 * in parts, files that lie, damage of every byte, failing allocations, real files where they are. */
#define _POSIX_C_SOURCE 200809L
#include <sys/stat.h>
#include <unistd.h>

#include "formats_help.h"

/* ---- What the fixtures hold ------------------------------------------------------------------------------
 */

static void check_metas(const tfm__container *c) {
    uint64_t u = 0;
    int64_t i = 0;
    double d = 0;
    bool b = false;
    tfm__text text = {NULL, 0};
    const tfm__meta *m;
    assert_true(tfm__meta_text(tfm__container_meta(c, "general.architecture"), 0, &text));
    assert_int_equal(text.size, 4);
    assert_memory_equal(text.data, "test", 4);
    assert_true(tfm__meta_u64(tfm__container_meta(c, "t.u8"), 0, &u) && u == 200);
    assert_true(tfm__meta_i64(tfm__container_meta(c, "t.u8"), 0, &i) && i == 200);
    assert_true(tfm__meta_i64(tfm__container_meta(c, "t.i8"), 0, &i) && i == -100);
    assert_false(tfm__meta_u64(tfm__container_meta(c, "t.i8"), 0, &u));
    assert_true(tfm__meta_u64(tfm__container_meta(c, "t.u16"), 0, &u) && u == 60000);
    assert_true(tfm__meta_i64(tfm__container_meta(c, "t.i16"), 0, &i) && i == -30000);
    assert_true(tfm__meta_u64(tfm__container_meta(c, "t.u32"), 0, &u) && u == 4000000000u);
    assert_true(tfm__meta_i64(tfm__container_meta(c, "t.i32"), 0, &i) && i == -2000000000);
    assert_true(tfm__meta_f64(tfm__container_meta(c, "t.i32"), 0, &d) && d == -2e9);
    assert_true(tfm__meta_f64(tfm__container_meta(c, "t.f32"), 0, &d) && d == 0.15625);
    assert_false(tfm__meta_i64(tfm__container_meta(c, "t.f32"), 0, &i));
    assert_true(tfm__meta_bool(tfm__container_meta(c, "t.bool"), &b) && b);
    assert_true(tfm__meta_u64(tfm__container_meta(c, "t.bool"), 0, &u) && u == 1);
    assert_false(tfm__meta_f64(tfm__container_meta(c, "t.bool"), 0, &d));
    assert_false(tfm__meta_bool(tfm__container_meta(c, "t.u8"), &b));
    assert_true(tfm__meta_u64(tfm__container_meta(c, "t.u64"), 0, &u) && u == UINT64_MAX);
    assert_false(tfm__meta_i64(tfm__container_meta(c, "t.u64"), 0, &i));
    assert_true(tfm__meta_i64(tfm__container_meta(c, "t.i64"), 0, &i) && i == INT64_MIN);
    assert_true(tfm__meta_f64(tfm__container_meta(c, "t.f64"), 0, &d) && d == 1e-5);
    assert_true(tfm__meta_text(tfm__container_meta(c, "t.empty"), 0, &text) && text.size == 0);
    m = tfm__container_meta(c, "t.numbers");
    assert_non_null(m);
    assert_int_equal(m->count, 3);
    assert_true(tfm__meta_i64(m, 1, &i) && i == -2);
    assert_true(tfm__meta_i64(m, 2, &i) && i == 3);
    assert_false(tfm__meta_i64(m, 3, &i));
    m = tfm__container_meta(c, "t.texts");
    assert_non_null(m);
    assert_int_equal(m->count, 3);
    assert_true(tfm__meta_text(m, 2, &text) && text.size == 5);
    assert_memory_equal(text.data, "dr\xc3\xa9i", 5);
    assert_false(tfm__meta_text(m, 3, &text));
    assert_false(tfm__meta_u64(m, 0, &u));
    assert_int_equal(tfm__container_meta(c, "t.none")->count, 0);
    m = tfm__container_meta(c, "t.nested");
    assert_int_equal(m->item, TFM__META_ARRAY);
    assert_int_equal(m->count, 3);
    assert_false(tfm__meta_u64(m, 0, &u));
    assert_false(tfm__meta_text(m, 0, &text));
    assert_true(tfm__meta_u64(tfm__container_meta(c, "t.last"), 0, &u) && u == 7); /* behind the nested one */
    assert_null(tfm__container_meta(c, "t.absent"));
    assert_false(tfm__meta_u64(NULL, 0, &u));
    assert_false(tfm__meta_text(NULL, 0, &text));
    assert_false(tfm__meta_bool(NULL, &b));
}

static void check_tensors(const tfm__container *c) {
    const tfm__tensor *t = tfm__container_tensor(c, "a.weight");
    assert_int_equal(c->tensor_count, 8);
    assert_non_null(t);
    assert_int_equal(t->type, TFM__F32);
    assert_int_equal(t->dims, 2);
    assert_true(t->shape[0] == 3 && t->shape[1] == 4);
    assert_int_equal(t->bytes, 48);
    for (size_t i = 0; i < 12; i++) assert_true(tfm__f32_le(t->data + 4 * i) == fixture_value(i, 1));
    t = tfm__container_tensor(c, "b.weight");
    assert_int_equal(t->dims, 3);
    assert_true(t->shape[0] == 2 && t->shape[1] == 3 && t->shape[2] == 4);
    for (size_t i = 0; i < 24; i++) assert_true(tfm__f32_le(t->data + 4 * i) == fixture_value(i, 2));
    t = tfm__container_tensor(c, "c.half");
    assert_true(t->dims == 1 && t->shape[0] == 5 && t->type == TFM__F16);
    for (size_t i = 0; i < 5; i++)
        assert_true(tfm__f16_to_f32(tfm__u16_le(t->data + 2 * i)) == fixture_value(i, 3));
    t = tfm__container_tensor(c, "d.q8");
    assert_true(t->type == TFM__Q8_0 && t->bytes == 68);
    for (size_t i = 0; i < 68; i++) assert_int_equal(t->data[i], (i * 7 + 4) % 256);
    t = tfm__container_tensor(c, "e.q4k");
    assert_true(t->type == TFM__Q4_K && t->bytes == 144 && t->data[143] == (143 * 7 + 5) % 256);
    t = tfm__container_tensor(c, "f.bf16");
    for (size_t i = 0; i < 3; i++)
        assert_true(tfm__bf16_to_f32(tfm__u16_le(t->data + 2 * i)) == fixture_value(i, 6));
    t = tfm__container_tensor(c, "g.i32");
    assert_true(t->type == TFM__I32 && (int32_t)tfm__u32_le(t->data + 12) == -8);
    t = tfm__container_tensor(c, "h.mxfp4");
    assert_true(t->type == TFM__MXFP4 && t->dims == 4 && t->shape[3] == 32 && t->shape[2] == 2 &&
                t->bytes == 34);
    assert_null(tfm__container_tensor(c, "a.weigh"));
    assert_null(tfm__container_tensor(c, ""));
    touch_container(c);
}

static void check_file(const char *path, uint32_t version) {
    tfm__heap heap;
    tfm__container c;
    tfm_error error = TFM_ERROR_INIT;
    tfm__heap_init(&heap, NULL, 0);
    if (open_path(&heap, path, &c, &error)) fail_msg("%s", error.message);
    assert_int_equal(c.format, TFM__FORMAT_GGUF);
    assert_int_equal(c.gguf_version, version);
    check_metas(&c);
    check_tensors(&c);
    assert_string_equal(tfm__container_file(&c, c.tensors), path);
    tfm__container_release(&c);
    tfm__container_release(&c); /* twice is fine */
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void test_versions(void **state) {
    (void)state;
    check_file(FIXTURE("gguf-v1.gguf"), 1);
    check_file(FIXTURE("gguf-v2.gguf"), 2);
    check_file(FIXTURE("gguf-v3.gguf"), 3);
}

static void test_alignment_and_no_tensors(void **state) {
    tfm__heap heap;
    tfm__container c;
    (void)state;
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(open_path(&heap, FIXTURE("gguf-align.gguf"), &c, NULL), TFM_OK);
    assert_int_equal(c.tensor_count, 3);
    for (size_t i = 0; i < 12; i++)
        assert_true(tfm__f32_le(c.tensors[0].data + 4 * i) == fixture_value(i, 1));
    assert_int_equal(c.tensors[2].offset % 8, 0);
    tfm__container_release(&c);
    assert_int_equal(open_path(&heap, FIXTURE("gguf-vocab.gguf"), &c, NULL), TFM_OK);
    assert_int_equal(c.tensor_count, 0);
    assert_int_equal(c.meta_count, 3);
    assert_null(tfm__container_tensor(&c, "a"));
    tfm__container_release(&c);
    assert_int_equal(atomic_load(&heap.live), 0);
}

/* ---- Files made to lie -----------------------------------------------------------------------------------
 */

typedef struct maker {
    uint8_t data[4096];
    size_t size;
} maker;

static void put(maker *m, const void *data, size_t size) {
    assert_true(m->size + size <= sizeof m->data);
    memcpy(m->data + m->size, data, size);
    m->size += size;
}
static void put32(maker *m, uint32_t v) {
    uint8_t p[4];
    put_u32(p, v);
    put(m, p, 4);
}
static void put64(maker *m, uint64_t v) {
    uint8_t p[8];
    put_u64(p, v);
    put(m, p, 8);
}
static void put_text(maker *m, const char *text) {
    put64(m, strlen(text));
    put(m, text, strlen(text));
}
static void put_head(maker *m, uint64_t tensors, uint64_t metas) {
    m->size = 0;
    put(m, "GGUF", 4);
    put32(m, 3);
    put64(m, tensors);
    put64(m, metas);
}
static void put_tensor(maker *m, const char *name, uint32_t dims, uint64_t inner, uint64_t outer,
                       uint32_t type, uint64_t offset) {
    put_text(m, name);
    put32(m, dims);
    for (uint32_t i = 0; i < dims && i < 8; i++) put64(m, i == 0 ? inner : i == 1 ? outer : 1);
    put32(m, type);
    put64(m, offset);
}
static void put_data(maker *m, size_t size) {
    while (m->size % 32) put(m, "", 1);
    while (size--) put(m, "x", 1);
}

static int32_t refused(maker *m, const char *says) {
    uint8_t *exact = malloc(m->size ? m->size : 1);
    int32_t status;
    memcpy(exact, m->data, m->size);
    status = refused_memory(exact, m->size, says);
    free(exact);
    return status;
}

/* One tensor with these properties, and enough data for the honest ones. */
static int32_t refused_tensor(uint32_t dims, uint64_t inner, uint64_t outer, uint32_t type, uint64_t offset,
                              const char *says) {
    maker m;
    put_head(&m, 1, 0);
    put_tensor(&m, "odd.weight", dims, inner, outer, type, offset);
    put_data(&m, 256);
    return refused(&m, says);
}

static void test_lying_tensors(void **state) {
    maker m;
    tfm__heap heap;
    tfm__container c;
    (void)state;
    /* the honest one */
    put_head(&m, 1, 0);
    put_tensor(&m, "odd.weight", 2, 8, 8, TFM__F32, 0);
    put_data(&m, 256);
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(open_memory(&heap, m.data, m.size, &c, NULL), TFM_OK);
    tfm__container_release(&c);

    assert_int_equal(refused_tensor(0, 0, 0, TFM__F32, 0, "0 dimensions"), TFM_E_FORMAT);
    assert_int_equal(refused_tensor(5, 1, 1, TFM__F32, 0, "5 dimensions"), TFM_E_FORMAT);
    assert_int_equal(refused_tensor(UINT32_MAX, 1, 1, TFM__F32, 0, "odd.weight"), TFM_E_FORMAT);
    assert_int_equal(refused_tensor(2, 0, 8, TFM__F32, 0, "dimension of 0"), TFM_E_FORMAT);
    assert_int_equal(refused_tensor(2, 8, 9, TFM__F32, 0, "beyond the end"), TFM_E_TRUNCATED);
    assert_int_equal(refused_tensor(2, 8, 8, TFM__F32, 32, "beyond the end"), TFM_E_TRUNCATED);
    assert_int_equal(refused_tensor(2, 8, 8, TFM__F32, 16, "alignment"), TFM_E_FORMAT);
    assert_int_equal(refused_tensor(2, 8, 8, TFM__F32, UINT64_MAX - 31, "beyond the end"), TFM_E_TRUNCATED);
    assert_int_equal(refused_tensor(2, (uint64_t)1 << 62, 4, TFM__F32, 0, "odd.weight"), TFM_E_FORMAT);
    assert_int_equal(refused_tensor(2, (uint64_t)1 << 31, (uint64_t)1 << 31, TFM__F32, 0, "overflows"),
                     TFM_E_FORMAT);
    assert_int_equal(refused_tensor(2, (uint64_t)1 << 31, (uint64_t)1 << 30, TFM__F32, 0, "beyond the end"),
                     TFM_E_TRUNCATED);
    assert_int_equal(refused_tensor(2, UINT64_MAX, UINT64_MAX, TFM__F32, 0, "dimension"), TFM_E_FORMAT);
    assert_int_equal(refused_tensor(2, 8, 8, TFM__Q4_0, 0, "blocks of 32"), TFM_E_FORMAT);
    assert_int_equal(refused_tensor(2, 256, 1, 17, 0, "IQ2_XS"), TFM_E_UNSUPPORTED);
    assert_int_equal(refused_tensor(2, 256, 1, 34, 0, "TQ1_0"), TFM_E_UNSUPPORTED);
    assert_int_equal(refused_tensor(2, 256, 1, 4, 0, "type number 4 "), TFM_E_UNSUPPORTED);
    assert_int_equal(refused_tensor(2, 256, 1, UINT32_MAX, 0, "odd.weight"), TFM_E_UNSUPPORTED);
}

static void test_overlap_and_names(void **state) {
    maker m;
    (void)state;
    put_head(&m, 2, 0);
    put_tensor(&m, "one", 1, 16, 0, TFM__F32, 0);
    put_tensor(&m, "two", 1, 8, 0, TFM__F32, 32);
    put_data(&m, 64);
    assert_int_equal(refused(&m, "overlap"), TFM_E_FORMAT);
    put_head(&m, 2, 0);
    put_tensor(&m, "same", 1, 8, 0, TFM__F32, 0);
    put_tensor(&m, "same", 1, 8, 0, TFM__F32, 32);
    put_data(&m, 64);
    assert_int_equal(refused(&m, "'same'"), TFM_E_FORMAT);
    put_head(&m, 1, 0);
    put_tensor(&m, "", 1, 8, 0, TFM__F32, 0);
    put_data(&m, 64);
    assert_int_equal(refused(&m, "empty name"), TFM_E_FORMAT);
    put_head(&m, 1, 0);
    put64(&m, 3);
    put(&m, "a\0b", 3);
    put32(&m, 1);
    put64(&m, 8);
    put32(&m, TFM__F32);
    put64(&m, 0);
    put_data(&m, 64);
    assert_int_equal(refused(&m, "NUL"), TFM_E_FORMAT);
}

static void test_absurd_counts(void **state) {
    maker m;
    (void)state;
    put_head(&m, UINT64_MAX, 0);
    put_data(&m, 64);
    assert_int_equal(refused(&m, "more tensors"), TFM_E_FORMAT);
    put_head(&m, 0, UINT64_MAX);
    put_data(&m, 64);
    assert_int_equal(refused(&m, "more metadata"), TFM_E_FORMAT);
    put_head(&m, 0, 1);
    put64(&m, UINT64_MAX); /* a key of that length */
    put_data(&m, 64);
    assert_int_equal(refused(&m, "bytes are needed"), TFM_E_TRUNCATED);
    for (uint32_t item = 0; item <= 14; item++) { /* arrays of that many of each type, and of unknown types */
        int32_t status;
        put_head(&m, 0, 1);
        put_text(&m, "k");
        put32(&m, TFM__META_ARRAY);
        put32(&m, item);
        put64(&m, UINT64_MAX / 2);
        put_data(&m, 64);
        status = refused(&m, "");
        if (item ==
            TFM__META_ARRAY) /* the data is then read as headers of arrays, of which some are malformed */
            assert_true(status == TFM_E_FORMAT || status == TFM_E_TRUNCATED);
        else
            assert_int_equal(status, item > TFM__META_F64 ? TFM_E_FORMAT : TFM_E_TRUNCATED);
    }
    put_head(&m, 0, 1);
    put_text(&m, "k");
    put32(&m, 13); /* no such type */
    put_data(&m, 64);
    assert_int_equal(refused(&m, "unknown type"), TFM_E_FORMAT);
}

static void test_nesting(void **state) {
    for (int levels = 1; levels <= 12; levels++) {
        maker m;
        tfm__heap heap;
        tfm__container c;
        tfm__heap_init(&heap, NULL, 0);
        put_head(&m, 0, 1);
        put_text(&m, "k");
        put32(&m, TFM__META_ARRAY);
        for (int i = 0; i < levels; i++) {
            put32(&m, TFM__META_ARRAY);
            put64(&m, 1);
        }
        put32(&m, TFM__META_U8);
        put64(&m, 1);
        put(&m, "x", 1);
        if (levels <= 8) {
            assert_int_equal(open_memory(&heap, m.data, m.size, &c, NULL), TFM_OK);
            tfm__container_release(&c);
        } else {
            assert_int_equal(refused(&m, "nested"), TFM_E_FORMAT);
        }
    }
    (void)state;
}

static void test_keys(void **state) {
    static const uint32_t alignments[] = {0, 3, 48, UINT32_MAX, 1u << 30};
    maker m;
    (void)state;
    put_head(&m, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_text(&m, "twice");
        put32(&m, TFM__META_U8);
        put(&m, "x", 1);
    }
    assert_int_equal(refused(&m, "'twice'"), TFM_E_FORMAT);
    for (size_t i = 0; i < TFM__COUNT(alignments); i++) {
        put_head(&m, 0, 1);
        put_text(&m, "general.alignment");
        put32(&m, TFM__META_U32);
        put32(&m, alignments[i]);
        assert_int_equal(refused(&m, "general.alignment"), TFM_E_FORMAT);
    }
    put_head(&m, 0, 1);
    put_text(&m, "general.alignment");
    put32(&m, TFM__META_F32);
    put32(&m, 0x42000000); /* 32.0 */
    assert_int_equal(refused(&m, "general.alignment"), TFM_E_FORMAT);
}

static void test_magic_and_version(void **state) {
    bytes file = load(FIXTURE("gguf-v3.gguf"));
    (void)state;
    file.data[4] = 4;
    assert_int_equal(refused_memory(file.data, file.size, "version 4"), TFM_E_UNSUPPORTED);
    file.data[4] = 0;
    assert_int_equal(refused_memory(file.data, file.size, "version 0"), TFM_E_FORMAT);
    file.data[7] = 3;
    assert_int_equal(refused_memory(file.data, file.size, "big-endian"), TFM_E_UNSUPPORTED);
    file.data[0] = 'X';
    assert_int_equal(refused_memory(file.data, file.size, "neither GGUF"), TFM_E_FORMAT);
    assert_int_equal(refused_memory(file.data, 0, "empty"), TFM_E_TRUNCATED);
    assert_int_equal(refused_memory("PK\3\4....", 8, "safetensors"), TFM_E_UNSUPPORTED);
    assert_int_equal(refused_memory("lmgg....", 8, "GGUF"), TFM_E_UNSUPPORTED);
    assert_int_equal(refused_memory("version https://git-lfs.github.com/spec/v1", 42, "LFS"),
                     TFM_E_UNSUPPORTED);
    assert_int_equal(refused_memory("GGUF", 4, "bytes are needed"), TFM_E_TRUNCATED);
    free(file.data);
}

/* ---- Damage, memory --------------------------------------------------------------------------------------
 */

static void test_damage(void **state) {
    static const char *const names[] = {FIXTURE("gguf-v1.gguf"), FIXTURE("gguf-v3.gguf"),
                                        FIXTURE("gguf-vocab.gguf"), FIXTURE("gguf-align.gguf"),
                                        FIXTURE("split/m-00002-of-00003.gguf")};
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(names); i++) {
        bytes file = load(names[i]);
        sweep_truncations(file);
        sweep_flips(file, SIZE_MAX);
        free(file.data);
    }
}

static int32_t open_job(tfm__heap *heap, void *arg, tfm_error *error) {
    tfm__container c;
    int32_t status = open_path(heap, arg, &c, error);
    tfm__container_release(&c);
    return status;
}

static void test_memory(void **state) {
    (void)state;
    sweep_allocations(open_job, FIXTURE("gguf-v3.gguf"));
    sweep_allocations(open_job, FIXTURE("split/m-00002-of-00003.gguf"));
}

/* ---- Parts
 * ------------------------------------------------------------------------------------------------- */

static const char *const part_names[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                         "m-00003-of-00003.gguf"};

/* A fresh folder with copies of the parts; part i taken from source[i], or left out if that is NULL. */
static void make_parts(char *folder, const char *const source[3]) {
    char path[256];
    strcpy(folder, "/tmp/tfm-gguf-XXXXXX");
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 3; i++) {
        bytes file;
        if (!source[i]) continue;
        snprintf(path, sizeof path, FIXTURE("split/") "%s", source[i]);
        file = load(path);
        snprintf(path, sizeof path, "%s/%s", folder, part_names[i]);
        store_bytes(path, file.data, file.size);
        free(file.data);
    }
}

static void remove_parts(const char *folder) {
    char path[256];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, part_names[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/renamed.gguf", folder);
    unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void test_parts(void **state) {
    (void)state;
    for (int named = 0; named < 3; named++) { /* any of them may be named: the model is the same */
        char path[256];
        tfm__heap heap;
        tfm__container c;
        tfm_error error = TFM_ERROR_INIT;
        snprintf(path, sizeof path, FIXTURE("split/") "%s", part_names[named]);
        tfm__heap_init(&heap, NULL, 0);
        if (open_path(&heap, path, &c, &error)) fail_msg("%s", error.message);
        check_metas(&c);
        check_tensors(&c);
        assert_int_equal(c.blob_count, 3);
        assert_string_equal(c.tensors[0].name, "a.weight");
        assert_int_equal(c.tensors[0].file, 1);
        assert_non_null(strstr(tfm__container_file(&c, tfm__container_tensor(&c, "h.mxfp4")), part_names[2]));
        tfm__container_release(&c);
        assert_int_equal(atomic_load(&heap.live), 0);
    }
}

static void test_wrong_parts(void **state) {
    char folder[64], path[256], other[256];
    (void)state;
    { /* one is missing: named in the message */
        const char *const source[3] = {part_names[0], NULL, part_names[2]};
        make_parts(folder, source);
        snprintf(path, sizeof path, "%s/%s", folder, part_names[0]);
        assert_int_equal(refused_path(path, part_names[1]), TFM_E_MISSING);
        snprintf(path, sizeof path, "%s/%s", folder, part_names[2]);
        assert_int_equal(refused_path(path, part_names[1]), TFM_E_MISSING);
        remove_parts(folder);
    }
    { /* one is there twice */
        const char *const source[3] = {part_names[0], part_names[0], part_names[2]};
        make_parts(folder, source);
        snprintf(path, sizeof path, "%s/%s", folder, part_names[0]);
        assert_int_equal(refused_path(path, part_names[1]), TFM_E_FORMAT);
        snprintf(path, sizeof path, "%s/%s", folder, part_names[1]); /* says it is the first */
        assert_int_equal(refused_path(path, "00001-of-00003"), TFM_E_FORMAT);
        remove_parts(folder);
    }
    { /* swapped */
        const char *const source[3] = {part_names[0], part_names[2], part_names[1]};
        make_parts(folder, source);
        snprintf(path, sizeof path, "%s/%s", folder, part_names[0]);
        assert_int_equal(refused_path(path, part_names[1]), TFM_E_FORMAT);
        remove_parts(folder);
    }
    { /* a name that does not say which part it is; wrong counts; a part that is no GGUF */
        const char *const source[3] = {part_names[0], part_names[1], part_names[2]};
        bytes file;
        make_parts(folder, source);
        snprintf(path, sizeof path, "%s/%s", folder, part_names[2]);
        file = load(path);
        for (size_t at = 0; at + 32 < file.size; at++) {
            uint8_t *p = file.data + at;
            if (!memcmp(p, "split.tensors.count", 19)) {
                put_u32(p + 23, 9);
                store_bytes(path, file.data, file.size);
                snprintf(other, sizeof other, "%s/%s", folder, part_names[0]);
                assert_int_equal(refused_path(other, "split.tensors.count is 9"), TFM_E_FORMAT);
                put_u32(p + 23, 8);
            }
            if (!memcmp(p, "split.count", 11)) {
                p[15] = 4;
                store_bytes(path, file.data, file.size);
                snprintf(other, sizeof other, "%s/%s", folder, part_names[0]);
                assert_int_equal(refused_path(other, part_names[2]), TFM_E_FORMAT);
                p[15] = 3;
            }
        }
        bytes vocabulary =
            load(FIXTURE("split/m-00001-of-00003.gguf")); /* right in itself, but without tensors */
        for (size_t at = 0; at + 32 < vocabulary.size; at++)
            if (!memcmp(vocabulary.data + at, "split.no", 8)) vocabulary.data[at + 12] = 2;
        store_bytes(path, vocabulary.data, vocabulary.size);
        assert_int_equal(refused_path(other, "split.tensors.count is 8"), TFM_E_FORMAT);
        free(vocabulary.data);
        store_bytes(path, "not a model", 11);
        assert_int_equal(refused_path(other, part_names[2]), TFM_E_FORMAT);
        snprintf(path, sizeof path, "%s/renamed.gguf", folder);
        assert_int_equal(rename(other, path), 0);
        assert_int_equal(refused_path(path, "00001-of-00003.gguf"), TFM_E_FORMAT);
        free(file.data);
        remove_parts(folder);
    }
    { /* from a buffer there is no way to the others */
        bytes file = load(FIXTURE("split/m-00001-of-00003.gguf"));
        assert_int_equal(refused_memory(file.data, file.size, "path"), TFM_E_UNSUPPORTED);
        free(file.data);
    }
}

/* ---- Real files
 * ---------------------------------------------------------------------------------------------- */

static void test_shared_model(void **state) {
    static const char path[] = TFM_SHARED "/data/models/gguf-stories260K/tinyllamas-stories-260k-f32.gguf";
    static const char twin[] = TFM_SHARED "/data/models/llama2c-stories260K/stories260K.bin";
    tfm__heap heap;
    tfm__container c, d;
    const tfm__tensor *t;
    uint64_t u = 0;
    (void)state;
    if (!file_exists(path)) skip();
    tfm__heap_init(&heap, NULL, 0);
    assert_int_equal(open_path(&heap, path, &c, NULL), TFM_OK);
    assert_int_equal(c.gguf_version, 1);
    assert_int_equal(c.tensor_count, 48);
    assert_true(tfm__meta_u64(tfm__container_meta(&c, "llama.embedding_length"), 0, &u) && u == 64);
    t = tfm__container_tensor(&c, "token_embd.weight");
    assert_true(t && t->dims == 2 && t->shape[0] == 512 && t->shape[1] == 64);
    touch_container(&c);
    if (file_exists(twin)) { /* the same model as a llama2.c checkpoint: the same numbers */
        static const char *const same[] = {"token_embd.weight",      "blk.4.attn_v.weight",
                                           "blk.2.ffn_down.weight",  "blk.3.ffn_up.weight",
                                           "blk.1.attn_norm.weight", "output_norm.weight"};
        assert_int_equal(open_path(&heap, twin, &d, NULL), TFM_OK);
        for (size_t i = 0; i < TFM__COUNT(same); i++) {
            const tfm__tensor *a = tfm__container_tensor(&c, same[i]),
                              *b = tfm__container_tensor(&d, same[i]);
            assert_non_null(a);
            assert_non_null(b);
            assert_true(a->bytes == b->bytes && a->shape[0] == b->shape[0]);
            assert_memory_equal(a->data, b->data, a->bytes);
        }
        tfm__container_release(&d);
    }
    tfm__container_release(&c);
    assert_int_equal(atomic_load(&heap.live), 0);
}

static void test_shared_vocabularies(void **state) {
    static const struct {
        const char *name;
        uint64_t tokens;
    } files[] = {
        {"bert-bge", 30522}, {"falcon", 65024}, {"gpt-2", 50257}, {"llama-spm", 32000}, {"phi-3", 32064}};
    size_t found = 0;
    (void)state;
    for (size_t i = 0; i < TFM__COUNT(files); i++) {
        char path[512];
        tfm__heap heap;
        tfm__container c;
        const tfm__meta *tokens;
        tfm__text text;
        snprintf(path, sizeof path, TFM_SHARED "/data/tokenizers/gguf-vocab/ggml-vocab-%s.gguf",
                 files[i].name);
        if (!file_exists(path)) continue;
        tfm__heap_init(&heap, NULL, 0);
        assert_int_equal(open_path(&heap, path, &c, NULL), TFM_OK);
        tokens = tfm__container_meta(&c, "tokenizer.ggml.tokens");
        assert_non_null(tokens);
        assert_int_equal(tokens->count, files[i].tokens);
        assert_true(tfm__meta_text(tokens, tokens->count - 1, &text));
        touch_container(&c);
        tfm__container_release(&c);
        assert_int_equal(atomic_load(&heap.live), 0);
        found++;
    }
    if (!found) skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),      cmocka_unit_test(test_alignment_and_no_tensors),
        cmocka_unit_test(test_lying_tensors), cmocka_unit_test(test_overlap_and_names),
        cmocka_unit_test(test_absurd_counts), cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_keys),          cmocka_unit_test(test_magic_and_version),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_parts),         cmocka_unit_test(test_wrong_parts),
        cmocka_unit_test(test_shared_model),  cmocka_unit_test(test_shared_vocabularies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
