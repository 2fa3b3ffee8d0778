/* A small particle set in memory and on disk: projections of a few Gaussian blobs, one of which sits elsewhere in every second particle. */
#ifndef DECO_TESTS_TOY_H
#define DECO_TESTS_TOY_H

#include "base/philox.h"
#include "formats/mrc.h"
#include "formulas/rotation.h"
#include "particles/particles.h"
#include "support/scratch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { TOY_BOX = 16 };

typedef struct toy {
    deco_particles p;
    char *path;
} toy;

/* A projection along the third row of R, darker where there is more. */
static inline void toy_image(float *out, const float R[9], bool second)
{
    const double blob[3][3] = {{-2.5, 0, 1}, {2, 1.5, -1}, {second ? 1 : 0, second ? -3 : 2.5, second ? -1.5 : 2}};
    for (int y = 0; y < TOY_BOX; y++)
        for (int x = 0; x < TOY_BOX; x++) {
            double sum = 0;
            for (int b = 0; b < 3; b++) {
                double px = 0, py = 0;
                for (int i = 0; i < 3; i++) {
                    px += (double)R[i] * blob[b][i];
                    py += (double)R[3 + i] * blob[b][i];
                }
                double dx = x - TOY_BOX / 2 - px, dy = y - TOY_BOX / 2 - py;
                sum += exp(-(dx * dx + dy * dy) / 4);
            }
            out[y * TOY_BOX + x] = (float)-sum;
        }
}

static inline toy toy_make(int64_t N)
{
    toy t = {.p = {.source = strdup("toy"),
                   .cs_path = strdup("toy.cs"),
                   .project = strdup("."),
                   .N = N,
                   .D = TOY_BOX,
                   .psize_A = 3,
                   .stacks = 1,
                   .poses = "toy"}};
    deco_particles *p = &t.p;
    deco_mrc_writer *w;
    deco_random r = deco_random_at(11, DECO_STREAM_SIMULATE, 0);
    float image[TOY_BOX * TOY_BOX];

    t.path = strdup(scratch("toy.mrc"));
    p->stack = calloc(1, sizeof *p->stack);
    p->stack[0] = t.path;
    p->sizes = 1;
    p->size = calloc(1, sizeof *p->size);
    p->size[0] = (deco_image_size){.box = TOY_BOX, .psize_A = 3, .cut = TOY_BOX, .scale = 1, .rows = N};
    p->size_of = calloc(1, sizeof *p->size_of);
    p->image = calloc((size_t)N, sizeof *p->image);
    p->sign = calloc((size_t)N, sizeof *p->sign);
    p->ctf = calloc((size_t)N, sizeof *p->ctf);
    p->R = calloc((size_t)N * 9, sizeof *p->R);
    p->shift = calloc((size_t)N * 2, sizeof *p->shift);
    assert_int_equal(deco_mrc_stack_create(&w, t.path, TOY_BOX, TOY_BOX, N, 3, 2), DECO_OK);
    for (int64_t i = 0; i < N; i++) {
        double u[3], q[4], R[9];
        for (int j = 0; j < 3; j++)
            u[j] = deco_random_uniform(&r);
        deco_quaternion_from_uniform(q, u);
        deco_rotation_from_quaternion(R, q);
        for (int j = 0; j < 9; j++)
            p->R[9 * i + j] = (float)R[j];
        p->image[i].index = (int32_t)i;
        p->sign[i] = 1;
        p->ctf[i] = (deco_ctf_row){.amp_contrast = 1, .psize_A = 3, .lambda_A = 0.02}; /* -1 everywhere */
        toy_image(image, p->R + 9 * i, i % 2);
        assert_int_equal(deco_mrc_stack_append(w, image), DECO_OK);
    }
    assert_int_equal(deco_mrc_stack_commit(w), DECO_OK);
    return t;
}

static inline void toy_free(toy *t)
{
    free(t->p.source);
    free(t->p.cs_path);
    free(t->p.project);
    free(t->p.stack);
    free(t->p.size);
    free(t->p.size_of);
    free(t->p.image);
    free(t->p.sign);
    free(t->p.ctf);
    free(t->p.R);
    free(t->p.shift);
    free(t->path);
}

#endif
