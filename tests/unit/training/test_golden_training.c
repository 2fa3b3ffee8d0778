/* Three training steps against the golden numbers, at known poses (h_training/known) and with the pose table (h_training/table): loss,
 * gradients, and the optimisers. */
#include "training/step.h"
#include "unit/model/golden_decoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct run {
    deco_device *dev;
    deco_model *m;
    deco_mask *mask;
    deco_step *step;
    int64_t B, N;
    bool table; /* poses of the table, trained */
    golden_array y, ctf, R, t, batches;
    float *start; /* [parameters] */
} run;

static float *to_host(deco_device *dev, const float *device, int64_t n)
{
    float *out = calloc((size_t)n + 1, sizeof *out);
    assert_int_equal(deco_device_download(dev, out, device, (size_t)n * sizeof *out), DECO_OK);
    return out;
}

static void begin(run *r)
{
    golden_array c = golden_read("h_training/config.npy"), z = golden_read("h_training/z.npy"), mask = golden_read("h_training/mask.npy");
    deco_hypervolume h = {(int64_t)c.v[0], (int64_t)c.v[1], (int64_t)c.v[2], (int64_t)c.v[3], (int64_t)c.v[4], true};

    r->B = (int64_t)c.v[5];
    r->N = (int64_t)c.v[6];
    assert_int_equal(deco_device_create(&r->dev, golden_device(), 2), DECO_OK);
    assert_int_equal(deco_model_allocate(&r->m, r->dev, &h, r->N, DECO_HOLD_POSE_MOMENTS), DECO_OK);
    r->m->D = h.L - 1;
    r->m->radius = h.L / 2;
    golden_decoder_load(r->m, "h_training/weights.safetensors");
    assert_int_equal(z.count, r->m->latents.count);
    assert_int_equal(deco_device_upload(r->dev, r->m->latents.x, z.f, (size_t)z.count * sizeof *z.f), DECO_OK);
    r->start = to_host(r->dev, r->m->decoder.x, r->m->decoder.count);

    assert_int_equal(deco_mask_create(&r->mask, h.L, h.L / 2), DECO_OK);
    assert_int_equal(mask.count, r->mask->P);
    for (int64_t p = 0; p < mask.count; p++)
        assert_int_equal((int64_t)mask.v[p], r->mask->index[p]);
    assert_int_equal(deco_step_create(&r->step, r->m, r->mask, r->B), DECO_OK);

    r->y = golden_read("h_training/y.npy");
    r->ctf = golden_read("h_training/ctf.npy");
    r->R = golden_read("h_training/R.npy");
    r->t = golden_read("h_training/t.npy");
    r->batches = golden_read("h_training/batches.npy");
    golden_free(&c);
    golden_free(&z);
    golden_free(&mask);
}

static void end(run *r)
{
    golden_free(&r->y);
    golden_free(&r->ctf);
    golden_free(&r->R);
    golden_free(&r->t);
    golden_free(&r->batches);
    deco_step_free(r->step);
    deco_mask_free(r->mask);
    deco_model_free(r->m);
    deco_device_free(r->dev);
    free(r->start);
}

