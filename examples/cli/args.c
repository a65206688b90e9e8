/* args.c - options: see args.h. */
#include "args.h"

#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int args_usage(const char *command, const char *format, ...) {
    va_list list;
    fprintf(stderr, "tfm %s: ", command);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, "\nSee: tfm help %s\n", command);
    return CLI_USAGE;
}

/* ---- Help
 * ---------------------------------------------------------------------------------------------------- */

static void print_help(const arg_command *command) {
    printf("tfm %s %s%s[OPTION...]\n\n%s\n", command->name, command->operand ? command->operand : "",
           command->operand ? " " : "", command->about);
    for (size_t i = 0; i < command->option_count; i++) {
        const arg_option *option = &command->options[i];
        char left[64];
        char letter[8] = "    ";
        if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, option->name, option->value ? " " : "",
                 option->value ? option->value : "");
        printf("  %-26s %s\n", left, option->help);
    }
    printf("  %-26s %s\n", "-h, --help", "this text");
}

/* ---- Values
 * -------------------------------------------------------------------------------------------------- */

static int in_range(const arg_option *option, double value) {
    return value >= option->min && (option->max <= 0 || value <= option->max);
}

static int set_u64(const arg_option *option, const char *text) {
    arg_u64 *target = option->target;
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9') return 0; /* strtoull would take "-1" and spaces */
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end || !in_range(option, (double)value)) return 0;
    target->value = value;
    target->given = 1;
    return 1;
}

static int set_f64(const arg_option *option, const char *text) {
    arg_f64 *target = option->target;
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || !(value - value == 0) || !in_range(option, value)) return 0;
    target->value = value;
    target->given = 1;
    return 1;
}

static int set_choice(const arg_option *option, const char *text) {
    for (int i = 0; option->choices[i]; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            *(int *)option->target = i;
            return 1;
        }
    }
    return 0;
}

static int set_texts(const arg_option *option, const char *text) {
    arg_texts *target = option->target;
    if (target->count == ARG_TEXTS_MAX) return 0;
    target->items[target->count++] = text;
    return 1;
}

static int set_value(const arg_option *option, const char *text) {
    switch (option->kind) {
    case ARG_FLAG:
        *(int *)option->target = 1;
        return 1;
    case ARG_TEXT:
        *(const char **)option->target = text;
        return 1;
    case ARG_TEXTS:
        return set_texts(option, text);
    case ARG_U64:
        return set_u64(option, text);
    case ARG_F64:
        return set_f64(option, text);
    case ARG_CHOICE:
        return set_choice(option, text);
    }
    return 0;
}

/* ---- Words
 * --------------------------------------------------------------------------------------------------- */

static const arg_option *find_option(const arg_command *command, const char *word, const char **attached) {
    size_t length = strcspn(word, "=");
    *attached = NULL;
    for (size_t i = 0; i < command->option_count; i++) {
        const arg_option *option = &command->options[i];
        if (word[1] == '-') {
            if (strlen(option->name) != length - 2 || memcmp(option->name, word + 2, length - 2) != 0)
                continue;
            if (word[length]) *attached = word + length + 1;
            return option;
        }
        if (option->letter && option->letter == word[1]) {
            if (word[2]) *attached = word + 2;
            return option;
        }
    }
    return NULL;
}

/* One option and its value; *index moves on to the last word taken. */
static int take_option(const arg_command *command, int argc, char **argv, int *index) {
    const char *word = argv[*index];
    const char *value = NULL;
    const arg_option *option = find_option(command, word, &value);
    if (!option) return args_usage(command->name, "no such option: %s", word);
    if (option->kind == ARG_FLAG) {
        if (value) return args_usage(command->name, "--%s takes no value", option->name);
    } else if (!value) {
        if (*index + 1 >= argc) return args_usage(command->name, "%s needs a value", word);
        value = argv[++*index];
    }
    if (!set_value(option, value))
        return args_usage(command->name, "--%s cannot be %s (%s)", option->name, value, option->help);
    return ARGS_GO;
}

int args_parse_words(const arg_command *command, int argc, char **argv, const char **operand, size_t *rest) {
    int options_over = 0;
    *operand = NULL;
    if (rest) *rest = 0;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!options_over && strcmp(word, "--") == 0) {
            options_over = 1;
        } else if (!options_over && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            print_help(command);
            return CLI_OK;
        } else if (!options_over && word[0] == '-' && word[1]) {
            int status = take_option(command, argc, argv, &i);
            if (status != ARGS_GO) return status;
        } else if (*operand && rest) {
            argv[1 + (*rest)++] = argv[i]; /* the operand left a place free */
        } else if (!command->operand) {
            return args_usage(command->name, "it takes options alone, not \"%s\"", word);
        } else if (*operand) {
            return args_usage(command->name, "one %s is enough: %s", command->operand, word);
        } else {
            *operand = word;
        }
    }
    if (!*operand && command->operand) return args_usage(command->name, "%s is missing", command->operand);
    return ARGS_GO;
}

int args_parse(const arg_command *command, int argc, char **argv, const char **operand) {
    return args_parse_words(command, argc, argv, operand, NULL);
}

/* ---- Lists of ids
 * -------------------------------------------------------------------------------------------- */

/* Numbers separated by commas or white space, perhaps inside one pair of brackets. NULL, or the place of the
 * fault. */
static const char *parse_ids(const char *text, int32_t *ids, size_t *count) {
    static const char blanks[] = " \t\r\n";
    int comma_needed = 0, bracket = 0;
    *count = 0;
    text += strspn(text, blanks);
    if (*text == '[') bracket = 1, text++;
    for (;;) {
        size_t blank = strspn(text, blanks);
        text += blank;
        if (!*text || (bracket && *text == ']')) break;
        if (comma_needed && *text == ',') {
            text++;
            text += strspn(text, blanks);
        } else if (comma_needed && blank == 0) {
            return text;
        }
        if (*text < '0' || *text > '9') return text;
        char *end = NULL;
        errno = 0;
        unsigned long long value = strtoull(text, &end, 10);
        if (errno || value > INT32_MAX) return text;
        ids[(*count)++] = (int32_t)value;
        text = end;
        comma_needed = 1;
    }
    if (bracket && *text++ != ']') return text - 1;
    text += strspn(text, blanks);
    return *text ? text : NULL;
}

int args_ids(const char *command, const char *option, const char *text, int32_t **ids, size_t *count) {
    char *content = NULL;
    *ids = NULL;
    *count = 0;
    if (text[0] == '@') {
        size_t size = 0;
        int status = cli_read_file(command, text + 1, &content, &size);
        if (status) return status;
        text = content; /* ends in NUL; a NUL inside ends the list there */
        if (strlen(content) != size) text = "?";
    }
    *ids = malloc((strlen(text) / 2 + 1) * sizeof **ids); /* an id takes at least a digit and a separator */
    if (!*ids) {
        free(content);
        return cli_error(command, "out of memory");
    }
    const char *fault = parse_ids(text, *ids, count);
    if (fault) {
        args_usage(command, "%s needs ids like 1,2,3: there is a fault at \"%.20s\"", option, fault);
        free(*ids);
        *ids = NULL;
    }
    free(content);
    return fault ? CLI_USAGE : 0;
}
