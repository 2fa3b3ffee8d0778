/* The kernels of the sliced pose search, of every kind this processor runs, against plain sums in double precision. */
#include "base/philox.h"
#include "base/processor.h"
#include "compute/snapshot.h"
#include "formulas/rotation.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TWO_PI 6.283185307179586476925

static int kinds(const deco_snapshot_kernels *out[3])
{
    int n = 0;
    out[n++] = &deco_snapshot_plain;
#ifdef __x86_64__
    if (deco_processor_kind() >= DECO_AVX2)
        out[n++] = &deco_snapshot_avx2;
    if (deco_processor_kind() >= DECO_AVX512)
        out[n++] = &deco_snapshot_avx512;
#endif
    return n;
}

static float *random_floats(uint64_t stream, int64_t n, double range)
{
    deco_random r = deco_random_at(5, DECO_STREAM_SAMPLE, stream);
    float *p = calloc((size_t)n + 1, sizeof *p);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++)
        p[i] = (float)(range * (2 * deco_random_uniform(&r) - 1));
    return p;
}

static void random_rotation(double R[9], uint64_t stream)
{
    deco_random r = deco_random_at(6, DECO_STREAM_SAMPLE, stream);
    double u[3], q[4];
    for (int i = 0; i < 3; i++)
        u[i] = deco_random_uniform(&r);
    deco_quaternion_from_uniform(q, u);
    deco_rotation_from_quaternion(R, q);
}

static void narrow(float out[9], const double R[9])
{
    for (int i = 0; i < 9; i++)
        out[i] = (float)R[i];
}

static void expect(const deco_snapshot_kernels *kind, const char *what, int64_t i, double is, double want, double bound)
{
    if (!(fabs(is - want) <= bound))
        fail_msg("%s: %s[%lld] is %.9g, should be %.9g within %.2g", kind->name, what, (long long)i, is, want, bound);
}

/* ---- a small world ----------------------------------------------------------------------------------------------- */

typedef struct world {
    deco_half_plane half;
    int os;
    int64_t reach, n;
    float *lattice; /* [n,n,n] values, the middle at reach */
    float *quad;
    deco_snapshot snapshot;
    deco_half_image image;
    float *ctf, *half_ctf2;
} world;

static deco_half_plane make_half(int64_t radius)
{
    deco_half_plane h = {.radius = radius};
    int64_t room = (2 * radius + 1) * (radius + 1) + DECO_HALF_STEP;
    h.kx = calloc((size_t)room, sizeof *h.kx);
    h.ky = calloc((size_t)room, sizeof *h.ky);
    h.row = calloc((size_t)radius + 1, sizeof *h.row);
    h.reach = calloc((size_t)radius + 1, sizeof *h.reach);
    for (int64_t y = 0; y <= radius; y++) {
        h.row[y] = (int32_t)h.points;
        for (int64_t x = -radius; x <= radius; x++)
            if (x * x + y * y <= radius * radius && (y > 0 || x > 0)) {
                h.kx[h.points] = (float)x, h.ky[h.points++] = (float)y;
                h.reach[y] = (int32_t)x;
            }
    }
    h.padded = (h.points + DECO_HALF_STEP - 1) / DECO_HALF_STEP * DECO_HALF_STEP;
    return h;
}