/* Step i on the particles of batches.npy; the loss. */
static double step(run *r, int64_t i)
{
    int64_t P = r->mask->P, LL = r->mask->L * r->mask->L, row[64], images;
    float *y = calloc((size_t)(r->B * P), sizeof *y), *ctf = calloc((size_t)(r->B * P), sizeof *ctf), R[64 * 9], t[64 * 2];
    double loss;

    assert_true(r->B <= 64);
    for (int64_t b = 0; b < r->B; b++) {
        row[b] = (int64_t)r->batches.v[i * r->B + b];
        for (int64_t p = 0; p < P; p++) {
            y[b * P + p] = r->y.f[row[b] * LL + r->mask->index[p]];
            ctf[b * P + p] = r->ctf.f[row[b] * LL + r->mask->index[p]];
        }
        memcpy(R + 9 * b, r->R.f + 9 * row[b], 9 * sizeof *R);
        memcpy(t + 2 * b, r->t.f + 2 * row[b], 2 * sizeof *t);
    }
    deco_step_input in = {.B = r->B,
                          .row = row,
                          .images = y,
                          .ctf_values = ctf,
                          .R = r->table ? NULL : R,
                          .shift = r->table ? NULL : t,
                          .train_rotations = r->table,
                          .train_shifts = r->table,
                          .lr_decoder = 1e-4,
                          .lr_latents = 1e-2,
                          .lr_poses = 1e-3,
                          .decay = 0.01};
    assert_int_equal(deco_step_run(r->step, &in), DECO_OK);
    assert_int_equal(deco_step_loss(r->step, &loss, &images), DECO_OK);
    assert_int_equal(images, r->B);
    free(y);
    free(ctf);
    return loss;
}

/* The batch's gradients where their rows are in the table, zeros elsewhere; rows of the first batch. */
static void expect_table(run *r, const char *name, deco_array a)
{
    int64_t W = a.shape[1];
    float *batch = to_host(r->dev, a.data, r->B * W), *mine = calloc((size_t)(r->N * W), sizeof *mine);
    for (int64_t b = 0; b < r->B; b++)
        memcpy(mine + (int64_t)r->batches.v[b] * W, batch + b * W, (size_t)W * sizeof *mine);
    golden_expect_f(name, mine, r->N * W);
    free(batch);
    free(mine);
}

static void expect_array(run *r, const char *name, deco_array a)
{
    float *mine = to_host(r->dev, a.data, deco_array_count(a));
    golden_expect_f(name, mine, deco_array_count(a));
    free(mine);
}

/* "2e-05·max of each tensor" */
static void expect_decoder_gradient(run *r, const char *name, deco_array gradient)
{
    const deco_hypervolume *h = &r->m->shape;
    int64_t n = r->m->decoder.count;
    double *golden = calloc((size_t)n, sizeof *golden), *mine = calloc((size_t)n, sizeof *mine);
    float *host = to_host(r->dev, gradient.data, n);
    char *words = golden_words(name), what[200];
    double bound = strtod(words, NULL);

    assert_true(bound > 0);
    golden_decoder_read(golden, NULL, h, name);
    for (int64_t i = 0; i < n; i++)
        mine[i] = host[i];
    for (int64_t i = 0; i < deco_hypervolume_tensors(h); i++) {
        deco_parameter p = deco_hypervolume_tensor(h, i);
        snprintf(what, sizeof what, "%s %s", name, p.name);
        golden_compare(what, mine + p.offset, golden + p.offset, p.count, 0, bound);
    }
    free(golden);
    free(mine);
    free(host);
    free(words);
}

/* "change since the start: 1e-05 abs for 99 % of the numbers, 3e-4 for all": Adam divides by the gradient's own size, so a gradient near 0
 * may take either sign. */
static void expect_decoder_change(run *r, const char *name)
{
    int64_t n = r->m->decoder.count, off = 0;
    float *mine = to_host(r->dev, r->m->decoder.x, n), *golden = calloc((size_t)n, sizeof *golden);
    char *words = golden_words(name);
    double most = 0, near, share, far;

    assert_int_equal(sscanf(words, "change since the start: %lf abs for %lf %% of the numbers, %lf for all", &near, &share, &far), 3);
    golden_decoder_read(NULL, golden, &r->m->shape, name);
    for (int64_t i = 0; i < n; i++) {
        double d = fabs(((double)mine[i] - r->start[i]) - ((double)golden[i] - r->start[i]));
        off += !(d <= near);
        most = fmax(most, d);
    }
    if (getenv("CRYODECO_GOLDEN_VERBOSE"))
        fprintf(stderr, "%s: %lld of %lld beyond %g, at most %.3g\n", name, (long long)off, (long long)n, near, most);
    if (!(most <= far) || (double)off > (1 - share / 100) * (double)n)
        fail_msg("%s: %lld of %lld numbers are off by more than %g, one by %g", name, (long long)off, (long long)n, near, most);
    free(mine);
    free(golden);
    free(words);
}

