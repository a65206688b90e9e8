/* open.c - from a path and options to a model, a session and a prompt; and how errors are told. */
#include "cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *const cli_isa_names[] = {"best", "portable",     "avx2", "avx512",
                                     "neon", "neon-dotprod", NULL}; /* in the order of TFM_ISA_* */
const char *const cli_kv_names[] = {"default", "f32",  "f16", "bf16",
                                    "q8_0",    "q4_0", NULL}; /* as TFM_CACHE_* */

int cli_error(const char *command, const char *format, ...) {
    va_list list;
    fprintf(stderr, "tfm %s: ", command);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    putc('\n', stderr);
    return CLI_ERROR;
}

int cli_fail(cli_host *host) {
    cli_progress_clear(&host->progress);
    if (host->error.code == TFM_E_CANCELLED && cli_signal_status()) return cli_signal_status();
    return cli_error(host->command, "%s",
                     host->error.message[0] ? host->error.message : tfm_status_text(host->error.code));
}

static void on_log(void *user, int32_t level, const char *text) {
    cli_host *host = user;
    if (level < TFM_LOG_WARNING) return;
    cli_progress_clear(&host->progress);
    fprintf(stderr, "tfm %s: warning: %s\n", host->command, text);
}

int cli_open(cli_host *host, const char *command) {
    tfm_error none = TFM_ERROR_INIT;
    memset(host, 0, sizeof *host);
    host->command = command;
    host->error = none;
    host->progress.drawn = -1;
    if (tfm_cancel_create(NULL, &host->cancel, &host->error)) return cli_fail(host);
    cli_catch_signals(host->cancel);
    return CLI_OK;
}

/* "PATH" or "PATH=SCALE": what follows the last = counts as a scale if it is a number. */
static int open_adapter(cli_host *host, const char *text) {
    tfm_adapter_use *use = &host->adapters[host->adapter_count];
    const char *mark = strrchr(text, '=');
    size_t length = strlen(text);
    char *end = NULL;
    double scale = mark ? strtod(mark + 1, &end) : 1.0;
    if (mark && end != mark + 1 && *end == 0)
        length = (size_t)(mark - text);
    else
        scale = 1.0;
    char *path = calloc(length + 1, 1);
    if (!path) return cli_error(host->command, "out of memory");
    memcpy(path, text, length);
    use->scale = (float)scale;
    int32_t status = tfm_adapter_load(host->model, path, &use->adapter, &host->error);
    free(path);
    if (status) return cli_fail(host);
    host->adapter_count++;
    return CLI_OK;
}

int cli_open_model(cli_host *host, const char *path, const cli_open_options *options) {
    tfm_pool_options pool = TFM_POOL_OPTIONS_INIT;
    tfm_model_options model = TFM_MODEL_OPTIONS_INIT;
    pool.threads = (uint32_t)options->threads.value;
    if (tfm_pool_create(&pool, &host->pool, &host->error)) return cli_fail(host);
    cli_progress_label(&host->progress, "loading");
    model.pool = host->pool;
    model.isa = options->isa;
    model.log = on_log;
    model.log_user = host;
    model.progress = cli_progress_report;
    model.progress_user = &host->progress;
    model.cancel = host->cancel;
    if (tfm_model_load(path, &model, &host->model, &host->error)) return cli_fail(host);
    cli_progress_clear(&host->progress);
    int status = CLI_OK;
    for (size_t i = 0; i < options->lora.count && !status; i++)
        status = open_adapter(host, options->lora.items[i]);
    return status;
}

int cli_open_session(cli_host *host, const cli_open_options *options) {
    tfm_session_options session = TFM_SESSION_OPTIONS_INIT;
    session.context = (uint32_t)options->context.value;
    session.cache_type = options->kv;
    if (tfm_session_create(host->model, &session, &host->session, &host->error)) return cli_fail(host);
    if (host->adapter_count &&
        tfm_session_adapt(host->session, host->adapters, host->adapter_count, &host->error))
        return cli_fail(host);
    return CLI_OK;
}

const char *const cli_compatibility_names[] = {"original", "llama.cpp", NULL}; /* as TFM_TOKENIZER_* */

int cli_open_tokenizer(cli_host *host, const char *path, const cli_tokenizer_options *options,
                       tfm_tokenizer **tokenizer) {
    tfm_tokenizer_options how = TFM_TOKENIZER_OPTIONS_INIT;
    how.pattern = options->pattern;
    how.compatibility = options->compatibility;
    how.isa = options->isa;
    return tfm_tokenizer_load(path, &how, tokenizer, &host->error) ? cli_fail(host) : CLI_OK;
}

