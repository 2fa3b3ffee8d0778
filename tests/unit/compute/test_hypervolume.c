/* The fused decoder against the composed one, over shapes that fill no tile, and its bits against the number of threads. */
#include "base/philox.h"
#include "compute/composed.h"
#include "compute/cpu/hypervolume.h"
#include "compute/cpu/hypervolume_pass.h"
#include "geometry/lattice.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct shape {
    deco_hypervolume h;
    int64_t B, P;
    bool mirrored; /* point P-1-p is opposite to point p */
} shape;

static const shape shapes[] = {
    {{33, 1, 16, 0, 0, true}, 1, 1, false},        /* the smallest */
    {{33, 8, 32, 2, 4, true}, 3, 50, false},       /* less than a tile */
    {{33, 5, 48, 3, 7, true}, 2, 257, false},      /* two tiles for one point too many; 15 frequencies fill no vector */
    {{33, 32, 128, 2, 4, true}, 8, 796, false},    /* the small recipe */
    {{65, 7, 80, 1, 0, true}, 5, 401, false},      /* homogeneous */
    {{129, 64, 256, 3, 128, true}, 2, 437, false}, /* the default */
    {{129, 64, 512, 1, 16, true}, 1, 200, false},  /* wide */
    {{33, 5, 48, 3, 7, true}, 2, 2, true},         /* one pair */
    {{33, 5, 48, 3, 7, true}, 3, 255, true},       /* the middle point is its own opposite, and ends a short tile */
    {{33, 32, 128, 2, 4, true}, 8, 796, true},     /* a mask */
    {{129, 64, 256, 3, 128, true}, 2, 613, true},  /* the default, a mask with its centre */
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* ---- sets of inputs and outputs --------------------------------------------------------------------------------- */

typedef struct set {
    shape s;
    int64_t count; /* parameters */
    float *params, *freqs, *x, *k, *R, *z, *ctf, *target;
    float *out, *dparams, *dz, *dR, *dx, *dpred;
    double loss;
} set;

static float *random_floats(deco_random *r, int64_t n, double range)
{
    float *p = aligned_alloc(64, ((size_t)n * sizeof *p + 127) / 64 * 64);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++)
        p[i] = (float)(range * (2 * deco_random_uniform(r) - 1));
    return p;
}

/* A unit's beta is far from 0, with one sign through all layers, so that no ReLU is near its edge: there, two right answers would
 * differ by a whole point's gradient. LayerNorm of these widths stays below 6 deviations, gamma below 1.5. */
enum { FAR = 10 };

static void make_params(set *t, deco_random *r)
{
    const deco_hypervolume *h = &t->s.h;
    float *sign = random_floats(r, h->H + DECO_RESIDUAL_HIDDEN, 1);
    t->count = deco_hypervolume_parameters(h);
    t->params = random_floats(r, t->count, 1);
    for (int64_t i = 0; i < deco_hypervolume_tensors(h); i++) {
        deco_parameter p = deco_hypervolume_tensor(h, i);
        for (int64_t j = 0; j < p.count; j++) {
            float *v = &t->params[p.offset + j];
            *v = p.fan_in ? *v / sqrtf((float)p.fan_in) : i % 2 ? copysignf(FAR + 0.3f * *v, sign[j]) : 1 + 0.5f * *v;
        }
    }
    free(sign);
}

/* n points of `axes` numbers. */
static void mirror(float *x, int64_t n, int axes)
{
    for (int64_t i = 0; i < (n + 1) / 2; i++)
        for (int a = 0; a < axes; a++)
            x[axes * (n - 1 - i) + a] = 2 * i + 1 == n ? 0 : -x[axes * i + a];
}

