/* play.h - the playground: settings, the network and the data that follow from them, and the losses so far.
 * cmd_playground.c reads the settings and works without a terminal, play_live.c changes them by keys,
 * play_screen.c draws. */
#ifndef CLI_PLAY_H
#define CLI_PLAY_H

#include "cli.h"

#define PLAY_LAYERS 6  /* most hidden layers */
#define PLAY_NEURONS 8 /* most neurons in one */
#define PLAY_SETS 6    /* generated sets, numbered from 1 */
#define PLAY_FEATURES 7

extern const char *const play_set_names[];        /* by number - 1; NULL at the end */
extern const char *const play_feature_names[];    /* by bit */
extern const char *const play_activation_names[]; /* TFM_NET_TANH - 1 and so on, without step */
extern const char *const play_regularisation_names[];

typedef struct play_settings {
    int set;          /* TFM_NET_CIRCLE and so on; 0: file */
    const char *file; /* CSV */
    int kind;         /* of the file: TFM_NET_LOOK, _CLASSES, _NUMBERS */
    int features;     /* bits; 0: the columns */
    int normalise;
    double noise, train_share;
    uint32_t samples;
    uint64_t data_seed, net_seed;
    uint32_t hidden[PLAY_LAYERS], hidden_count;
    int activation;     /* TFM_NET_* */
    int regularisation; /* 0, 1, 2 */
    double learning_rate, regularisation_rate;
    uint64_t batch;
} play_settings;

typedef struct play {
    play_settings settings;
    tfm_net *net;
    tfm_net_data *data;
    tfm_net_data_view view;
    double *train_losses, *test_losses; /* [count], room for capacity */
    size_t count, capacity;
    tfm_error error;
} play;

/* Each gives 0, or -1 with play->error filled; then what was there before is still there. */
int play_make_data(play *p); /* also makes the network, whose inputs it decides */
int play_make_net(play *p);
int play_apply(play *p); /* the settings that may change between epochs */
/* Trains; cancel and progress may be NULL. After a loss that is not finite: -1, and nothing more is learned
 * until the network is made anew. */
int play_train(play *p, uint64_t epochs, const tfm_cancel *cancel, cli_progress *progress);
void play_free(play *p);

/* The picture into a file. 0, or -1 with play->error filled. */
int play_write_svg(play *p, const char *path, int show_test, int discretise);

/* Runs in the terminal until the user leaves. Gives the exit status. */
int play_live(play *p);

#endif
