/* cmd_train.c - `tfm train`: goes on training a model, on texts or on given batches. */
#include "json_out.h"
#include "train_curve.h"
#include "train_watch.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct train_options {
    cli_open_options open; /* context: tokens of a row that are predicted */
    arg_texts data, held_out;
    arg_u64 steps, warmup, decay_steps, batch, accumulate, seed, every;
    arg_u64 held_every, sample_every, sample_tokens;
    arg_f64 rate, last_rate, weight_decay, beta1, beta2, epsilon, momentum, clip, held_share, muon_momentum,
        muon_scale;
    const char *from, *config, *tokenizer, *out, *curve, *sample_prompt;
    int schedule, optimizer; /* TFM_SCHEDULE_*, TFM_OPTIMIZER_*: the places in the names */
    int resume, json;
} train_options;

static const char *const schedules[] = {"constant", "linear", "cosine", "wsd", NULL};
static const char *const optimizers[] = {"adamw", "sgd", "muon", NULL};

/* A run. */
typedef struct run {
    cli_host *host;
    const train_options *options;
    tfm_trainer *trainer;
    train_data data;
    size_t rows, length, accumulate;
    uint64_t steps;
    tfm_train_batch *batches; /* [accumulate] */
    int32_t *tokens;          /* [accumulate, rows, length] */
    char *checkpoint;         /* path */
    train_held held;
    uint64_t held_every;
    train_curve curve;
} run;

static int make_trainer(run *r) {
    const train_options *o = r->options;
    tfm_trainer_options how = TFM_TRAINER_OPTIONS_INIT;
    how.optimizer = o->optimizer;
    how.schedule = o->schedule;
    if (o->rate.given) how.learning_rate = o->rate.value;
    how.last_rate = o->last_rate.value;
    if (o->beta1.given) how.beta1 = o->beta1.value;
    if (o->beta2.given) how.beta2 = o->beta2.value;
    if (o->epsilon.given) how.epsilon = o->epsilon.value;
    if (o->momentum.given) how.momentum = o->momentum.value;
    how.muon_momentum = o->muon_momentum.value;
    how.muon_scale = o->muon_scale.value;
    if (o->weight_decay.given) how.weight_decay = o->weight_decay.value;
    if (o->clip.given) how.clip = o->clip.value;
    how.steps = r->steps;
    how.warmup = o->warmup.value;
    how.decay = o->decay_steps.given ? o->decay_steps.value : r->steps / 5;
    if (tfm_trainer_create(r->host->model, &how, &r->trainer, &r->host->error)) return cli_fail(r->host);
    if (o->resume && tfm_trainer_resume(r->trainer, r->checkpoint, &r->host->error)) return cli_fail(r->host);
    tfm_trainer_watch(r->trainer, NULL, NULL, r->host->cancel);
    return CLI_OK;
}

/* The batches of a step. */
static int lay_step(run *r, uint64_t step) {
    size_t row = 0;
    for (size_t i = 0; i < r->accumulate; i++) {
        r->batches[i] = (tfm_train_batch)TFM_TRAIN_BATCH_INIT;
        r->batches[i].rows = r->rows;
        r->batches[i].length = r->length;
        r->batches[i].tokens = r->tokens + i * r->rows * r->length;
        if (r->data.batches) {
            r->batches[i].tokens = r->data.batches + step * r->rows * r->length;
            continue;
        }
        for (size_t k = 0; k < r->rows; k++, row++)
            train_data_row(&r->data, step * r->accumulate * r->rows + row, r->tokens + row * r->length);
    }
    if (r->data.rates && tfm_trainer_set_rate(r->trainer, (double)r->data.rates[step], &r->host->error))
        return cli_fail(r->host);
    return CLI_OK;
}

