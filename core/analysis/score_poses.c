/* Poses against the truth, in the best global frame. */
#include "analysis/score.h"
#include "analysis/score_draws.h"
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Frames proposed by single particles, and particles that each is tried on. */
enum { PROPOSALS = 300, TRIED = 3000, ROUNDS = 20, SHIFT_ROUNDS = 30 };

typedef struct pose_fit {
    const float *truth, *found;
    int64_t N;
    bool mirrored;
    double *error; /* [N] degrees */
    double *sorted;
} pose_fit;

static int by_value(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return p < q ? -1 : p > q;
}

static double median(double *sorted, const double *x, int64_t n)
{
    memcpy(sorted, x, (size_t)n * sizeof *x);
    qsort(sorted, (size_t)n, sizeof *sorted, by_value);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static double mean(const double *x, int64_t n)
{
    double s = 0;

    for (int64_t i = 0; i < n; i++)
        s += x[i];
    return s / (double)n;
}

/* A found rotation in the hand that is looked at. */
static void take(double e[9], const pose_fit *f, int64_t i)
{
    for (int k = 0; k < 9; k++)
        e[k] = f->mirrored && k >= 6 ? -f->found[9 * i + k] : f->found[9 * i + k];
}

static double angle_of(const pose_fit *f, const double Q[9], int64_t i)
{
    double e[9], trace = 0;

    take(e, f, i);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 3; k++)
                trace += f->truth[9 * i + 3 * r + c] * e[3 * r + k] * Q[3 * k + c];
    return acos(fmin(1, fmax(-1, (trace - 1) / 2))) * 180 / M_PI;
}

/* The median error over some particles; `some` NULL: all, n = N. */
static double try_frame(pose_fit *f, const double Q[9], const int64_t *some, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        f->error[i] = angle_of(f, Q, some ? some[i] : i);
    return median(f->sorted, f->error, n);
}

/* Q = eᵀ truth of particle i. */
static void propose(double Q[9], const pose_fit *f, int64_t i)
{
    double e[9];

    take(e, f, i);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) {
            Q[3 * r + c] = 0;
            for (int k = 0; k < 3; k++)
                Q[3 * r + c] += e[3 * k + r] * f->truth[9 * i + 3 * k + c];
        }
}

static double determinant(const double m[9])
{
    return m[0] * (m[4] * m[8] - m[5] * m[7]) - m[1] * (m[3] * m[8] - m[5] * m[6]) + m[2] * (m[3] * m[7] - m[4] * m[6]);
}

/* The orthogonal matrix nearest to M with that determinant. */
static deco_status nearest_orthogonal(double Q[9], const double M[9], double det)
{
    double a[9], s[3], u[9], vt[9], spare[3], uv[9] = {0};

    memcpy(a, M, sizeof a);
    if (LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'A', 'A', 3, 3, a, 3, s, u, 3, vt, 3, spare))
        return deco_fail(DECO_E_ARGUMENT, "the frame of the rotations cannot be fitted; are they finite?");
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 3; k++)
                uv[3 * r + c] += u[3 * r + k] * vt[3 * k + c];
    for (int r = 0; r < 3; r++)
        u[3 * r + 2] *= det * (determinant(uv) < 0 ? -1 : 1);
    for (int r = 0; r < 3; r++)
        for (int c = 0; c < 3; c++) {
            Q[3 * r + c] = 0;
            for (int k = 0; k < 3; k++)
                Q[3 * r + c] += u[3 * r + k] * vt[3 * k + c];
        }
    return DECO_OK;
}

/* The mean frame with weights that fall with the error, until the median no longer gets better. Leaves the errors of the last. */
static deco_status refine(double Q[9], pose_fit *f)
{
    deco_status st = DECO_OK;
    double before = try_frame(f, Q, NULL, f->N);

    for (int round = 0; round < ROUNDS; round++) {
        double M[9] = {0}, next[9], q[9], width = fmax(2 * before, 0.5), now;
        for (int64_t i = 0; i < f->N; i++) {
            double x = f->error[i] / width, w = 1 / ((1 + x * x) * (1 + x * x));
            propose(q, f, i);
            for (int k = 0; k < 9; k++)
                M[k] += w * q[k];
        }
        TRY(nearest_orthogonal(next, M, f->mirrored ? -1 : 1));
        now = try_frame(f, next, NULL, f->N);
        if (now > before + 1e-9)
            break;
        before = now;
        memcpy(Q, next, sizeof next);
    }
    try_frame(f, Q, NULL, f->N);
out:
    return st;
}

