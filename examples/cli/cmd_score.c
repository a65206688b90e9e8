/* cmd_score.c - `tfm score`: how probable it is that a text goes on with a phrase; and how often it does in a
 * text that is given (--corpus). */
#include "cli.h"
#include "json_out.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct score_options {
    cli_open_options open;
    cli_prompt prompt;
    const char *continuation;
    const char *corpus;
    int rejoin;
    int json;
} score_options;

/* What a text says: how often the prompt occurs in it, and how often the phrase comes behind. */
typedef struct corpus_count {
    uint64_t prompts, phrases;
} corpus_count;

static int count_corpus(cli_host *host, const score_options *options, corpus_count *counts) {
    const char *prompt = options->prompt.bytes;
    size_t length = options->prompt.length, phrase = strlen(options->continuation), size = 0;
    char *text = NULL;
    if (length == 0) return args_usage("score", "--corpus needs a prompt to look for");
    int status = cli_read_file(host->command, options->corpus, &text, &size);
    if (status) return status;
    for (size_t at = 0; at + length <= size; at++) {
        const char *found = memchr(text + at, prompt[0], size - length - at + 1);
        if (!found) break;
        at = (size_t)(found - text);
        if (memcmp(found, prompt, length)) continue;
        counts->prompts++;
        counts->phrases +=
            size - at - length >= phrase && !memcmp(found + length, options->continuation, phrase);
    }
    free(text);
    return CLI_OK;
}

static void print_token(const tfm_tokenizer *tokenizer, tfm_token token) {
    const char *bytes = "";
    size_t length = 0;
    if (tfm_token_bytes(tokenizer, token, &bytes, &length, NULL)) length = 0;
    json_string(stdout, bytes, length);
}

static void print_json(const tfm_tokenizer *tokenizer, const tfm_token_score *scores,
                       const tfm_score_result *result, const tfm_phrase_result *phrase,
                       const corpus_count *counts) {
    printf("{\"tokens\":[");
    for (size_t i = 0; i < result->count; i++) {
        printf("%s{\"id\":%" PRId32 ",\"text\":", i ? "," : "", scores[i].token);
        print_token(tokenizer, scores[i].token);
        printf(",\"probability\":");
        json_number(stdout, exp(scores[i].log_probability));
        printf(",\"log_probability\":");
        json_number(stdout, scores[i].log_probability);
        printf(",\"rank\":%" PRIu32 "}", scores[i].rank);
    }
    printf("],\"probability\":");
    json_number(stdout, exp(result->log_probability));
    printf(",\"log_probability\":");
    json_number(stdout, result->log_probability);
    printf(",\"perplexity\":");
    json_number(stdout, exp(-result->log_probability / (double)result->count));
    if (phrase) {
        printf(",\"phrase\":{\"probability\":");
        json_number(stdout, phrase->probability);
        printf(",\"unexplored\":");
        json_number(stdout, phrase->unexplored);
        printf("}");
    }
    printf(",\"prompt_tokens\":%zu,\"split\":%s", result->prompt_tokens, result->split ? "true" : "false");
    if (counts)
        printf(",\"corpus\":{\"prompt\":%" PRIu64 ",\"phrase\":%" PRIu64 "}", counts->prompts,
               counts->phrases);
    printf("}\n");
}

static void print_table(const tfm_tokenizer *tokenizer, const tfm_token_score *scores,
                        const tfm_score_result *result, const tfm_phrase_result *phrase,
                        const corpus_count *counts) {
    printf("%8s  %12s  %6s  %s\n", "id", "probability", "rank", "token");
    for (size_t i = 0; i < result->count; i++) {
        printf("%8" PRId32 "  %10.6f %%  %6" PRIu32 "  ", scores[i].token,
               100 * exp(scores[i].log_probability), scores[i].rank);
        print_token(tokenizer, scores[i].token);
        putchar('\n');
    }
    printf("all together: %.6g %% (logarithm %.4f, perplexity by token %.4f)\n",
           100 * exp(result->log_probability), result->log_probability,
           exp(-result->log_probability / (double)result->count));
    if (phrase) {
        printf("however it is cut into tokens: %.6g %%", 100 * phrase->probability);
        if (phrase->unexplored > 0.001 * phrase->probability)
            printf(" at least, %.6g %% at most", 100 * (phrase->probability + phrase->unexplored));
        putchar('\n');
    }
    if (result->split) printf("a token reaches across the end of the prompt\n");
    if (counts && counts->prompts)
        printf("in the corpus: %" PRIu64 " of %" PRIu64 " times, %.6g %%\n", counts->phrases, counts->prompts,
               100.0 * (double)counts->phrases / (double)counts->prompts);
    else if (counts)
        printf("in the corpus: the prompt does not occur\n");
}