static void report(const run *r, const tfm_train_result *result, const train_point *point) {
    double speed = point->speed;
    uint64_t each = r->steps <= 40 ? 1 : r->steps / 20;
    if (r->options->json) {
        printf("{\"step\":%" PRIu64 ",\"loss\":", result->step);
        json_number(stdout, result->loss);
        printf(",\"grad_norm\":");
        json_number(stdout, result->gradient_norm);
        printf(",\"learning_rate\":");
        json_number(stdout, result->learning_rate);
        printf(",\"tokens_per_second\":");
        json_number(stdout, speed);
        if (isfinite(point->held_out)) {
            printf(",\"held_out_loss\":");
            json_number(stdout, point->held_out);
        }
        printf("}\n");
    } else if (result->step % each == 0 || result->step + 1 == r->steps) {
        cli_progress_clear(&r->host->progress);
        printf("step %" PRIu64 "/%" PRIu64 "  loss %.4f  gradient %.3f  rate %.3g  %.0f tokens/s\n",
               result->step + 1, r->steps, result->loss, result->gradient_norm, result->learning_rate, speed);
    }
    fflush(stdout);
}

/* The loss of held-out text, where it is time for that; what it is at the end has a line of its own. */
static int measure(run *r, train_point *point) {
    int at_end = point->step == r->steps;
    if (!r->held.count || (point->step % r->held_every && !at_end)) return CLI_OK;
    int status = train_held_loss(&r->held, r->host, r->trainer, &point->held_out);
    if (status) return status;
    if (!r->options->json) {
        cli_progress_clear(&r->host->progress);
        printf("after %" PRIu64 " steps: held-out loss %.4f\n", point->step, point->held_out);
    } else if (at_end) {
        printf("{\"step\":%" PRIu64 ",\"held_out_loss\":", point->step);
        json_number(stdout, point->held_out);
        printf("}\n");
    }
    fflush(stdout);
    return CLI_OK;
}

/* What the model writes after `made` steps, where it is time for that. */
static int show_sample(run *r, uint64_t made) {
    const train_options *o = r->options;
    char *text = NULL;
    size_t length = 0;
    if (!o->sample_every.given || (made % o->sample_every.value && made != r->steps)) return CLI_OK;
    int status =
        train_sample(r->host, r->trainer, o->sample_prompt,
                     o->sample_tokens.given ? o->sample_tokens.value : 64, o->seed.value, &text, &length);
    if (status) return status;
    cli_progress_clear(&r->host->progress);
    if (o->json) {
        printf("{\"step\":%" PRIu64 ",\"sample\":", made);
        json_string(stdout, text, length);
        printf("}\n");
    } else {
        printf("after %" PRIu64 " steps: ", made);
        fwrite(text, 1, length, stdout);
        putchar('\n');
    }
    fflush(stdout);
    free(text);
    return CLI_OK;
}

/* The folder, and a checkpoint in it to go on from. */
static int keep(run *r, int with_checkpoint) {
    if (tfm_trainer_save(r->trainer, r->options->out, &r->host->error) ||
        (with_checkpoint && tfm_trainer_checkpoint(r->trainer, r->checkpoint, &r->host->error)))
        return cli_fail(r->host);
    return train_curve_write(&r->curve, "train");
}

/* One step, from its batches to its line. */
static int make_step(run *r, uint64_t step, train_point *point) {
    tfm_train_result result = TFM_TRAIN_RESULT_INIT;
    int status = lay_step(r, step);
    if (status) return status;
    double began = cli_seconds();
    if (tfm_trainer_step(r->trainer, r->batches, r->accumulate, &result, &r->host->error)) return CLI_ERROR;
    double seconds = cli_seconds() - began;
    point->loss = result.loss;
    point->norm = result.gradient_norm;
    point->rate = result.learning_rate;
    point->speed = seconds > 0 ? (double)result.targets / seconds : 0;
    report(r, &result, point);
    cli_progress_report(&r->host->progress, step + 1, r->steps);
    return CLI_OK;
}

/* Why it ended early was said, unless it is Ctrl-C's: what was reached is kept. */
static int stopped(run *r, int status, uint64_t start) {
    tfm_error why = r->host->error;
    if (why.code == TFM_E_CANCELLED && tfm_trainer_steps(r->trainer) > start)
        (void)keep(r, 1); /* --resume goes on from here */
    r->host->error = why;
    return status;
}

