/* Images laid back into Fourier space: what a density map is made of. Each image is multiplied by its CTF, shifted so that it is centred, and spread
 * from the points of its slice onto a grid twice as fine as the lattice (a box padded to twice its size) by a kernel of three cells, together
 * with its CTF². The map is their quotient after Wiener, back in real space, with the kernel's fall-off taken out.
 *
 * The method: Scheres, J. Struct. Biol. 180 (2012); the kernel: Kaiser-Bessel with the shape of Beatty, Nishimura & Pauly, IEEE Trans. Med. Imaging 24 (2005). */
#ifndef DECO_ANALYSIS_GRIDDING_H
#define DECO_ANALYSIS_GRIDDING_H

#include "compute/device.h"
#include "formulas/ctf.h"
#include "geometry/lattice.h"

/* The kernel is held at so many points a cell. */
enum { DECO_GRID_FINE = 2, DECO_GRID_KERNEL = 3, DECO_GRID_STEPS = 1024 };

/* Sums over images on the half of the fine grid with x >= 0 (a real density has the other by symmetry), and one plane beyond it. */
typedef struct deco_grid_sums {
    float *value;  /* [side,side,depth,2] weight · CTF · image: real and imaginary part, z slowest */
    float *weight; /* [side,side,depth] weight · CTF² */
} deco_grid_sums;

/* Two half sets of images of box D, inside `mask`, which it keeps. */
typedef struct deco_gridding {
    deco_device *dev;
    const deco_mask *mask;
    int64_t D, reach;    /* cells from the centre to each side, along y and z */
    int64_t side, depth; /* cells along y and z; along x, from -1 */
    deco_grid_sums half[2];
    float *kernel;     /* [] its values, finely spaced from 0 to its end */
    int64_t room;      /* images prepared at once */
    float *prepared;   /* [room,3,P]: real and imaginary part of CTF · image, CTF², all weighted */
    int64_t images[2]; /* laid back so far */
    bool folded;
} deco_gridding;

/* Fails: MEMORY. */
deco_status deco_gridding_create(deco_gridding **out, deco_device *dev, const deco_mask *mask, int64_t D);
void deco_gridding_free(deco_gridding *g); /* takes NULL */

/* Images to lay back, at most DECO_GRID_BATCH. */
enum { DECO_GRID_BATCH = 64 };
typedef struct deco_grid_images {
    int64_t B;
    const float *image;      /* [B,P] Hartley values in the mask */
    const float *R;          /* [B,9] */
    const float *shift;      /* [B,2] pixels */
    const deco_ctf_row *ctf; /* [B] */
    const float *weight;     /* [B] */
    const uint8_t *half;     /* [B] 0 or 1 */
} deco_grid_images;
deco_status deco_gridding_add(deco_gridding *g, const deco_grid_images *in);

/* What is left beyond x = 0 goes to its mirror point. Once, after the last image. */
void deco_gridding_fold(deco_gridding *g);

/* A density map [D,D,D] of half set 0 or 1, or of both (2), by Wiener's filter with signal-to-noise ratios `ssnr` [radius + 1] of the finished
 * map by shell of the lattice. NULL: no filter; where a cell holds less than a thousandth of its shell's mean, it is taken to hold that (few views leave
 * gaps, and what stands there is noise). Fails: MEMORY, DEVICE. */
deco_status deco_gridding_map(float *map, const deco_gridding *g, int which, const double *ssnr);

#endif
