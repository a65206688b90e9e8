/* play_live.c - the playground in the terminal: raw mode, keys, and the loop that trains a little, draws, and
 * listens.
 *
 * The terminal is given back in every way out: q, Ctrl-C, an error, SIGINT, SIGTERM, SIGHUP and SIGQUIT
 * (noted by a handler, answered by the loop), and for the time of a stop (Ctrl-Z). */
#define _DEFAULT_SOURCE /* TIOCGWINSZ */
#define _POSIX_C_SOURCE 200809L
#include "play_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define FRAME_MS 40
#define SHARE_OF_TRAINING 0.03 /* seconds of each frame, while it runs */

/* ---- The terminal ---- */

static volatile sig_atomic_t live_signal; /* a handler has no argument for it */

static void on_signal(int number) { live_signal = number; }

static void watch_signals(int watch) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = watch ? on_signal : SIG_DFL;
    action.sa_flags = SA_RESTART; /* a frame half written is finished; poll returns in any case */
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARG_COUNT(numbers); i++) sigaction(numbers[i], &action, NULL);
}

static int enter(struct termios *before) {
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, before)) return -1;
    raw = *before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG | IEXTEN);
    raw.c_iflag &= (tcflag_t) ~(IXON | ICRNL);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw)) return -1;
    printf("\x1b[?1049h\x1b[?25l"); /* the other screen, no cursor */
    fflush(stdout);
    return 0;
}

static void leave(const struct termios *before) {
    printf("\x1b[0m\x1b[?25h\x1b[?1049l");
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, before);
}

static void size_of(int *width, int *height) {
    struct winsize size;
    *width = 80;
    *height = 24;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row) {
        *width = size.ws_col;
        *height = size.ws_row;
    }
}

/* ---- Keys ---- */

typedef struct live {
    play *p;
    play_look look;
    screen screen;
    struct termios before;
    char message[512];
    int done;
} live;

static const double rates[] = {0.00001, 0.0001, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10};
static const double pulls[] = {0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10};

/* The next value of a list, up or down. */
static double next_of(const double *list, size_t count, double now, int up) {
    size_t best = 0;
    if (up) {
        for (best = 0; best + 1 < count && list[best] <= now * (1 + 1e-9); best++) {}
        return list[best] > now ? list[best] : now;
    }
    for (best = count - 1; best > 0 && list[best] >= now * (1 - 1e-9); best--) {}
    return list[best] < now ? list[best] : now;
}

static double within(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
}

static void say(live *l, const char *text) {
    snprintf(l->message, sizeof l->message, "%s", text);
    l->look.message = l->message;
}

static void choose_valid(live *l) {
    const play_settings *s = &l->p->settings;
    if (l->look.layer > (int)s->hidden_count) l->look.layer = (int)s->hidden_count;
    int count = l->look.layer < (int)s->hidden_count ? (int)s->hidden[l->look.layer] : 1;
    if (l->look.neuron >= count) l->look.neuron = count - 1;
}

/* Settings that make a new network or new data; what cannot be made is taken back and told. */
static void remake(live *l, const play_settings *wanted, int data) {
    play_settings old = l->p->settings;
    l->p->settings = *wanted;
    if (data ? play_make_data(l->p) : play_make_net(l->p)) {
        say(l, l->p->error.message);
        l->p->settings = old;
    }
    choose_valid(l);
}

static void next_neuron(live *l, int step) {
    const play_settings *s = &l->p->settings;
    int total = 1, place = 0;
    for (uint32_t k = 0; k < s->hidden_count; k++) {
        if ((int)k < l->look.layer) place += (int)s->hidden[k];
        total += (int)s->hidden[k];
    }
    if (l->look.layer == (int)s->hidden_count)
        place = total - 1;
    else
        place += l->look.neuron;
    place = (place + step + total) % total;
    for (l->look.layer = 0; l->look.layer < (int)s->hidden_count && place >= (int)s->hidden[l->look.layer];
         l->look.layer++)
        place -= (int)s->hidden[l->look.layer];
    l->look.neuron = l->look.layer < (int)s->hidden_count ? place : 0;
}