static int loop(run *r) {
    uint64_t every = r->options->every.value, start = tfm_trainer_steps(r->trainer);
    train_point *point;
    int status = CLI_OK;
    cli_progress_label(&r->host->progress, "training");
    for (uint64_t step = start; step < r->steps; step++) {
        point = train_curve_add(&r->curve, step);
        if (!point) return cli_error("train", "out of memory");
        status = measure(r, point);
        if (status) return stopped(r, status, start);
        status = make_step(r, step, point);
        if (status) {
            if (isnan(point->loss)) r->curve.count--; /* it was not made */
            return stopped(r, cli_fail(r->host), start);
        }
        if (every && (step + 1) % every == 0 && step + 1 < r->steps && (status = keep(r, 1)) != 0)
            return status;
        status = show_sample(r, step + 1);
        if (status) return stopped(r, status, start);
    }
    cli_progress_clear(&r->host->progress);
    if (r->held.count) {
        point = train_curve_add(&r->curve, r->steps);
        if (!point) return cli_error("train", "out of memory");
        status = measure(r, point);
    }
    return status ? stopped(r, status, start) : keep(r, r->options->every.given);
}

/* Shapes and room, from the options or from the file of batches. */
static int prepare(run *r) {
    const train_options *o = r->options;
    int given = r->data.batches != NULL;
    r->rows = given ? r->data.rows : o->batch.given ? (size_t)o->batch.value : 4;
    r->length = given ? r->data.length : r->data.context + 1;
    r->accumulate = given || !o->accumulate.given ? 1 : (size_t)o->accumulate.value;
    r->steps = o->steps.given ? o->steps.value : given ? r->data.steps : 100;
    if (given && r->steps > r->data.steps)
        return cli_error("train", "%" PRIu64 " steps, the file has batches for %zu", r->steps, r->data.steps);
    if (given && (o->batch.given || o->accumulate.given || o->open.context.given))
        return args_usage("train",
                          "--batch, --context and --accumulate are for texts; this file has batches");
    size_t length = strlen(o->out) + sizeof "/checkpoint.safetensors";
    r->checkpoint = malloc(length);
    r->batches = malloc(r->accumulate * sizeof *r->batches);
    r->tokens = malloc(given ? 1 : r->accumulate * r->rows * r->length * sizeof *r->tokens);
    if (!r->checkpoint || !r->batches || !r->tokens) return cli_error("train", "out of memory");
    snprintf(r->checkpoint, length, "%s/checkpoint.safetensors", o->out);
    return CLI_OK;
}

/* The held-out rows: the last ones of the texts, or files of their own. */
static int hold_out(run *r) {
    const train_options *o = r->options;
    train_data data;
    r->held_every = o->held_every.given ? o->held_every.value : r->steps < 20 ? 1 : r->steps / 20;
    if (o->held_share.value > 0)
        return train_held_open(&r->held, "train", &r->data, r->data.windows, r->rows);
    if (!o->held_out.count) return CLI_OK;
    memset(&data, 0, sizeof data);
    int status = train_data_open(&data, r->host, o->held_out.items, o->held_out.count, r->length - 1, 0, 0);
    if (!status && data.batches) status = args_usage("train", "--held-out takes texts, not batches");
    if (!status) status = train_held_open(&r->held, "train", &data, 0, r->rows);
    train_data_close(&data);
    return status;
}

static int open_curve(run *r) {
    const train_options *o = r->options;
    size_t size = strlen(o->out) + sizeof "/loss";
    char *path = malloc(size);
    if (!path) return cli_error("train", "out of memory");
    snprintf(path, size, "%s/loss", o->out);
    int status = train_curve_open(&r->curve, "train", o->curve ? o->curve : path,
                                  tfm_trainer_steps(r->trainer), o->curve != NULL);
    free(path);
    return status;
}

/* What would only come to light at the end. */
static int check_model(cli_host *host, const train_options *o, size_t *context) {
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    if (tfm_model_get_info(host->model, &info, &host->error)) return cli_fail(host);
    if (strcmp(info.format, "huggingface") != 0)
        return cli_error("train", "%s is no Hugging Face folder: what is trained is saved as one", o->from);
    if (o->sample_every.given && !tfm_tokenizer_of(host->model))
        return cli_error("train", "the model has no tokenizer: it can write no samples");
    *context = o->open.context.value ? (size_t)o->open.context.value
               : info.context < 257  ? (size_t)info.context
                                     : 256;
    return CLI_OK;
}

