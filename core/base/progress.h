/* The words of a progress line. */
#ifndef DECO_BASE_PROGRESS_H
#define DECO_BASE_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

/* "epoch 3/12  45 %  123 images/s  0:12 left", of `done` in `seconds`; rate and time left only once they are known. */
void deco_progress_words(char *out, size_t size, const char *what, const char *unit, int64_t done, int64_t total, double seconds);

#endif
