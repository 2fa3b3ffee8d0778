/* A landscape of maps: latents say which particles are alike to the decoder, maps which molecules are. Many maps are decoded in a small box and compared
 * voxel by voxel, inside a mask made from them: their principal components, and the states that they fall into. */
#ifndef DECO_ANALYSIS_LANDSCAPE_H
#define DECO_ANALYSIS_LANDSCAPE_H

#include "analysis/analysis.h"

typedef struct deco_landscape_input {
    deco_model *model;
    const float *z; /* [N,Z], Z at least 1 */
    int64_t N, Z;
    int64_t maps;   /* at most N of them are decoded, where k-means puts so many centres among the latents */
    int64_t box;    /* px, even; of a larger map the middle shells alone */
    int64_t states; /* at most so many, by Ward's criterion */
    bool mirror;    /* maps of the other hand */
    uint64_t seed;
} deco_landscape_input;

/* DIRECTORY/landscape, docs/formats.md. The same on any number of threads. Fails: ARGUMENT, MEMORY, FILE, DEVICE, STOPPED. */
deco_status deco_landscape_write(const char *directory, const deco_landscape_input *in, deco_monitor *m);

#endif
