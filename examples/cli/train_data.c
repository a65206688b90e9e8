/* train_data.c - the data of `tfm train`.
 *
 * Which row comes when depends on the seed and on the row's number alone, so a run that was interrupted goes
 * on with the rows that it would have had. */
#include "train_data.h"

#include <stdlib.h>
#include <string.h>

/* ---- Texts ---- */

/* Appends a text's tokens. */
static int add_text(train_data *data, cli_host *host, const char *path) {
    cli_prompt prompt;
    memset(&prompt, 0, sizeof prompt);
    prompt.file = path;
    int status = cli_prompt_read(&prompt, host->command, 0);
    if (!status) status = cli_tokenize(host, tfm_tokenizer_of(host->model), &prompt, 0);
    if (!status && prompt.count) {
        int32_t *ids = realloc(data->ids, (data->count + prompt.count) * sizeof *ids);
        if (ids) {
            memcpy(ids + data->count, prompt.tokens, prompt.count * sizeof *ids);
            data->ids = ids;
            data->count += prompt.count;
        } else {
            status = cli_error(host->command, "out of memory");
        }
    }
    cli_prompt_free(&prompt);
    return status;
}

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void shuffle(train_data *data, uint64_t epoch) {
    uint64_t state = data->seed * 0x2545f4914f6cdd1du + epoch;
    for (size_t i = 0; i < data->windows; i++) data->order[i] = (uint32_t)i;
    for (size_t i = data->windows; i > 1; i--) {
        size_t j = (size_t)(next_random(&state) % i);
        uint32_t other = data->order[i - 1];
        data->order[i - 1] = data->order[j];
        data->order[j] = other;
    }
    data->epoch = epoch;
}

void train_data_window(const train_data *data, size_t window, int32_t *row) {
    memcpy(row, data->ids + window * data->context, (data->context + 1) * sizeof *row);
}

void train_data_row(train_data *data, uint64_t index, int32_t *row) {
    if (data->epoch != index / data->windows) shuffle(data, index / data->windows);
    train_data_window(data, data->order[index % data->windows], row);
}

static int open_texts(train_data *data, cli_host *host, const char *const *files, size_t count,
                      double share) {
    int status = CLI_OK;
    if (!tfm_tokenizer_of(host->model))
        return cli_error(host->command, "the model has no tokenizer: texts cannot be read");
    for (size_t i = 0; i < count && !status; i++) status = add_text(data, host, files[i]);
    if (status) return status;
    data->all = data->count ? (data->count - 1) / data->context : 0;
    if (data->all == 0)
        return cli_error(host->command, "%zu tokens of text make no row of %zu and one to predict",
                         data->count, data->context);
    size_t held = (size_t)((double)data->all * share + 0.5);
    if (share > 0 && held == 0) held = 1;
    if (held >= data->all)
        return cli_error(host->command, "of %zu rows of %zu tokens, %zu are held out: none is left",
                         data->all, data->context, held);
    data->windows = data->all - held;
    if (data->windows > UINT32_MAX) return cli_error(host->command, "too much text");
    data->order = malloc(data->windows * sizeof *data->order);
    if (!data->order) return cli_error(host->command, "out of memory");
    shuffle(data, 0);
    return CLI_OK;
}

/* ---- Batches ---- */

/* The entry of a tensor in a safetensors header: type, shape and place. Headers are flat and written without
 * spaces inside an entry by every library; anything else is refused. */
static int find_tensor(const char *header, const char *name, const char *type, size_t dims,
                       unsigned long long *shape, unsigned long long *begin, unsigned long long *end) {
    char key[64];
    snprintf(key, sizeof key, "\"%s\":{", name);
    const char *entry = strstr(header, key), *place;
    if (!entry) return 0;
    const char *close = strchr(entry, '}');
    snprintf(key, sizeof key, "\"dtype\":\"%s\"", type);
    place = strstr(entry, key);
    if (!close || !place || place > close) return 0;
    place = strstr(entry, "\"shape\":[");
    if (!place || place > close) return 0;
    place += 9;
    for (size_t i = 0; i < dims; i++) {
        char *next;
        shape[i] = strtoull(place, &next, 10);
        if (next == place || *next != (i + 1 < dims ? ',' : ']')) return 0;
        place = next + 1;
    }
    place = strstr(entry, "\"data_offsets\":[");
    return place && place < close && sscanf(place + 16, "%llu,%llu]", begin, end) == 2;
}

static int open_batches(train_data *data, cli_host *host, const char *path) {
    unsigned long long shape[3], rates[1], begin, end, header = 0;
    size_t size;
    int status = cli_read_file(host->command, path, &data->file, &size);
    if (status) return status;
    for (int i = 0; i < 8 && size >= 8; i++)
        header |= (unsigned long long)(unsigned char)data->file[i] << 8 * i;
    if (size < 8 || header > size - 8 || header % 4)
        return cli_error(host->command, "%s: this is no safetensors file", path);
    char *text = malloc((size_t)header + 1);
    if (!text) return cli_error(host->command, "out of memory");
    memcpy(text, data->file + 8, (size_t)header);
    text[header] = 0;
    size_t left = size - 8 - (size_t)header;
    const char *values = data->file + 8 + header;
    int found = find_tensor(text, "batches", "I32", 3, shape, &begin, &end) && end <= left && begin <= end &&
                begin % 4 == 0 && shape[0] < 1u << 30 && shape[1] < 1u << 20 && shape[2] < 1u << 20 &&
                shape[0] * shape[1] * shape[2] * 4 == end - begin;
    if (found) {
        data->batches = (const int32_t *)(const void *)(values + begin);
        data->steps = (size_t)shape[0];
        data->rows = (size_t)shape[1];
        data->length = (size_t)shape[2];
        if (find_tensor(text, "lr", "F32", 1, rates, &begin, &end) && end <= left && begin % 4 == 0 &&
            rates[0] == shape[0] && rates[0] * 4 == end - begin)
            data->rates = (const float *)(const void *)(values + begin);
    }
    free(text);
    return found
               ? CLI_OK
               : cli_error(host->command, "%s: no tensor 'batches' [steps, rows, tokens] of type I32", path);
}

int train_data_open(train_data *data, cli_host *host, const char *const *files, size_t count, size_t context,
                    uint64_t seed, double share) {
    const char *ending = strrchr(files[0], '.');
    data->context = context;
    data->seed = seed;
    if (count == 1 && ending && strcmp(ending, ".safetensors") == 0 && share > 0)
        return args_usage(host->command, "--held-out-share is for texts; this file has batches");
    if (count == 1 && ending && strcmp(ending, ".safetensors") == 0)
        return open_batches(data, host, files[0]);
    return open_texts(data, host, files, count, share);
}

void train_data_close(train_data *data) {
    free(data->ids);
    free(data->order);
    free(data->file);
    memset(data, 0, sizeof *data);
}
