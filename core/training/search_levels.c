/* What a level of a pose search keeps, and the children of that. METHOD.md section 6. */
#include "training/search_levels.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static bool better(const deco_search_pose *a, const deco_search_pose *b)
{
    return a->score < b->score || (a->score == b->score && a->rotation < b->rotation);
}

/* Where `rotation` stands; `kept` when it is not there. */
static int64_t find(const deco_search_best *b, int64_t rotation)
{
    int64_t i = 0;

    while (i < b->kept && b->pose[i].rotation != rotation)
        i++;
    return i;
}

void deco_search_offer(deco_search_best *b, deco_search_pose p)
{
    if (isnan(p.score) || (b->kept == b->room && !better(&p, &b->pose[b->kept - 1])))
        return;
    int64_t at = find(b, p.rotation);
    if (at < b->kept && !better(&p, &b->pose[at]))
        return;
    if (at == b->kept) { /* a new one, in the place of the worst when there is no other */
        b->kept += b->kept < b->room;
        at = b->kept - 1;
    }
    for (; at > 0 && better(&p, &b->pose[at - 1]); at--)
        b->pose[at] = b->pose[at - 1];
    b->pose[at] = p;
}

int64_t deco_search_children(int64_t *rotation, double (*q)[4], int32_t (*which)[DECO_SO3_NEIGHBOURS], const deco_search_pose *parent,
                             int64_t n, int order)
{
    int64_t count = 0, near[DECO_SO3_NEIGHBOURS];
    double near_q[DECO_SO3_NEIGHBOURS][4];

    for (int64_t i = 0; i < n; i++) {
        deco_so3_neighbours(near, near_q, NULL, order, parent[i].rotation);
        for (int c = 0; c < DECO_SO3_NEIGHBOURS; c++) {
            int64_t at = 0;
            while (at < count && rotation[at] != near[c])
                at++;
            if (at == count) {
                rotation[count] = near[c];
                memcpy(q[count++], near_q[c], sizeof *q);
            }
            which[i][c] = (int32_t)at;
        }
    }
    return count;
}
