/* Inside the initial model: one pass over the images, for its files and tests. */
#ifndef DECO_TRAINING_INITIAL_PASS_H
#define DECO_TRAINING_INITIAL_PASS_H

#include "training/initial_model.h"
#include "training/noise_spectrum.h"
#include "training/pose_search_sliced.h"
#include "training/voxel_map.h"

enum {
    INITIAL_STATES = 8, /* at most */
    INITIAL_CHUNKS = 8, /* of a batch, each summed by one task in the images' order */
    INITIAL_POSES = 24, /* rotations of a state that an image is spread over at most */
};

/* The densities and what is known beside them; what a start hands on. */
typedef struct deco_initial_state {
    int64_t states;
    deco_voxel_map *map[INITIAL_STATES];
    int64_t
        source[INITIAL_STATES]; /* state k takes a share of the images that fit source[k]: itself, but in the pass in which it is split off;
                                     * -1: none, it is left out */
    double share[INITIAL_STATES];  /* of the images of the last pass */
    double favour[INITIAL_STATES]; /* added to the log likelihood of a state ... */
    bool settled;                  /* most poses stayed as they were: shifts are sought around those of the pass before */
    bool balanced;                 /* ... and moved from batch to batch so that all states get images; else 0 */
    deco_noise_spectrum noise;
    int64_t updates; /* of the densities; 0: there are none yet */
} deco_initial_state;

/* What stays the same. */
typedef struct deco_initial_job {
    deco_model *m;
    const deco_particles *p;
    const deco_image_stats *stats;
    const deco_options *o;
    uint64_t seed; /* of this start */
    deco_monitor *mon;
    float *R, *shift; /* [N,9], [N,2] the likeliest pose of each row */
    int8_t *state;    /* [N] and its state */
} deco_initial_job;

typedef struct deco_initial_record {
    double same;       /* share of the poses within 20 degrees of those before the pass */
    double spread;     /* mean effective number of poses */
    double likelihood; /* mean log likelihood of an image, up to a constant of its shells */
    double seconds;
} deco_initial_record;

typedef struct deco_initial_pass deco_initial_pass;

/* Buffers and engine for passes at a radius with so many states. `batch` images share a density. Fails: MEMORY. */
deco_status deco_initial_pass_create(deco_initial_pass **out, const deco_initial_job *j, int64_t radius, int64_t states, int64_t batch);
void deco_initial_pass_free(deco_initial_pass *s);

/* One pass over `row` [n] in that order; `step`: the share of the newest batch in the sums; 0: poses alone, the densities stay. */
deco_status deco_initial_pass_run(deco_initial_record *out, deco_initial_pass *s, deco_initial_state *d, const int64_t *row, int64_t n,
                                  double step);

/* Seconds that an image's search takes here, measured on empty images against an empty density: with all shifts, or `around` given ones. */
deco_status deco_initial_pass_seconds(double *out, deco_initial_pass *s, bool around);

#endif
