/* cli.h - what the commands of the tfm program share: exit statuses, the progress bar, the opened model, and
 * the few things that need the operating system. The program uses the public headers only, so each cmd_*.c
 * can be read as an example of how to do its job with the library. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "args.h"

#include <tfm/tfm.h>

#include <stdio.h>

#define CLI_OK 0
#define CLI_ERROR 1
#define CLI_USAGE 2

int cmd_run(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_tokens(int argc, char **argv);
int cmd_detokenize(int argc, char **argv);
int cmd_train_tokenizer(int argc, char **argv);
int cmd_logits(int argc, char **argv);
int cmd_hidden(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_translate(int argc, char **argv);
int cmd_attention(int argc, char **argv);
int cmd_lens(int argc, char **argv);
int cmd_neighbours(int argc, char **argv);
int cmd_head(int argc, char **argv);
int cmd_neurons(int argc, char **argv);
int cmd_compare(int argc, char **argv);
int cmd_positions(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_perceptron(int argc, char **argv);
int cmd_playground(int argc, char **argv);
int cmd_score(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_quantize(int argc, char **argv);
int cmd_imatrix(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_bench(int argc, char **argv);

/* ---- progress.c: a bar on stderr, only on a terminal, and only after a second
 * ---------------------------------- */

typedef struct cli_progress {
    const char *label;
    double start; /* seconds; 0: nothing runs */
    int terminal; /* stderr is one */
    int drawn;    /* percent shown now, or -1 */
} cli_progress;

/* Names what runs next; the clock starts with its first report. */
void cli_progress_label(cli_progress *progress, const char *label);

/* A tfm_progress_fn; user is the cli_progress. */
int32_t cli_progress_report(void *user, uint64_t done, uint64_t total);

/* Wipes the bar away. */
void cli_progress_clear(cli_progress *progress);

/* ---- open.c: model, pool, session
 * ------------------------------------------------------------------------------- */

/* Options that all commands with a model take. */
typedef struct cli_open_options {
    arg_u64 threads;
    arg_u64 context;
    int isa;        /* TFM_ISA_*: the place in cli_isa_names */
    int kv;         /* TFM_CACHE_*: the place in cli_kv_names */
    arg_texts lora; /* PATH or PATH=SCALE */
} cli_open_options;
extern const char *const cli_isa_names[];
extern const char *const cli_kv_names[];

#define CLI_OPTION_THREADS(open)                                                                             \
    {                                                                                                        \
        't', "threads", ARG_U64, &(open)->threads, "N", "threads (0 to 256; default 0: one per processor)",  \
            0, 256, NULL                                                                                     \
    }
#define CLI_OPTION_ISA(open)                                                                                 \
    {                                                                                                        \
        0, "isa", ARG_CHOICE, &(open)->isa, "NAME",                                                          \
            "best, portable, avx2, avx512, neon or neon-dotprod; never changes a result", 0, 0,              \
            cli_isa_names                                                                                    \
    }
#define CLI_OPTION_KV(open)                                                                                  \
    {                                                                                                        \
        0, "kv", ARG_CHOICE, &(open)->kv, "TYPE",                                                            \
            "keys and values kept as default, f32, f16, bf16, q8_0 or q4_0", 0, 0, cli_kv_names              \
    }
#define CLI_OPTION_LORA(open)                                                                                \
    {                                                                                                        \
        0, "lora", ARG_TEXTS, &(open)->lora, "PATH[=SCALE]",                                                 \
            "an adapter, and how strongly it acts (default 1); may be repeated", 0, 0, NULL                  \
    }
#define CLI_OPTION_CONTEXT(open)                                                                             \
    {                                                                                                        \
        0, "context", ARG_U64, &(open)->context, "N",                                                        \
            "most positions (default 0: what the model was made for)", 0, 4294967295.0, NULL                 \
    }

typedef struct cli_host {
    const char *command;
    tfm_cancel *cancel; /* raised by Ctrl-C */
    tfm_pool *pool;
    tfm_model *model;
    tfm_session *session;
    tfm_adapter_use adapters[ARG_TEXTS_MAX]; /* [adapter_count] of --lora */
    size_t adapter_count;
    cli_progress progress;
    tfm_error error;
} cli_host;

/* Starts catching Ctrl-C. All three give 0, or the exit status after the error was said. Adapters are opened
 * with the model; its session goes through them. */
int cli_open(cli_host *host, const char *command);
int cli_open_model(cli_host *host, const char *path, const cli_open_options *options);
int cli_open_session(cli_host *host, const cli_open_options *options);

/* Options that all commands with a tokenizer alone take. */
typedef struct cli_tokenizer_options {
    const char *pattern;
    int compatibility; /* TFM_TOKENIZER_*: the place in cli_compatibility_names */
    int isa;           /* TFM_ISA_*: the place in cli_isa_names */
} cli_tokenizer_options;
extern const char *const cli_compatibility_names[];

#define CLI_OPTION_PATTERN(how)                                                                              \
    {                                                                                                        \
        0, "pattern", ARG_TEXT, &(how)->pattern, "NAME",                                                     \
            "for .tiktoken files: gpt2, cl100k, o200k, llama3 or a regular expression", 0, 0, NULL           \
    }
