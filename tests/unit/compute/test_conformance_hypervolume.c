/* Conformance of the decoder's blocks: against METHOD.md in double, and fused against composed on the same device. */
#include "conformance/trial.h"
#include "conformance/reference.h"
#include "compute/composed.h"

typedef struct decoder_case {
    const char *name;
    deco_hypervolume h;
    int64_t B, P, samples; /* gradients looked at, of each kind */
} decoder_case;

static const decoder_case cases[] = {
    {"default", {129, 64, 256, 3, 128, true}, 2, 7, 5},
    {"small", {33, 8, 32, 2, 4, true}, 2, 50, 40},
    {"odd widths", {31, 5, 39, 3, 7, true}, 3, 41, 30},
    {"residual first", {33, 8, 52, 2, 4, true}, 2, 30, 30},
    {"residual first, no norm", {33, 8, 52, 1, 4, false}, 2, 20, 30},
    {"no norm", {33, 8, 32, 2, 4, false}, 2, 50, 30},
    {"no latent", {33, 8, 32, 2, 0, true}, 2, 50, 30},
    {"no residual layer", {33, 4, 48, 0, 3, true}, 1, 33, 30},
    {"one point", {33, 8, 64, 1, 2, true}, 1, 1, 40},
};

/* Roundings of features (their phases reach 100 rad at L = 129), of products over up to 512 terms, of n + 2 layers, one after the
 * other; the golden set's bounds for the same quantities are 5e-6 to 1e-5 of the largest. */
static const double value_bound = 1e-5, gradient_bound = 2e-5;

typedef struct decoder {
    const decoder_case *c;
    bool slices;
    float *params, *freqs, *x, *R, *z, *dout, *ctf, *target; /* on the host, of the trial */
    number *params_, *freqs_, *x_, *R_, *z_;                 /* the same, to differentiate by */
    number *values;                                          /* [B,P] of the last evaluation */
} decoder;

static number value_at(const decoder *d, int64_t i)
{
    const decoder_case *c = d->c;
    int64_t b = i / c->P, p = i % c->P;
    number point[3];
    if (d->slices)
        ref_slice_point(point, d->R_ + 9 * b, d->x + 2 * p);
    else
        memcpy(point, d->x_ + 3 * i, sizeof point);
    return ref_decoder(&c->h, d->params_, d->freqs_, point, d->z_ + b * c->h.Z);
}

static void evaluate(decoder *d)
{
    for (int64_t i = 0; i < d->c->B * d->c->P; i++)
        d->values[i] = value_at(d, i);
}

/* A unit within f32's error of its kink has one gradient here and another there, both right: such a point (of a thousand, a few)
 * gets no weight in the gradients that are compared. */
static void leave_out_kinks(const decoder *d, float *weight)
{
    for (int64_t i = 0; i < d->c->B * d->c->P; i++) {
        ref_nearest_kink = INFINITY;
        value_at(d, i);
        if (ref_nearest_kink < 1e-5)
            weight[i] = 0;
    }
}

static number product_of(void *context)
{
    decoder *d = context;
    evaluate(d);
    return ref_dot(d->values, d->dout, d->c->B * d->c->P);
}

static number loss_of(void *context)
{
    decoder *d = context;
    int64_t n = d->c->B * d->c->P;
    number sum = 0;
    evaluate(d);
    for (int64_t i = 0; i < n; i++)
        sum += (d->ctf[i] * d->values[i] - d->target[i]) * (d->ctf[i] * d->values[i] - d->target[i]) / n;
    return sum;
}

/* Weights as training starts with them, norms a little off 1 and 0. */
static void fill_params(float *params, const deco_hypervolume *h, deco_random *random)
{
    for (int64_t i = 0; i < deco_hypervolume_tensors(h); i++) {
        deco_parameter p = deco_hypervolume_tensor(h, i);
        for (int64_t k = 0; k < p.count; k++) {
            double u = 2 * deco_random_uniform(random) - 1;
            params[p.offset + k] = (float)(p.fan_in ? u / sqrt((double)p.fan_in) : (i % 2 ? 0.1 * u : 1 + 0.1 * u));
        }
    }
}

