/* os.c - signals, the clock, terminals, files: all that the program takes from POSIX. */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700 /* realpath */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- Signals
 * ---------------------------------------------------------------------------------------------------- */

/* A signal handler has no argument for these. */
static tfm_cancel *volatile caught_cancel;
static volatile sig_atomic_t caught_signal;

static void on_signal(int number) {
    caught_signal = number;
    tfm_cancel_set(caught_cancel);
}

void cli_catch_signals(tfm_cancel *cancel) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    caught_cancel = cancel;
    action.sa_handler = cancel ? on_signal : SIG_DFL;
    action.sa_flags = (int)SA_RESETHAND; /* the second Ctrl-C ends a program that does not stop */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int cli_signal_status(void) { return caught_signal ? 128 + (int)caught_signal : 0; }

/* ---- Clock and terminal
 * ------------------------------------------------------------------------------------------- */

double cli_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int cli_is_terminal(FILE *file) { return isatty(fileno(file)); }

int cli_wants_color(FILE *file) { return isatty(fileno(file)) && !getenv("NO_COLOR"); }

int cli_columns(void) {
    struct winsize size;
    const char *given = getenv("COLUMNS");
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) return size.ws_col;
    return given && atoi(given) >= 40 && atoi(given) <= 10000 ? atoi(given) : 80;
}

/* ---- Reading
 * ------------------------------------------------------------------------------------------------------ */

static char *read_all(FILE *file, size_t *size) {
    size_t capacity = 1 << 16, length = 0;
    char *content = malloc(capacity);
    while (content) {
        length += fread(content + length, 1, capacity - length - 1, file);
        if (length + 1 < capacity) break; /* the end, or an error */
        capacity *= 2;
        char *larger = realloc(content, capacity);
        if (!larger) {
            free(content);
            errno = ENOMEM;
        }
        content = larger;
    }
    if (content && ferror(file)) {
        free(content);
        content = NULL;
    }
    if (content) content[length] = 0;
    *size = length;
    return content;
}

int cli_read_file(const char *command, const char *path, char **content, size_t *size) {
    int standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "rb");
    if (!file) return cli_error(command, "%s: %s", path, strerror(errno));
    *content = read_all(file, size);
    int reason = errno;
    if (!standard) fclose(file);
    return *content ? CLI_OK : cli_error(command, "%s: %s", path, strerror(reason));
}

/* ---- Writing
 * ------------------------------------------------------------------------------------------------------ */

static char *temporary_name(const char *path) {
    size_t size = strlen(path) + 40;
    char *name = malloc(size);
    if (name) snprintf(name, size, "%s.%ld.part", path, (long)getpid());
    return name;
}

static void forget(cli_output *output) {
    free(output->path);
    free(output->temporary);
    memset(output, 0, sizeof *output);
}

int cli_output_open(cli_output *output, const char *path) {
    struct stat status;
    int there = stat(path, &status) == 0;
    memset(output, 0, sizeof *output);
    if (there && S_ISDIR(status.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    int ordinary = !there || S_ISREG(status.st_mode);
    output->path =
        there && ordinary ? realpath(path, NULL) : strdup(path); /* a link stays: its target is replaced */
    if (!output->path) return -1;
    if (!ordinary) {
        output->file = fopen(path, "wb");
    } else if ((output->temporary = temporary_name(output->path))) {
        int descriptor = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0) output->file = fdopen(descriptor, "wb");
    }
    if (output->file) return 0;
    int reason = errno;
    forget(output);
    errno = reason;
    return -1;
}

/* The new name is on disk only once the folder is. Some file systems refuse, which does no harm. */
static void sync_folder(const char *path) {
    char *folder = strdup(path);
    if (!folder) return;
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = 0;
    int descriptor = open(slash ? folder : ".", O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    free(folder);
}

int cli_output_close(cli_output *output, int keep) {
    int failed = 0, reason = 0;
    if (!output->file) return 0;
    if (fflush(output->file) || ferror(output->file)) failed = 1, reason = errno;
    if (!failed && output->temporary && keep && fsync(fileno(output->file))) failed = 1, reason = errno;
    if (fclose(output->file) && !failed) failed = 1, reason = errno;
    if (output->temporary && (!keep || failed)) {
        unlink(output->temporary);
    } else if (output->temporary) {
        if (rename(output->temporary, output->path)) {
            failed = 1, reason = errno;
            unlink(output->temporary);
        } else {
            sync_folder(output->path);
        }
    }
    forget(output);
    errno = reason;
    return failed ? -1 : 0;
}

int cli_finish_output(const char *command) {
    if (fflush(stdout) || ferror(stdout)) return cli_error(command, "standard output: %s", strerror(errno));
    return CLI_OK;
}
