/* Images in the order in which their files hold them, which disks read much faster than the order of rows. */
#ifndef DECO_PARTICLES_FILE_ORDER_H
#define DECO_PARTICLES_FILE_ORDER_H

#include "particles/particles.h"

/* row [N]: rows by stack, then by image, then as they stand. Free with free(). */
deco_status file_order_rows(int64_t **row, const deco_particles *p);

/* The same without repetitions: several rows can share an image (symmetry expansion makes 60 of one). */
typedef struct distinct_images {
    int64_t count;
    int64_t *row;    /* [count] a row of each */
    int64_t *number; /* [N] which of them a row's image is */
} distinct_images;
deco_status file_order_distinct(distinct_images *out, const deco_particles *p);
void distinct_images_free(distinct_images *d); /* frees what is in it */

#endif