static world make_world(int64_t radius, int os)
{
    world w = {.half = make_half(radius), .os = os, .reach = radius * os + 1};
    int64_t n = w.n = 2 * w.reach + 2, planes = w.reach + 2, room = w.half.padded + DECO_HALF_STEP;
    w.lattice = random_floats(1, n * n * n, 1);
    w.quad = calloc((size_t)(4 * n * n * planes), sizeof *w.quad);
    for (int64_t z = 0; z <= w.reach; z++)
        for (int64_t y = 0; y < n - 1; y++)
            for (int64_t x = 0; x < n - 1; x++)
                for (int64_t next = 0; next < 2 && y + next < n - 1; next++) {
                    float *to = w.quad + 4 * ((z * n + y) * n + x) + 2 * next;
                    int64_t last = 2 * w.reach;
                    to[0] = w.lattice[((z + w.reach) * n + y + next) * n + x];
                    to[1] = w.lattice[((w.reach - z) * n + last - y - next) * n + last - x];
                }
    w.snapshot = (deco_snapshot){w.quad, n, planes, (float)w.reach, (float)os};
    w.image.at = random_floats(2, room, 1);
    w.image.opposite = random_floats(3, room, 1);
    w.ctf = random_floats(4, room, 1);
    w.half_ctf2 = random_floats(5, room, 0); /* zeros */
    for (int64_t j = 0; j < w.half.points; j++)
        w.half_ctf2[j] = 0.5f * w.ctf[j] * w.ctf[j];
    for (int64_t j = w.half.points; j < room; j++)
        w.image.at[j] = w.image.opposite[j] = w.ctf[j] = 0;
    return w;
}

