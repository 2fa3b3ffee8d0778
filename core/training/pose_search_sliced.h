/* The sliced pose search's inside, for its files and for tests: snapshots of the decoder on a lattice, one a latent centroid; level 0 by
 * orbits of quarter turns, later levels by windows of candidates; all on the host. */
#ifndef DECO_TRAINING_POSE_SEARCH_SLICED_H
#define DECO_TRAINING_POSE_SEARCH_SLICED_H

#include "compute/snapshot.h"
#include "geometry/shift_grid.h"
#include "training/pose_search.h"
#include "training/search_levels.h"

enum { DECO_SLICED_LEVELS = 9 }; /* n_iter is at most 8 */

/* Shifts that a later level scores around a kept one, and their table (compute/snapshot.h). */
typedef struct deco_sliced_shifts {
    deco_shift_grid grid;
    int pairs, shifts;
    float *table;
} deco_sliced_shifts;

typedef struct deco_sliced_level {
    deco_half_plane half;
    int32_t *point;                   /* [points] of the half plane, in the caller's mask; the opposite one is P - 1 - point */
    int32_t *widest;                  /* [points] the same, in the half plane of the widest level */
    deco_sliced_shifts around, fixed; /* searched, and for known shifts: the one shift 0. Not of level 0 */
} deco_sliced_level;

/* Level 0's shifts about their middle; what deco_orbit_grid points to. The bias is that of shifts around the grid's middle. */
typedef struct deco_sliced_base {
    deco_shift_grid grid;
    deco_orbit_grid orbit;
    float *cosine, *sine, *bias;
} deco_sliced_base;

/* What one worker works in. */
typedef struct deco_sliced_scratch {
    float *slices, *power, *orbit;  /* level 0 */
    deco_half_image plain, image;   /* of the widest level */
    float *half_ctf2, *ctf, *phase; /* of the widest level; for shifts */
    deco_search_best *best;         /* [batch] level 0: the best of the blocks this worker had */
    deco_search_pose *poses, *next; /* [batch,n_kept] theirs; [room] of the level at work */
    float *block;                   /* all of the numbers above */
} deco_sliced_scratch;

/* Images of one centroid, worked on together: order[first] ... */
typedef struct deco_sliced_group {
    int64_t first, count, centroid;
} deco_sliced_group;

struct deco_search_sliced {
    deco_model *m;
    const deco_snapshot_kernels *kernels;
    deco_search_grid grid;
    deco_search_sliced_config config;
    int64_t batch, P, room, threads; /* room: poses kept at most, finalists among them */
    int64_t Z;                       /* of the latents that choose a snapshot; 0: one for all images */
    bool renewed;

    int64_t levels, widest; /* n_iter + 1; the level of the largest radius */
    deco_sliced_level level[DECO_SLICED_LEVELS];
    deco_sliced_base searched, window, fixed; /* all shifts; those around an image's own middle; none */
    int64_t quarter, orbits;                  /* angles that make 90° on the base grid; its rotations over 4 */
    int32_t *turned;                          /* [4,points] of level 0 */

    deco_snapshot *snapshot;   /* [centroids] */
    float *quads, *z;          /* their memory; [centroids,Z] */
    int64_t quads_each, reach; /* numbers a snapshot; its largest lattice index */

    /* One batch. */
    const deco_search_input *in;
    const deco_search_output *out;
    deco_search_level *kept_levels;
    int32_t *centroid;        /* [batch] */
    int64_t *order;           /* [batch] images by centroid */
    deco_sliced_group *group; /* [batch] */
    int64_t groups;
    float *bias;                                /* [batch,window's shifts] of shifts around an image's own middle */
    float *ctf, *level0;                        /* [batch] widest half plane; [batch,3] of level 0: CTF·image at both halves, ½ CTF² */
    deco_search_best *best;                     /* [batch] */
    deco_search_pose *poses;                    /* [batch,room] */
    float *found_R, *found_shift, *found_score; /* [batch,9], [batch,2], [batch]: what the finish starts from and ends with */
    deco_sliced_scratch *scratch;               /* [threads] */

    struct deco_sliced_exact *exact; /* finalists through the decoder; NULL without */
};

/* ---- plan: what never changes (pose_search_sliced_plan.c) ---- */

deco_status deco_sliced_plan_create(deco_search_sliced *s, const deco_mask *mask);
void deco_sliced_plan_free(deco_search_sliced *s);

/* Shifts are known or none are wanted. */
static inline bool deco_sliced_shift_known(const deco_search_sliced *s) { return s->in->shift || s->grid.no_trans; }

/* What level 0 adds to the score of a shift (pose_search_sliced_plan.c). */
float deco_sliced_shift_bias(double prior_px, const double t[2]);

/* ---- snapshots (pose_search_sliced_snapshot.c) ---- */

deco_status deco_sliced_snapshots_create(deco_search_sliced *s);
void deco_sliced_snapshots_free(deco_search_sliced *s);

/* Snapshot `centroid` of a function of the point, in lattice steps, in place of the decoder: tests and benchmarks. z [Z] as in renew. */
deco_status deco_search_sliced_fill(deco_search_sliced *s, int64_t centroid, const float *z,
                                    float (*value)(void *context, const double k[3]), void *context);

/* ---- one image (pose_search_sliced_image.c) ---- */

/* Which centroid, the CTF, and what level 0 wants. */
void deco_sliced_image_begin(deco_search_sliced *s, int64_t image, deco_sliced_scratch *scratch);

/* scratch.plain: the image at the half plane of a level, times its CTF if `with_ctf`; scratch.half_ctf2 and scratch.ctf as well. */
void deco_sliced_image_load(const deco_search_sliced *s, int64_t image, int64_t level, bool with_ctf, deco_sliced_scratch *scratch);

/* scratch.image: scratch.plain, shifted by t pixels. */
void deco_sliced_image_shift(const deco_search_sliced *s, int64_t level, const float t[2], deco_sliced_scratch *scratch);

/* Levels 1 ... n_iter of an image whose level 0 stands in s->best. */
void deco_sliced_image_levels(deco_search_sliced *s, int64_t image, deco_sliced_scratch *scratch);

/* ---- finish (pose_search_sliced_finish.c) ---- */

/* Steps from found_R, found_shift of an image; they and found_score change where the score falls. */
void deco_sliced_newton(deco_search_sliced *s, int64_t image, int64_t steps, deco_sliced_scratch *scratch);

deco_status deco_sliced_exact_create(deco_search_sliced *s);
void deco_sliced_exact_free(deco_search_sliced *s);

/* The best of each image's kept poses by the decoder, to found_R, found_shift, found_score. */
deco_status deco_sliced_exact_run(deco_search_sliced *s);

#endif
