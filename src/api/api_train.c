/* api_train.c - the exported functions of tfm/train.h: arguments are checked here, the work is in
 * train_step.c. */
#include <math.h>

#include "train/trainer.h"

static bool within(double x, double least, double end) { return x >= least && x < end; }

static int32_t check_options(const tfm_trainer_options *o, tfm_error *error) {
    const struct {
        const char *name;
        double value, least, end;
    } ranges[] = {{"learning_rate", o->learning_rate, 0, 1e6},
                  {"last_rate", o->last_rate, 0, 1e6},
                  {"beta1", o->beta1, 0, 1},
                  {"beta2", o->beta2, 0, 1},
                  {"epsilon", o->epsilon, 0, 1},
                  {"momentum", o->momentum, 0, 1},
                  {"weight_decay", o->weight_decay, 0, 1e6},
                  {"vector_decay", o->vector_decay, 0, 1e6},
                  {"muon_momentum", o->muon_momentum, 0, 1},
                  {"muon_scale", o->muon_scale, 0, 1e6},
                  {"clip", o->clip, 0, (double)INFINITY}};
    for (size_t i = 0; i < TFM__COUNT(ranges); i++)
        if (!within(ranges[i].value, ranges[i].least, ranges[i].end))
            return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_options: %s is %g, not from %g to below %g",
                             ranges[i].name, ranges[i].value, ranges[i].least, ranges[i].end);
    if (o->optimizer < TFM_OPTIMIZER_ADAMW || o->optimizer > TFM_OPTIMIZER_MUON ||
        o->schedule < TFM_SCHEDULE_CONSTANT || o->schedule > TFM_SCHEDULE_WSD)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_options: optimizer is %d, schedule is %d",
                         (int)o->optimizer, (int)o->schedule);
    if (o->steps && o->warmup > o->steps)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_options: a warm-up of %llu in %llu steps",
                         (unsigned long long)o->warmup, (unsigned long long)o->steps);
    return TFM_OK;
}

int32_t tfm_model_write_new(const char *config, const tfm_new_model_options *options, const char *folder,
                            tfm_error *error) {
    tfm_new_model_options given;
    if (!config || !folder || !*folder)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_model_write_new: config or folder is NULL");
    int32_t status = tfm__take_options(options, &given, sizeof given, "tfm_new_model_options", error);
    return status ? status : tfm__model_new(config, &given, folder, error);
}

void tfm_trainer_destroy(tfm_trainer *t) {
    tfm__heap heap;
    if (!t) return;
    tfm__batch_drop(t);
    tfm__weights_drop(t);
    tfm_model_release(t->source);
    tfm__heap_init(&heap, &t->model.heap.allocator, 0);
    tfm__free(&heap, t);
}

