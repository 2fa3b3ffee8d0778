/* The pose table: where poses are before a search, and where it leaves them. */
#include "base/philox.h"
#include "formulas/rotation.h"
#include "training/train.h"
#include <stdlib.h>
#include <string.h>

static void random_rotation(float R[9], uint64_t seed, int64_t row)
{
    deco_random r = deco_random_at(seed, DECO_STREAM_POSE, (uint64_t)row);
    double u[3], q[4], matrix[9];

    for (int i = 0; i < 3; i++)
        u[i] = deco_random_uniform(&r);
    deco_quaternion_from_uniform(q, u);
    deco_rotation_from_quaternion(matrix, q);
    for (int i = 0; i < 9; i++)
        R[i] = (float)matrix[i];
}

deco_status deco_poses_create(deco_poses **out, const deco_particles *p, const deco_options *o, uint64_t seed)
{
    deco_status st = DECO_OK;
    deco_poses *poses = NULL;
    size_t N = (size_t)p->N;
    bool shifts = o->use_gt_poses || o->use_gt_trans;

    *out = NULL;
    if ((o->use_gt_poses && !p->R) || (shifts && !p->shift))
        TRY(deco_fail(DECO_E_ARGUMENT, "%s: the input's %s (alignments3D) are asked for, and there are none", p->source,
                      o->use_gt_poses ? "poses" : "shifts"));
    TRY(deco_alloc(&poses, 1, sizeof *poses, "poses"));
    poses->N = p->N;
    TRY(deco_alloc(&poses->R, N, 9 * sizeof *poses->R, "rotations"));
    TRY(deco_alloc(&poses->shift, N, 2 * sizeof *poses->shift, "shifts"));
    if (o->use_gt_poses)
        memcpy(poses->R, p->R, N * 9 * sizeof *poses->R);
    for (int64_t i = 0; !o->use_gt_poses && i < p->N; i++)
        random_rotation(poses->R + 9 * i, seed, i);
    if (shifts)
        memcpy(poses->shift, p->shift, N * 2 * sizeof *poses->shift);
    *out = poses;
    poses = NULL;
out:
    deco_poses_free(poses);
    return st;
}

void deco_poses_free(deco_poses *poses)
{
    if (!poses)
        return;
    free(poses->R);
    free(poses->shift);
    free(poses);
}
