/* seen.c - see seen.h. */
#include "seen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SITES 8

static int32_t take(void *user, const tfm_inspect_event *event) {
    seen *s = user;
    size_t wanted = s->site == TFM_SITE_ATTENTION ? s->tokens : event->columns;
    if (!s->values) {
        s->columns = wanted;
        if (s->tokens > SIZE_MAX / 8 / (size_t)s->layers / (wanted ? wanted : 1)) return s->failed = 1;
        s->values = calloc((size_t)s->layers * s->tokens * wanted + 1, sizeof *s->values);
        if (!s->values) return s->failed = 1;
    }
    int layer = event->layer - s->layer0;
    if (wanted != s->columns || layer < 0 || layer >= s->layers || event->position + event->rows > s->tokens)
        return s->failed = 1;
    for (size_t r = 0; r < event->rows; r++)
        memcpy(s->values + ((size_t)layer * s->tokens + event->position + r) * s->columns,
               event->values + r * event->stride, event->columns * sizeof *s->values);
    return 0;
}

static int run_decoder(cli_host *host, const cli_open_options *open, const int32_t *tokens, size_t count,
                       seen *sites, const tfm_inspect_options *where, size_t site_count) {
    tfm_forward_options forward = TFM_FORWARD_OPTIONS_INIT;
    int status = cli_open_session(host, open);
    if (status) return status;
    forward.logits = TFM_LOGITS_NONE;
    forward.cancel = host->cancel;
    forward.progress = cli_progress_report;
    forward.progress_user = &host->progress;
    for (size_t i = 0; i < site_count; i++)
        if (tfm_inspect(host->session, &where[i], take, &sites[i], NULL, &host->error)) return cli_fail(host);
    if (tfm_forward(host->session, tokens, count, &forward, &host->error)) return 1;
    tfm_session_destroy(host->session);
    host->session = NULL;
    return CLI_OK;
}

static int run_encoder(cli_host *host, const int32_t *tokens, size_t count, seen *sites,
                       const tfm_inspect_options *where, size_t site_count) {
    const tfm_encode_row row = {tokens, count, NULL};
    tfm_encode_inspector inspectors[MOST_SITES];
    tfm_encode_options encode = TFM_ENCODE_OPTIONS_INIT;
    tfm_encoded *encoded = NULL;
    for (size_t i = 0; i < site_count; i++)
        inspectors[i] = (tfm_encode_inspector){&where[i], take, &sites[i]};
    encode.cancel = host->cancel;
    encode.progress = cli_progress_report;
    encode.progress_user = &host->progress;
    encode.inspectors = inspectors;
    encode.inspector_count = site_count;
    if (tfm_encode(host->model, &row, 1, &encode, &encoded, &host->error)) return 1;
    tfm_encoded_release(encoded);
    return CLI_OK;
}

int seen_run(cli_host *host, const cli_open_options *open, const int32_t *tokens, size_t count, seen *sites,
             size_t site_count) {
    tfm_inspect_options where[MOST_SITES];
    tfm_model_info info = TFM_MODEL_INFO_INIT;
    if (site_count > MOST_SITES) return cli_error(host->command, "too many sites");
    if (count == 0) return cli_error(host->command, "the text is empty");
    if (tfm_model_get_info(host->model, &info, &host->error)) return cli_fail(host);
    for (size_t i = 0; i < site_count; i++) {
        int one = sites[i].layer != TFM_INSPECT_ALL || sites[i].site == TFM_SITE_EMBEDDING;
        sites[i].tokens = count;
        sites[i].layer0 = one && sites[i].layer != TFM_INSPECT_ALL ? sites[i].layer : 0;
        sites[i].layers = one ? 1 : info.layers;
        where[i] = (tfm_inspect_options)TFM_INSPECT_OPTIONS_INIT;
        where[i].site = sites[i].site;
        where[i].layer = sites[i].layer;
        where[i].head = sites[i].head;
    }
    cli_progress_label(&host->progress, "computing");
    int status = info.kind == TFM_KIND_ENCODER
                     ? run_encoder(host, tokens, count, sites, where, site_count)
                     : run_decoder(host, open, tokens, count, sites, where, site_count);
    for (size_t i = 0; i < site_count; i++)
        if (sites[i].failed) return cli_error(host->command, "%zu tokens are too many to keep", count);
    if (status && host->error.code) return cli_fail(host);
    if (!status) cli_progress_clear(&host->progress);
    return status;
}

void seen_free(seen *sites, size_t site_count) {
    for (size_t i = 0; i < site_count; i++) {
        free(sites[i].values);
        sites[i].values = NULL;
    }
}

double seen_cosine(const float *a, const float *b, size_t n) {
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

double seen_distance(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum);
}
