/* How far in Fourier space a search should look: l_end follows the resolution that the poses of the moment give.
 *
 * Two half sets of images are laid back into Fourier space at their poses, and their Fourier shell correlation is taken. Shells beyond
 * l_end took no part in the search, so that what agrees there is signal and not what the search fitted. Nothing is remembered outside
 * the position. */
#ifndef DECO_TRAINING_SEARCH_RESOLUTION_H
#define DECO_TRAINING_SEARCH_RESOLUTION_H

#include "config/options.h"
#include "formulas/ctf.h"
#include "geometry/lattice.h"
#include "particles/particles.h"
#include "training/voxel_map.h"

/* Images of an epoch that are laid back, at most. */
enum { DECO_RESOLUTION_IMAGES = 20000 };

/* Two half maps: the sums of a voxel map's two chunks, which it is never asked to join. */
typedef struct deco_half_maps {
    deco_device *dev;
    const deco_mask *mask;
    deco_voxel_map *sums;
    deco_half_plane half;
    int64_t *point;   /* [half.points] numbers in the mask of half of the points inside the radius; P-1-p is opposite */
    float *lit[2][3]; /* of an image of each half: CTF · image at those points and opposite to them, half CTF² */
} deco_half_maps;

/* Of images on `mask`, which stays the caller's, up to `radius`. Fails: MEMORY. */
deco_status deco_half_maps_create(deco_half_maps **out, deco_device *dev, const deco_mask *mask, int64_t radius);
void deco_half_maps_free(deco_half_maps *h); /* takes NULL */

/* Bytes of them, of images on a mask of P points: for the forecast. */
size_t deco_half_maps_bytes(int64_t P, int64_t radius);

/* half [n]: 0 or 1 for each of the rows, dealt by turns in their order; but all rows of one image, as after symmetry expansion, go where its first
 * one goes, or both maps would have its noise. image [N]: of all particles. Fails: MEMORY. */
deco_status deco_half_maps_deal(uint8_t *half, const deco_image_ref *image, const int64_t *row, int64_t n);

/* B images [B,P] at their poses, R [B,9], shift [B,2] pixels, and which half each is of. */
typedef struct deco_half_images {
    int64_t B;
    const uint8_t *half; /* [B] */
    const float *images, *R, *shift;
    const deco_ctf_row *ctf; /* [B] */
} deco_half_images;
deco_status deco_half_maps_add(deco_half_maps *h, const deco_half_images *in);

/* Fourier shell correlation of the half maps, [radius + 1]; 1 in shell 0. Fails: MEMORY. */
deco_status deco_half_maps_fsc(double *fsc, const deco_half_maps *h);

/* The last shell before two running fall below one half. */
int64_t deco_resolved_radius(const double *fsc, int64_t radius);

/* Does l_end follow? Where it is not given, nor are radii of the epochs, and the sliced engine searches. */
bool deco_search_follows(const deco_options *o);

/* l_end of the next search epoch: what is resolved, but no less than the option's, at most half as much again as `now`, and at most `most`. */
int64_t deco_followed_radius(const deco_options *o, int64_t resolved, int64_t now, int64_t most);

#endif