static deco_status fit_hand(double Q[9], pose_fit *f)
{
    deco_status st = DECO_OK;
    score_draws d = score_draws_begin();
    int64_t tried = f->N < TRIED ? f->N : TRIED, proposals = f->N < PROPOSALS ? f->N : PROPOSALS, some[TRIED], from[PROPOSALS];
    double least = INFINITY, q[9];

    TRY(score_draws_choose(some, &d, f->N, tried));
    TRY(score_draws_choose(from, &d, f->N, proposals));
    for (int64_t p = 0; p < proposals; p++) {
        double m;
        propose(q, f, from[p]);
        m = try_frame(f, q, some, tried);
        if (m < least) {
            least = m;
            memcpy(Q, q, sizeof q);
        }
    }
    TRY(refine(Q, f));
out:
    return st;
}

static double share_within(const double *x, int64_t n, double most)
{
    int64_t in = 0;

    for (int64_t i = 0; i < n; i++)
        in += x[i] < most;
    return (double)in / (double)n;
}

deco_status deco_rotations_score(deco_rotation_score *out, const float *truth, const float *found, int64_t N)
{
    deco_status st = DECO_OK;
    pose_fit f = {.truth = truth, .found = found, .N = N};
    double *error[2] = {NULL, NULL}, med[2], Q[2][9] = {{0}};
    int k;

    *out = (deco_rotation_score){0};
    TRY(deco_alloc(&f.sorted, (size_t)N + 1, sizeof *f.sorted, "errors of poses"));
    for (k = 0; k < 2; k++) {
        TRY(deco_alloc(&error[k], (size_t)N + 1, sizeof *error[k], "errors of poses"));
        f.error = error[k];
        f.mirrored = k == 1;
        TRY(fit_hand(Q[k], &f));
        med[k] = median(f.sorted, error[k], N);
    }
    k = med[1] < med[0];
    *out = (deco_rotation_score){
        k == 1,     med[k], mean(error[k], N), share_within(error[k], N, 5), share_within(error[k], N, 10), share_within(error[k], N, 30),
        med[1 - k], {0}};
    memcpy(out->Q, Q[k], sizeof out->Q);
out:
    free(error[0]);
    free(error[1]);
    free(f.sorted);
    return st;
}

/* v that A v is nearest to d with, weights w: A the first two rows of each rotation. A direction that nothing says anything about stays 0. */
static deco_status displacement(double v[3], const double *w, const float *truth, const float *found, const float *R, int64_t N)
{
    double m[9] = {0}, right[3] = {0}, s[3];
    lapack_int rank;

    for (int64_t i = 0; i < N; i++)
        for (int r = 0; r < 2; r++) {
            const float *a = R + 9 * i + 3 * r;
            double d = (double)found[2 * i + r] - truth[2 * i + r];
            for (int j = 0; j < 3; j++) {
                right[j] += w[i] * a[j] * d;
                for (int k = 0; k < 3; k++)
                    m[3 * j + k] += w[i] * a[j] * a[k];
            }
        }
    if (LAPACKE_dgelsd(LAPACK_ROW_MAJOR, 3, 3, 1, m, 3, right, 1, s, 1e-12, &rank))
        return deco_fail(DECO_E_ARGUMENT, "the displacement of the map cannot be fitted; are shifts and rotations finite?");
    memcpy(v, right, 3 * sizeof *v);
    return DECO_OK;
}

deco_status deco_shifts_score(deco_shift_score *out, const float *truth, const float *found, const float *true_rotation, int64_t N)
{
    deco_status st = DECO_OK;
    double *w = NULL, *error = NULL, *sorted = NULL, v[3] = {0};

    *out = (deco_shift_score){0};
    TRY(deco_alloc(&w, (size_t)N + 1, sizeof *w, "weights of shifts"));
    TRY(deco_alloc(&error, (size_t)N + 1, sizeof *error, "errors of shifts"));
    TRY(deco_alloc(&sorted, (size_t)N + 1, sizeof *sorted, "errors of shifts"));
    for (int64_t i = 0; i < N; i++) {
        w[i] = 1;
        error[i] = hypot((double)found[2 * i] - truth[2 * i], (double)found[2 * i + 1] - truth[2 * i + 1]);
    }
    out->raw_median_px = median(sorted, error, N);
    out->raw_mean_px = mean(error, N);
    for (int round = 0; round < SHIFT_ROUNDS; round++) {
        double width;
        TRY(displacement(v, w, truth, found, true_rotation, N));
        for (int64_t i = 0; i < N; i++) {
            double d[2];
            for (int r = 0; r < 2; r++) {
                const float *a = true_rotation + 9 * i + 3 * r;
                d[r] = (double)found[2 * i + r] - truth[2 * i + r] - (a[0] * v[0] + a[1] * v[1] + a[2] * v[2]);
            }
            error[i] = hypot(d[0], d[1]);
        }
        width = fmax(1.5 * median(sorted, error, N), 1e-6);
        for (int64_t i = 0; i < N; i++)
            w[i] = 1 / (1 + error[i] / width * (error[i] / width));
    }
    out->median_px = median(sorted, error, N);
    out->mean_px = mean(error, N);
    memcpy(out->displacement_px, v, sizeof v);
out:
    free(w);
    free(error);
    free(sorted);
    return st;
}
