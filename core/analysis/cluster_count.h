/* How many clusters an analysis has, and where they stand: k_num, or what was chosen for "auto". */
#ifndef DECO_ANALYSIS_CLUSTER_COUNT_H
#define DECO_ANALYSIS_CLUSTER_COUNT_H

#include "analysis/analysis.h"

/* The most that are looked for; and into how many latents without gaps are cut, so that maps along a change can be told from one another. */
enum { DECO_MOST_CLUSTERS = 12, DECO_CUTS = 8 };

typedef struct deco_cluster_count {
    int64_t K;
    bool parted;                       /* false: no number of clusters is borne out by gaps */
    double parting_gap, gap_by_chance; /* of the K clusters (stability.h); 0 unless parted */
} deco_cluster_count;

/* The largest K from 2 to DECO_MOST_CLUSTERS whose clusters of x [N,Z], found as `o` says, have gaps between each and every other, deeper than one cloud
 * gives by chance, where two finer cuts fall into at least K groups as well: the two halves of a way have a gap between them too, seen along the line from
 * one to the other, and the pieces of a finer cut lead from one to the next. Looked for in at most DECO_REFIT_ROWS rows. The same for a seed on any number of
 * threads. Fails: STOPPED, MEMORY. */
deco_status deco_cluster_count_find(deco_cluster_count *out, const float *x, int64_t N, int64_t Z, const deco_options *o, uint64_t seed,
                                    deco_pool *pool, deco_monitor *m);

/* Do two cuts of x finer than K, up to DECO_CUTS, fall into at least as many groups? Else gaps between the K clusters come of their number: the pieces of
 * a finer cut lead from one to the next. Of more than four clusters nothing is asked: true. Fails: STOPPED, MEMORY. */
deco_status deco_groups_borne_out(bool *out, int64_t groups, int64_t K, const float *x, int64_t N, int64_t Z, const deco_options *o,
                                  uint64_t seed, deco_pool *pool, deco_monitor *m);

/* k_num.json of an analysis. Fails: FILE, MEMORY. */
deco_status deco_cluster_count_write(const deco_cluster_count *c, const char *analysis);

/* *out: the folder of an analysis' clustering as `o` names it, and *K (may be NULL) the number in its name, which for "auto" k_num.json has. NULL and 0 where that is
 * not there: nothing was chosen yet. Free with free(). Fails: FILE, FORMAT, MEMORY. */
deco_status deco_clustering_directory(char **out, int64_t *K, const char *analysis, const deco_options *o);

#endif