static void free_world(world *w)
{
    void *all[] = {w->half.kx, w->half.ky,  w->half.row,       w->half.reach, w->lattice,
                   w->quad,    w->image.at, w->image.opposite, w->ctf,        w->half_ctf2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* Trilinear in double, straight from the lattice. */
static double value_at(const world *w, const double R[9], double kx, double ky)
{
    int64_t whole[3];
    double f[3], sum = 0;
    for (int i = 0; i < 3; i++) {
        double v = (kx * R[i] + ky * R[3 + i]) * w->os;
        whole[i] = (int64_t)floor(v);
        f[i] = v - (double)whole[i];
        whole[i] += w->reach;
    }
    for (int c = 0; c < 8; c++) {
        int x = c & 1, y = c >> 1 & 1, z = c >> 2;
        double weight = (x ? f[0] : 1 - f[0]) * (y ? f[1] : 1 - f[1]) * (z ? f[2] : 1 - f[2]);
        if (weight > 0)
            sum += weight * w->lattice[((whole[2] + z) * w->n + whole[1] + y) * w->n + whole[0] + x];
    }
    return sum;
}

/* Score of the shift phase (radians a lattice step) by its definition: every point of the disc, the image shifted. */
static double score_at(const world *w, const double *at, const double *opposite, const double phase[2])
{
    double sum = 0;
    for (int64_t j = 0; j < w->half.points; j++) {
        double p = w->half.kx[j] * phase[0] + w->half.ky[j] * phase[1], u = w->image.at[j], v = w->image.opposite[j];
        sum += w->half_ctf2[j] * (at[j] * at[j] + opposite[j] * opposite[j]);
        sum -= (cos(p) * u + sin(p) * v) * at[j] + (cos(p) * v - sin(p) * u) * opposite[j];
    }
    return sum;
}

static void slice_double(double *at, double *opposite, const world *w, const double R[9])
{
    for (int64_t j = 0; j < w->half.points; j++) {
        at[j] = value_at(w, R, w->half.kx[j], w->half.ky[j]);
        opposite[j] = value_at(w, R, -w->half.kx[j], -w->half.ky[j]);
    }
}

enum { MOST_POINTS = 1024 };

static const struct {
    int64_t radius;
    int os;
} sizes[] = {{1, 1}, {2, 2}, {7, 1}, {12, 2}, {23, 1}};

/* ---- slices ------------------------------------------------------------------------------------------------------ */

/* A coordinate near 25 is off by 2e-6 from rounding R and the sum; values differ by up to 2 from one lattice point to the next along
 * each of three axes. */
#define SLICE_BOUND 1.2e-5

static const double along_axes[][9] = {{1, 0, 0, 0, 1, 0, 0, 0, 1},
                                       {-1, 0, 0, 0, -1, 0, 0, 0, 1},
                                       {0, 0, 1, 0, 1, 0, -1, 0, 0},
                                       {0, 1, 0, -1, 0, 0, 0, 0, 1},
                                       {0, 0, -1, 0, -1, 0, -1, 0, 0}};
enum { AXES = sizeof along_axes / sizeof *along_axes };

static void slices_are_trilinear_at_points_and_their_opposites(void **state)
{
    const deco_snapshot_kernels *kind[3];
    for (int k = kinds(kind) - 1; k >= 0; k--)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            world w = make_world(sizes[s].radius, sizes[s].os);
            for (int turn = 0; turn < 12 + AXES; turn++) {
                double R[9], at[MOST_POINTS], opposite[MOST_POINTS];
                float R32[9], is[MOST_POINTS], is_opposite[MOST_POINTS];
                random_rotation(R, (uint64_t)turn);
                if (turn >= 12)
                    memcpy(R, along_axes[turn - 12], sizeof R);
                narrow(R32, R);
                kind[k]->slice(is, is_opposite, &w.snapshot, R32, &w.half);
                slice_double(at, opposite, &w, R);
                for (int64_t j = 0; j < w.half.points; j++) {
                    expect(kind[k], "at", j, is[j], at[j], SLICE_BOUND);
                    expect(kind[k], "opposite", j, is_opposite[j], opposite[j], SLICE_BOUND);
                }
            }
            free_world(&w);
        }
}

static void a_block_holds_slices_lane_by_lane_and_their_power(void **state)
{
    const deco_snapshot_kernels *kind[3];
    world w = make_world(9, 1);
    int64_t points = w.half.points;
    float *slices = calloc((size_t)(2 * points * DECO_SNAPSHOT_LANES), sizeof *slices), *power = calloc((size_t)points * 16, sizeof *power);
    for (int k = kinds(kind) - 1; k >= 0; k--) {
        int lanes = kind[k]->lanes;
        float R[DECO_SNAPSHOT_LANES][9], at[MOST_POINTS], opposite[MOST_POINTS];
        for (int i = 0; i < lanes; i++) {
            double R64[9];
            random_rotation(R64, 40 + (uint64_t)i);
            narrow(R[i], R64);
        }
        kind[k]->block(slices, power, &w.snapshot, (const float(*)[9])R, &w.half);
        for (int i = 0; i < lanes; i++) {
            kind[k]->slice(at, opposite, &w.snapshot, R[i], &w.half);
            for (int64_t j = 0; j < points; j++) {
                assert_true(slices[j * lanes + i] == at[j] && slices[(points + j) * lanes + i] == opposite[j]);
                expect(kind[k], "power", j, power[j * lanes + i], (double)at[j] * at[j] + (double)opposite[j] * opposite[j], 3e-7);
            }
        }
    }
    free(slices);
    free(power);
    free_world(&w);
}

/* ---- shifts ------------------------------------------------------------------------------------------------------ */

static void an_image_is_shifted_as_its_formula_says(void **state)
{
    const deco_snapshot_kernels *kind[3];
    for (int k = kinds(kind) - 1; k >= 0; k--)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            world w = make_world(sizes[s].radius, 1);
            const double phases[][2] = {{0, 0}, {1, -0.3}, {-2.5, 3.1}, {0.01, 0}};
            float at[MOST_POINTS + DECO_HALF_STEP], opposite[MOST_POINTS + DECO_HALF_STEP];
            float *scratch = calloc(deco_shift_scratch(&w.half), sizeof *scratch);
            for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
                kind[k]->shift((deco_half_image){at, opposite}, w.image, &w.half, phases[i], scratch);
                for (int64_t j = 0; j < w.half.points; j++) { /* three roundings of numbers up to 2 */
                    double p = w.half.kx[j] * phases[i][0] + w.half.ky[j] * phases[i][1], u = w.image.at[j], v = w.image.opposite[j];
                    expect(kind[k], "at", j, at[j], cos(p) * u + sin(p) * v, 4e-7);
                    expect(kind[k], "opposite", j, opposite[j], cos(p) * v - sin(p) * u, 4e-7);
                }
                for (int64_t j = w.half.points; j < w.half.padded; j++)
                    assert_true(at[j] == 0 && opposite[j] == 0);
            }
            free(scratch);
            free_world(&w);
        }
}

