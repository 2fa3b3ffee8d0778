/* Hierarchical pose search: METHOD.md section 6. Two engines with one face: `exact` puts every candidate through the decoder, `sliced`
 * reads slices from voxel snapshots of it. */
#ifndef DECO_TRAINING_POSE_SEARCH_H
#define DECO_TRAINING_POSE_SEARCH_H

#include "base/monitor.h"
#include "geometry/lattice.h"
#include "model/model.h"

/* The grids and what is kept; both engines. */
typedef struct deco_search_grid {
    int64_t base_healpy, n_iter, n_kept;   /* 2, 4, 8 */
    int64_t l_start, l_end;                /* mask radius of the first and the last level */
    int64_t t_n_grid;                      /* 7: points of the base shift grid an axis, times 2^(base_healpy - 1) */
    double t_extent, t_x_shift, t_y_shift; /* pixels */
    bool no_trans;                         /* one zero shift */
} deco_search_grid;

/* One batch, on the host. Images and CTFs are masked vectors of `mask` (the training mask, whose radius is at least l_end). */
typedef struct deco_search_input {
    int64_t B;
    const float *images;     /* [B,P] normalised Hartley values, not shifted */
    const deco_ctf_row *ctf; /* [B] */
    const float *ctf_values; /* [B,P] or NULL: worked out from ctf (tests) */
    const float *z;          /* [B,Z] latents; NULL when Z = 0 */
    const float *shift;      /* [B,2] known shifts, then only rotations are searched; NULL: searched too */
    const float *middle;     /* [B,2] sliced: level 0 tries window_axis² shifts around these; NULL: the whole grid. Not with `shift` */
    const int32_t *snapshot; /* [B] sliced: the snapshot that each image is held against; NULL: that of the nearest centroid */
    const deco_monitor
        *m; /* once asked to stop the search is abandoned within a task's time and fails with STOPPED, its output as it was; NULL: never */
} deco_search_input;

static inline deco_status deco_search_go_on(const deco_search_input *in)
{
    return deco_monitor_stopped(in->m) ? deco_fail(DECO_E_STOPPED, "a pose search was abandoned on request") : DECO_OK;
}

/* The best pose of each image. */
typedef struct deco_search_output {
    float *R, *shift; /* [B,9], [B,2] pixels */
    float *score;     /* [B] ½‖CTF·slice‖² - <shifted image, CTF·slice>, over the last level's mask */
} deco_search_output;

/* What a level kept, for tests and for the log, best first: `kept` poses an image, each rotation once; with room for [B,n_kept]. */
typedef struct deco_search_level {
    int64_t kept;
    int64_t *rotation;    /* [B,kept] number in the level's grid (geometry/so3_grid.h) */
    float *shift, *score; /* [B,kept,2], [B,kept] */
} deco_search_level;

/* ---- exact ---- */

typedef struct deco_search_exact deco_search_exact;
/* Room for batches of up to `batch` images; nothing is allocated in a run. */
deco_status deco_search_exact_create(deco_search_exact **out, deco_model *m, const deco_mask *mask, const deco_search_grid *grid,
                                     int64_t batch);
void deco_search_exact_free(deco_search_exact *s);
/* About what it takes at most, for the forecast. */
size_t deco_search_exact_bytes(int64_t n_kept, int64_t l_end, int64_t batch);
/* `levels` [n_iter + 1] with room, or NULL. Fails: ARGUMENT, DIVERGED (the decoder gives no numbers), DEVICE, MEMORY. */
deco_status deco_search_exact_run(deco_search_exact *s, const deco_search_input *in, const deco_search_output *out,
                                  deco_search_level *levels);

/* ---- sliced ---- */

typedef struct deco_search_sliced_config {
    int64_t oversampling;    /* os: 1 or 2 lattice points a step */
    int64_t centroids;       /* K: snapshots, one a latent centroid (1 when Z = 0) */
    int64_t rescore;         /* finalists re-scored by the decoder; 0: none */
    int64_t newton_steps;    /* Gauss–Newton finish; 0: none */
    int64_t base_shift_axis; /* points of the level-0 shift grid an axis; 0: that of the grid */
    int64_t window_axis;     /* of them, those around an image's own middle, where one is given; 0: all */
    bool chosen;             /* deco_search_input.snapshot chooses, latents play no part; not with rescore */
    double shift_prior_px;   /* σ of a Gaussian prior added to level 0 scores, t²/(2σ²) times the noise variance; 0: none */
} deco_search_sliced_config;

typedef struct deco_search_sliced deco_search_sliced;
deco_status deco_search_sliced_create(deco_search_sliced **out, deco_model *m, const deco_mask *mask, const deco_search_grid *grid,
                                      const deco_search_sliced_config *c, int64_t batch);
void deco_search_sliced_free(deco_search_sliced *s);
/* New snapshots of the model as it is now, at the centroids `z` [centroids,Z] (NULL when Z = 0). */
deco_status deco_search_sliced_renew(deco_search_sliced *s, const float *z);
/* Each image uses the nearest centroid. */
deco_status deco_search_sliced_run(deco_search_sliced *s, const deco_search_input *in, const deco_search_output *out,
                                   deco_search_level *levels);

/* Gauss–Newton from given poses (in `out`), `steps` steps on 3 angles and 2 shifts; kept only where the score falls. */
deco_status deco_search_sliced_refine(deco_search_sliced *s, const deco_search_input *in, const deco_search_output *out, int64_t steps);

#endif