/* The inputs that all three blocks end with: params, freqs, points, rotations or none, latents or none. */
static decoder decoder_inputs(trial *t, const decoder_case *c, bool slices)
{
    const deco_hypervolume *h = &c->h;
    decoder d = {.c = c, .slices = slices};
    int64_t n = deco_hypervolume_parameters(h), points = slices ? 2 * c->P : 3 * c->B * c->P;
    d.params = trial_in(t, "params", deco_f32_1(NULL, n), 1);
    fill_params(d.params, h, &t->random);
    d.freqs = trial_in(t, "freqs", deco_f32_2(NULL, 3 * h->pe_dim, 3), 0.5);
    d.x = trial_in(t, "x", slices ? deco_f32_2(NULL, c->P, 2) : deco_f32_3(NULL, c->B, c->P, 3), 0.2);
    if (slices)
        d.R = trial_in(t, "R", deco_f32_3(NULL, c->B, 3, 3), 0.6);
    else
        trial_none(t);
    if (h->Z)
        d.z = trial_in(t, "z", deco_f32_2(NULL, c->B, h->Z), 1);
    else
        trial_none(t);
    d.params_ = ref_numbers(d.params, n), d.freqs_ = ref_numbers(d.freqs, 9 * h->pe_dim);
    d.x_ = ref_numbers(d.x, points), d.R_ = ref_numbers(d.R, slices ? 9 * c->B : 0), d.z_ = ref_numbers(d.z, c->B * h->Z);
    d.values = malloc((size_t)(c->B * c->P) * sizeof *d.values);
    return d;
}

static void decoder_free(decoder *d) { free(d->params_), free(d->freqs_), free(d->x_), free(d->R_), free(d->z_), free(d->values); }

/* Room for what any of the devices keeps. */
static deco_array saved_of(const decoder_case *c)
{
    size_t most = 0;
    for (int d = 0; d < trial_devices; d++) {
        size_t bytes = deco_hypervolume_saved_bytes(trial_device[d], &c->h, c->B, c->P);
        most = bytes > most ? bytes : most;
    }
    return deco_array_of(NULL, DECO_U8, 1, (int64_t)most, 1, 1, 1);
}

/* What is kept for backward is the backend's own business. */
static void anything(double *expected, deco_array shape)
{
    for (int64_t i = 0; i < trial_count(shape); i++)
        expected[i] = NAN;
}

/* ---- against METHOD.md -------------------------------------------------------------------------------------------- */

static deco_status call_values(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_hypervolume_values(dev, extra, a[0], deco_none(), a[1], a[2], a[3], a[4], a[5]);
}

static void values_are_those_of_the_method(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int slices = 0; slices < 2; slices++) {
            const decoder_case *c = &cases[i];
            trial t = trial_begin(call_values, &c->h, "values %s, %s", slices ? "of slices" : "at points", c->name);
            double *out = trial_out(&t, "out", deco_f32_2(NULL, c->B, c->P), value_bound);
            decoder d = decoder_inputs(&t, c, slices);
            evaluate(&d);
            ref_real(out, d.values, c->B * c->P);
            trial_end(&t);
            decoder_free(&d);
        }
}

/* out, saved, dparams, dz, dpose, dout, then the inputs */
static deco_status call_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    deco_array saved = a[1];
    saved.shape[0] = (int64_t)deco_hypervolume_saved_bytes(dev, extra, a[0].shape[0], a[0].shape[1]);
    deco_status st = deco_hypervolume_values(dev, extra, a[0], saved, a[6], a[7], a[8], a[9], a[10]);
    return st ? st : deco_hypervolume_backward(dev, extra, a[2], a[3], a[4], a[5], saved, a[6], a[7], a[8], a[9], a[10]);
}