static set make_set(shape s)
{
    set t = {.s = s};
    deco_random r = deco_random_at(7, DECO_STREAM_SAMPLE, (uint64_t)s.h.H);
    int64_t n = s.B * s.P;
    make_params(&t, &r);
    t.freqs = random_floats(&r, 9 * s.h.pe_dim, 0.9);
    t.x = random_floats(&r, 3 * n, 0.5);
    t.k = random_floats(&r, 2 * s.P, 0.5);
    for (int64_t b = 0; b < s.B && s.mirrored; b++)
        mirror(t.x + 3 * b * s.P, s.P, 3);
    if (s.mirrored)
        mirror(t.k, s.P, 2);
    t.R = random_floats(&r, 9 * s.B, 1);
    t.z = random_floats(&r, s.B * s.h.Z, 1);
    t.ctf = random_floats(&r, n, 1);
    t.target = random_floats(&r, n, 2);
    t.out = random_floats(&r, n, 1);
    t.dpred = random_floats(&r, n, 1);
    t.dparams = random_floats(&r, t.count, 1);
    t.dz = random_floats(&r, s.B * s.h.Z, 1);
    t.dR = random_floats(&r, 9 * s.B, 1);
    t.dx = random_floats(&r, 3 * n, 1);
    return t;
}

static void free_set(set *t)
{
    float *all[] = {t->params, t->freqs, t->x, t->k, t->R, t->z, t->ctf, t->target, t->out, t->dparams, t->dz, t->dR, t->dx, t->dpred};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static deco_device *device(int threads)
{
    deco_device *dev;
    assert_int_equal(deco_device_create(&dev, "cpu", threads), DECO_OK);
    return dev;
}

static deco_array latent(const set *t, float *z) { return t->s.h.Z ? deco_f32_2(z, t->s.B, t->s.h.Z) : deco_none(); }

/* ---- both ways to work a block out ------------------------------------------------------------------------------- */

static void values(set *t, deco_device *dev, bool fused, bool slices)
{
    const shape *s = &t->s;
    deco_array out = deco_f32_2(t->out, s->B, s->P), params = deco_f32_1(t->params, t->count),
               freqs = deco_f32_2(t->freqs, 3 * s->h.pe_dim, 3);
    deco_array x = slices ? deco_f32_2(t->k, s->P, 2) : deco_f32_3(t->x, s->B, s->P, 3),
               R = slices ? deco_f32_3(t->R, s->B, 3, 3) : deco_none();
    assert_int_equal(
        (fused ? cpu_hypervolume_values : composed_hypervolume_values)(dev, &s->h, out, deco_none(), params, freqs, x, R, latent(t, t->z)),
        DECO_OK);
}

/* Of Σ target·out: values, then backward. */
static void gradients(set *t, deco_device *dev, bool fused, bool slices)
{
    const shape *s = &t->s;
    deco_array out = deco_f32_2(t->out, s->B, s->P), params = deco_f32_1(t->params, t->count),
               freqs = deco_f32_2(t->freqs, 3 * s->h.pe_dim, 3);
    deco_array x = slices ? deco_f32_2(t->k, s->P, 2) : deco_f32_3(t->x, s->B, s->P, 3),
               R = slices ? deco_f32_3(t->R, s->B, 3, 3) : deco_none();
    deco_array dpose = slices ? deco_f32_3(t->dR, s->B, 3, 3) : deco_f32_3(t->dx, s->B, s->P, 3), z = latent(t, t->z),
               dz = latent(t, t->dz);
    deco_array dout = deco_f32_2(t->target, s->B, s->P), dparams = deco_f32_1(t->dparams, t->count);
    int64_t bytes = (int64_t)(fused ? cpu_hypervolume_saved_bytes : composed_hypervolume_saved_bytes)(dev, &s->h, s->B, s->P);
    void *block;

    assert_int_equal(deco_device_alloc(dev, &block, (size_t)bytes, "saved"), DECO_OK);
    deco_array saved = deco_array_of(block, DECO_U8, 1, bytes, 1, 1, 1);
    assert_int_equal((fused ? cpu_hypervolume_values : composed_hypervolume_values)(dev, &s->h, out, saved, params, freqs, x, R, z),
                     DECO_OK);
    assert_int_equal((fused ? cpu_hypervolume_backward : composed_hypervolume_backward)(dev, &s->h, dparams, dz, dpose, dout, saved, params,
                                                                                        freqs, x, R, z),
                     DECO_OK);
    deco_device_release(dev, block);
}

enum { DPARAMS = 1, DZ = 2, DR = 4, DPRED = 8, ALL = 15 };

static void slice_loss(set *t, deco_device *dev, bool fused, int wanted)
{
    const shape *s = &t->s;
    deco_array dparams = wanted & DPARAMS ? deco_f32_1(t->dparams, t->count) : deco_none(),
               dz = wanted & DZ ? latent(t, t->dz) : deco_none();
    deco_array dR = wanted & DR ? deco_f32_3(t->dR, s->B, 3, 3) : deco_none(),
               dpred = wanted & DPRED ? deco_f32_2(t->dpred, s->B, s->P) : deco_none();
    assert_int_equal((fused ? cpu_slice_loss : composed_slice_loss)(
                         dev, &s->h, deco_f64_1(&t->loss, 1), dparams, dz, dR, dpred, deco_f32_1(t->params, t->count),
                         deco_f32_2(t->freqs, 3 * s->h.pe_dim, 3), deco_f32_2(t->k, s->P, 2), deco_f32_3(t->R, s->B, 3, 3), latent(t, t->z),
                         deco_f32_2(t->ctf, s->B, s->P), deco_f32_2(t->target, s->B, s->P)),
                     DECO_OK);
}

/* ---- comparing --------------------------------------------------------------------------------------------------- */

/* Both are f32 with other orders of summation: the golden tolerances, ten times what PyTorch's f32 is off f64. */
#define TOLERANCE 1e-5

static void expect_close(const char *what, int64_t shape_index, const float *a, const float *b, int64_t n)
{
    double most = 0, scale = 0;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        if (!(d <= most))
            most = d, at = i;
        scale = fmax(scale, fabs(b[i]));
    }
    if (!(most <= TOLERANCE * scale))
        fail_msg("shape %lld: %s[%lld] is %.9g fused, %.9g composed; at most %.3g may be between", (long long)shape_index, what,
                 (long long)at, a[at], b[at], TOLERANCE * scale);
}