int32_t tfm_trainer_create(tfm_model *model, const tfm_trainer_options *options, tfm_trainer **out,
                           tfm_error *error) {
    const tfm_trainer_options usual = TFM_TRAINER_OPTIONS_INIT;
    tfm_trainer_options given;
    if (out) *out = NULL;
    if (!model || !out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_create: model or out is NULL");
    int32_t status =
        tfm__take_options(options ? options : &usual, &given, sizeof given, "tfm_trainer_options", error);
    if (!status) status = check_options(&given, error);
    if (status) return status;
    tfm__heap heap;
    tfm__heap_init(&heap, given.allocator, 0);
    tfm_trainer *t = tfm__alloc_zero(&heap, sizeof *t);
    if (!t) return tfm__fail_memory(error, &heap, sizeof *t);
    tfm__heap_init(&t->model.heap, given.allocator, given.byte_budget);
    t->options = given;
    t->options.allocator = NULL; /* the heap has it */
    if (given.muon_momentum == 0) t->options.muon_momentum = 0.95;
    if (given.muon_scale == 0) t->options.muon_scale = 20;
    t->rate = -1.0;
    tfm_model_retain(model);
    t->source = model;
    status = tfm__weights_make(t, error);
    if (status) {
        tfm_trainer_destroy(t);
        return status;
    }
    *out = t;
    return TFM_OK;
}

/* Batches of the caller's size, checked, one after another in a list of ours. */
static int32_t run(tfm_trainer *t, const tfm_train_batch *batches, size_t count, bool train,
                   tfm_train_result *result, const char *what, tfm_error *error) {
    tfm_train_result full = TFM_TRAIN_RESULT_INIT;
    int32_t status =
        result ? tfm__give_struct(result, &full, sizeof full, "tfm_train_result", error) : TFM_OK;
    if (status) return status;
    if (!t || !batches || count == 0)
        return tfm__fail(error, TFM_E_ARGUMENT, "%s: an argument is NULL or 0", what);
    tfm_train_batch *taken = tfm__alloc_array(&t->model.heap, count, sizeof *taken);
    if (!taken) return tfm__fail_memory(error, &t->model.heap, count * sizeof *taken);
    for (size_t i = 0; i < count && !status; i++) {
        const void *batch = (const uint8_t *)batches + i * batches[0].struct_size;
        status = tfm__take_options(batch, &taken[i], sizeof *taken, "tfm_train_batch", error);
        if (!status) status = tfm__batch_check(t, &taken[i], i, error);
    }
    if (!status) status = tfm__train_step(t, taken, count, train, &full, error);
    tfm__free(&t->model.heap, taken);
    return status || !result ? status
                             : tfm__give_struct(result, &full, sizeof full, "tfm_train_result", error);
}

int32_t tfm_trainer_step(tfm_trainer *trainer, const tfm_train_batch *batches, size_t count,
                         tfm_train_result *result, tfm_error *error) {
    return run(trainer, batches, count, true, result, "tfm_trainer_step", error);
}

int32_t tfm_trainer_evaluate(tfm_trainer *trainer, const tfm_train_batch *batches, size_t count,
                             tfm_train_result *result, tfm_error *error) {
    return run(trainer, batches, count, false, result, "tfm_trainer_evaluate", error);
}

void tfm_trainer_watch(tfm_trainer *trainer, tfm_progress_fn progress, void *user, const tfm_cancel *cancel) {
    if (trainer) trainer->watch = (tfm__watch){.progress = progress, .progress_user = user, .cancel = cancel};
}

int32_t tfm_trainer_set_rate(tfm_trainer *trainer, double rate, tfm_error *error) {
    if (!trainer || !(rate < 1e6) || rate != rate)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_set_rate: a learning rate of %g", rate);
    trainer->rate = rate;
    return TFM_OK;
}

tfm_model *tfm_trainer_model(tfm_trainer *trainer) { return trainer ? &trainer->model : NULL; }

uint64_t tfm_trainer_steps(const tfm_trainer *trainer) { return trainer ? trainer->step : 0; }

size_t tfm_trainer_tensor_count(const tfm_trainer *trainer) { return trainer ? trainer->parameter_count : 0; }

int32_t tfm_trainer_tensor(const tfm_trainer *trainer, size_t index, int32_t what, tfm_trained_tensor *out,
                           tfm_error *error) {
    tfm_trained_tensor full = TFM_TRAINED_TENSOR_INIT;
    if (!trainer || !out) return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_tensor: an argument is NULL");
    if (index >= trainer->parameter_count || what < TFM_TRAINED_WEIGHT || what > TFM_TRAINED_GRADIENT)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_tensor: tensor %zu of %zu, what is %d", index,
                         trainer->parameter_count, (int)what);
    const tfm__parameter *parameter = &trainer->parameters[index];
    full.name = parameter->tensor->name;
    full.data = (what == TFM_TRAINED_WEIGHT ? trainer->weights : trainer->gradients) + parameter->first;
    full.count = parameter->count;
    full.dims = parameter->tensor->dims;
    for (uint32_t i = 0; i < full.dims && i < TFM__COUNT(full.shape); i++)
        full.shape[i] = parameter->tensor->shape[i];
    return tfm__give_struct(out, &full, sizeof full, "tfm_trained_tensor", error);
}

int32_t tfm_trainer_find(const tfm_trainer *trainer, const char *name, int32_t what, tfm_trained_tensor *out,
                         tfm_error *error) {
    if (!trainer || !name || !out)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_find: an argument is NULL");
    for (size_t i = 0; i < trainer->parameter_count; i++)
        if (strcmp(trainer->parameters[i].tensor->name, name) == 0)
            return tfm_trainer_tensor(trainer, i, what, out, error);
    return tfm__fail(error, TFM_E_MISSING, "no tensor '%s' is trained", name);
}

int32_t tfm_trainer_save(const tfm_trainer *trainer, const char *folder, tfm_error *error) {
    if (!trainer || !folder || !*folder)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_save: trainer or folder is NULL");
    return tfm__trainer_save((tfm_trainer *)trainer, folder, error);
}

int32_t tfm_trainer_checkpoint(const tfm_trainer *trainer, const char *path, tfm_error *error) {
    if (!trainer || !path)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_checkpoint: trainer or path is NULL");
    return tfm__trainer_checkpoint((tfm_trainer *)trainer, path, error);
}

int32_t tfm_trainer_resume(tfm_trainer *trainer, const char *path, tfm_error *error) {
    if (!trainer || !path)
        return tfm__fail(error, TFM_E_ARGUMENT, "tfm_trainer_resume: trainer or path is NULL");
    return tfm__trainer_resume(trainer, path, error);
}