/* Epochs, as long as the frame has time; a step is one. */
static void train(live *l, double seconds) {
    double end = cli_seconds() + seconds;
    do {
        if (play_train(l->p, 1, NULL, NULL)) {
            l->look.running = 0;
            say(l, l->p->error.message);
            return;
        }
    } while (cli_seconds() < end);
}

static void write_picture(live *l) {
    char text[64];
    tfm_net_info info = TFM_NET_INFO_INIT;
    tfm_net_get_info(l->p->net, &info, NULL);
    snprintf(text, sizeof text, "playground-%llu.svg", (unsigned long long)info.epochs);
    if (play_write_svg(l->p, text, l->look.show_test, l->look.discretise)) {
        say(l, l->p->error.message);
    } else {
        snprintf(l->message, sizeof l->message, "wrote %s", text);
        l->look.message = l->message;
    }
}

/* Keys that change how the network learns, not what it is. */
static int key_of_rates(play_settings *s, int key) {
    switch (key) {
    case 'l':
    case 'L':
        s->learning_rate = next_of(rates, ARG_COUNT(rates), s->learning_rate, key == 'L');
        return 1;
    case 'e':
    case 'E':
        s->regularisation_rate = next_of(pulls, ARG_COUNT(pulls), s->regularisation_rate, key == 'E');
        return 1;
    case 'k':
        s->regularisation = (s->regularisation + 1) % 3;
        return 1;
    case 'b':
        s->batch = s->batch > 1 ? s->batch - 1 : 1;
        return 1;
    case 'B':
        s->batch = s->batch < 30 ? s->batch + 1 : s->batch;
        return 1;
    default:
        return 0;
    }
}

/* Keys that make the network anew. */
static int key_of_net(play_settings *s, const play_look *look, int key) {
    int hidden = look->layer < (int)s->hidden_count;
    switch (key) {
    case 'r':
        s->net_seed++;
        return 1;
    case 'a':
        s->activation = s->activation % 4 + 1;
        return 1;
    case '+':
    case '=':
        if (s->hidden_count == PLAY_LAYERS) return 0;
        s->hidden[s->hidden_count++] = 2;
        return 1;
    case '-':
        if (!s->hidden_count) return 0;
        s->hidden_count--;
        return 1;
    case '<':
    case ',':
        if (!hidden || s->hidden[look->layer] == 1) return 0;
        s->hidden[look->layer]--;
        return 1;
    case '>':
    case '.':
        if (!hidden || s->hidden[look->layer] == PLAY_NEURONS) return 0;
        s->hidden[look->layer]++;
        return 1;
    default:
        return 0;
    }
}

/* Keys that make the data anew. */
static int key_of_data(play_settings *s, const tfm_net_data_view *view, int key) {
    if (key >= '1' && key < '1' + PLAY_FEATURES && view->columns == 2) {
        int features = (s->features ? s->features : TFM_NET_X1 | TFM_NET_X2) ^ 1 << (key - '1');
        if (!features) return 0;
        s->features = features;
        return 1;
    }
    switch (key) {
    case 'd':
        if (!s->set) return 0;
        s->set = s->set % PLAY_SETS + 1;
        return 1;
    case 'g':
        s->data_seed++;
        return 1;
    case 'n':
    case 'N':
        s->noise = within(s->noise + (key == 'N' ? 0.05 : -0.05), 0, 0.5);
        if (s->noise < 0.001) s->noise = 0;
        return s->set != 0;
    case 'p':
    case 'P':
        s->train_share = within(s->train_share + (key == 'P' ? 0.1 : -0.1), 0.1, 0.9);
        return 1;
    case 'z':
        s->normalise = !s->normalise;
        return 1;
    default:
        return 0;
    }
}

