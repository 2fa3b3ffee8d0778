/* The encoder apart from the reference's numbers: how it starts, what a pass takes and refuses, its gradient as a whole at odd sizes. */
#include "base/philox.h"
#include "model/encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static deco_device *dev;

static int setup(void **state) { return deco_device_create(&dev, "cpu", 2); }

static int teardown(void **state)
{
    deco_device_free(dev);
    return 0;
}

static deco_encoder *make(const deco_vit *v, int64_t first, uint64_t seed)
{
    deco_encoder *e;
    assert_int_equal(deco_encoder_allocate(&e, dev, v, first, true), DECO_OK);
    assert_int_equal(deco_encoder_draw(e, seed, false), DECO_OK);
    return e;
}

/* METHOD.md section 4, random_initial, and the head. */
static void fresh_numbers_are_spread_as_the_method_says(void **state)
{
    const deco_vit v = {224, 14, 96, 2, 3, 16};
    deco_encoder *e = make(&v, 0, 5), *again = make(&v, 0, 5), *other = make(&v, 0, 6);
    assert_memory_equal(e->x, again->x, (size_t)e->count * sizeof *e->x);
    assert_memory_not_equal(e->x, other->x, (size_t)e->count * sizeof *e->x);
    for (int64_t i = 0; i < deco_vit_tensors(&v); i++) {
        deco_vit_tensor t = deco_vit_tensor_at(&v, i);
        double square = 0, most = 0;
        for (int64_t k = 0; k < t.count; k++) {
            square += (double)e->x[t.offset + k] * e->x[t.offset + k] / (double)t.count;
            most = fmax(most, fabs(e->x[t.offset + k]));
        }
        bool bias = strstr(t.name, ".bias") && strcmp(t.name, "head.mlp_classifier.0.bias") != 0;
        double bound = strstr(t.name, "patch_embed.proj.weight")                            ? sqrt(6. / (3 * 196 + 96))
                       : strstr(t.name, "qkv.weight") || strstr(t.name, "attn.proj.weight") ? sqrt(6. / (96 + 96))
                       : strstr(t.name, "fc1.weight") || strstr(t.name, "fc2.weight")       ? sqrt(6. / (5 * 96))
                       : strstr(t.name, "head.mlp")                                         ? 1 / sqrt(96.)
                                                                                            : 0;
        if (bias)
            assert_true(most == 0);
        else if (bound > 0)
            assert_true(most <= bound && fabs(square / (bound * bound / 3) - 1) < 4 / sqrt((double)t.count));
        else if (strstr(t.name, "norm"))
            assert_true(most == 1 && fabs(square - 1) < 1e-9);
        else if (!strcmp(t.name, "cls_token"))
            assert_true(fabs(square / 1e-12 - 1) < 6 / sqrt((double)t.count));
    }
    for (int64_t i = 0; i < v.depth * 2 * v.C; i++)
        assert_true(e->running[i] == (float)(i / v.C % 2));
    deco_encoder_free(e), deco_encoder_free(again), deco_encoder_free(other);
}

static void training_begins_where_the_strategy_says(void **state)
{
    const deco_vit v = {224, 14, 24, 3, 2, 5};
    assert_int_equal(deco_encoder_first(&v, "all", 1), deco_vit_class_offset(&v));
    assert_int_equal(deco_encoder_first(&v, "random_initial", 1), deco_vit_class_offset(&v));
    assert_int_equal(deco_encoder_first(&v, "vit_block", 1), deco_vit_block_offset(&v, 2));
    assert_int_equal(deco_encoder_first(&v, "vit_block", 9), deco_vit_block_offset(&v, 0));
    assert_int_equal(deco_encoder_first(&v, "mlp_layer", 1), deco_vit_head_offset(&v));
}

static void checkpointing_takes_less_than_a_third_of_the_memory(void **state)
{
    deco_vit v = {.Z = 128};
    assert_true(deco_encoder_named(&v, "vit_small"));
    int64_t first = deco_vit_class_offset(&v);
    assert_true(deco_encoder_pass_bytes(&v, first, 64, true, false) > 3 * deco_encoder_pass_bytes(&v, first, 64, true, true));
    /* What is frozen is not kept. */
    assert_true(deco_encoder_pass_bytes(&v, deco_vit_block_offset(&v, 10), 64, true, false) <
                deco_encoder_pass_bytes(&v, first, 64, true, false) / 3);
    assert_true(deco_encoder_pass_bytes(&v, deco_vit_head_offset(&v), 64, true, false) ==
                deco_encoder_pass_bytes(&v, first, 64, false, false));
}

/* Σ cot·z of one image, in training mode, the running statistics put back. */
static double scalar(deco_encoder *e, deco_encoder_pass *p, const unsigned char *pixels, const float *cot, int64_t B)
{
    float z[16];
    double sum = 0;
    assert_int_equal(deco_encoder_forward(p, z, pixels, B, DECO_ENCODER_TRAIN), DECO_OK);
    for (int64_t i = 0; i < B * e->shape.Z; i++)
        sum += (double)cot[i] * z[i];
    return sum;
}

