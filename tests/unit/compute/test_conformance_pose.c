/* Conformance of what a pose search runs on: scores of candidates, and slices of several latents at one set of rotations. */
#include "conformance/trial.h"
#include "conformance/reference.h"
#include "compute/composed.h"

/* ---- scores ------------------------------------------------------------------------------------------------------ */

typedef struct score_case {
    int64_t G, C, P, T;
    bool turned;
    int64_t S; /* slices that candidates share; 0: each has its own */
    double shift;
} score_case;

static const score_case score_cases[] = {
    {1, 1, 2, 1, false, 0, 1},       /* the smallest */
    {3, 5, 30, 7, true, 0, 3},       /* a multiple of no tile */
    {2, 35, 440, 196, true, 0, 19},  /* the first level's points and shifts */
    {5, 8, 1516, 196, false, 11, 2}, /* slices shared by several images */
    {1, 2, 78, 1100, false, 0, 19},  /* shifts in two turns */
};

typedef struct score_inputs {
    const score_case *c;
    float *slices, *ctf, *images, *shifts, *k;
    int32_t *row, *turn;
} score_inputs;

static int64_t below(trial *t, int64_t n) { return (int64_t)deco_random_below(&t->random, (uint64_t)n); }

static score_inputs fill_inputs(trial *t, const score_case *c)
{
    score_inputs in = {.c = c};
    in.slices = trial_in(t, "slices", deco_f32_2(NULL, c->S ? c->S : c->G * c->C, c->P), 1);
    if (c->S) {
        in.row = trial_in(t, "row", deco_array_of(NULL, DECO_I32, 2, c->G, c->C, 1, 1), 0);
        for (int64_t i = 0; i < c->G * c->C; i++)
            in.row[i] = (int32_t)below(t, c->S);
    } else
        trial_none(t);
    in.ctf = trial_in(t, "ctf", deco_f32_2(NULL, c->G, c->P), 0.5);
    in.images = trial_in(t, "images", deco_f32_2(NULL, c->G, c->P), 1);
    in.shifts = trial_in(t, "shifts", deco_f32_2(NULL, c->T, 2), c->shift);
    in.k = trial_in(t, "k", deco_f32_2(NULL, c->P, 2), 0.2);
    for (int64_t i = 0; i < c->P; i++) /* the second half is the first one's opposite */
        in.k[2 * (c->P - 1 - i / 2) + i % 2] = -in.k[i];
    if (c->turned) {
        in.turn = trial_in(t, "turn", deco_array_of(NULL, DECO_I32, 1, c->P, 1, 1, 1), 0);
        for (int64_t p = 0; p < c->P; p++)
            in.turn[p] = (int32_t)below(t, c->P);
    } else
        trial_none(t);
    return in;
}

/* Candidate i (image, candidate and turn in one) at shift s, straight from the definition. */
static double score_at(const score_inputs *in, int64_t i, int64_t s)
{
    const score_case *c = in->c;
    int64_t P = c->P, Q = c->turned ? 4 : 1, of = i / Q, g = of / c->C;
    const float *slice = in->slices + (in->row ? in->row[of] : of) * P, *image = in->images + g * P;
    const number t[2] = {in->shifts[2 * s], in->shifts[2 * s + 1]};
    double sum = 0;
    for (int64_t p = 0; p < P; p++) {
        int64_t at = p;
        for (int64_t q = 0; q < i % Q; q++)
            at = in->turn[at];
        double x = (double)in->ctf[g * P + p] * slice[at];
        sum += x * x / 2 - x * creal(ref_shifted(image[p], image[P - 1 - p], in->k + 2 * p, t));
    }
    return sum;
}

static double lowest(const score_inputs *in, int64_t i)
{
    double best = INFINITY;
    for (int64_t s = 0; s < in->c->T; s++)
        best = fmin(best, score_at(in, i, s));
    return best;
}

static deco_status call_score(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_pose_score(dev, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]);
}

/* A sum of up to 1516 products in f32, whose roundings partly cancel; norms are summed in double. */
static const double score_bound = 16 * ROUNDING;