static void backward_is_the_gradient(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int slices = 0; slices < 2; slices++) {
            const decoder_case *c = &cases[i];
            int64_t B = c->B, P = c->P, Z = c->h.Z, n = deco_hypervolume_parameters(&c->h), pose = slices ? 9 * B : 3 * B * P;
            trial t = trial_begin(call_backward, &c->h, "backward %s, %s", slices ? "of slices" : "at points", c->name);
            double *out = trial_out(&t, "out", deco_f32_2(NULL, B, P), value_bound);
            anything(trial_out(&t, "saved", saved_of(c), 0), saved_of(c));
            double *dparams = trial_out(&t, "dparams", deco_f32_1(NULL, n), gradient_bound), *dz = NULL;
            if (Z)
                dz = trial_out(&t, "dz", deco_f32_2(NULL, B, Z), gradient_bound);
            else
                trial_none(&t);
            double *dpose =
                trial_out(&t, slices ? "dR" : "dx", slices ? deco_f32_3(NULL, B, 3, 3) : deco_f32_3(NULL, B, P, 3), gradient_bound);
            float *dout = trial_in(&t, "dout", deco_f32_2(NULL, B, P), 1);
            decoder d = decoder_inputs(&t, c, slices);
            d.dout = dout;
            leave_out_kinks(&d, dout);
            evaluate(&d);
            ref_real(out, d.values, B * P);
            ref_gradient(dparams, d.params_, n, c->samples * 4, product_of, &d);
            if (dz)
                ref_gradient(dz, d.z_, B * Z, c->samples, product_of, &d);
            ref_gradient(dpose, slices ? d.R_ : d.x_, pose, c->samples, product_of, &d);
            trial_end(&t);
            decoder_free(&d);
        }
}

/* loss, dparams, dz, dR, dpred, ctf, target, then the inputs */
static deco_status call_loss(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_slice_loss(dev, extra, a[0], a[1], a[2], a[3], a[4], a[7], a[8], a[9], a[10], a[11], a[5], a[6]);
}

static void slice_loss_and_its_gradients(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const decoder_case *c = &cases[i];
        int64_t B = c->B, P = c->P, Z = c->h.Z, n = deco_hypervolume_parameters(&c->h);
        deco_array image = deco_f32_2(NULL, B, P);
        trial t = trial_begin(call_loss, &c->h, "slice_loss, %s", c->name);
        double *loss = trial_out(&t, "loss", deco_f64_1(NULL, 1), value_bound);
        double *dparams = trial_out(&t, "dparams", deco_f32_1(NULL, n), gradient_bound), *dz = NULL;
        if (Z)
            dz = trial_out(&t, "dz", deco_f32_2(NULL, B, Z), gradient_bound);
        else
            trial_none(&t);
        double *dR = trial_out(&t, "dR", deco_f32_3(NULL, B, 3, 3), gradient_bound), *dpred = trial_out(&t, "dpred", image, value_bound);
        float *ctf = trial_in(&t, "ctf", image, 1), *target = trial_in(&t, "target", image, 1);
        decoder d = decoder_inputs(&t, c, true);
        d.ctf = ctf, d.target = target;
        leave_out_kinks(&d, ctf);
        loss[0] = creal(loss_of(&d));
        for (int64_t k = 0; k < B * P; k++)
            dpred[k] = 2 * (ctf[k] * creal(d.values[k]) - target[k]) / (double)(B * P);
        ref_gradient(dparams, d.params_, n, c->samples * 2, loss_of, &d);
        if (dz)
            ref_gradient(dz, d.z_, B * Z, c->samples, loss_of, &d);
        ref_gradient(dR, d.R_, 9 * B, c->samples, loss_of, &d);
        trial_end(&t);
        decoder_free(&d);
    }
}

/* ---- fused against composed ---------------------------------------------------------------------------------------- */

static const decoder_case large[] = {
    {"default", {129, 64, 256, 3, 128, true}, 2, 201, 0},
    {"small, many tiles", {33, 8, 32, 2, 4, true}, 1, 7001, 0}, /* over two runs of the composed block */
    {"odd widths", {31, 5, 39, 3, 7, true}, 3, 521, 0},
    {"no latent", {65, 16, 64, 2, 0, true}, 3, 500, 0},
    {"no norm", {33, 8, 32, 2, 4, false}, 3, 440, 0},
};