/* 5 tokens of width 24 in a batch of one, and 17 of width 20 in a batch of three: along random directions in the space of all trained
 * numbers. The difference of two sums in f32 has some 1e-6 over twice the step for its error, 2.5e-3; sizes here are some tens. */
static void gradient_is_the_slope_along_any_direction(void **state)
{
    static const deco_vit shapes[] = {{28, 14, 24, 2, 2, 3}, {12, 3, 20, 3, 5, 4}};
    static const int64_t batch[] = {1, 3};
    for (int s = 0; s < 2; s++) {
        const deco_vit *v = &shapes[s];
        deco_encoder *e = make(v, deco_vit_class_offset(v), 3 + (uint64_t)s);
        deco_encoder_pass *p;
        deco_random r = deco_random_at(9, DECO_STREAM_SAMPLE, (uint64_t)s);
        int64_t B = batch[s], n = e->count - e->first;
        float *grad = malloc((size_t)n * sizeof *grad), *start = malloc((size_t)n * sizeof *start), *way = malloc((size_t)n * sizeof *way),
              cot[16], z[16];
        unsigned char *pixels = malloc((size_t)(B * v->side * v->side));
        for (int64_t i = 0; i < v->C; i++) /* of 1e-6, as it starts, any step would be a long one */
            e->x[deco_vit_class_offset(v) + i] = (float)deco_random_normal(&r);
        for (int64_t i = 0; i < B * v->side * v->side; i++)
            pixels[i] = (unsigned char)deco_random_below(&r, 256);
        for (int i = 0; i < 16; i++)
            cot[i] = (float)deco_random_normal(&r);
        assert_int_equal(deco_encoder_pass_create(&p, e, B, true, s), DECO_OK);
        assert_int_equal(deco_encoder_forward(p, z, pixels, B, DECO_ENCODER_TRAIN), DECO_OK);
        assert_int_equal(deco_encoder_backward(p, grad, cot), DECO_OK);
        memcpy(start, e->x + e->first, (size_t)n * sizeof *start);
        for (int k = 0; k < 4; k++) {
            double along = 0, up, down, size = 0;
            for (int64_t i = 0; i < n; i++) {
                way[i] = (float)deco_random_normal(&r);
                along += (double)way[i] * grad[i];
                size += (double)grad[i] * grad[i];
            }
            const double h = 2e-4;
            for (int64_t i = 0; i < n; i++)
                e->x[e->first + i] = start[i] + (float)h * way[i];
            up = scalar(e, p, pixels, cot, B);
            for (int64_t i = 0; i < n; i++)
                e->x[e->first + i] = start[i] - (float)h * way[i];
            down = scalar(e, p, pixels, cot, B);
            memcpy(e->x + e->first, start, (size_t)n * sizeof *start);
            if (fabs((up - down) / (2 * h) - along) > 0.02 * sqrt(size))
                fail_msg("shape %d: slope %g, gradient %g of size %g", s, (up - down) / (2 * h), along, sqrt(size));
        }
        free(grad), free(start), free(way), free(pixels);
        deco_encoder_pass_free(p);
        deco_encoder_free(e);
    }
}

static void passes_that_cannot_be_are_refused(void **state)
{
    const deco_vit v = {28, 14, 24, 2, 2, 3}, odd = {28, 14, 26, 2, 2, 3}, torn = {28, 13, 24, 2, 2, 3};
    deco_encoder *e = make(&v, deco_vit_class_offset(&v), 3), *none;
    deco_encoder_pass *p;
    unsigned char pixels[3 * 28 * 28] = {0};
    float z[9], *grad = malloc((size_t)e->count * sizeof *grad);
    assert_int_equal(deco_encoder_allocate(&none, dev, &odd, 0, false), DECO_E_ARGUMENT);
    assert_int_equal(deco_encoder_allocate(&none, dev, &torn, 0, false), DECO_E_ARGUMENT);
    assert_int_equal(deco_encoder_pass_create(&p, e, 2, false, false), DECO_OK);
    assert_int_equal(deco_encoder_forward(p, z, pixels, 3, DECO_ENCODER_EVAL), DECO_E_ARGUMENT);
    assert_int_equal(deco_encoder_forward(p, z, pixels, 1, DECO_ENCODER_TRAIN), DECO_E_ARGUMENT);
    assert_int_equal(deco_encoder_forward(p, z, pixels, 2, DECO_ENCODER_EVAL), DECO_OK); /* a constant image is one too */
    for (int i = 0; i < 6; i++)
        assert_true(isfinite(z[i]));
    assert_int_equal(deco_encoder_backward(p, grad, z), DECO_E_ARGUMENT);
    assert_int_equal(e->batches, 0);
    deco_encoder_pass_free(p);
    deco_encoder_free(e);
    free(grad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_numbers_are_spread_as_the_method_says),
        cmocka_unit_test(training_begins_where_the_strategy_says),
        cmocka_unit_test(checkpointing_takes_less_than_a_third_of_the_memory),
        cmocka_unit_test(gradient_is_the_slope_along_any_direction),
        cmocka_unit_test(passes_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
