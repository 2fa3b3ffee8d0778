/* Many small maps, compared voxel by voxel inside a mask made from them. */
#ifndef DECO_ANALYSIS_LANDSCAPE_MAPS_H
#define DECO_ANALYSIS_LANDSCAPE_MAPS_H

#include "model/model.h"

typedef struct deco_map_set {
    int64_t n, box;
    double psize_A;
    int64_t voxels;     /* of the mask */
    int32_t *index;     /* [voxels] where they lie in a map [box,box,box] */
    float *value;       /* [n,voxels] the maps, less their mean */
    float *mean;        /* [voxels] */
    int64_t components; /* principal ones, at most n - 1 */
    float *scores;      /* [n,components] the entry of largest magnitude of each component is positive */
    double *ratio;      /* [components] of the variance */
    float *direction;   /* [components,voxels] what one standard deviation along each adds to the mean */
} deco_map_set;

/* Maps of the latents z [n,Z], n at least 2. The mask holds every voxel that is denser than a fifth of what the densest thousandth of a map is, in any of
 * them, and those within two voxels of one. Fails: MEMORY (with what would fit), DEVICE, STOPPED. */
deco_status deco_map_set_decode(deco_map_set *out, deco_model *model, const double *z, int64_t n, int64_t box, bool mirror,
                                deco_monitor *m);

/* Its principal components, at most `most`. Fails: MEMORY, ARGUMENT. */
deco_status deco_map_set_components(deco_map_set *s, int64_t most, deco_pool *pool);

/* values [voxels] as a map [box,box,box], 0 outside the mask. */
void deco_map_set_spread(float *map, const deco_map_set *s, const float *values);

void deco_map_set_free(deco_map_set *s);

#endif
