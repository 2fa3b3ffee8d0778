/* Best shift and score of candidate poses. METHOD.md section 6.
 *
 * With Y the image, X the predicted values and φ the phase 2π k·t, odd in k,
 *
 *   <Y shifted by t, X> = Σ over half the plane of  cos φ · (X(k)Y(k) + X(-k)Y(-k)) + sin φ · (X(k)Y(-k) - X(-k)Y(k)),
 *
 * so neither images nor slices are shifted: the brackets are one row of P numbers a candidate, the waves {cos φ, sin φ} one row a shift, the
 * same for all candidates, and their product holds the scores of a run of candidates. */
#include "launch.h"

#include "formulas/shift.h"

enum {
    MOST_BYTES = 256 << 20, /* of brackets and scores held at once */
    SHIFTS = 1024           /* at once: more are taken in turn */
};

/* waves [T,P]: cosines of half the plane, then sines. */
__global__ void waves_kernel(float *waves, const float *shifts, const float *k, int64_t T, int64_t P)
{
    int64_t i = grid_thread(), half = P / 2, t = i / half, p = i % half;
    if (i >= T * half)
        return;
    float phase = deco_shift_phase(k + 2 * p, shifts + 2 * t);
    waves[t * P + p] = cosf(phase);
    waves[t * P + half + p] = sinf(phase);
}

__global__ void check_turn_kernel(const int32_t *turn, int64_t P, cuda_fault *fault)
{
    int64_t p = grid_thread();
    if (p < P)
        in_range(fault, CUDA_TURN, p, turn[p], P);
}

/* The place in the slice that is found at point p after q turns; a turn that leads nowhere stays. */
__device__ static int64_t turned(const int32_t *turn, int64_t p, int64_t q, int64_t P)
{
    for (; q > 0; q--)
        if (turn[p] >= 0 && turn[p] < P)
            p = turn[p];
    return p;
}

/* A block a candidate, number first + blockIdx: its brackets [P], and ½‖X‖². */
__global__ void brackets_kernel(float *brackets, float *norm, const float *slices, const int32_t *row, const float *ctf,
                                const float *images, const int32_t *turn, int64_t first, int64_t S, int64_t C, int64_t Q, int64_t P,
                                cuda_fault *fault)
{
    int64_t candidate = first + blockIdx.x, of = candidate / Q, image = of / C, slice = row ? row[of] : of, half = P / 2;
    if (!in_range(fault, CUDA_SLICE, of, slice, S))
        slice = 0; /* told by the next wait; the score means nothing */
    const float *from = slices + slice * P, *c = ctf + image * P, *y = images + image * P;
    float *out = brackets + (int64_t)blockIdx.x * P;
    double sum = 0;
    for (int64_t p = threadIdx.x; p < half; p += THREADS) {
        int64_t minus = P - 1 - p;
        float at = c[p] * from[turned(turn, p, candidate % Q, P)], opposite = c[minus] * from[turned(turn, minus, candidate % Q, P)];
        out[p] = at * y[p] + opposite * y[minus];
        out[half + p] = at * y[minus] - opposite * y[p];
        sum += (double)at * at + (double)opposite * opposite;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0)
        norm[blockIdx.x] = (float)(0.5 * sum);
}

/* A warp a candidate: the best of T shifts, of equal ones the lowest. */
__global__ void best_kernel(float *score, int32_t *best, const float *norm, const float *product, int64_t first, int64_t n, int64_t T,
                            int64_t first_shift)
{
    int64_t i = grid_warp(), row = i < n ? i : n - 1;
    const float *of = product + row * T;
    float most = -INFINITY;
    int at = INT32_MAX;
    for (int64_t t = lane(); t < T; t += WARP)
        if (of[t] > most)
            most = of[t], at = (int)t;
    float all = warp_max(most);
    at = warp_min(most == all ? at : INT32_MAX);
    if (i >= n || lane() != 0)
        return;
    if (at == INT32_MAX)
        at = 0; /* no number among them */
    float value = norm[i] - of[at];
    if (first_shift == 0 || value < score[first + i])
        score[first + i] = value, best[first + i] = (int32_t)(first_shift + at);
}

