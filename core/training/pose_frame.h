/* Two sets of poses of the same particles, each in a frame and a hand of its own: how far do they agree? */
#ifndef DECO_TRAINING_POSE_FRAME_H
#define DECO_TRAINING_POSE_FRAME_H

#include "base/philox.h"
#include "base/status.h"

typedef struct deco_pose_frame {
    double share; /* of the poses within the angle asked for */
    bool mirrored;
    double Q[9]; /* a ~ b @ Q, or diag(1, 1, -1) b @ Q with Q improper when mirrored */
} deco_pose_frame;

/* The frame in which most of the poses a, b [n,9] are within `angle_deg` of each other. Frames are proposed by single particles, as many as
 * `draw` says at random. */
deco_pose_frame deco_pose_frame_fit(const float *a, const float *b, int64_t n, double angle_deg, deco_random *draw);

/* The share found alike beyond what chance gives: 1 all, 0 no more than a of one particle and b of another. Poses that crowd about a few
 * directions, as those of noise do, agree by chance. Fails: MEMORY. */
deco_status deco_pose_agreement(double *out, const float *a, const float *b, int64_t n, double angle_deg, deco_random *draw);

#endif
