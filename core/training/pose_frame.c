/* The frame that two sets of poses share. */
#include "training/pose_frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROPOSALS = 300, JUDGES = 1000 };

/* Q = bᵀ a, the frame change that makes one particle's poses alike; b mirrored by diag(1, 1, -1) in front. */
static void propose(double Q[9], const float *a, const float *b, bool mirrored)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            double sum = 0;
            for (int k = 0; k < 3; k++)
                sum += (mirrored && k == 2 ? -1.0 : 1.0) * b[3 * k + i] * a[3 * k + j];
            Q[3 * i + j] = sum;
        }
}

/* Trace of aᵀ b Q: 1 + 2 cos of the angle between them. */
static double trace_between(const float *a, const float *b, const double Q[9], bool mirrored)
{
    double trace = 0;
    for (int k = 0; k < 3; k++)
        for (int j = 0; j < 3; j++) {
            double turned = 0;
            for (int i = 0; i < 3; i++)
                turned += (double)b[3 * k + i] * Q[3 * i + j];
            trace += (mirrored && k == 2 ? -1.0 : 1.0) * turned * a[3 * k + j];
        }
    return trace;
}

static double share_of(const float *a, const float *b, int64_t n, int64_t every, const double Q[9], bool mirrored, double least)
{
    int64_t within = 0, judged = 0;
    for (int64_t i = 0; i < n; i += every, judged++)
        within += trace_between(a + 9 * i, b + 9 * i, Q, mirrored) > least;
    return judged ? (double)within / (double)judged : 0;
}

deco_pose_frame deco_pose_frame_fit(const float *a, const float *b, int64_t n, double angle_deg, deco_random *draw)
{
    deco_pose_frame best = {.share = -1};
    double least = 1 + 2 * cos(angle_deg * 3.14159265358979323846 / 180);
    int64_t every = n > JUDGES ? n / JUDGES : 1;

    for (int i = 0; i < PROPOSALS && n > 0; i++) {
        int64_t at = (int64_t)deco_random_below(draw, (uint64_t)n);
        for (int hand = 0; hand < 2; hand++) {
            deco_pose_frame f = {.mirrored = hand};
            propose(f.Q, a + 9 * at, b + 9 * at, hand);
            f.share = share_of(a, b, n, every, f.Q, hand, least);
            if (f.share > best.share)
                best = f;
        }
    }
    best.share = n > 0 ? share_of(a, b, n, 1, best.Q, best.mirrored, least) : 0;
    return best;
}

deco_status deco_pose_agreement(double *out, const float *a, const float *b, int64_t n, double angle_deg, deco_random *draw)
{
    deco_status st = DECO_OK;
    float *other = NULL;
    int64_t *turn = NULL;

    *out = 0;
    TRY(deco_alloc(&other, (size_t)n, 9 * sizeof *other, "poses of other particles"));
    TRY(deco_alloc(&turn, (size_t)n, sizeof *turn, "poses of other particles"));
    deco_random_permutation(draw, turn, n);
    for (int64_t i = 0; i < n; i++)
        memcpy(other + 9 * i, b + 9 * turn[i], 9 * sizeof *other);
    double share = deco_pose_frame_fit(a, b, n, angle_deg, draw).share, chance = deco_pose_frame_fit(a, other, n, angle_deg, draw).share;
    *out = chance < 1 ? fmax(0, (share - chance) / (1 - chance)) : 0;
out:
    free(other);
    free(turn);
    return st;
}
