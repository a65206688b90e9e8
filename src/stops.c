/* stops.c - stop strings that may straddle tokens: text is held back while it could still become one. */
#include "generate.h"

#define MOST_STOPS 64
#define ROOM 4096 /* of held text beside a stop string, taken at the start so that no token needs memory */

int32_t tfm__stops_init(tfm__stops *stops, tfm__heap *heap, const tfm_generate_options *options,
                        tfm_error *error) {
    size_t total = 0, used = 0, longest = 0, room;
    memset(stops, 0, sizeof *stops);
    stops->heap = heap;
    stops->found = -1;
    tfm__buffer_init(&stops->held, heap);
    if (options->stop_count > MOST_STOPS || (options->stop_count && !options->stops))
        return tfm__fail(error, TFM_E_ARGUMENT, "%zu stop strings, at most %d", options->stop_count,
                         MOST_STOPS);
    size_t lengths[MOST_STOPS];
    for (size_t i = 0; i < options->stop_count; i++) {
        const char *text = options->stops[i];
        lengths[i] = !text ? 0 : options->stop_lengths ? options->stop_lengths[i] : strlen(text);
        if (lengths[i] == 0 || ((unsigned char)text[0] & 0xc0) == 0x80)
            return tfm__fail(error, TFM_E_ARGUMENT, "stop string %zu is empty or begins inside a character",
                             i);
        if (!tfm__add_size(total, lengths[i], &total))
            return tfm__fail(error, TFM_E_ARGUMENT, "stop strings too long");
        longest = TFM__MAX(longest, lengths[i]);
    }
    if (!tfm__add_size(longest, ROOM, &room) || !tfm__buffer_reserve(&stops->held, room))
        return tfm__fail_memory(error, heap, longest);
    if (options->stop_count == 0) return TFM_OK;
    stops->texts = tfm__alloc(heap, total);
    stops->lengths = tfm__alloc_array(heap, options->stop_count, sizeof *stops->lengths);
    if (!stops->texts || !stops->lengths) return tfm__fail_memory(error, heap, total);
    for (size_t i = 0; i < options->stop_count; i++) {
        memcpy(stops->texts + used, options->stops[i], lengths[i]);
        stops->lengths[i] = lengths[i];
        used += lengths[i];
    }
    stops->count = options->stop_count;
    return TFM_OK;
}

void tfm__stops_free(tfm__stops *stops) {
    if (!stops->heap) return;
    tfm__free(stops->heap, stops->texts);
    tfm__free(stops->heap, stops->lengths);
    tfm__buffer_free(&stops->held);
}

/* From this place on, is the held text a stop string (whole), or the beginning of one (so far)? */
static bool matches_at(const tfm__stops *stops, size_t place, const char *stop, size_t length, bool *whole) {
    size_t left = stops->held.size - place, compare = TFM__MIN(left, length);
    *whole = left >= length;
    return !memcmp(stops->held.data + place, stop, compare);
}

bool tfm__stops_take(tfm__stops *stops, const char *text, size_t length) {
    size_t keep = stops->held.size - stops->ready;
    if (!tfm__buffer_reserve(&stops->held, length)) return false;
    memmove(stops->held.data, stops->held.data + stops->ready, keep);
    stops->held.size = keep;
    stops->ready = 0;
    tfm__buffer_append(&stops->held, text, length); /* there is room */
    size_t first_maybe = stops->held.size;
    for (size_t place = 0; place < stops->held.size; place++) {
        const char *stop = stops->texts;
        bool whole;
        for (size_t i = 0; i < stops->count; stop += stops->lengths[i++]) {
            if (!matches_at(stops, place, stop, stops->lengths[i], &whole)) continue;
            if (whole) {
                stops->found = (int32_t)i;
                stops->ready = place;
                return true;
            }
            first_maybe = TFM__MIN(first_maybe, place);
        }
    }
    stops->ready = first_maybe;
    return true;
}

void tfm__stops_flush(tfm__stops *stops) {
    if (stops->found < 0) stops->ready = stops->held.size;
}