#define CLI_OPTION_COMPATIBILITY(how)                                                                        \
    {                                                                                                        \
        0, "compat", ARG_CHOICE, &(how)->compatibility, "NAME",                                              \
            "original or llama.cpp: whose ids, where they differ (GGUF)", 0, 0, cli_compatibility_names      \
    }

/* Gives 0, or the exit status after the error was said. The tokenizer is the caller's to release. */
int cli_open_tokenizer(cli_host *host, const char *path, const cli_tokenizer_options *options,
                       tfm_tokenizer **tokenizer);

/* Frees everything and gives status back. */
int cli_close(cli_host *host, int status);

/* Says host->error on stderr. Gives the exit status: 1, or 128 + the signal after Ctrl-C. */
int cli_fail(cli_host *host);

/* "tfm COMMAND: message" on stderr. Gives 1. */
int cli_error(const char *command, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* A prompt, as text from -p or -f or as ids from --tokens. */
typedef struct cli_prompt {
    const char *text; /* -p */
    const char *file; /* -f */
    const char *ids;  /* --tokens */
    int special;      /* special tokens in the text count as such */
    char *content;    /* of the file */
    const char *bytes;
    size_t length;
    int32_t *tokens; /* [count] */
    size_t count;
} cli_prompt;

#define CLI_OPTION_PROMPT(prompt)                                                                            \
    { 'p', "prompt", ARG_TEXT, &(prompt)->text, "TEXT", "the text", 0, 0, NULL }
#define CLI_OPTION_FILE(prompt)                                                                              \
    { 'f', "file", ARG_TEXT, &(prompt)->file, "FILE", "a file with the text (-: standard input)", 0, 0, NULL }
#define CLI_OPTION_TOKENS(prompt)                                                                            \
    {                                                                                                        \
        0, "tokens", ARG_TEXT, &(prompt)->ids, "LIST",                                                       \
            "token ids instead of text: 1,2,3 or @FILE (@-: standard input)", 0, 0, NULL                     \
    }
#define CLI_OPTION_SPECIAL(prompt)                                                                           \
    {                                                                                                        \
        0, "special", ARG_FLAG, &(prompt)->special, NULL,                                                    \
            "special tokens written in the text count as such", 0, 0, NULL                                   \
    }

/* Reads what -p, -f or --tokens name: bytes and length, or tokens and count. None of them: the empty text if
 * that is allowed. 0, or the exit status. */
int cli_prompt_read(cli_prompt *prompt, const char *command, int may_be_empty);

/* Text to tokens, whatever the length. no_special: neither a begin nor an end token. 0, or the exit status.
 */
int cli_tokenize(cli_host *host, const tfm_tokenizer *tokenizer, cli_prompt *prompt, int no_special);

/* How a command on a text begins: the prompt is read, the host and the model are opened, the text is cut into
 * tokens. no_special as above. 0, or the exit status; cli_close belongs behind it in either case. */
int cli_open_on_prompt(cli_host *host, const char *command, const char *model,
                       const cli_open_options *options, cli_prompt *prompt, int no_special);

void cli_prompt_free(cli_prompt *prompt);

/* What a token stands for; "" without a tokenizer, and for an id that it does not know. The bytes are the
 * model's. */
typedef struct cli_piece {
    const char *bytes;
    size_t length;
} cli_piece;
cli_piece cli_piece_of(const cli_host *host, int32_t token);
/* The same of each token of a prompt. Free the array. 0, or the exit status. */
int cli_pieces(cli_host *host, const cli_prompt *prompt, cli_piece **pieces);

/* Whether the model has a layer or a head of that number: 0, or the exit status after the error was said. */
int cli_check_layer(cli_host *host, uint64_t layer, const tfm_model_info *info);
int cli_check_head(cli_host *host, uint64_t head, const tfm_model_info *info);

/* ---- os.c: the operating system
 * ---------------------------------------------------------------------------------- */

/* Ctrl-C and SIGTERM raise the flag; a second one ends the program. NULL: let go of it. */
void cli_catch_signals(tfm_cancel *cancel);
/* 128 + the signal that was caught, or 0. */
int cli_signal_status(void);

double cli_seconds(void); /* a clock that never goes back */
int cli_is_terminal(FILE *file);
int cli_wants_color(FILE *file); /* a terminal, and NO_COLOR is not set */
int cli_columns(void);           /* of the terminal, or COLUMNS, or 80; at least 40 */

/* A whole file (or standard input, "-") and a NUL behind it, to be freed. 0, or the exit status. */
int cli_read_file(const char *command, const char *path, char **content, size_t *size);

/* A file that appears whole or not at all: it is written beside its place, made durable, then renamed. A path
 * that is there and not an ordinary file (a pipe, /dev/stdout) is written directly. */
typedef struct cli_output {
    FILE *file;
    char *path;      /* where it goes */
    char *temporary; /* what is written, or NULL when directly */
} cli_output;
/* 0, or -1 with errno. After an error of cli_output_open nothing is to be closed. */
int cli_output_open(cli_output *output, const char *path);
/* keep 0: throw it away. */
int cli_output_close(cli_output *output, int keep);

/* Whether everything reached standard output: 0, or 1 after saying what went wrong. */
int cli_finish_output(const char *command);

#endif
