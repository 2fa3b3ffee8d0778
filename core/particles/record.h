/* One image as it is kept and as training reads it, whether a cache keeps it or not: FORMATS.md section 7.
 *
 * A record is a head of 32 bytes, the P Hartley values inside the circle of radius D/2 (lattice.h's order; without sign and scale, which
 * belong to the set), and where an encoder looks at it the 27 768 pixels of encoder_circle.h; zeros to a multiple of 8 bytes. Values are
 * float16 times a power of two of the record's own, by which its largest lies in [2^14, 2^15): none overflows whatever the images' scale,
 * and those below 2^-29 of it, which float32 transforms do not know either, lose bits. Or float32, as they are. */
#ifndef DECO_PARTICLES_RECORD_H
#define DECO_PARTICLES_RECORD_H

#include "geometry/encoder_circle.h"
#include "geometry/lattice.h"

#include <string.h>

typedef struct record_layout {
    int64_t D, P;
    bool float32, encoder;
    size_t pixels, bytes; /* where the pixels begin (what is in front of them, where there are none); of a record */
} record_layout;

record_layout record_layout_of(int64_t D, bool float32, bool encoder);

/* Points of the circle of radius D/2 in a D×D transform, the last row and column of the lattice being the first. Free with free(). */
deco_status record_points(int32_t **out, int64_t D);

/* Where the points of a mask of the same lattice (radius at most D/2) stand among a record's values; NULL when they are the same. */
deco_status record_places(int32_t **out, const deco_mask *mask);

/* Makes a record of image `index` of stack `stack`. hartley [D,D]; pixels may be NULL without an encoder. */
void record_fill(unsigned char *record, const record_layout *l, int32_t stack, int32_t index, const float *hartley, const int32_t *points,
                 const uint8_t *pixels);

/* out [n] = scale · values. places [n]: as record_places gives them; NULL: all, n = P. */
void record_values(float *out, const unsigned char *record, const record_layout *l, double scale, const int32_t *places, int64_t n);

static inline const uint8_t *record_pixels(const unsigned char *record, const record_layout *l) { return record + l->pixels; }

/* Is this the record of that image? And are its bytes those of when it was made? */
bool record_is_of(const unsigned char *record, int32_t stack, int32_t index);
bool record_is_sound(const unsigned char *record, const record_layout *l);

/* A 64-bit digest that sees any changed bit; n a multiple of 8. */
uint64_t record_digest(const void *bytes, size_t n);

#endif