static void check_first_step(run *r)
{
    deco_step_gradients g = deco_step_gradients_of(r->step);
    int64_t n = deco_array_count(g.dpredicted);
    float *shifted = to_host(r->dev, g.shifted.data, n), *d = to_host(r->dev, g.dpredicted.data, n);
    double *predicted = calloc((size_t)n, sizeof *predicted);

    for (int64_t i = 0; i < n; i++)
        predicted[i] = shifted[i] + (double)d[i] * (double)n / 2;
    golden_expect("h_training/known/y_pred.npy", predicted, n);
    golden_expect_f("h_training/known/y_shifted.npy", shifted, n);
    expect_array(r, "h_training/known/grad_R.npy", g.R);
    expect_array(r, "h_training/known/grad_t.npy", g.shift);
    expect_table(r, "h_training/known/grad_z.npy", g.latents);
    expect_decoder_gradient(r, "h_training/known/grad_weights.safetensors", g.decoder);
    free(shifted);
    free(d);
    free(predicted);
}

static void three_steps_at_known_poses_are_the_reference_s(void **state)
{
    run r = {0};
    double loss[16];
    int64_t steps;

    (void)state;
    begin(&r);
    deco_step_want_pose_gradients(r.step, true);
    steps = r.batches.count / r.B;
    assert_true(steps >= 1 && steps <= 16);
    for (int64_t i = 0; i < steps; i++) {
        loss[i] = step(&r, i);
        if (i == 0)
            check_first_step(&r);
    }
    golden_expect("h_training/known/loss.npy", loss, steps);
    expect_decoder_change(&r, "h_training/known/weights_after3.safetensors");
    expect_array(&r, "h_training/known/z_after3.npy", deco_f32_2(r.m->latents.x, r.N, r.m->shape.Z));
    end(&r);
}

static void upload(run *r, const char *name, deco_trained *to)
{
    golden_array a = golden_read(name);
    assert_int_equal(a.count, to->count);
    assert_int_equal(deco_device_upload(r->dev, to->x, a.f, (size_t)a.count * sizeof *a.f), DECO_OK);
    golden_free(&a);
}

static void three_steps_with_the_pose_table_are_the_reference_s(void **state)
{
    run r = {.table = true};
    double loss[16];
    int64_t steps;

    (void)state;
    begin(&r);
    upload(&r, "h_training/s6.npy", &r.m->rotations);
    upload(&r, "h_training/t.npy", &r.m->shifts);
    steps = r.batches.count / r.B;
    assert_true(steps >= 1 && steps <= 16);
    for (int64_t i = 0; i < steps; i++) {
        loss[i] = step(&r, i);
        if (i)
            continue;
        deco_step_gradients g = deco_step_gradients_of(r.step);
        expect_table(&r, "h_training/table/grad_s6.npy", g.six);
        expect_table(&r, "h_training/table/grad_t.npy", g.shift);
        expect_table(&r, "h_training/table/grad_z.npy", g.latents);
        expect_decoder_gradient(&r, "h_training/table/grad_weights.safetensors", g.decoder);
    }
    golden_expect("h_training/table/loss.npy", loss, steps);
    expect_decoder_change(&r, "h_training/table/weights_after3.safetensors");
    expect_array(&r, "h_training/table/z_after3.npy", deco_f32_2(r.m->latents.x, r.N, r.m->shape.Z));
    expect_array(&r, "h_training/table/s6_after3.npy", deco_f32_2(r.m->rotations.x, r.N, 6));
    expect_array(&r, "h_training/table/t_after3.npy", deco_f32_2(r.m->shifts.x, r.N, 2));
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_steps_at_known_poses_are_the_reference_s),
        cmocka_unit_test(three_steps_with_the_pose_table_are_the_reference_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
