/* An untrained small model of a toy job's particles, and latents in two clouds: what an analysis needs. */
#ifndef DECO_TESTS_TOY_ANALYSIS_H
#define DECO_TESTS_TOY_ANALYSIS_H

#include "analysis/analysis.h"
#include "unit/analysis/partitions.h"
#include "unit/particles/toy_job.h"

typedef struct toy_analysis {
    deco_device *dev;
    deco_model *model;
    deco_particles *p;
    deco_options *o;
    float *z; /* [N,2] */
} toy_analysis;

/* Of the job that stands on disk; `truth` [N] gets each latent's cloud. */
static inline void toy_analysis_begin(toy_analysis *t, const toy *j, int64_t N, int64_t latent, int threads, int32_t *truth)
{
    deco_model_config config = {.shape = {.L = TOY_D + 1, .pe_dim = 4, .H = 16, .n = 1, .Z = latent, .layer_norm = true},
                                .feat_sigma = 0.5,
                                .psize_A = 3,
                                .std = 1,
                                .D = TOY_D,
                                .radius = TOY_D / 2,
                                .N = N,
                                .seed = 1};

    *t = (toy_analysis){0};
    toy_ok(deco_particles_open(&t->p, j->job, NULL, TOY_ALL, NULL));
    toy_ok(deco_device_create(&t->dev, "cpu", threads));
    toy_ok(deco_model_create(&t->model, t->dev, &config));
    toy_ok(deco_options_create(&t->o));
    toy_ok(deco_options_set(t->o, "k_num", "2"));
    t->z = clouds(N, 2, 2, 20, truth);
}

static inline void toy_analysis_end(toy_analysis *t)
{
    deco_model_free(t->model);
    deco_device_free(t->dev);
    deco_particles_free(t->p);
    deco_options_free(t->o);
    free(t->z);
}

/* With the input's own poses. */
static inline deco_analysis_input toy_analysis_input(const toy_analysis *t, bool estimated)
{
    return (deco_analysis_input){.model = t->model,
                                 .particles = t->p,
                                 .z = t->z,
                                 .R = t->p->R,
                                 .shift = t->p->shift,
                                 .poses_estimated = estimated,
                                 .seed = 5,
                                 .trained_seed = 5,
                                 .poses_given = true};
}

#endif
