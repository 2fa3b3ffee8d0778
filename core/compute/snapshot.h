/* Slices through a voxel snapshot of the decoder, and scores of images against them, on the host: what the sliced pose search spends its
 * time in. One set of kernels (cpu/snapshot_*.h), compiled for AVX-512, AVX2 and any processor; which one runs is chosen once, by what
 * the processor can do. All sums are f32 in an order that depends on the kernels alone.
 *
 * Images, CTFs and slices are real and come as two halves: the values at the points of a half plane, and those opposite to them. */
#ifndef DECO_COMPUTE_SNAPSHOT_H
#define DECO_COMPUTE_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

enum {
    DECO_HALF_STEP = 16,       /* half planes are filled up to a multiple of this; what stands there has to weigh nothing */
    DECO_SCORE_TILE = 128,     /* points a table of shifts is cut into */
    DECO_SCORE_CANDIDATES = 8, /* at most so many slices a call */
    DECO_SCORE_PAIRS = 8,      /* at most so many pairs of opposite shifts a call */
    DECO_SNAPSHOT_LANES = 16,  /* no kernel's vector is longer */
    DECO_NORMAL_SUMS = 21
};

/* Values on a lattice of 1/scale steps. A point stands with its opposite, so only z >= 0 is kept; and with its neighbour in y, so that
 * the eight values around a point lie in two pairs of neighbouring records, on two or three cache lines.
 *   quad [planes,n,n,4]  {H(k), H(-k), H(k + y), H(-k - y)} at k = ((x, y) - centre, z)/scale, z slowest, x fastest
 * A slice may reach centre - 1 from the middle. */
typedef struct deco_snapshot {
    const float *quad;
    int64_t n, planes;
    float centre, scale;
} deco_snapshot;

/* The points ky > 0, and ky = 0 with kx > 0, of a disc, in rising order of ky, then kx: the second half of a deco_mask of that radius.
 * Row y begins at row[y] and runs over kx = -reach[y] ... reach[y], the first one over kx = 1 ... reach[0]. */
typedef struct deco_half_plane {
    int64_t radius, points, padded;
    float *kx, *ky;       /* [padded] lattice steps; zero beyond `points` */
    int32_t *row, *reach; /* [radius + 1] */
} deco_half_plane;

/* An image at both halves, each [padded] and readable for DECO_HALF_STEP numbers more. */
typedef struct deco_half_image {
    float *at, *opposite;
} deco_half_image;

/* Slices at neighbouring rotations against one image, over a small grid of shifts that is symmetric about 0. Shift i of `pairs` and its
 * negative share their sums.
 *   image        CTF · image, shifted to where the grid's middle lies
 *   half_ctf2 [padded]  ½ CTF²
 *   table [tiles,pairs,2,DECO_SCORE_TILE]  cos and sin of 2π k·t */
typedef struct deco_score_window {
    deco_half_image image;
    const float *half_ctf2, *table;
    int pairs;
} deco_score_window;

/* Level 0: slices in the lanes of a vector, `lanes` of them a block, each with its three quarter turns; every shift of an n×n grid that
 * is symmetric about 0. The grid is separable, so each slice's products with the image are summed over kx for the n shifts along x,
 * then over ky: a fifth of the work of n² dot products.
 *   slices [2·points,lanes]   the values at the half plane, then those opposite
 *   power [points,lanes]      their squares' sum: out of deco_snapshot_kernels.block
 *   turned [4,points]         row of `slices` that is found at a point after 0 to 3 quarter turns
 *   cosine, sine [radius + 1,magnitudes]   of 2π k |t|, magnitudes = (n + 1)/2 from the middle outwards; x and y are spaced alike
 *   bias [n,n]                added to the score of a shift, x fast */
typedef struct deco_orbit_grid {
    const deco_half_plane *half;
    const int32_t *turned;
    const float *cosine, *sine;
    const float *bias;
    int n, magnitudes;
} deco_orbit_grid;

typedef struct deco_snapshot_kernels {
    const char *name;
    int lanes;

    /* Trilinear slice at the points (kx, ky, 0) @ R. at, opposite [padded]. */
    void (*slice)(float *at, float *opposite, const deco_snapshot *s, const float R[9], const deco_half_plane *half);

    /* The slices at `lanes` rotations as deco_orbit_grid wants them. */
    void (*block)(float *slices, float *power, const deco_snapshot *s, const float (*R)[9], const deco_half_plane *half);

    /* Best score over the grid of shifts and the number of that shift, [4,lanes] each: for all four turns of each slice, lower is
     * better. `scratch` has deco_orbit_scratch() numbers. */
    void (*orbits)(float *score, int32_t *shift, const float *slices, const float *power, deco_half_image image, const float *half_ctf2,
                   const deco_orbit_grid *grid, float *scratch);

    /* out(k) = cos φ image(k) + sin φ image(-k), φ = kx·phase[0] + ky·phase[1]. `scratch`: deco_shift_scratch() numbers. */
    void (*shift)(deco_half_image out, deco_half_image image, const deco_half_plane *half, const double phase[2], float *scratch);

    /* For each of `count` rotations the best score over the window's shifts, and the number of that shift: i of the first half or
     * shifts - 1 - i of the second, where `shifts` is how many there are in all. */
    void (*candidates)(float *score, int32_t *shift, const deco_snapshot *s, const float (*R)[9], int count, const deco_half_plane *half,
                       const deco_score_window *w, int shifts);

    /* Gauss–Newton's sums for the model ctf · slice and the shifted image: the upper triangle of JJᵀ, row by row [15], J times the
     * residual image - model [5], and the score. J: gradient of the model by the angles w that move a point of the slice to
     * (x - y w2, y + x w2, x w1 + y w0), and minus that of the image by its shift, in D/2π pixels. */
    void (*normal)(float sums[DECO_NORMAL_SUMS], const deco_snapshot *s, const float R[9], const deco_half_plane *half,
                   deco_half_image image, const float *ctf);
} deco_snapshot_kernels;

static inline size_t deco_orbit_scratch(const deco_orbit_grid *g)
{
    size_t rows = (size_t)g->half->radius + 1;
    return DECO_SNAPSHOT_LANES * rows * (4 + 4 * (size_t)g->n);
}

static inline size_t deco_shift_scratch(const deco_half_plane *h) { return 2 * (2 * (size_t)h->radius + 1 + DECO_HALF_STEP); }

/* Numbers of a table of shifts of this half plane. */
static inline size_t deco_score_table(const deco_half_plane *h, int pairs)
{
    return (size_t)((h->padded + DECO_SCORE_TILE - 1) / DECO_SCORE_TILE) * 2 * (size_t)pairs * DECO_SCORE_TILE;
}

extern const deco_snapshot_kernels deco_snapshot_plain;
#ifdef __x86_64__
extern const deco_snapshot_kernels deco_snapshot_avx2, deco_snapshot_avx512;
#endif

const deco_snapshot_kernels *deco_snapshot_best(void);

#endif