/* Tensor by tensor: their gradients' sizes differ by orders of magnitude. */
static void expect_close_tensors(int64_t shape_index, const set *a, const set *b)
{
    for (int64_t i = 0; i < deco_hypervolume_tensors(&a->s.h); i++) {
        deco_parameter p = deco_hypervolume_tensor(&a->s.h, i);
        expect_close(p.name, shape_index, a->dparams + p.offset, b->dparams + p.offset, p.count);
    }
}

static void values_agree_with_the_composed(void **state)
{
    deco_device *dev = device(2);
    for (int64_t i = 0; i < SHAPES; i++)
        for (int slices = 0; slices < 2; slices++) {
            set a = make_set(shapes[i]), b = make_set(shapes[i]);
            assert_true(cpu_decoder_serves(&a.s.h));
            values(&a, dev, true, slices);
            values(&b, dev, false, slices);
            expect_close("out", i, a.out, b.out, a.s.B * a.s.P);
            free_set(&a);
            free_set(&b);
        }
    deco_device_free(dev);
}

static void gradients_agree_with_the_composed(void **state)
{
    deco_device *dev = device(2);
    for (int64_t i = 0; i < SHAPES; i++)
        for (int slices = 0; slices < 2; slices++) {
            set a = make_set(shapes[i]), b = make_set(shapes[i]);
            gradients(&a, dev, true, slices);
            gradients(&b, dev, false, slices);
            expect_close_tensors(i, &a, &b);
            expect_close("dz", i, a.dz, b.dz, a.s.B * a.s.h.Z);
            if (slices)
                expect_close("dR", i, a.dR, b.dR, 9 * a.s.B);
            else
                expect_close("dx", i, a.dx, b.dx, 3 * a.s.B * a.s.P);
            free_set(&a);
            free_set(&b);
        }
    deco_device_free(dev);
}