/* ---- level 0 ----------------------------------------------------------------------------------------------------- */

/* Scores are sums of up to 900 products near 1, in f32 by way of rows and columns. */
static double score_bound(const world *w) { return 4e-7 * (double)w->half.points + 2e-6; }

static int32_t *make_turns(const deco_half_plane *h)
{
    int32_t *turned = calloc((size_t)h->points, 4 * sizeof *turned);
    for (int64_t j = 0; j < h->points; j++) {
        int64_t x = (int64_t)h->kx[j], y = (int64_t)h->ky[j];
        for (int g = 0; g < 4; g++) {
            bool here = y > 0 || (y == 0 && x > 0);
            for (int64_t i = 0; i < h->points; i++)
                if ((int64_t)h->kx[i] == (here ? x : -x) && (int64_t)h->ky[i] == (here ? y : -y))
                    turned[g * h->points + j] = (int32_t)(here ? i : h->points + i);
            int64_t next = y; /* (x, y) lands on (y, -x), as geometry/quarter_turn.h has it */
            y = -x, x = next;
        }
    }
    return turned;
}

typedef struct shifts {
    deco_orbit_grid grid;
    double step;
    float *cosine, *sine, *bias;
} shifts;

static shifts make_shifts(const world *w, const int32_t *turned, int n, double step)
{
    int64_t rows = w->half.radius + 1, magnitudes = (n + 1) / 2;
    shifts s = {.step = step, .bias = random_floats(9, (int64_t)n * n, 0.5)};
    s.cosine = calloc((size_t)(rows * magnitudes), sizeof *s.cosine);
    s.sine = calloc((size_t)(rows * magnitudes), sizeof *s.sine);
    for (int64_t k = 0; k < rows; k++)
        for (int64_t i = 0; i < magnitudes; i++) {
            double phase = (double)k * step * ((double)i + (n % 2 ? 0 : 0.5));
            s.cosine[k * magnitudes + i] = (float)cos(phase), s.sine[k * magnitudes + i] = (float)sin(phase);
        }
    s.grid = (deco_orbit_grid){&w->half, turned, s.cosine, s.sine, s.bias, n, (int)magnitudes};
    return s;
}

static void all_turns_and_shifts_score_as_plain_sums_do(void **state)
{
    const deco_snapshot_kernels *kind[3];
    const int axes[] = {1, 2, 3, 5, 8, 14};
    for (int k = kinds(kind) - 1; k >= 0; k--)
        for (size_t c = 0; c < sizeof axes / sizeof *axes; c++) {
            int n = axes[c], lanes = kind[k]->lanes;
            world w = make_world(c % 2 ? 12 : 5, 1);
            int64_t points = w.half.points;
            int32_t *turned = make_turns(&w.half), shift[4 * DECO_SNAPSHOT_LANES];
            shifts s = make_shifts(&w, turned, n, 0.17);
            float *slices = calloc((size_t)(2 * points * lanes), sizeof *slices), *power = calloc((size_t)(points * lanes), sizeof *power);
            float *scratch = calloc(deco_orbit_scratch(&s.grid), sizeof *scratch), R[DECO_SNAPSHOT_LANES][9],
                  score[4 * DECO_SNAPSHOT_LANES];
            for (int i = 0; i < lanes; i++) {
                double R64[9];
                random_rotation(R64, 100 * c + (uint64_t)i);
                narrow(R[i], R64);
            }
            kind[k]->block(slices, power, &w.snapshot, (const float(*)[9])R, &w.half);
            kind[k]->orbits(score, shift, slices, power, w.image, w.half_ctf2, &s.grid, scratch);
            for (int i = 0; i < 4 * lanes; i += 3) {
                double at[MOST_POINTS] = {0}, opposite[MOST_POINTS] = {0}, best = INFINITY, chosen = 0;
                for (int64_t j = 0; j < points; j++) {
                    int64_t row = turned[i / lanes * points + j];
                    at[j] = slices[row * lanes + i % lanes];
                    opposite[j] = slices[(row < points ? row + points : row - points) * lanes + i % lanes];
                }
                for (int t = 0; t < n * n; t++) {
                    int row = t / n;
                    double phase[2] = {(t % n - 0.5 * (n - 1)) * s.step, (row - 0.5 * (n - 1)) * s.step};
                    double is = score_at(&w, at, opposite, phase) + s.bias[t];
                    best = fmin(best, is);
                    chosen = t == shift[i] ? is : chosen;
                }
                expect(kind[k], "score", i, score[i], best, score_bound(&w));
                expect(kind[k], "score of the shift", i, chosen, best, 2 * score_bound(&w));
            }
            void *all[] = {turned, s.cosine, s.sine, s.bias, slices, power, scratch};
            for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                free(all[i]);
            free_world(&w);
        }
}

