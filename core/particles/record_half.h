/* Runs of float16 in a record, where the processor converts them itself (F16C) and where it does not: the same bits. */
#ifndef DECO_PARTICLES_RECORD_HALF_H
#define DECO_PARTICLES_RECORD_HALF_H

#include <stdint.h>

/* to [n] = float16 of scale · value[points[i]], rounded to nearest even. `scale` is a power of two; products are below 65520. */
void record_half_pack(unsigned char *to, const float *value, const int32_t *points, int64_t n, double scale);

/* out [n] = scale · the float16 at places[i], or at i where places is NULL. */
void record_half_unpack(float *out, const unsigned char *from, const int32_t *places, int64_t n, float scale);

#endif
