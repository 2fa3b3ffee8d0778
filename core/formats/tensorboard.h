/* Event files of TensorBoard: records of its protocol buffers, appended one by one. */
#ifndef DECO_FORMATS_TENSORBOARD_H
#define DECO_FORMATS_TENSORBOARD_H

#include "base/status.h"

typedef struct deco_events deco_events;

/* A new file `events.out.tfevents.<seconds>.<host>.<process>` in `directory`, for steps from `first` on: what older files there say of those no longer
 * counts. A file grows by whole records, so that a kill leaves at most one that is cut off, which readers pass over. Fails, as all here: FILE, MEMORY. */
deco_status deco_events_create(deco_events **out, const char *directory, int64_t first);
void deco_events_free(deco_events *e);

deco_status deco_events_scalar(deco_events *e, const char *tag, int64_t step, double value);

/* A PNG of width × height pixels. */
deco_status deco_events_png(deco_events *e, const char *tag, int64_t step, const void *bytes, size_t n);

/* Of n numbers, in `DECO_EVENT_BINS` steps from the least to the largest; what is not finite is left out. */
enum { DECO_EVENT_BINS = 60 };
deco_status deco_events_histogram(deco_events *e, const char *tag, int64_t step, const float *x, int64_t n);

/* CRC-32C (Castagnoli) of n bytes. */
uint32_t deco_crc32c(const void *bytes, size_t n);

#endif
