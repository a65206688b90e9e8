/* args.h - the options of one command as a table: parsing, checking and the help text all come from it.
 * Called by every cmd_*.c. Long options as `--name VALUE` or `--name=VALUE`, short ones as `-n VALUE` or
 * `-nVALUE`;
 * `--` ends the options. A command takes exactly one operand, the file, unless it says otherwise. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stddef.h>
#include <stdint.h>

typedef struct arg_u64 {
    uint64_t value;
    int given;
} arg_u64;

typedef struct arg_f64 {
    double value;
    int given;
} arg_f64;

#define ARG_TEXTS_MAX 64
typedef struct arg_texts {
    const char *items[ARG_TEXTS_MAX];
    size_t count;
} arg_texts;

enum arg_kind {
    ARG_FLAG,  /* target: int, set to 1 */
    ARG_TEXT,  /* target: const char * */
    ARG_TEXTS, /* target: arg_texts; may be repeated */
    ARG_U64,   /* target: arg_u64; min .. max */
    ARG_F64,   /* target: arg_f64; min .. max */
    ARG_CHOICE /* target: int, the place in choices */
};

typedef struct arg_option {
    char letter;      /* 'n' for -n, or 0 */
    const char *name; /* "top-k" for --top-k */
    enum arg_kind kind;
    void *target;
    const char *value; /* what the help calls the value; NULL for a flag */
    const char *help;
    double min, max;            /* of numbers; max 0: no bound */
    const char *const *choices; /* NULL-terminated, for ARG_CHOICE */
} arg_option;

typedef struct arg_command {
    const char *name;    /* "run" */
    const char *operand; /* "MODEL"; NULL: there is none */
    const char *about;   /* what it does: one or more lines, each ending in a newline */
    const arg_option *options;
    size_t option_count;
} arg_command;

#define ARG_COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define ARGS_GO (-1) /* go on; any other result of args_parse is the exit status */

/* Fills the targets. argv[0] is the command's name. With --help it prints the help and gives 0; whatever is
 * wrong is said on stderr and gives 2. */
int args_parse(const arg_command *command, int argc, char **argv, const char **operand);

/* The same for a command whose operand may be followed by others: they are moved to argv[1] and so on, and
 * *rest says how many they are. */
int args_parse_words(const arg_command *command, int argc, char **argv, const char **operand, size_t *rest);

/* Says on stderr what is wrong with the options of a command: "tfm run: ..." and where the help is. Gives 2.
 */
int args_usage(const char *command, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 2, 3)))
#endif
    ;

/* A list of token ids, "1,2,3" (spaces and the brackets of a JSON array are allowed), or "@FILE" with one in
 * a file
 * ("@-": standard input). *ids is the caller's, to be freed. 0, or the exit status after saying what is
 * wrong. */
int args_ids(const char *command, const char *option, const char *text, int32_t **ids, size_t *count);

#endif
