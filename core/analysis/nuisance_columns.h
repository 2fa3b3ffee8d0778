/* The columns that an association is looked for with, in classes of about equal size or one a group. */
#ifndef DECO_ANALYSIS_NUISANCE_COLUMNS_H
#define DECO_ANALYSIS_NUISANCE_COLUMNS_H

#include "particles/particles.h"

enum { DECO_NUISANCE_BINS = 20, DECO_NUISANCE_COLUMNS = 12 };

typedef struct deco_binned_column {
    const char *name;
    bool groups; /* classes without an order */
    int64_t bins;
    int32_t *bin; /* [n] */
} deco_binned_column;

/* Of rows row[0..n); *count of them vary. Free each with free(bin). Fails: MEMORY. */
deco_status deco_nuisance_columns(deco_binned_column out[DECO_NUISANCE_COLUMNS], int *count, const deco_particles *p, const float *shift,
                                  const int64_t *row, int64_t n);

/* Mean ranks from 0 of x [n]; equal values share theirs. Fails: MEMORY. */
deco_status deco_ranks(double *out, const double *x, int64_t n);

#endif