/* Which shift is best can hang on the last bit: the one named must have the lowest score to within the bound. */
static void expect_named_shifts(const trial *t, const score_inputs *in, const double *expected)
{
    trial_memory m;
    int64_t n = trial_count(t->arg[0].shape);
    double largest = 0;
    trial_upload(&m, t, trial_device[0]);
    assert_int_equal(call_score(trial_device[0], m.a, NULL), DECO_OK);
    const int32_t *best = m.a[1].data; /* device 0 is a CPU */
    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(expected[i]));
    for (int64_t i = 0; i < n; i++) {
        assert_in_range(best[i], 0, in->c->T - 1);
        assert_true(score_at(in, i, best[i]) <= expected[i] + 2 * score_bound * largest);
    }
    trial_release(&m, t, trial_device[0]);
}

static void scores_are_the_lowest_over_the_shifts(void **state)
{
    for (size_t i = 0; i < sizeof score_cases / sizeof *score_cases; i++) {
        const score_case *c = &score_cases[i];
        int64_t Q = c->turned ? 4 : 1, n = c->G * c->C * Q;
        trial t = trial_begin(call_score, c, "pose_score %lldx%lldx%lld, %lld shifts", (long long)c->G, (long long)(c->C * Q),
                              (long long)c->P, (long long)c->T);
        double *score = trial_out(&t, "score", deco_f32_3(NULL, c->G, c->C, Q), score_bound);
        double *best = trial_out(&t, "best", deco_array_of(NULL, DECO_I32, 3, c->G, c->C, Q, 1), 0);
        score_inputs in = fill_inputs(&t, c);
        for (int64_t k = 0; k < n; k++) {
            score[k] = lowest(&in, k);
            best[k] = NAN; /* looked at below */
        }
        expect_named_shifts(&t, &in, score);
        trial_end(&t);
    }
}

static void of_equal_shifts_the_first_is_named(void **state)
{
    /* Whole numbers and no shift at all: exact in any order of summation. */
    float slice[4] = {1, 2, 3, 4}, ctf[4] = {1, 1, 1, 1}, image[4] = {2, 1, 0, 1}, shift[6] = {0}, k[8] = {1, 0, 0, 1, 0, -1, -1, 0},
          score[1];
    int32_t best[1];
    deco_device *dev = trial_device[0];
    deco_array one = deco_f32_3(score, 1, 1, 1), number_of = deco_array_of(best, DECO_I32, 3, 1, 1, 1, 1);
    assert_int_equal(deco_pose_score(dev, one, number_of, deco_f32_2(slice, 1, 4), deco_none(), deco_f32_2(ctf, 1, 4),
                                     deco_f32_2(image, 1, 4), deco_f32_2(shift, 3, 2), deco_f32_2(k, 4, 2), deco_none()),
                     DECO_OK);
    assert_int_equal(best[0], 0);
    assert_true(score[0] == 15 - 8);
}

static void candidates_without_a_slice_are_refused(void **state)
{
    float two[2] = {1, 1}, k[4] = {0.1f, 0, -0.1f, 0}, shift[2] = {0}, score[4];
    int32_t best[4], row[1] = {1}, turn[2] = {1, 2};
    deco_device *dev = trial_device[0];
    deco_array points = deco_f32_2(two, 1, 2), one = deco_f32_3(score, 1, 1, 1), four = deco_f32_3(score, 1, 1, 4);
    deco_array of_one = deco_array_of(best, DECO_I32, 3, 1, 1, 1, 1), of_four = deco_array_of(best, DECO_I32, 3, 1, 1, 4, 1);
    deco_array rows = deco_array_of(row, DECO_I32, 2, 1, 1, 1, 1), turns = deco_array_of(turn, DECO_I32, 1, 2, 1, 1, 1);
    deco_array t = deco_f32_2(shift, 1, 2), lattice = deco_f32_2(k, 2, 2);
    assert_int_equal(deco_pose_score(dev, one, of_one, points, rows, points, points, t, lattice, deco_none()), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "candidate 0 of image 0 is slice 1; there are 1"));
    assert_int_equal(deco_pose_score(dev, four, of_four, points, deco_none(), points, points, t, lattice, turns), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "point 1 turns to 2; there are 2"));
    assert_int_equal(deco_pose_score(dev, one, of_one, points, deco_none(), points, points, deco_f32_2(shift, 0, 2), lattice, deco_none()),
                     DECO_E_ARGUMENT);
}

/* ---- slices of several latents ------------------------------------------------------------------------------------ */

