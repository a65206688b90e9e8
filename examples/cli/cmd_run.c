/* cmd_run.c - `tfm run`: continues a text, token by token, as text or as lines of JSON. */
#include "beams.h"
#include "json_out.h"

#include <inttypes.h>
#include <string.h>

typedef struct run_options {
    cli_open_options open;
    cli_prompt prompt;
    arg_u64 tokens, top_k, seed, repeat_window;
    arg_f64 temperature, top_p, min_p, repeat_penalty;
    arg_texts stops;
    cli_beams beams;
    int ignore_end, json, stats;
} run_options;

/* ---- Output
 * ------------------------------------------------------------------------------------------------------- */

typedef struct run_output {
    int json;
    char last; /* byte written, to know whether the line is open */
} run_output;

static void print_json(const tfm_token_event *event) {
    printf("{\"id\":%" PRId32 ",\"text\":", event->token);
    json_string(stdout, event->bytes, event->length);
    printf(",\"probability\":");
    json_number(stdout, event->probability);
    printf(",\"position\":%" PRIu64 "}\n", event->position);
}

/* A tfm_token_fn. Stops the generation when nobody takes the output any more. */
static int32_t on_token(void *user, const tfm_token_event *event) {
    run_output *output = user;
    if (output->json) {
        /* The last event is a line only if text was held back until then. */
        if (!event->stop || event->length) print_json(event);
    } else if (event->length) {
        fwrite(event->bytes, 1, event->length, stdout);
        output->last = event->bytes[event->length - 1];
    }
    return fflush(stdout) != 0;
}

/* Scripts get the text alone; on a terminal the line is finished. */
static void finish_line(const run_output *output) {
    if (!output->json && output->last != '\n' && cli_is_terminal(stdout)) putchar('\n');
}

static double per_second(uint64_t tokens, uint64_t ns) { return ns ? (double)tokens * 1e9 / (double)ns : 0; }

static void print_stats(const tfm_generation_summary *summary) {
    static const char *const reasons[] = {"none",    "end",      "limit",    "string",
                                          "context", "callback", "cancelled"};
    const char *reason =
        summary->stop >= 0 && (size_t)summary->stop < ARG_COUNT(reasons) ? reasons[summary->stop] : "?";
    fprintf(stderr,
            "prompt: %" PRIu64 " tokens, %.1f tokens/s; generated: %" PRIu64
            " tokens, %.1f tokens/s; stop: %s\n",
            summary->prompt_tokens, per_second(summary->prompt_tokens, summary->prompt_ns),
            summary->generated_tokens, per_second(summary->generated_tokens, summary->generated_ns), reason);
}

/* ---- Sampler
 * ------------------------------------------------------------------------------------------------------ */

static int set_f64(tfm_sampler *sampler, int32_t setting, const arg_f64 *value, tfm_error *error) {
    return value->given ? tfm_sampler_set_f64(sampler, setting, value->value, error) : 0;
}

static int set_u64(tfm_sampler *sampler, int32_t setting, const arg_u64 *value, tfm_error *error) {
    return value->given ? tfm_sampler_set_u64(sampler, setting, value->value, error) : 0;
}

/* Only what was given is set: the defaults are the library's. */
static int make_sampler(const run_options *options, tfm_sampler **sampler, tfm_error *error) {
    return tfm_sampler_create(NULL, sampler, error) ||
           set_f64(*sampler, TFM_SAMPLER_TEMPERATURE, &options->temperature, error) ||
           set_u64(*sampler, TFM_SAMPLER_TOP_K, &options->top_k, error) ||
           set_f64(*sampler, TFM_SAMPLER_TOP_P, &options->top_p, error) ||
           set_f64(*sampler, TFM_SAMPLER_MIN_P, &options->min_p, error) ||
           set_f64(*sampler, TFM_SAMPLER_REPEAT_PENALTY, &options->repeat_penalty, error) ||
           set_u64(*sampler, TFM_SAMPLER_REPEAT_WINDOW, &options->repeat_window, error) ||
           set_u64(*sampler, TFM_SAMPLER_SEED, &options->seed, error);
}

/* ---- The command
 * -------------------------------------------------------------------------------------------------- */

static int generate(cli_host *host, const run_options *options, tfm_sampler *sampler) {
    tfm_generate_options how = TFM_GENERATE_OPTIONS_INIT;
    tfm_generation_summary summary = TFM_GENERATION_SUMMARY_INIT;
    run_output output = {options->json, 0};
    const cli_prompt *prompt = &options->prompt;
    how.max_tokens = options->tokens.value;
    how.stops = options->stops.items;
    how.stop_count = options->stops.count;
    how.ignore_end = options->ignore_end;
    how.parse_special = prompt->special;
    how.special = prompt->special;
    how.cancel = host->cancel;
    how.progress = cli_progress_report;
    how.progress_user = &host->progress;
    if (prompt->tokens) {
        how.prompt_tokens = prompt->tokens;
        how.prompt_token_count = prompt->count;
        how.add_bos = TFM_NO; /* ids are meant as they are */
    }
    cli_progress_label(&host->progress, "reading the prompt");
    if (tfm_generate(host->session, sampler, prompt->bytes, prompt->length, &how, on_token, &output, &summary,
                     &host->error))
        return cli_fail(host);
    finish_line(&output);
    if (options->stats) print_stats(&summary);
    return summary.stop == TFM_STOP_CANCELLED ? cli_signal_status() : CLI_OK;
}

