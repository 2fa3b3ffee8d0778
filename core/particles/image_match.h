/* The same images in two sets whose uids have nothing in common: found by the stack's path and the image's place in it. */
#ifndef DECO_PARTICLES_IMAGE_MATCH_H
#define DECO_PARTICLES_IMAGE_MATCH_H

#include "particles/particles.h"

/* Images by the names of their stacks. */
typedef struct deco_image_list {
    const char *source; /* for messages */
    int64_t n, stacks;
    char **name;           /* [stacks] */
    deco_image_ref *image; /* [n] */
} deco_image_list;

/* The images that a STAR file names by rlnImageName ("index@path"). Fails: FILE; FORMAT with row and value. */
deco_status deco_image_list_read(deco_image_list *out, const char *star);
void deco_image_list_free(deco_image_list *l);

/* For every row of `there` the image of `wanted` that it shows, in from [there->n], -1 where it shows none; several rows may show one. Paths
 * are compared whole, without their ending (.mrc, .mrcs), by their last two parts, and by their last: the first way that finds most is taken,
 * and *how says which. A name that would mean two stacks is not used. *found: images of `wanted` that some row shows. */
deco_status deco_images_match(int64_t *from, int64_t *found, const char **how, const deco_image_list *there, const deco_image_list *wanted);

#endif