typedef struct bank_case {
    const char *name;
    deco_hypervolume h;
    int64_t B, n, P;
} bank_case;

static const bank_case bank_cases[] = {
    {"default", {129, 64, 256, 3, 128, true}, 2, 2, 6},    {"slices that end within a tile", {33, 8, 32, 2, 4, true}, 3, 7, 94},
    {"odd widths", {31, 5, 39, 3, 7, true}, 3, 2, 22}, /* composed */
    {"residual first", {33, 8, 52, 2, 4, true}, 2, 3, 14}, {"no norm", {33, 8, 32, 2, 4, false}, 2, 3, 14},
    {"no latent", {33, 8, 32, 2, 0, true}, 1, 5, 30},      {"no residual layer", {33, 4, 48, 0, 3, true}, 2, 2, 10},
};

static deco_status call_bank(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_hypervolume_bank(dev, &((const bank_case *)extra)->h, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* Weights as training starts with them, norms a little off 1 and 0. */
static void fill_params(float *params, const deco_hypervolume *h, deco_random *random)
{
    for (int64_t i = 0; i < deco_hypervolume_tensors(h); i++) {
        deco_parameter p = deco_hypervolume_tensor(h, i);
        for (int64_t j = 0; j < p.count; j++) {
            double u = 2 * deco_random_uniform(random) - 1;
            params[p.offset + j] = (float)(p.fan_in ? u / sqrt((double)p.fan_in) : (i % 2 ? 0.1 * u : 1 + 0.1 * u));
        }
    }
}

/* The bound of the decoder's values in test_conformance_hypervolume.c. */
static void slices_of_every_latent_at_every_rotation(void **state)
{
    for (size_t i = 0; i < sizeof bank_cases / sizeof *bank_cases; i++) {
        const bank_case *c = &bank_cases[i];
        const deco_hypervolume *h = &c->h;
        int64_t parameters = deco_hypervolume_parameters(h);
        trial t = trial_begin(call_bank, c, "hypervolume_bank: %s", c->name);
        double *out = trial_out(&t, "out", deco_f32_3(NULL, c->B, c->n, c->P), 1e-5);
        float *params = trial_in(&t, "params", deco_f32_1(NULL, parameters), 1);
        fill_params(params, h, &t.random);
        number *params_ = ref_numbers(params, parameters);
        number *freqs = ref_numbers(trial_in(&t, "freqs", deco_f32_2(NULL, 3 * h->pe_dim, 3), 0.5), 9 * h->pe_dim);
        float *k = trial_in(&t, "k", deco_f32_2(NULL, c->P, 2), 0.2);
        number *R = ref_numbers(trial_in(&t, "R", deco_f32_3(NULL, c->n, 3, 3), 0.6), 9 * c->n), *z = NULL;
        if (h->Z)
            z = ref_numbers(trial_in(&t, "z", deco_f32_2(NULL, c->B, h->Z), 1), c->B * h->Z);
        else
            trial_none(&t);
        for (int64_t o = 0; o < c->B * c->n * c->P; o++) {
            number point[3];
            ref_slice_point(point, R + 9 * (o / c->P % c->n), k + 2 * (o % c->P));
            out[o] = creal(ref_decoder(h, params_, freqs, point, z ? z + o / c->P / c->n * h->Z : NULL));
        }
        trial_end(&t);
        free(params_), free(freqs), free(R), free(z);
    }
}

/* ---- fused against composed ---------------------------------------------------------------------------------------- */

static const bank_case large[] = {
    {"default", {129, 64, 256, 3, 128, true}, 3, 5, 94},
    {"small", {33, 32, 128, 2, 4, true}, 5, 11, 440},
    {"no latent", {65, 16, 64, 2, 0, true}, 1, 17, 94},
};

/* Both round each layer's sums; where those of a LayerNorm nearly cancel, the next layer sees it. */
static void the_fused_bank_is_the_composed_one(void **state)
{
    for (size_t i = 0; i < sizeof large / sizeof *large; i++) {
        const bank_case *c = &large[i];
        const deco_hypervolume *h = &c->h;
        trial t = trial_begin(call_bank, c, "bank, fused and composed: %s", c->name);
        double *out = trial_out(&t, "out", deco_f32_3(NULL, c->B, c->n, c->P), 5e-6);
        fill_params(trial_in(&t, "params", deco_f32_1(NULL, deco_hypervolume_parameters(h)), 1), h, &t.random);
        trial_in(&t, "freqs", deco_f32_2(NULL, 3 * h->pe_dim, 3), 0.5);
        trial_in(&t, "k", deco_f32_2(NULL, c->P, 2), 0.2);
        trial_in(&t, "R", deco_f32_3(NULL, c->n, 3, 3), 0.6);
        if (h->Z)
            trial_in(&t, "z", deco_f32_2(NULL, c->B, h->Z), 1);
        else
            trial_none(&t);
        trial_memory m;
        deco_device *dev = trial_device[0]; /* a CPU: its memory can be read */
        trial_upload(&m, &t, dev);
        assert_int_equal(composed_hypervolume_bank(dev, h, m.a[0], m.a[1], m.a[2], m.a[3], m.a[4], m.a[5]), DECO_OK);
        for (int64_t o = 0; o < c->B * c->n * c->P; o++)
            out[o] = ((const float *)m.a[0].data)[o];
        trial_release(&m, &t, dev);
        trial_end(&t);
    }
}

/* ---- rotations of the pose table ----------------------------------------------------------------------------------- */

static const int64_t six_cases[] = {1, 7, 1030};

static deco_status call_six(deco_device *dev, const deco_array *a, const void *extra) { return deco_six_rotations(dev, a[0], a[1]); }

static deco_status call_six_backward(deco_device *dev, const deco_array *a, const void *extra)
{
    return deco_six_rotations_backward(dev, a[0], a[1], a[2]);
}

/* Two vectors of any length and angle, as training leaves them; worked out in double, so a result is one rounding off. */
static void six_numbers_are_a_rotation(void **state)
{
    for (size_t i = 0; i < sizeof six_cases / sizeof *six_cases; i++) {
        int64_t B = six_cases[i];
        trial t = trial_begin(call_six, NULL, "six_rotations %lld", (long long)B);
        double *R = trial_out(&t, "R", deco_f32_3(NULL, B, 3, 3), 2 * ROUNDING);
        float *six = trial_in(&t, "six", deco_f32_2(NULL, B, 6), 1);
        for (int64_t b = 0; b < B; b++) {
            number *v = ref_numbers(six + 6 * b, 6), r[9];
            ref_rotation_from_six(r, v);
            ref_real(R + 9 * b, r, 9);
            free(v);
        }
        trial_end(&t);
    }
}

typedef struct six_scalar {
    const number *six;
    const float *dR;
} six_scalar;

static number six_dot(void *context)
{
    const six_scalar *s = context;
    number R[9];
    ref_rotation_from_six(R, s->six);
    return ref_dot(R, s->dR, 9);
}

static void six_numbers_have_the_gradient_of_their_rotation(void **state)
{
    for (size_t i = 0; i < sizeof six_cases / sizeof *six_cases; i++) {
        int64_t B = six_cases[i];
        trial t = trial_begin(call_six_backward, NULL, "six_rotations_backward %lld", (long long)B);
        double *dsix = trial_out(&t, "dsix", deco_f32_2(NULL, B, 6), 2 * ROUNDING);
        float *dR = trial_in(&t, "dR", deco_f32_3(NULL, B, 3, 3), 1), *six = trial_in(&t, "six", deco_f32_2(NULL, B, 6), 1);
        for (int64_t b = 0; b < B; b++) {
            number *v = ref_numbers(six + 6 * b, 6);
            six_scalar s = {v, dR + 9 * b};
            ref_gradient(dsix + 6 * b, v, 6, 6, six_dot, &s);
            free(v);
        }
        trial_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_the_lowest_over_the_shifts),
        cmocka_unit_test(of_equal_shifts_the_first_is_named),
        cmocka_unit_test(candidates_without_a_slice_are_refused),
        cmocka_unit_test(slices_of_every_latent_at_every_rotation),
        cmocka_unit_test(the_fused_bank_is_the_composed_one),
        cmocka_unit_test(six_numbers_are_a_rotation),
        cmocka_unit_test(six_numbers_have_the_gradient_of_their_rotation),
    };
    return cmocka_run_group_tests(tests, trial_setup, trial_teardown);
}
