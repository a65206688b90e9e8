/* cmd_quantize.c - `tfm quantize`: a model written anew with smaller weights. */
#include "cli.h"
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_REMARKS 3

typedef struct quantize_options {
    arg_u64 threads;
    const char *imatrix;
    const char *output_type;
    const char *embedding_type;
    int pure;
    int requantize;
    int no_tokenizer;
    int verbose;
    int json;
} quantize_options;

/* What the library remarks on: a model of many layers says the same of each. */
typedef struct remarks {
    cli_host *host;
    int all;
    unsigned count;
} remarks;

static void on_log(void *user, int32_t level, const char *text) {
    remarks *r = user;
    if (level < TFM_LOG_WARNING) return;
    cli_progress_clear(&r->host->progress);
    if (r->all || ++r->count <= MOST_REMARKS)
        fprintf(stderr, "tfm %s: %s\n", r->host->command, text);
    else if (r->count == MOST_REMARKS + 1)
        fprintf(stderr, "tfm %s: and so on (--verbose: all)\n", r->host->command);
}

static void print(const quantize_options *options, const char *type, const tfm_quantize_result *r) {
    if (options->json) {
        printf("{\"type\":");
        json_text(stdout, type);
        printf(",\"tensors\":%" PRIu64 ",\"quantized\":%" PRIu64 ",\"weighted\":%" PRIu64
               ",\"fallbacks\":%" PRIu64 ",\"parameters\":%" PRIu64 ",\"source_bytes\":%" PRIu64
               ",\"bytes\":%" PRIu64 "}\n",
               r->tensors, r->quantized, r->weighted, r->fallbacks, r->parameters, r->source_bytes, r->bytes);
        return;
    }
    printf("%" PRIu64 " tensors, %" PRIu64 " of them changed: %.1f MB became %.1f MB, %.2f bits a weight\n",
           r->tensors, r->quantized, (double)r->source_bytes / 1e6, (double)r->bytes / 1e6,
           r->parameters ? 8.0 * (double)r->bytes / (double)r->parameters : 0.0);
    if (r->fallbacks)
        printf("%" PRIu64 " tensors have rows that are no whole number of blocks and got another type\n",
               r->fallbacks);
    if (options->imatrix) printf("%" PRIu64 " tensors were weighted by importance\n", r->weighted);
}

static int work(cli_host *host, const char *source, const char *target, const char *type,
                const quantize_options *options) {
    tfm_pool_options pool = TFM_POOL_OPTIONS_INIT;
    tfm_quantize_options how = TFM_QUANTIZE_OPTIONS_INIT;
    tfm_quantize_result result = TFM_QUANTIZE_RESULT_INIT;
    remarks said = {host, options->verbose, 0};
    pool.threads = (uint32_t)options->threads.value;
    if (tfm_pool_create(&pool, &host->pool, &host->error)) return cli_fail(host);
    how.imatrix = options->imatrix;
    how.output_type = options->output_type;
    how.embedding_type = options->embedding_type;
    how.pure = options->pure;
    how.requantize = options->requantize;
    how.tokenizer = options->no_tokenizer ? TFM_NO : TFM_DEFAULT;
    how.pool = host->pool;
    how.progress = cli_progress_report;
    how.progress_user = &host->progress;
    how.cancel = host->cancel;
    how.log = on_log;
    how.log_user = &said;
    cli_progress_label(&host->progress, "quantizing");
    if (tfm_quantize(source, target, type, &how, &result, &host->error)) return cli_fail(host);
    cli_progress_clear(&host->progress);
    print(options, type, &result);
    return CLI_OK;
}

static int quantize(const char *source, char **words, size_t count, const quantize_options *options) {
    cli_host host;
    if (count != 2) return args_usage("quantize", "needs IN, OUT and TYPE");
    int known = 0;
    for (size_t i = 0; tfm_quantize_type(i); i++) {
        const char *a = tfm_quantize_type(i), *b = words[1];
        while (*a && (*a == *b || (*b >= 'a' && *b <= 'z' && *a == *b - 32))) a++, b++;
        known |= *a == 0 && *b == 0;
    }
    if (!known) {
        fprintf(stderr, "tfm quantize: no such type: %s; there are", words[1]);
        for (size_t i = 0; tfm_quantize_type(i); i++) fprintf(stderr, " %s", tfm_quantize_type(i));
        putc('\n', stderr);
        return CLI_USAGE;
    }
    int status = cli_open(&host, "quantize");
    if (!status) status = work(&host, source, words[0], words[1], options);
    return cli_close(&host, status);
}

int cmd_quantize(int argc, char **argv) {
    quantize_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        {'i', "imatrix", ARG_TEXT, &o.imatrix, "FILE",
         "an importance matrix, as llama.cpp writes them (.dat, GGUF)", 0, 0, NULL},
        {0, "pure", ARG_FLAG, &o.pure, NULL, "the same type for every matrix", 0, 0, NULL},
        {0, "output-type", ARG_TEXT, &o.output_type, "TYPE", "of the output matrix, instead of the mix's", 0,
         0, NULL},
        {0, "embedding-type", ARG_TEXT, &o.embedding_type, "TYPE",
         "of the token embedding, instead of the mix's", 0, 0, NULL},
        {0, "requantize", ARG_FLAG, &o.requantize, NULL, "take weights that are quantised already", 0, 0,
         NULL},
        {0, "no-tokenizer", ARG_FLAG, &o.no_tokenizer, NULL,
         "leave the tokenizer out (other formats than GGUF)", 0, 0, NULL},
        {'v', "verbose", ARG_FLAG, &o.verbose, NULL, "name every tensor that gets another type", 0, 0, NULL},
        {'t', "threads", ARG_U64, &o.threads, "N", "threads (0 to 256; default 0: one per processor)", 0, 256,
         NULL},
        {0, "json", ARG_FLAG, &o.json, NULL, "the figures as one object of JSON", 0, 0, NULL},
    };
    const arg_command command = {
        "quantize", "IN OUT TYPE",
        "Writes a model with smaller weights into a GGUF file. IN is GGUF, a Hugging Face\n"
        "folder or a llama2.c file; TYPE is a weight type or a mix: Q4_K_M, Q8_0, F16, ...\n",
        options, ARG_COUNT(options)};
    const char *source = NULL;
    size_t count = 0;
    int status = args_parse_words(&command, argc, argv, &source, &count);
    if (status == ARGS_GO) status = quantize(source, argv + 1, count, &o);
    return status;
}
