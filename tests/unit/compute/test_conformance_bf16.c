/* The decoder's blocks with products in bf16, on devices that have such: against the float32 blocks of the CPU. Elsewhere they are those blocks. */
#include "conformance/trial.h"
#include "compute/composed.h"
#include "compute/vit.h"

typedef struct bf16_case {
    const char *name;
    deco_hypervolume h;
    int64_t B, P;
} bf16_case;

/* Tiles of 64 and 128 points, whole and cut; features of one part and of several; every width that has kernels, and one that has not. */
static const bf16_case cases[] = {
    {"width 128", {33, 11, 128, 1, 4, true}, 2, 130},
    {"width 128, two parts of features", {33, 30, 128, 2, 3, true}, 1, 65},
    {"width 128, no latent, no residual layer", {33, 8, 128, 0, 0, true}, 2, 64},
    {"default", {129, 64, 256, 3, 128, true}, 1, 50},
    {"width 512", {65, 6, 512, 0, 8, true}, 1, 40},
    {"odd width", {31, 5, 39, 3, 7, true}, 3, 41},
};

/* A product's operands are rounded to 8 bits: 2^-9 of each at most, some 1e-3 of a sum over hundreds, through 2 to 5 layers. */
static const double value_bound = 3e-2, gradient_bound = 1.2e-2, half_bound = 1e-2;

/* Norms' biases of 4 and -4: a third of the units is off and the others are on, none near its kink. Near it, the gradient of one rounding is on
 * this side and of another on that, both right: with weights as training starts them, some 7 % of dR. */
static void fill_params(float *params, const deco_hypervolume *h, deco_random *random)
{
    for (int64_t i = 0; i < deco_hypervolume_tensors(h); i++) {
        deco_parameter p = deco_hypervolume_tensor(h, i);
        for (int64_t k = 0; k < p.count; k++) {
            double u = 2 * deco_random_uniform(random) - 1;
            params[p.offset + k] = (float)(p.fan_in ? u / sqrt((double)p.fan_in) : i % 2 ? 0.1 * u + (k % 3 ? 4 : -4) : 1 + 0.1 * u);
        }
    }
}

static void inputs(trial *t, const bf16_case *c, bool slices)
{
    const deco_hypervolume *h = &c->h;
    fill_params(trial_in(t, "params", deco_f32_1(NULL, deco_hypervolume_parameters(h)), 1), h, &t->random);
    trial_in(t, "freqs", deco_f32_2(NULL, 3 * h->pe_dim, 3), 0.5);
    trial_in(t, "x", slices ? deco_f32_2(NULL, c->P, 2) : deco_f32_3(NULL, c->B, c->P, 3), 0.2);
    if (slices)
        trial_in(t, "R", deco_f32_3(NULL, c->B, 3, 3), 0.6);
    else
        trial_none(t);
    if (h->Z)
        trial_in(t, "z", deco_f32_2(NULL, c->B, h->Z), 1);
    else
        trial_none(t);
}

static deco_status call_values(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_hypervolume_values(dev, extra, a[0], deco_none(), a[1], a[2], a[3], a[4], a[5]);
}

static void values(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int slices = 0; slices < 2; slices++) {
            const bf16_case *c = &cases[i];
            trial t = trial_begin(call_values, &c->h, "values %s in bf16, %s", slices ? "of slices" : "at points", c->name);
            trial_out(&t, "out", deco_f32_2(NULL, c->B, c->P), value_bound);
            inputs(&t, c, slices);
            trial_expect(&t, call_values);
            trial_end(&t);
        }
}

/* loss, dparams, dz, dR, dpred, ctf, target, then the inputs */
static deco_status call_loss(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_slice_loss(dev, extra, a[0], a[1], a[2], a[3], a[4], a[7], a[8], a[9], a[10], a[11], a[5], a[6]);
}

static void maybe_out(trial *t, const char *name, deco_array shape, bool is)
{
    if (is)
        trial_out(t, name, shape, gradient_bound);
    else
        trial_none(t);
}

/* Each gradient of the parameters is held against the largest of its own tensor: those of different layers differ a hundredfold. */
static deco_status call_scaled_loss(deco_device *dev, const deco_array *a, const void *extra)
{
    deco_status st = call_loss(dev, a, extra);
    const deco_hypervolume *h = extra;
    int64_t n = a[1].data ? deco_array_count(a[1]) : 0;
    if (st || !n)
        return st;
    float *g = malloc((size_t)n * sizeof *g);
    assert_non_null(g);
    st = deco_device_download(dev, g, a[1].data, (size_t)n * sizeof *g);
    for (int64_t i = 0; i < deco_hypervolume_tensors(h); i++) {
        deco_parameter p = deco_hypervolume_tensor(h, i);
        double square = 0;
        for (int64_t k = 0; k < p.count; k++)
            square += (double)g[p.offset + k] * g[p.offset + k];
        for (int64_t k = 0; k < p.count && square > 0; k++)
            g[p.offset + k] = (float)(g[p.offset + k] / sqrt(square / (double)p.count));
    }
    if (!st)
        st = deco_device_upload(dev, a[1].data, g, (size_t)n * sizeof *g);
    free(g);
    return st;
}

