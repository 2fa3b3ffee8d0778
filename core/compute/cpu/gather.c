/* Rows of tables: taken out, and put in. */
#include "compute/cpu/cpu.h"

#include <string.h>

enum { ROWS = 1024, COLUMNS = 16 };

typedef struct rows {
    float *y;
    const float *x;
    const int64_t *row;
    int64_t B, N, W;
} rows;

static deco_status check_row(const rows *r, int64_t i)
{
    if (r->row[i] < 0 || r->row[i] >= r->N)
        return deco_fail(DECO_E_ARGUMENT, "row[%lld] is %lld; the table has rows 0 to %lld", (long long)i, (long long)r->row[i],
                         (long long)r->N - 1);
    return DECO_OK;
}

static deco_status gather(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const rows *r = context;
    deco_status st = DECO_OK;
    for (int64_t i = begin; i < end && !(st = check_row(r, i)); i++)
        memcpy(r->y + i * r->W, r->x + r->row[i] * r->W, (size_t)r->W * sizeof *r->y);
    return st;
}

deco_status cpu_rows_gather(deco_device *dev, deco_array y, deco_array table, deco_array row)
{
    rows r = {y.data, table.data, row.data, row.shape[0], table.shape[0], table.shape[1]};
    return cpu_for(dev, r.B, ROWS, gather, &r);
}

/* Tiles of columns: a row may come twice, and the last stays. */
static deco_status put_columns(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const rows *r = context;
    deco_status st = DECO_OK;
    for (int64_t i = 0; i < r->B && !(st = check_row(r, i)); i++)
        memcpy(r->y + r->row[i] * r->W + begin, r->x + i * r->W + begin, (size_t)(end - begin) * sizeof *r->y);
    return st;
}

deco_status cpu_rows_put(deco_device *dev, deco_array table, deco_array x, deco_array row)
{
    rows r = {table.data, x.data, row.data, row.shape[0], table.shape[0], table.shape[1]};
    return cpu_for(dev, r.W, COLUMNS, put_columns, &r);
}