/* A new model in FOLDER; --resume finds it there, and what it has learned since in the checkpoint. */
static int begin_new(cli_host *host, train_options *o) {
    tfm_new_model_options how = TFM_NEW_MODEL_OPTIONS_INIT;
    how.seed = o->seed.value;
    how.tokenizer = o->tokenizer;
    o->from = o->out;
    if (o->resume) return CLI_OK;
    return tfm_model_write_new(o->config, &how, o->out, &host->error) ? cli_fail(host) : CLI_OK;
}

static int train(train_options *o) {
    cli_host host;
    run r;
    size_t context = 0;
    memset(&r, 0, sizeof r);
    if (!o->from == !o->config || !o->out || !o->data.count)
        return args_usage("train", "--from or --config, --data and --out are needed");
    if (o->tokenizer && !o->config) return args_usage("train", "--tokenizer goes with --config");
    if (o->held_out.count && o->held_share.given)
        return args_usage("train", "--held-out or --held-out-share, not both");
    if (o->held_every.given && !o->held_out.count && !o->held_share.given)
        return args_usage("train", "--held-out-every needs --held-out or --held-out-share");
    if (o->sample_every.given != (o->sample_prompt != NULL))
        return args_usage("train", "--sample-every and --sample-prompt go together");
    r.host = &host;
    r.options = o;
    int status = cli_open(&host, "train");
    if (!status && o->config) status = begin_new(&host, o);
    if (!status) status = cli_open_model(&host, o->from, &o->open);
    if (!status) status = check_model(&host, o, &context);
    if (!status)
        status = train_data_open(&r.data, &host, o->data.items, o->data.count, context, o->seed.value,
                                 o->held_share.value);
    if (!status) status = prepare(&r);
    if (!status) status = hold_out(&r);
    if (!status) status = make_trainer(&r);
    if (!status) status = open_curve(&r);
    if (!status) status = loop(&r);
    tfm_trainer_destroy(r.trainer);
    train_data_close(&r.data);
    train_held_close(&r.held);
    train_curve_close(&r.curve);
    free(r.batches);
    free(r.tokens);
    free(r.checkpoint);
    return cli_close(&host, status);
}