static void slice_loss_agrees_with_the_composed(void **state)
{
    deco_device *dev = device(2);
    for (int64_t i = 0; i < SHAPES; i++) {
        set a = make_set(shapes[i]), b = make_set(shapes[i]);
        slice_loss(&a, dev, true, ALL);
        slice_loss(&b, dev, false, ALL);
        assert_true(fabs(a.loss - b.loss) <= TOLERANCE * b.loss);
        expect_close("dpred", i, a.dpred, b.dpred, a.s.B * a.s.P);
        expect_close_tensors(i, &a, &b);
        expect_close("dz", i, a.dz, b.dz, a.s.B * a.s.h.Z);
        expect_close("dR", i, a.dR, b.dR, 9 * a.s.B);
        free_set(&a);
        free_set(&b);
    }
    deco_device_free(dev);
}

static void expect_same(const set *a, const set *b, int wanted)
{
    const shape *s = &a->s;
    assert_memory_equal(&a->loss, &b->loss, sizeof a->loss);
    if (wanted & DPARAMS)
        assert_memory_equal(a->dparams, b->dparams, (size_t)a->count * sizeof(float));
    if (wanted & DZ)
        assert_memory_equal(a->dz, b->dz, (size_t)(s->B * s->h.Z) * sizeof(float));
    if (wanted & DR)
        assert_memory_equal(a->dR, b->dR, (size_t)(9 * s->B) * sizeof(float));
    if (wanted & DPRED)
        assert_memory_equal(a->dpred, b->dpred, (size_t)(s->B * s->P) * sizeof(float));
}

static void bits_do_not_depend_on_the_threads(void **state)
{
    for (int64_t i = 0; i < SHAPES; i++) {
        set one = make_set(shapes[i]);
        deco_device *dev = device(1);
        slice_loss(&one, dev, true, ALL);
        values(&one, dev, true, true);
        deco_device_free(dev);
        for (int threads = 2; threads <= 3; threads++) {
            set more = make_set(shapes[i]);
            dev = device(threads);
            slice_loss(&more, dev, true, ALL);
            values(&more, dev, true, true);
            expect_same(&more, &one, ALL);
            assert_memory_equal(more.out, one.out, (size_t)(one.s.B * one.s.P) * sizeof(float));
            deco_device_free(dev);
            free_set(&more);
        }
        free_set(&one);
    }
}

static void what_is_not_wanted_changes_nothing_else(void **state)
{
    deco_device *dev = device(2);
    set all = make_set(shapes[3]);
    slice_loss(&all, dev, true, ALL);
    for (int wanted = 0; wanted < ALL; wanted++) {
        set some = make_set(shapes[3]);
        slice_loss(&some, dev, true, wanted);
        expect_same(&some, &all, wanted);
        free_set(&some);
    }
    free_set(&all);
    deco_device_free(dev);
}

/* ---- two callers at once ----------------------------------------------------------------------------------------- */

typedef struct caller {
    deco_device *dev;
    set t;
} caller;

static void *call(void *context)
{
    caller *c = context;
    for (int i = 0; i < 4; i++) {
        slice_loss(&c->t, c->dev, true, ALL);
        values(&c->t, c->dev, true, true);
    }
    return NULL;
}