/* ---- later levels ------------------------------------------------------------------------------------------------ */

static void candidates_score_as_plain_sums_do(void **state)
{
    const deco_snapshot_kernels *kind[3];
    for (int k = kinds(kind) - 1; k >= 0; k--)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (int n = 1; n <= 4; n++) {
                world w = make_world(sizes[s].radius, sizes[s].os);
                int pairs = (n * n + 1) / 2, count = n == 2 ? 3 : DECO_SCORE_CANDIDATES;
                float *table = calloc(deco_score_table(&w.half, pairs), sizeof *table);
                float R[DECO_SCORE_CANDIDATES][9], score[DECO_SCORE_CANDIDATES];
                int32_t shift[DECO_SCORE_CANDIDATES];
                double phase[16][2], at[MOST_POINTS] = {0}, opposite[MOST_POINTS] = {0};
                for (int t = 0; t < n * n; t++) {
                    int row = t / n;
                    phase[t][0] = (t % n - 0.5 * (n - 1)) * 0.05, phase[t][1] = (row - 0.5 * (n - 1)) * 0.05;
                }
                for (int64_t j = 0; j < w.half.points; j++)
                    for (int i = 0; i < pairs; i++) {
                        double p = w.half.kx[j] * phase[i][0] + w.half.ky[j] * phase[i][1];
                        float *to = table + ((j / DECO_SCORE_TILE * pairs + i) * 2) * DECO_SCORE_TILE + j % DECO_SCORE_TILE;
                        to[0] = (float)cos(p), to[DECO_SCORE_TILE] = (float)sin(p);
                    }
                for (int c = 0; c < count; c++) {
                    double R64[9];
                    random_rotation(R64, 70 + (uint64_t)c);
                    narrow(R[c], R64);
                }
                kind[k]->candidates(score, shift, &w.snapshot, (const float(*)[9])R, count, &w.half,
                                    &(deco_score_window){w.image, w.half_ctf2, table, pairs}, n * n);
                for (int c = 0; c < count; c++) {
                    double R64[9], best = INFINITY, chosen = 0;
                    random_rotation(R64, 70 + (uint64_t)c);
                    slice_double(at, opposite, &w, R64);
                    for (int t = 0; t < n * n; t++) {
                        double is = score_at(&w, at, opposite, phase[t]);
                        best = fmin(best, is);
                        chosen = t == shift[c] ? is : chosen;
                    }
                    double bound = score_bound(&w) + SLICE_BOUND * sqrt((double)w.half.points);
                    expect(kind[k], "score", c, score[c], best, bound);
                    expect(kind[k], "score of the shift", c, chosen, best, 2 * bound);
                }
                free(table);
                free_world(&w);
            }
}