static void suspend(live *l) {
    leave(&l->before);
    kill(getpid(), SIGTSTP);
    if (enter(&l->before)) l->done = 1;
    l->screen.known = 0;
}

static void press(live *l, int key) {
    play_settings s = l->p->settings;
    l->look.message = NULL;
    if (key == 'q' || key == 3) l->done = 1;
    if (key == 26) suspend(l);
    if (key == 12) l->screen.known = 0;
    if (key == ' ') l->look.running = !l->look.running;
    if (key == 's') {
        l->look.running = 0;
        train(l, 0);
    }
    if (key == 't') l->look.show_test = !l->look.show_test;
    if (key == 'c') l->look.discretise = !l->look.discretise;
    if (key == 'w') write_picture(l);
    if (key == '\t') next_neuron(l, 1);
    if (key_of_rates(&s, key)) {
        l->p->settings = s;
        if (play_apply(l->p)) say(l, l->p->error.message);
    } else if (key_of_net(&s, &l->look, key)) {
        remake(l, &s, 0);
    } else if (key_of_data(&s, &l->p->view, key)) {
        remake(l, &s, 1);
    }
}

/* Waits up to ms for keys and takes all there are. An escape sequence (an arrow, a function key) is passed
 * over. */
static void listen(live *l, int ms) {
    struct pollfd in = {STDIN_FILENO, POLLIN, 0};
    unsigned char keys[64];
    if (poll(&in, 1, ms) <= 0) return;
    ssize_t count = read(STDIN_FILENO, keys, sizeof keys);
    if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN) || in.revents & (POLLERR | POLLNVAL))
        l->done = 1;
    for (ssize_t i = 0; i < count && !l->done; i++) {
        if (keys[i] == 27) {
            if (i + 2 < count && keys[i + 1] == '[' && keys[i + 2] == 'Z')
                next_neuron(l, -1); /* shift and tab */
            for (i++; i < count && (keys[i] == '[' || keys[i] == 'O' || keys[i] == ';' ||
                                    (keys[i] >= '0' && keys[i] <= '9'));)
                i++;
            continue;
        }
        press(l, keys[i]);
    }
}

static int loop(live *l) {
    while (!l->done && !live_signal) {
        int width, height;
        double begin = cli_seconds();
        size_of(&width, &height);
        if (l->look.running) train(l, SHARE_OF_TRAINING);
        if (screen_resize(&l->screen, width, height)) {
            l->p->error.code = TFM_E_MEMORY;
            snprintf(l->p->error.message, sizeof l->p->error.message, "out of memory");
            return CLI_ERROR;
        }
        if (screen_draw(&l->screen, l->p, &l->look)) return CLI_ERROR;
        screen_show(&l->screen);
        if (ferror(stdout) && !live_signal) return CLI_ERROR; /* a hang-up takes the terminal with it */
        int spent = (int)((cli_seconds() - begin) * 1000);
        listen(l, l->look.running ? (spent < FRAME_MS ? FRAME_MS - spent : 0) : 200);
    }
    return live_signal ? 128 + (int)live_signal : CLI_OK;
}

int play_live(play *p) {
    live l;
    const char *colours = getenv("COLORTERM");
    memset(&l, 0, sizeof l);
    l.p = p;
    l.look.layer = (int)p->settings.hidden_count; /* the output */
    l.screen.colours = colours && (strstr(colours, "truecolor") || strstr(colours, "24bit"));
    if (enter(&l.before)) {
        p->error.code = TFM_E_IO;
        snprintf(p->error.message, sizeof p->error.message, "the terminal cannot be set: %s",
                 strerror(errno));
        return CLI_ERROR;
    }
    watch_signals(1);
    int status = loop(&l);
    leave(&l.before);
    watch_signals(0);
    screen_free(&l.screen);
    return status;
}