static void the_loss_and_its_gradients(void **state)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int all = 1; all >= 0; all--) { /* without the rotations' gradient, fewer weights pass by */
            const bf16_case *c = &cases[i];
            if (!all && i)
                continue;
            int64_t B = c->B, P = c->P, Z = c->h.Z;
            trial t = trial_begin(call_scaled_loss, &c->h, "slice_loss in bf16%s, %s", all ? "" : ", no dR", c->name);
            trial_out(&t, "loss", deco_f64_1(NULL, 1), value_bound);
            maybe_out(&t, "dparams", deco_f32_1(NULL, deco_hypervolume_parameters(&c->h)), true);
            maybe_out(&t, "dz", deco_f32_2(NULL, B, Z), Z > 0);
            maybe_out(&t, "dR", deco_f32_3(NULL, B, 3, 3), all);
            maybe_out(&t, "dpred", deco_f32_2(NULL, B, P), all);
            trial_in(&t, "ctf", deco_f32_2(NULL, B, P), 1);
            trial_in(&t, "target", deco_f32_2(NULL, B, P), 1);
            inputs(&t, c, true);
            trial_expect(&t, call_scaled_loss);
            trial_end(&t);
        }
}

/* ---- the encoder's halves -------------------------------------------------------------------------------------------------------- */

typedef struct half_case {
    const char *name;
    int64_t B, T, C, heads;
    bool mlp;
} half_case;

/* Heads of all widths that have kernels, and one that has not; tokens over one step of keys and over one group of rows. */
static const half_case halves[] = {
    {"heads of 32", 2, 70, 64, 2, false}, {"heads of 32, many tokens", 1, 150, 32, 1, false},
    {"heads of 64", 1, 65, 64, 1, false}, {"odd heads", 2, 17, 24, 1, false},
    {"MLP", 3, 23, 40, 1, true},          {"MLP, odd width", 2, 9, 12, 1, true},
};

/* y, dx, dparams, dy, x, params, stats: forward once with nothing kept, once in place, once kept, then backward. */
static deco_status call_half(deco_device *dev, const deco_array *a, const void *extra)
{
    deco_status st = DECO_OK;
    const half_case *c = extra;
    int64_t M = c->B * c->T, n = c->mlp ? deco_vit_mlp_saved(c->C, M) : deco_vit_attention_saved(c->C, c->heads, M);
    size_t bytes = (size_t)(M * c->C) * sizeof(float);
    void *saved = NULL, *y = NULL;
    deco_array y2 = a[0];
    TRY(deco_device_alloc(dev, &saved, (size_t)(n + 1) * sizeof(float), "trial"));
    TRY(deco_device_alloc(dev, &y, bytes, "trial"));
    y2.data = y;
    deco_array kept = deco_f32_1((float *)saved + (c->mlp ? 0 : 1), n); /* where a batch of odd size may put it */
    if (c->mlp) {
        TRY(deco_vit_mlp(dev, a[0], deco_none(), a[4], a[6], a[5]));
        TRY(deco_vit_mlp(dev, y2, kept, a[4], a[6], a[5]));
        TRY(deco_vit_mlp_backward(dev, a[1], a[2], a[3], kept, a[4], a[6], a[5]));
    } else {
        TRY(deco_vit_attention(dev, c->heads, a[0], deco_none(), a[4], a[5]));
        TRY(deco_vit_attention(dev, c->heads, y2, kept, a[4], a[5]));
        TRY(deco_vit_attention_backward(dev, c->heads, a[1], a[2], a[3], kept, a[4], a[5]));
    }
    assert_true(trial_same(dev, a[0].data, y, bytes));
    TRY(trial_copy(dev, y, a[4].data, bytes)); /* in place */
    TRY(c->mlp ? deco_vit_mlp(dev, y2, deco_none(), y2, a[6], a[5]) : deco_vit_attention(dev, c->heads, y2, deco_none(), y2, a[5]));
    assert_true(trial_same(dev, a[0].data, y, bytes));
out:
    deco_device_release(dev, saved);
    deco_device_release(dev, y);
    return st;
}

static void the_encoders_halves(void **state)
{
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        const half_case *c = &halves[i];
        int64_t n = c->mlp ? deco_vit_mlp_parameters(c->C) : deco_vit_attention_parameters(c->C);
        deco_array tokens = deco_f32_3(NULL, c->B, c->T, c->C);
        trial t = trial_begin(call_half, c, "half of a block in bf16, %s", c->name);
        trial_out(&t, "y", tokens, half_bound);
        trial_out(&t, "dx", tokens, half_bound);
        trial_out(&t, "dparams", deco_f32_1(NULL, n), half_bound);
        trial_in(&t, "dy", tokens, 1);
        trial_in(&t, "x", tokens, 1);
        float *params = trial_in(&t, "params", deco_f32_1(NULL, n), 1 / sqrt((double)c->C));
        for (int64_t k = 0; k < c->C; k++)
            params[k] += 1; /* the norm's scale */
        float *stats = trial_in(&t, "stats", deco_f32_2(NULL, 2, c->C), 0.1);
        for (int64_t k = 0; k < c->C; k++)
            stats[c->C + k] += 1;
        trial_expect(&t, call_half);
        trial_end(&t);
    }
}

static int setup(void **state)
{
    int failed = trial_setup(state);
    for (int d = 0; d < trial_devices; d++)
        deco_device_use_bf16(trial_device[d], true);
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(the_loss_and_its_gradients),
                                       cmocka_unit_test(the_encoders_halves)};
    return cmocka_run_group_tests(tests, setup, trial_teardown);
}
