/* Symmetry expansion: CryoSPARC writes each particle once for every symmetry operation, with a uid of its own, and keeps the one it came
 * from in sym_expand/src_uid. */
#include "particles/build.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

deco_status particles_count_expanded(int64_t *from, const deco_particles *p)
{
    deco_status st = DECO_OK;
    const deco_column *c = deco_table_find(p->rows, "sym_expand/src_uid");
    uint64_t *uid = NULL;

    *from = 0;
    if (!c || c->cells != 1 || c->kind != 'u' || !p->N)
        return DECO_OK;
    TRY(deco_alloc(&uid, (size_t)p->N, sizeof *uid, "uids"));
    for (int64_t i = 0; i < p->N; i++)
        uid[i] = deco_cell_u64(c, i, 0);
    qsort(uid, (size_t)p->N, sizeof *uid, by_value);
    for (int64_t i = 0; i < p->N; i++)
        *from += i == 0 || uid[i] != uid[i - 1];
out:
    free(uid);
    return st;
}