/* Beams search for a whole text: nothing is drawn, and no text is waited for. */
static int check_beams(const run_options *o) {
    int status = cli_beams_check("run", &o->beams);
    if (status || !o->beams.beams.given) return status;
    if (o->temperature.given || o->top_k.given || o->top_p.given || o->min_p.given ||
        o->repeat_penalty.given || o->repeat_window.given || o->seed.given || o->stops.count ||
        o->ignore_end || o->stats)
        return args_usage("run",
                          "--beams goes with the options of the prompt, -n, --n-best, --length-penalty, "
                          "--no-repeat and --json only");
    return CLI_OK;
}

static int search(cli_host *host, run_options *options) {
    cli_prompt *prompt = &options->prompt;
    if (!prompt->tokens) {
        const tfm_tokenizer *tokenizer = tfm_tokenizer_of(host->model);
        if (!tokenizer) return cli_error(host->command, "the model's files hold no tokenizer");
        tfm_tokenizer_info info = TFM_TOKENIZER_INFO_INIT;
        int status = cli_tokenize(host, tokenizer, prompt, 0);
        if (status) return status;
        if (tfm_tokenizer_get_info(tokenizer, &info, &host->error)) return cli_fail(host);
        if (info.adds_eos && prompt->count) prompt->count--; /* the text goes on */
    }
    return cli_beams_write(host, &options->beams, prompt->tokens, prompt->count, options->tokens.value,
                           prompt->special, options->json);
}

static int run(const char *model, run_options *options) {
    cli_host host;
    tfm_sampler *sampler = NULL;
    int status = cli_prompt_read(&options->prompt, "run", 1);
    if (status) return status;
    status = cli_open(&host, "run");
    if (!status && make_sampler(options, &sampler, &host.error)) status = cli_fail(&host);
    if (!status) status = cli_open_model(&host, model, &options->open);
    if (!status) status = cli_open_session(&host, &options->open);
    if (!status)
        status = options->beams.beams.given ? search(&host, options) : generate(&host, options, sampler);
    tfm_sampler_destroy(sampler);
    return cli_close(&host, status);
}

int cmd_run(int argc, char **argv) {
    run_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        CLI_OPTION_PROMPT(&o.prompt),
        CLI_OPTION_FILE(&o.prompt),
        CLI_OPTION_TOKENS(&o.prompt),
        {'n', "count", ARG_U64, &o.tokens, "N", "most tokens to generate (default 0: until the end)", 0, 0,
         NULL},
        {0, "temp", ARG_F64, &o.temperature, "T",
         "temperature, 0 to 100; 0: always the likeliest (default 0.8)", 0, 100, NULL},
        {0, "top-k", ARG_U64, &o.top_k, "K", "only the K likeliest tokens; 0: all (default 40)", 0, 0, NULL},
        {0, "top-p", ARG_F64, &o.top_p, "P", "the likeliest tokens that sum to P, over 0 to 1 (default 0.95)",
         1e-300, 1, NULL},
        {0, "min-p", ARG_F64, &o.min_p, "P", "at least P times the likeliest, 0 to 1 (default 0.05)", 0, 1,
         NULL},
        {0, "repeat-penalty", ARG_F64, &o.repeat_penalty, "R", "over 0 to 100; 1: none (default 1)", 1e-300,
         100, NULL},
        {0, "repeat-window", ARG_U64, &o.repeat_window, "N",
         "tokens that the penalty looks back (default 64)", 0, 0, NULL},
        {0, "seed", ARG_U64, &o.seed, "S", "same seed, same text (default 0)", 0, 0, NULL},
        {0, "stop", ARG_TEXTS, &o.stops, "TEXT", "end before this text; may be repeated, 64 at most", 0, 0,
         NULL},
        {0, "ignore-end", ARG_FLAG, &o.ignore_end, NULL, "go on after the model's end token", 0, 0, NULL},
        CLI_OPTION_BEAMS(&o.beams),
        CLI_OPTION_N_BEST(&o.beams),
        CLI_OPTION_LENGTH_PENALTY(&o.beams),
        CLI_OPTION_NO_REPEAT(&o.beams),
        {0, "special", ARG_FLAG, &o.prompt.special, NULL, "special tokens count in the prompt and are shown",
         0, 0, NULL},
        CLI_OPTION_CONTEXT(&o.open),
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        CLI_OPTION_KV(&o.open),
        CLI_OPTION_LORA(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "a line of JSON per token, or with --beams per text", 0, 0,
         NULL},
        {0, "stats", ARG_FLAG, &o.stats, NULL, "say on stderr how long it took", 0, 0, NULL},
    };
    const arg_command command = {"run", "MODEL",
                                 "Continues a text and prints it as it comes. Ctrl-C stops it.\n", options,
                                 ARG_COUNT(options)};
    const char *model = NULL;
    int status = args_parse(&command, argc, argv, &model);
    if (status == ARGS_GO) {
        status = check_beams(&o);
        if (!status) status = run(model, &o);
    }
    cli_prompt_free(&o.prompt);
    return status;
}