/* ---- Gauss–Newton ------------------------------------------------------------------------------------------------ */

/* Model less image at a pose near R, of point j or (half further on) its opposite. */
static double difference(const world *w, const double R[9], const double step[5], int64_t j, bool opposite)
{
    double kx = w->half.kx[j], ky = w->half.ky[j], u = w->image.at[j], v = w->image.opposite[j], p = kx * step[3] + ky * step[4];
    double moved[9], W[9] = {0, step[2], step[1], -step[2], 0, step[0], -step[1], -step[0], 0};
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) /* to first order: steps are tiny */
            moved[3 * a + b] = R[3 * a + b] + W[3 * a] * R[b] + W[3 * a + 1] * R[3 + b] + W[3 * a + 2] * R[6 + b];
    double shifted = opposite ? cos(p) * v - sin(p) * u : cos(p) * u + sin(p) * v;
    return w->ctf[j] * value_at(w, moved, opposite ? -kx : kx, opposite ? -ky : ky) - shifted;
}

static void normal_equations_are_those_of_the_trilinear_slice(void **state)
{
    const deco_snapshot_kernels *kind[3];
    const double h = 1e-7;
    for (int k = kinds(kind) - 1; k >= 0; k--)
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            world w = make_world(sizes[s].radius, sizes[s].os);
            double R[9], want[DECO_NORMAL_SUMS] = {0}, size[5] = {0}, residuals = 0, score = 0;
            float R32[9], sums[DECO_NORMAL_SUMS];
            random_rotation(R, 200 + s);
            narrow(R32, R);
            for (int i = 0; i < 9; i++)
                R[i] = R32[i];
            for (int64_t i = 0; i < 2 * w.half.points; i++) {
                double J[5], zero[5] = {0}, r = -difference(&w, R, zero, i / 2, i % 2),
                             model = (i % 2 ? w.image.opposite : w.image.at)[i / 2] - r;
                for (int a = 0; a < 5; a++) {
                    double up[5] = {0}, down[5] = {0};
                    up[a] = h, down[a] = -h;
                    J[a] = (difference(&w, R, up, i / 2, i % 2) - difference(&w, R, down, i / 2, i % 2)) / (2 * h);
                    size[a] += J[a] * J[a];
                }
                for (int a = 0, at = 0; a < 5; a++)
                    for (int b = a; b < 5; b++)
                        want[at++] += J[a] * J[b];
                for (int a = 0; a < 5; a++)
                    want[15 + a] += J[a] * r;
                residuals += r * r;
                score += model * (0.5 * model - (r + model));
            }
            want[20] = score;
            kind[k]->normal(sums, &w.snapshot, R32, &w.half, w.image, w.ctf);
            for (int a = 0, at = 0; a < 5; a++) {
                for (int b = a; b < 5; b++, at++) /* differences of the reference are good to 1e-7, slopes in f32 to 1e-5 of 2 a step */
                    expect(kind[k], "JJ", at, sums[at], want[at], 2e-5 * sqrt(size[a] * size[b]) + 1e-6);
                expect(kind[k], "Jr", a, sums[15 + a], want[15 + a], 2e-5 * sqrt(size[a] * residuals) + 1e-6);
            }
            expect(kind[k], "score", 20, sums[20], want[20], score_bound(&w) + SLICE_BOUND * sqrt((double)w.half.points));
            free_world(&w);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_are_trilinear_at_points_and_their_opposites),
        cmocka_unit_test(a_block_holds_slices_lane_by_lane_and_their_power),
        cmocka_unit_test(an_image_is_shifted_as_its_formula_says),
        cmocka_unit_test(all_turns_and_shifts_score_as_plain_sums_do),
        cmocka_unit_test(candidates_score_as_plain_sums_do),
        cmocka_unit_test(normal_equations_are_those_of_the_trilinear_slice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