static int show(cli_host *host, const score_options *options) {
    const tfm_tokenizer *tokenizer = tfm_tokenizer_of(host->model);
    tfm_score_options how = TFM_SCORE_OPTIONS_INIT;
    tfm_score_result result = TFM_SCORE_RESULT_INIT;
    tfm_phrase_options ways = TFM_PHRASE_OPTIONS_INIT;
    tfm_phrase_result phrase = TFM_PHRASE_RESULT_INIT;
    size_t length = strlen(options->continuation);
    corpus_count counts = {0, 0};
    size_t capacity =
        strlen(options->continuation) + options->prompt.length + 8; /* a token has a byte or more */
    how.parse_special = options->prompt.special;
    how.border = options->rejoin ? TFM_BORDER_REJOIN : TFM_BORDER_KEEP;
    how.progress = cli_progress_report;
    how.progress_user = &host->progress;
    how.cancel = host->cancel;
    int status = options->corpus ? count_corpus(host, options, &counts) : CLI_OK;
    if (status) return status;
    tfm_token_score *scores = calloc(capacity, sizeof *scores);
    if (!scores) return cli_error(host->command, "out of memory");
    cli_progress_label(&host->progress, "reading");
    ways.progress = cli_progress_report;
    ways.progress_user = &host->progress;
    ways.cancel = host->cancel;
    if (tfm_score(host->session, options->prompt.bytes, options->prompt.length, options->continuation, length,
                  &how, scores, capacity, &result, &host->error) ||
        (!options->rejoin && /* with --rejoin the text before ends inside the prompt */
         (tfm_session_rewind(host->session, result.prompt_tokens, &host->error) ||
          tfm_score_phrase(host->session, options->continuation, length, &ways, &phrase, &host->error)))) {
        status = cli_fail(host);
    } else {
        cli_progress_clear(&host->progress);
        if (result.count > capacity) result.count = capacity;
        (options->json ? print_json : print_table)(
            tokenizer, scores, &result, options->rejoin ? NULL : &phrase, options->corpus ? &counts : NULL);
    }
    free(scores);
    return status;
}

static int score(const char *model, score_options *options) {
    cli_host host;
    if (!options->continuation) return args_usage("score", "-c is missing: the phrase");
    if (!options->continuation[0]) return args_usage("score", "the phrase of -c is empty");
    int status = cli_prompt_read(&options->prompt, "score", 1);
    if (status) return status;
    status = cli_open(&host, "score");
    if (!status) status = cli_open_model(&host, model, &options->open);
    if (!status) status = cli_open_session(&host, &options->open);
    if (!status) status = show(&host, options);
    return cli_close(&host, status);
}

int cmd_score(int argc, char **argv) {
    score_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_FILE(&o.prompt),
        {'c', "continuation", ARG_TEXT, &o.continuation, "TEXT", "the phrase whose probability is wanted", 0,
         0, NULL},
        {0, "corpus", ARG_TEXT, &o.corpus, "FILE",
         "count too how often the phrase follows the prompt in a text", 0, 0, NULL},
        {0, "rejoin", ARG_FLAG, &o.rejoin, NULL,
         "where a token reaches across the end of the prompt: tokenize both together", 0, 0, NULL},
        CLI_OPTION_SPECIAL(&o.prompt),
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
        CLI_OPTION_LORA(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "one object of JSON instead of a table", 0, 0, NULL},
    };
    const arg_command command = {
        "score", "MODEL",
        "Says how probable it is that a text goes on with a phrase: token by token, and\n"
        "all of them together.\n",
        options, ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) status = score(model, &o);
    cli_prompt_free(&o.prompt);
    return status;
}
