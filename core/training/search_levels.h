/* From level to level of a pose search, for one image, both engines: what is kept, and what that has for children. METHOD.md section 6. */
#ifndef DECO_TRAINING_SEARCH_LEVELS_H
#define DECO_TRAINING_SEARCH_LEVELS_H

#include "geometry/so3_grid.h"

typedef struct deco_search_pose {
    int64_t rotation; /* number in the level's grid */
    float shift[2];   /* pixels */
    float score;      /* lower is better */
} deco_search_pose;

/* The best poses offered so far, best first; of equal scores the lower rotation number comes first. A rotation counts once: it keeps its
 * better score, whichever parent's shifts that came from. */
typedef struct deco_search_best {
    deco_search_pose *pose; /* [room] */
    int64_t kept, room;     /* room at least 1 */
} deco_search_best;

/* A score that is no number is passed over. What is kept does not depend on the order of offers, except that of one rotation's equal
 * scores the first one's shift stays. */
void deco_search_offer(deco_search_best *b, deco_search_pose p);

/* Distinct rotations among the neighbours of `n` parents in the grid of `order`. A rotation reached from two parents is there once.
 *
 *   rotation [8·n]  their numbers in the grid of order + 1, in the order in which they are reached; the count is returned
 *   q [8·n,4]       their quaternions
 *   which [n,8]     the place in `rotation` of each parent's neighbours, nearest first */
int64_t deco_search_children(int64_t *rotation, double (*q)[4], int32_t (*which)[DECO_SO3_NEIGHBOURS], const deco_search_pose *parent,
                             int64_t n, int order);

#endif