/* One call: its arrays, and its scratch. */
typedef struct scores {
    float *score, *waves, *brackets, *product, *norm;
    int32_t *best;
    const float *slices, *ctf, *images;
    const int32_t *row, *turn;
    int64_t S, C, Q, P, all, run; /* candidates, and how many of them at once */
} scores;

/* All candidates over the T shifts from number first_shift on. */
static deco_status score_shifts(deco_device *dev, const scores *s, int64_t first_shift, int64_t T)
{
    deco_status st = DECO_OK;
    cuda_product p = {};
    p.n = T, p.k = s->P, p.tb = true, p.a = s->brackets, p.b = s->waves, p.c = s->product;
    p.lda = s->P, p.ldb = s->P, p.ldc = T;
    for (int64_t first = 0; first < s->all; first += s->run) {
        int64_t n = s->all - first < s->run ? s->all - first : s->run;
        TRY(LAUNCH(dev, brackets_kernel, n, THREADS, s->brackets, s->norm, s->slices, s->row, s->ctf, s->images, s->turn, first, s->S, s->C,
                   s->Q, s->P, cuda_fault_of(dev)));
        p.m = n;
        TRY(cuda_multiply_matrices(dev, &p));
        TRY(LAUNCH(dev, best_kernel, blocks_of_warps(n), THREADS, s->score, s->best, (const float *)s->norm, (const float *)s->product,
                   first, n, T, first_shift));
    }
out:
    return st;
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

deco_status cuda_pose_score(deco_device *dev, deco_array score, deco_array best, deco_array slices, deco_array row, deco_array ctf,
                            deco_array images, deco_array shifts, deco_array k, deco_array turn)
{
    deco_status st = DECO_OK;
    int64_t T = shifts.shape[0], most = least(T, SHIFTS);
    scores s = {};

    s.score = (float *)score.data, s.best = (int32_t *)best.data, s.slices = (const float *)slices.data, s.ctf = (const float *)ctf.data;
    s.images = (const float *)images.data, s.row = (const int32_t *)row.data, s.turn = (const int32_t *)turn.data;
    s.S = slices.shape[0], s.C = score.shape[1], s.Q = score.shape[2], s.P = images.shape[1], s.all = deco_array_count(score);
    s.run = least(s.all, MOST_BYTES / (4 * (s.P + most)) + 1);

    TRY(cuda_enter(dev));
    TRY(deco_scratch_take(dev, &s.waves, (size_t)(most * s.P) * sizeof *s.waves, "waves of shifts"));
    TRY(deco_scratch_take(dev, &s.brackets, (size_t)(s.run * s.P) * sizeof *s.brackets, "scores of poses"));
    TRY(deco_scratch_take(dev, &s.product, (size_t)(s.run * most) * sizeof *s.product, "scores of poses"));
    TRY(deco_scratch_take(dev, &s.norm, (size_t)s.run * sizeof *s.norm, "scores of poses"));
    if (s.turn)
        TRY(LAUNCH(dev, check_turn_kernel, blocks_of(s.P), THREADS, s.turn, s.P, cuda_fault_of(dev)));
    for (int64_t first = 0; first < T; first += SHIFTS) {
        int64_t now = least(T - first, SHIFTS);
        TRY(LAUNCH(dev, waves_kernel, blocks_of(now * (s.P / 2)), THREADS, s.waves, (const float *)shifts.data + 2 * first,
                   (const float *)k.data, now, s.P));
        TRY(score_shifts(dev, &s, first, now));
    }
out:
    deco_scratch_give(dev, s.waves);
    deco_scratch_give(dev, s.brackets);
    deco_scratch_give(dev, s.product);
    deco_scratch_give(dev, s.norm);
    return st;
}
