/* progress.c - a bar on stderr while a long load or prompt runs. Nothing is drawn when stderr is not a
 * terminal, nor in the first second, so that quick work shows nothing. */
#include "cli.h"

#include <string.h>

#define BAR_WIDTH 30

void cli_progress_label(cli_progress *progress, const char *label) {
    progress->label = label;
    progress->start = 0;
    progress->drawn = -1;
    progress->terminal = cli_is_terminal(stderr);
}

static void draw(cli_progress *progress, int percent) {
    char bar[BAR_WIDTH + 1];
    int full = percent * BAR_WIDTH / 100;
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', (size_t)full);
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, "\r%s [%s] %3d %%", progress->label, bar, percent);
    fflush(stderr);
    progress->drawn = percent;
}

int32_t cli_progress_report(void *user, uint64_t done, uint64_t total) {
    cli_progress *progress = user;
    if (!progress->terminal || total == 0) return 0;
    double now = cli_seconds();
    if (progress->start == 0) progress->start = now;
    int percent = done >= total ? 100 : (int)((double)done / (double)total * 100);
    if (done >= total)
        cli_progress_clear(progress);
    else if (now - progress->start > 1 && percent != progress->drawn)
        draw(progress, percent);
    return 0;
}

void cli_progress_clear(cli_progress *progress) {
    if (progress->drawn >= 0) {
        fputs("\r\033[K", stderr); /* back to the start of the line, and erase it */
        fflush(stderr);
    }
    progress->drawn = -1;
    progress->start = 0;
}
