/* Do latents and clusters follow what is not the molecule: defocus, exposure group, image scale, place in the micrograph, shift?
 *
 * Told by effect size, not by p-value: at a million particles everything is significant. Of an axis, the share of its (ranked) variance that a column explains; of a
 * cluster, how far its members' distribution over the column is from that of all others: the Kolmogorov-Smirnov distance of a number, the total variation distance of
 * a group. Both from 0 to 1 whatever the cluster's size. From each the mean under random permutations is taken away, 1 staying 1. */
#ifndef DECO_ANALYSIS_NUISANCE_H
#define DECO_ANALYSIS_NUISANCE_H

#include "analysis/words.h"
#include "base/threads.h"
#include "particles/particles.h"

enum { DECO_NUISANCE_ROWS = 20000, DECO_NUISANCE_AXES = 8 };

/* One association. */
typedef struct deco_nuisance_effect {
    const char *column; /* "defocus" */
    bool cluster;       /* of cluster `number`, else of axis `number` (both from 0) */
    int64_t number;
    double observed, chance, effect; /* as measured; its mean under permutations; without that */
    bool beyond_chance;              /* more than all permutations had anywhere in this column */
    bool marked;                     /* and large enough to matter */
} deco_nuisance_effect;

typedef struct deco_nuisance {
    int64_t rows; /* looked at: all, or a sample */
    int64_t count;
    deco_nuisance_effect *effect;
} deco_nuisance;

typedef struct deco_nuisance_input {
    const deco_particles *particles;
    const float *shift;   /* [N,2], or NULL */
    const float *axes;    /* [N,A] latents on their principal components; NULL: none */
    int64_t A;            /* the first DECO_NUISANCE_AXES are looked at */
    const int32_t *label; /* [N] */
    int64_t K;
    uint64_t seed;
} deco_nuisance_input;

/* Columns that the input does not have, or that do not vary, are left out. The same for a seed on any number of threads. Fails: MEMORY. */
deco_status deco_nuisance_find(deco_nuisance *out, const deco_nuisance_input *in, deco_pool *pool);
void deco_nuisance_free(deco_nuisance *n);

/* nuisance.csv in `directory`, and words. */
deco_status deco_nuisance_tell(const deco_nuisance *n, const char *directory, deco_words *w);

/* Is the cluster marked for any column? Its strongest, or NULL. */
const deco_nuisance_effect *deco_nuisance_of_cluster(const deco_nuisance *n, int64_t k);

#endif
