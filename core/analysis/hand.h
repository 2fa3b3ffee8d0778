/* The hand of an analysis. Images alone cannot tell a structure from its mirror image; flip_hand gives the other one. */
#ifndef DECO_ANALYSIS_HAND_H
#define DECO_ANALYSIS_HAND_H

#include "base/monitor.h"

/* The mirror image of a map [D,D,D] in its plane z = 0: v(x, y, -z). Exact: each value moves, and plane -D/2, which has no partner, stays. */
void deco_map_mirror(float *map, int64_t D);

/* The rotation F·R·F, F = diag(1, 1, -1), under which the mirrored map gives what the map gives under R [9]. In METHOD.md's words: the
 * mirrored transform at k is the transform at k·F. The slice at c·R', c in the plane, must be the one at c·R, so c·R'·F = c·R: the first
 * two rows of R'·F are those of R, the third is its negative, or R' would be no rotation. What lies in the image's plane (shift, in-plane
 * angle as it is seen) stays. */
void deco_pose_mirror(float *R);

/* What an analysis says about its hand. */
typedef struct deco_hand {
    bool found; /* poses found from images alone: the hand is a coin's toss. Else that of the given poses */
    bool flipped;
} deco_hand;

/* hand.json in `directory`, and a line in the log. */
deco_status deco_hand_write(const char *directory, const deco_hand *h, deco_monitor *m);

#endif
