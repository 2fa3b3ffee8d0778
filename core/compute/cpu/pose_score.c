/* Best shift and score of candidate poses.
 *
 * With Y the image, X the predicted values and φ the phase 2π k·t, odd in k,
 *
 *   <Y shifted by t, X> = Σ over half the plane of  cos φ · (X(k)Y(k) + X(-k)Y(-k)) + sin φ · (X(k)Y(-k) - X(-k)Y(k)),
 *
 * so neither images nor slices are shifted: the brackets are one row of P numbers a candidate, the waves {cos φ, sin φ} one row a shift and
 * the same for all candidates, and their product holds the scores of a tile, whose best are taken while it is in the cache. */
#include "compute/cpu/cpu.h"
#include "compute/cpu/dnnl.h"
#include "formulas/shift.h"

#include <math.h>

enum {
    CANDIDATES = 32, /* of a tile */
    SHIFTS = 1024,   /* at once: more are taken in turn */
    LANES = 8        /* sums that stand side by side */
};

typedef struct scores {
    float *score;
    int32_t *best;
    const float *slices, *ctf, *images, *shifts, *k;
    const int32_t *row, *turn;
    int64_t S, C, P, Q;
    int64_t first, T; /* shifts of this turn: number `first` and on */
    float *waves;     /* [T,P]: cosines of half the plane, then sines */
} scores;

static deco_status make_waves(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const scores *s = context;
    int64_t half = s->P / 2;
    for (int64_t t = begin; t < end; t++) {
        float *wave = s->waves + t * s->P;
        for (int64_t p = 0; p < half; p++) {
            float phase = deco_shift_phase(s->k + 2 * p, s->shifts + 2 * (s->first + t));
            wave[p] = cosf(phase), wave[half + p] = sinf(phase);
        }
    }
    return DECO_OK;
}

/* x [P] = ctf · slice, turned q times. Returns ½‖x‖². */
static double predict(float *x, const scores *s, const float *slice, const float *ctf, int64_t q)
{
    int64_t P = s->P, p = 0;
    double sum[LANES] = {0}, all = 0;
    if (q == 0)
        for (int64_t i = 0; i < P; i++)
            x[i] = ctf[i] * slice[i];
    else
        for (int64_t i = 0; i < P; i++) {
            int64_t at = s->turn[i];
            for (int64_t more = 1; more < q; more++)
                at = s->turn[at];
            x[i] = ctf[i] * slice[at];
        }
    for (; p + LANES <= P; p += LANES)
        for (int j = 0; j < LANES; j++)
            sum[j] += (double)x[p + j] * x[p + j];
    for (; p < P; p++)
        all += (double)x[p] * x[p];
    for (int j = 0; j < LANES; j++)
        all += sum[j];
    return 0.5 * all;
}

/* The brackets of the sum above. */
static void pair(float *out, const float *x, const float *y, int64_t P)
{
    int64_t half = P / 2;
    const float *minus_x = x + P - 1, *minus_y = y + P - 1;
    for (int64_t p = 0; p < half; p++) {
        out[p] = x[p] * y[p] + minus_x[-p] * minus_y[-p];
        out[half + p] = x[p] * minus_y[-p] - minus_x[-p] * y[p];
    }
}

static void keep_best(const scores *s, int64_t candidate, double norm, const float *product)
{
    int64_t best = 0;
    for (int64_t t = 1; t < s->T; t++)
        if (product[t] > product[best])
            best = t;
    float score = (float)(norm - product[best]);
    if (s->first == 0 || score < s->score[candidate]) {
        s->score[candidate] = score;
        s->best[candidate] = (int32_t)(s->first + best);
    }
}

static deco_status score_tile(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    deco_status st = DECO_OK;
    const scores *s = context;
    int64_t P = s->P, T = s->T;
    double norm[CANDIDATES];
    size_t bytes = (size_t)(P + CANDIDATES * (P + T)) * sizeof(float);
    float *x = cpu_scratch(dev, worker, bytes);
    if (!x)
        return deco_fail_memory(bytes, "scores of poses");
    float *pairs = x + P, *product = pairs + CANDIDATES * P;
    for (int64_t i = begin; i < end; i++) {
        int64_t of = i / s->Q, image = of / s->C, slice = s->row ? s->row[of] : of;
        if (slice < 0 || slice >= s->S)
            return deco_fail(DECO_E_ARGUMENT, "pose_score: candidate %lld of image %lld is slice %lld; there are %lld",
                             (long long)(of % s->C), (long long)image, (long long)slice, (long long)s->S);
        norm[i - begin] = predict(x, s, s->slices + slice * P, s->ctf + image * P, i % s->Q);
        pair(pairs + (i - begin) * P, x, s->images + image * P, P);
    }
    TRY(deco_cpu_sgemm(false, true, end - begin, T, P, 1, pairs, P, s->waves, P, 0, product, T));
    for (int64_t i = begin; i < end; i++)
        keep_best(s, i, norm[i - begin], product + (i - begin) * T);
out:
    return st;
}

static deco_status check_turn(const scores *s)
{
    for (int64_t p = 0; s->turn && p < s->P; p++)
        if (s->turn[p] < 0 || s->turn[p] >= s->P)
            return deco_fail(DECO_E_ARGUMENT, "pose_score: point %lld turns to %lld; there are %lld", (long long)p, (long long)s->turn[p],
                             (long long)s->P);
    return DECO_OK;
}

deco_status cpu_pose_score(deco_device *dev, deco_array score, deco_array best, deco_array slices, deco_array row, deco_array ctf,
                           deco_array images, deco_array shifts, deco_array k, deco_array turn)
{
    deco_status st = DECO_OK;
    int64_t all = shifts.shape[0], most = all < SHIFTS ? all : SHIFTS;
    scores s = {.score = score.data, .best = best.data, .slices = slices.data, .ctf = ctf.data, .images = images.data};
    s.shifts = shifts.data, s.k = k.data, s.row = row.data, s.turn = turn.data;
    s.S = slices.shape[0], s.C = score.shape[1], s.Q = score.shape[2], s.P = images.shape[1];

    TRY(check_turn(&s));
    TRY(deco_scratch_take(dev, &s.waves, (size_t)(most * s.P) * sizeof *s.waves, "waves of shifts"));
    for (s.first = 0; s.first < all; s.first += SHIFTS) {
        s.T = all - s.first < SHIFTS ? all - s.first : SHIFTS;
        TRY(cpu_for(dev, s.T, 16, make_waves, &s));
        TRY(cpu_for(dev, deco_array_count(score), CANDIDATES, score_tile, &s));
    }
out:
    deco_scratch_give(dev, s.waves);
    return st;
}