int cmd_train(int argc, char **argv) {
    train_options o;
    memset(&o, 0, sizeof o);
    const arg_option options[] = {
        {0, "from", ARG_TEXT, &o.from, "MODEL", "the model to begin with: a Hugging Face folder", 0, 0, NULL},
        {0, "config", ARG_TEXT, &o.config, "FILE",
         "instead: a config.json, for a new model that has learned nothing yet", 0, 0, NULL},
        {0, "tokenizer", ARG_TEXT, &o.tokenizer, "FOLDER", "the new model's tokenizer: its files are copied",
         0, 0, NULL},
        {'d', "data", ARG_TEXTS, &o.data, "FILE",
         "a text; may be repeated. Or a safetensors file with batches [steps, rows, tokens] and perhaps lr "
         "[steps]",
         0, 0, NULL},
        {'o', "out", ARG_TEXT, &o.out, "FOLDER", "where the trained model goes", 0, 0, NULL},
        {'n', "steps", ARG_U64, &o.steps, "N", "steps (default 100, or as many as there are batches)", 1,
         1e15, NULL},
        {'b', "batch", ARG_U64, &o.batch, "N", "rows of a batch (default 4)", 1, 65536, NULL},
        {0, "context", ARG_U64, &o.open.context, "N", "tokens of a row (default 256, or what the model has)",
         2, 1048576, NULL},
        {0, "accumulate", ARG_U64, &o.accumulate, "N", "batches of a step (default 1)", 1, 65536, NULL},
        {0, "lr", ARG_F64, &o.rate, "X", "the highest learning rate (default 3e-4)", 0, 1000, NULL},
        {0, "last-lr", ARG_F64, &o.last_rate, "X", "the learning rate at the end (default 0)", 0, 1000, NULL},
        {0, "schedule", ARG_CHOICE, &o.schedule, "NAME", "constant, linear, cosine or wsd", 0, 0, schedules},
        {0, "warmup", ARG_U64, &o.warmup, "N", "steps in which the rate rises (default 0)", 0, 1e15, NULL},
        {0, "decay", ARG_U64, &o.decay_steps, "N", "wsd: steps in which it falls (default: a fifth)", 0, 1e15,
         NULL},
        {0, "optimizer", ARG_CHOICE, &o.optimizer, "NAME", "adamw, sgd or muon", 0, 0, optimizers},
        {0, "weight-decay", ARG_F64, &o.weight_decay, "X", "of matrices (default 0.1)", 0, 1000, NULL},
        {0, "beta1", ARG_F64, &o.beta1, "X", "adamw (default 0.9)", 0, 1, NULL},
        {0, "beta2", ARG_F64, &o.beta2, "X", "adamw (default 0.95)", 0, 1, NULL},
        {0, "eps", ARG_F64, &o.epsilon, "X", "adamw (default 1e-8)", 0, 1, NULL},
        {0, "momentum", ARG_F64, &o.momentum, "X", "sgd (default 0.9)", 0, 1, NULL},
        {0, "muon-momentum", ARG_F64, &o.muon_momentum, "X", "muon (default 0.95)", 0, 1, NULL},
        {0, "muon-scale", ARG_F64, &o.muon_scale, "X",
         "muon: of the learning rate, for the matrices of layers (default 20)", 0, 1000, NULL},
        {0, "clip", ARG_F64, &o.clip, "X", "most norm of the gradient (default 1; 0: any)", 0, 1e9, NULL},
        {0, "seed", ARG_U64, &o.seed, "N",
         "of the order of rows, of a new model's weights and of samples (default 0)", 0,
         18446744073709549568.0, NULL},
        {0, "checkpoint", ARG_U64, &o.every, "N", "steps between checkpoints in FOLDER (default: none)", 1,
         1e15, NULL},
        {0, "resume", ARG_FLAG, &o.resume, NULL, "go on from FOLDER's checkpoint", 0, 0, NULL},
        {0, "held-out", ARG_TEXTS, &o.held_out, "FILE",
         "a text that is not trained on, for the loss that says what was learned; may be repeated", 0, 0,
         NULL},
        {0, "held-out-share", ARG_F64, &o.held_share, "X", "instead: the last share of the texts' rows", 0,
         0.9, NULL},
        {0, "held-out-every", ARG_U64, &o.held_every, "N",
         "steps between two of those losses (default: a twentieth of the run)", 1, 1e15, NULL},
        {0, "sample-every", ARG_U64, &o.sample_every, "N", "steps between samples of what the model writes",
         1, 1e15, NULL},
        {0, "sample-prompt", ARG_TEXT, &o.sample_prompt, "TEXT", "what a sample begins with", 0, 0, NULL},
        {0, "sample-tokens", ARG_U64, &o.sample_tokens, "N", "most tokens of a sample (default 64)", 1, 1e6,
         NULL},
        {0, "curve", ARG_TEXT, &o.curve, "PATH",
         "the loss curve: PATH.csv and PATH.svg (default: loss.csv and loss.svg in FOLDER)", 0, 0, NULL},
        CLI_OPTION_THREADS(&o.open),
        CLI_OPTION_ISA(&o.open),
        {0, "json", ARG_FLAG, &o.json, NULL, "each step is an object of JSON", 0, 0, NULL},
    };
    const arg_command command = {"train", NULL,
                                 "Trains a model further, or a new one, on texts or on given batches; the "
                                 "file it begins with stays as "
                                 "it is.\n"
                                 "Ctrl-C keeps what was reached: --resume goes on, with the same bits.\n",
                                 options, ARG_COUNT(options)};
    const char *none = NULL;
    int status = args_parse(&command, argc, argv, &none);
    return status == ARGS_GO ? train(&o) : status;
}
