/* What is asked of a map before it is written: its resolution, its box, its edges. */
#ifndef DECO_ANALYSIS_MAP_SHAPE_H
#define DECO_ANALYSIS_MAP_SHAPE_H

#include "compute/device.h"

typedef struct deco_map_shape {
    double low_pass_A; /* beyond this resolution the transform falls to 0 along a cosine two shells wide; 0: nowhere */
    int64_t crop;      /* px, even: the middle of the map alone; 0: all of it */
    int64_t box;       /* px, even, of the whole map: brought there in Fourier space, before it is cropped; 0: as it is */
} deco_map_shape;

/* Fails: ARGUMENT with the option's name and value (a crop larger than the box, an odd size, a box above that of the maps). */
deco_status deco_map_shape_check(const deco_map_shape *s, int64_t D);

/* Box and pixel size that a map [D,D,D] of psize_A comes out with. */
int64_t deco_map_shape_box(const deco_map_shape *s, int64_t D);
double deco_map_shape_psize(const deco_map_shape *s, int64_t D, double psize_A);

/* Shapes `map` [D,D,D] in place: the first deco_map_shape_box³ numbers are the result. Fails: MEMORY, DEVICE. */
deco_status deco_map_shape_apply(float *map, const deco_map_shape *s, int64_t D, double psize_A, deco_device *dev);

#endif