static deco_status call_composed_loss(deco_device *dev, const deco_array *a, const void *extra)
{
    return composed_slice_loss(dev, extra, a[0], a[1], a[2], a[3], a[4], a[7], a[8], a[9], a[10], a[11], a[5], a[6]);
}

/* Two f32 ways of one sum: each within the bounds above of the true one. */
static void the_fused_loss_is_the_composed_one(void **state)
{
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        const decoder_case *c = &large[i];
        int64_t B = c->B, P = c->P, Z = c->h.Z, n = deco_hypervolume_parameters(&c->h);
        deco_array image = deco_f32_2(NULL, B, P);
        trial t = trial_begin(call_loss, &c->h, "slice_loss as composed, %s", c->name);
        trial_out(&t, "loss", deco_f64_1(NULL, 1), value_bound);
        trial_out(&t, "dparams", deco_f32_1(NULL, n), gradient_bound);
        if (Z)
            trial_out(&t, "dz", deco_f32_2(NULL, B, Z), gradient_bound);
        else
            trial_none(&t);
        trial_out(&t, "dR", deco_f32_3(NULL, B, 3, 3), gradient_bound);
        trial_out(&t, "dpred", image, value_bound);
        float *ctf = trial_in(&t, "ctf", image, 1);
        trial_in(&t, "target", image, 1);
        decoder d = decoder_inputs(&t, c, true);
        leave_out_kinks(&d, ctf);
        trial_expect(&t, call_composed_loss);
        trial_end(&t);
        decoder_free(&d);
    }
}

/* The composed blocks serve every shape; the fused ones hand some over. So both are run on small shapes, by name. */
static deco_status call_composed_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    deco_status st = composed_hypervolume_values(dev, extra, a[0], a[1], a[6], a[7], a[8], a[9], a[10]);
    return st ? st : composed_hypervolume_backward(dev, extra, a[2], a[3], a[4], a[5], a[1], a[6], a[7], a[8], a[9], a[10]);
}

static void composed_backward_is_the_gradient(void **state)
{
    for (size_t i = 1; i < sizeof cases / sizeof *cases; i++) {
        const decoder_case *c = &cases[i];
        int64_t B = c->B, P = c->P, Z = c->h.Z, n = deco_hypervolume_parameters(&c->h);
        deco_array saved =
            deco_array_of(NULL, DECO_U8, 1, (int64_t)composed_hypervolume_saved_bytes(trial_device[0], &c->h, B, P), 1, 1, 1);
        trial t = trial_begin(call_composed_backward, &c->h, "composed backward, %s", c->name);
        double *out = trial_out(&t, "out", deco_f32_2(NULL, B, P), value_bound);
        anything(trial_out(&t, "saved", saved, 0), saved);
        double *dparams = trial_out(&t, "dparams", deco_f32_1(NULL, n), gradient_bound), *dz = NULL;
        if (Z)
            dz = trial_out(&t, "dz", deco_f32_2(NULL, B, Z), gradient_bound);
        else
            trial_none(&t);
        double *dR = trial_out(&t, "dR", deco_f32_3(NULL, B, 3, 3), gradient_bound);
        float *dout = trial_in(&t, "dout", deco_f32_2(NULL, B, P), 1);
        decoder d = decoder_inputs(&t, c, true);
        d.dout = dout;
        leave_out_kinks(&d, dout);
        evaluate(&d);
        ref_real(out, d.values, B * P);
        ref_gradient(dparams, d.params_, n, c->samples, product_of, &d);
        if (dz)
            ref_gradient(dz, d.z_, B * Z, c->samples, product_of, &d);
        ref_gradient(dR, d.R_, 9 * B, c->samples, product_of, &d);
        trial_end(&t);
        decoder_free(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_the_method),    cmocka_unit_test(backward_is_the_gradient),
        cmocka_unit_test(slice_loss_and_its_gradients),      cmocka_unit_test(the_fused_loss_is_the_composed_one),
        cmocka_unit_test(composed_backward_is_the_gradient),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
