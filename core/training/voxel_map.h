/* A density made straight of images: each is laid back into a small ball of Fourier space at its poses, times CTF, with a weight (weighted
 * back-projection), and the map is what Wiener's filter makes of the sums. All values are Hartley values on lattice points in a cube around
 * the centre, slowest z, fastest x. The method: expectation-maximisation as in Scheres, J. Struct. Biol. 180 (2012), with sums that fade
 * (Cappé & Moulines, J. R. Stat. Soc. B 71 (2009)). */
#ifndef DECO_TRAINING_VOXEL_MAP_H
#define DECO_TRAINING_VOXEL_MAP_H

#include "compute/device.h"
#include "compute/snapshot.h"

typedef struct deco_voxel_map {
    deco_device *dev;
    int64_t D, radius;   /* box; largest mask radius of the images */
    int64_t reach, side; /* lattice points -reach ... reach an axis; how many */
    int64_t used;        /* outside of -used ... used nothing was laid in yet: all sums are 0 there */
    int64_t chunks;
    float *chunk;          /* [chunks,2,side³] of the images of now: image · CTF and CTF², weighted */
    float *value, *weight; /* [side³] the same of all images so far, older ones fading */
    float *map;            /* [side³] */
    double gain;           /* Wiener's filter takes the signal for so many times its power; 1 is right for a finished map */
    int32_t *shell;        /* [side³] of each point */
    double *power;         /* [radius + 2] of the map's signal, by shell */
    int64_t grid;          /* of the real-space mask: points an axis */
    float *mask, *field;   /* [grid³] on the device */
} deco_voxel_map;

/* `mask_px`: the density lies within this of the box's centre. `chunks`: images are added by so many tasks at once. Fails: MEMORY. */
deco_status deco_voxel_map_create(deco_voxel_map **out, deco_device *dev, int64_t D, int64_t radius, double mask_px, int64_t chunks);
void deco_voxel_map_free(deco_voxel_map *v);

/* Bytes of one, and while it is updated besides: for the forecast. */
size_t deco_voxel_map_bytes(int64_t radius, int64_t chunks);
size_t deco_voxel_update_bytes(int64_t radius);

/* The sums and the map of one of the same size. */
void deco_voxel_map_copy(deco_voxel_map *to, const deco_voxel_map *from);

/* Adds an image of this half plane at rotation R to a chunk, which is one task's alone:
 *   image    CTF · image at both halves, shifted so that it is centred
 *   half_ctf2  ½ CTF² */
void deco_voxel_map_add(deco_voxel_map *v, int64_t chunk, const float R[9], double weight, deco_half_image image, const float *half_ctf2,
                        const deco_half_plane *half);

/* The chunks' sums to those before, which fade to `fade` of themselves, and the new map inside `radius`, which is at least that of the
 * images added since the last time. Shared among the pool's threads. */
deco_status deco_voxel_map_update(deco_voxel_map *v, double fade, int64_t radius);

/* The map at a whole lattice point: what deco_search_sliced_fill asks for. 0 outside. */
float deco_voxel_map_value(void *map, const double k[3]);

#endif
