/* Images of a particle set, one row at a time, for one thread: its workspace and the stacks it holds open. */
#ifndef DECO_PARTICLES_READER_H
#define DECO_PARTICLES_READER_H

#include "particles/particles.h"
#include "particles/prepare.h"

typedef struct image_reader image_reader;

/* Keeps `p` and `q`, and up to `stacks` files open. */
deco_status image_reader_create(image_reader **out, const deco_particles *p, const prepare *q, int stacks);
void image_reader_free(image_reader *r);

/* The windowed transform of row's image, brought to [D,D], without its sign; good until the next call. With `look`, its pixels are checked
 * first. pixels [DECO_ENCODER_PIXELS], where `q` was made with an encoder: its view of the image; NULL: not wanted.
 * Fails: FILE, FORMAT (NaN, infinite or equal pixels: file, row, image). */
deco_status image_reader_hartley(const float **out, uint8_t *pixels, image_reader *r, int64_t row, bool look);

/* The image as it is in its stack, out [box,box]. Fails: FILE, FORMAT. */
deco_status image_reader_raw(float *out, image_reader *r, int64_t row);

/* `box`: the largest of the stacks, cut or not. */
size_t image_reader_bytes(int64_t box, int stacks, bool encoder);

#endif