static void two_callers_of_one_device_do_not_meet(void **state)
{
    deco_device *dev = device(3);
    caller c[2] = {{dev, make_set(shapes[3])}, {dev, make_set(shapes[1])}};
    pthread_t thread[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, call, &c[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < 2; i++) {
        set alone = make_set(c[i].t.s);
        slice_loss(&alone, dev, true, ALL);
        values(&alone, dev, true, true);
        expect_same(&c[i].t, &alone, ALL);
        assert_memory_equal(c[i].t.out, alone.out, (size_t)(alone.s.B * alone.s.P) * sizeof(float));
        free_set(&alone);
        free_set(&c[i].t);
    }
    deco_device_free(dev);
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* Whether the fused decoder sees the pairs of k [P,2]. */
static bool sees_pairs(deco_device *dev, float *k, int64_t P)
{
    set t = make_set((shape){{33, 8, 32, 1, 0, true}, 1, P, false});
    cpu_pass p;
    assert_int_equal(cpu_pass_begin(&p, dev, &t.s.h, CPU_PASS_MIRRORED, 1, P, deco_f32_1(t.params, t.count), deco_f32_2(t.freqs, 24, 3),
                                    deco_f32_2(k, P, 2), deco_f32_3(t.R, 1, 3, 3), deco_none()),
                     DECO_OK);
    bool mirrored = p.mirrored;
    cpu_pass_end(&p);
    free_set(&t);
    return mirrored;
}

static void opposite_points_of_masks_are_worked_out_together(void **state)
{
    static const int64_t boxes[] = {30, 32, 66, 100, 128, 180};
    deco_device *dev = device(1);
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
        deco_mask *m;
        assert_int_equal(deco_mask_create(&m, boxes[i] + 1, boxes[i] / 2), DECO_OK);
        assert_true(sees_pairs(dev, m->k, m->P));
        m->k[m->P] = nextafterf(m->k[m->P], 1); /* in the middle of the list: to the bit or not at all */
        assert_false(sees_pairs(dev, m->k, m->P));
        deco_mask_free(m);
    }
    deco_device_free(dev);
}

static void tiles_are_nearly_full(void **state)
{
    for (int64_t P = 1; P < 4000; P++) {
        int64_t T = cpu_decoder_tile(P), tiles = (P + T - 1) / T;
        assert_true(T > 0 && T <= 256 && T % CPU_ROWS_AT_ONCE == 0);
        assert_true(T >= 128 || tiles == 1);
        assert_true(tiles * T <= (P + 191) / 192 * 192 || P <= 128); /* no fuller with tiles of 192 */
    }
    assert_int_equal(cpu_decoder_tile(796), 200); /* 4 tiles with 4 points to fill up */
    assert_int_equal(cpu_decoder_tile(12852), 204);
}

static void shapes_that_are_not_fused_are_served(void **state)
{
    static const shape odd[] = {
        {{31, 5, 39, 3, 7, true}, 2, 41, false}, {{33, 8, 32, 2, 4, false}, 2, 50, false}, {{33, 8, 64, 2, 16, true}, 2, 50, false}};
    deco_device *dev = device(2);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        set a = make_set(odd[i]), b = make_set(odd[i]);
        assert_false(cpu_decoder_serves(&odd[i].h));
        slice_loss(&a, dev, true, ALL);
        slice_loss(&b, dev, false, ALL);
        expect_same(&a, &b, ALL);
        gradients(&a, dev, true, false);
        gradients(&b, dev, false, false);
        assert_memory_equal(a.out, b.out, (size_t)(a.s.B * a.s.P) * sizeof(float));
        expect_same(&a, &b, DPARAMS | DZ);
        free_set(&a);
        free_set(&b);
    }
    deco_device_free(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_are_nearly_full),
        cmocka_unit_test(opposite_points_of_masks_are_worked_out_together),
        cmocka_unit_test(values_agree_with_the_composed),
        cmocka_unit_test(gradients_agree_with_the_composed),
        cmocka_unit_test(slice_loss_agrees_with_the_composed),
        cmocka_unit_test(bits_do_not_depend_on_the_threads),
        cmocka_unit_test(what_is_not_wanted_changes_nothing_else),
        cmocka_unit_test(two_callers_of_one_device_do_not_meet),
        cmocka_unit_test(shapes_that_are_not_fused_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