int cli_close(cli_host *host, int status) {
    tfm_session_destroy(host->session);
    for (size_t i = 0; i < host->adapter_count; i++) tfm_adapter_release(host->adapters[i].adapter);
    tfm_model_release(host->model);
    tfm_pool_destroy(host->pool);
    cli_catch_signals(NULL);
    tfm_cancel_destroy(host->cancel);
    return status;
}

/* ---- Prompts
 * ------------------------------------------------------------------------------------------------------ */

int cli_prompt_read(cli_prompt *prompt, const char *command, int may_be_empty) {
    int given = (prompt->text != NULL) + (prompt->file != NULL) + (prompt->ids != NULL);
    if (given > 1) return args_usage(command, "one text is enough: -p, -f or --tokens");
    if (given == 0 && !may_be_empty) return args_usage(command, "no text: -p TEXT or -f FILE is missing");
    if (prompt->ids) return args_ids(command, "--tokens", prompt->ids, &prompt->tokens, &prompt->count);
    prompt->bytes = prompt->text ? prompt->text : "";
    prompt->length = strlen(prompt->bytes);
    if (prompt->file) {
        int status = cli_read_file(command, prompt->file, &prompt->content, &prompt->length);
        if (status) return status;
        prompt->bytes = prompt->content;
    }
    return CLI_OK;
}

int cli_tokenize(cli_host *host, const tfm_tokenizer *tokenizer, cli_prompt *prompt, int no_special) {
    tfm_tokenize_options options = TFM_TOKENIZE_OPTIONS_INIT;
    size_t count = 0;
    if (prompt->tokens) return CLI_OK; /* they came as ids */
    if (!tokenizer)
        return cli_error(host->command, "the file holds no tokenizer: give --tokens instead of a text");
    options.parse_special = prompt->special;
    if (no_special) options.add_bos = options.add_eos = TFM_NO;
    if (tfm_tokenize(tokenizer, prompt->bytes, prompt->length, &options, NULL, 0, &count, &host->error))
        return cli_fail(host);
    prompt->tokens = malloc((count ? count : 1) * sizeof *prompt->tokens);
    if (!prompt->tokens) return cli_error(host->command, "out of memory");
    if (tfm_tokenize(tokenizer, prompt->bytes, prompt->length, &options, prompt->tokens, count,
                     &prompt->count, &host->error))
        return cli_fail(host);
    return CLI_OK;
}

int cli_open_on_prompt(cli_host *host, const char *command, const char *model,
                       const cli_open_options *options, cli_prompt *prompt, int no_special) {
    memset(host, 0, sizeof *host);                    /* cli_close may follow whatever fails */
    int status = cli_prompt_read(prompt, command, 0); /* first: Ctrl-C ends a wait for standard input */
    if (!status) status = cli_open(host, command);
    if (!status) status = cli_open_model(host, model, options);
    if (!status) status = cli_tokenize(host, tfm_tokenizer_of(host->model), prompt, no_special);
    return status;
}

void cli_prompt_free(cli_prompt *prompt) {
    free(prompt->content);
    free(prompt->tokens);
}

cli_piece cli_piece_of(const cli_host *host, int32_t token) {
    const tfm_tokenizer *tokenizer = tfm_tokenizer_of(host->model);
    cli_piece piece = {"", 0};
    if (tokenizer && tfm_token_bytes(tokenizer, token, &piece.bytes, &piece.length, NULL))
        return (cli_piece){"", 0}; /* the model will say what is wrong with it */
    return piece;
}

int cli_pieces(cli_host *host, const cli_prompt *prompt, cli_piece **pieces) {
    cli_piece *made = calloc(prompt->count + 1, sizeof *made);
    *pieces = made;
    if (!made) return cli_error(host->command, "out of memory");
    for (size_t i = 0; i < prompt->count; i++) made[i] = cli_piece_of(host, prompt->tokens[i]);
    return CLI_OK;
}

int cli_check_layer(cli_host *host, uint64_t layer, const tfm_model_info *info) {
    if (layer < (uint64_t)info->layers) return CLI_OK;
    return cli_error(host->command, "there is no layer %" PRIu64 ": the model has %" PRId32, layer,
                     info->layers);
}

int cli_check_head(cli_host *host, uint64_t head, const tfm_model_info *info) {
    if (head < (uint64_t)info->heads) return CLI_OK;
    return cli_error(host->command, "there is no head %" PRIu64 ": the model has %" PRId32, head,
                     info->heads);
}
