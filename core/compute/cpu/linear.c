/* Linear layers: a product a tile of rows, each on one thread. */
#include "compute/cpu/cpu.h"
#include "compute/cpu/dnnl.h"

#include <string.h>

enum {
    ROWS = 192,     /* rows a product */
    CHUNKS = 16,    /* gradients of the weights: sums over this many runs of rows, added in order */
    ELEMENTS = 4096 /* weights a tile, where the chunks are added */
};

typedef struct linear {
    float *y;
    const float *x, *w, *b;
    int64_t I, O;
    deco_activation act;
} linear;

static void bias_and_activation(float *y, const float *b, int64_t O, deco_activation act)
{
    for (int64_t o = 0; b && o < O; o++)
        y[o] += b[o];
    for (int64_t o = 0; act == DECO_RELU && o < O; o++)
        y[o] = y[o] < 0 ? 0 : y[o];
}

static deco_status linear_rows(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const linear *l = context;
    float *y = l->y + begin * l->O;
    deco_status st = deco_cpu_sgemm(false, true, end - begin, l->O, l->I, 1, l->x + begin * l->I, l->I, l->w, l->I, 0, y, l->O);
    for (int64_t i = 0; !st && i < end - begin; i++)
        bias_and_activation(y + i * l->O, l->b, l->O, l->act);
    return st;
}

deco_status cpu_linear(deco_device *dev, deco_array y, deco_array x, deco_array w, deco_array b, deco_activation act)
{
    linear l = {y.data, x.data, w.data, b.data, w.shape[1], w.shape[0], act};
    return cpu_for(dev, x.shape[0], ROWS, linear_rows, &l);
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

typedef struct backward {
    float *dx, *dw, *db;
    const float *dy, *x, *w;
    int64_t I, O, chunks;
    float *dw_part;  /* [chunks,O,I] */
    double *db_part; /* [chunks,O] */
} backward;

static deco_status dx_rows(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const backward *g = context;
    return deco_cpu_sgemm(false, false, end - begin, g->I, g->O, 1, g->dy + begin * g->O, g->O, g->w, g->I, 0, g->dx + begin * g->I, g->I);
}

static deco_status weights_chunk(deco_device *dev, const void *context, int64_t chunk, int64_t begin, int64_t end, int worker)
{
    const backward *g = context;
    double *db = g->db ? g->db_part + chunk * g->O : NULL;
    if (db)
        memset(db, 0, (size_t)g->O * sizeof *db);
    for (int64_t i = begin; db && i < end; i++)
        for (int64_t o = 0; o < g->O; o++)
            db[o] += g->dy[i * g->O + o];
    if (!g->dw)
        return DECO_OK;
    return deco_cpu_sgemm(true, false, g->O, g->I, end - begin, 1, g->dy + begin * g->O, g->O, g->x + begin * g->I, g->I, 0,
                          g->dw_part + chunk * g->O * g->I, g->I);
}

static deco_status add_chunks(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const backward *g = context;
    for (int64_t i = begin; i < end; i++) {
        double sum = 0;
        for (int64_t c = 0; c < g->chunks; c++)
            sum += g->dw_part[c * g->O * g->I + i];
        g->dw[i] = (float)sum;
    }
    return DECO_OK;
}

static deco_status weight_gradients(deco_device *dev, backward *g, int64_t M)
{
    deco_status st = DECO_OK;
    int64_t rows = M ? cpu_tiles(cpu_tiles(M, CHUNKS), ROWS) * ROWS : ROWS;
    g->chunks = cpu_tiles(M, rows);

    if (g->dw)
        TRY(deco_scratch_take(dev, &g->dw_part, (size_t)(g->chunks * g->O * g->I) * sizeof *g->dw_part, "gradients of weights"));
    if (g->db)
        TRY(deco_scratch_take(dev, &g->db_part, (size_t)(g->chunks * g->O) * sizeof *g->db_part, "gradients of biases"));
    TRY(cpu_for(dev, M, rows, weights_chunk, g));
    if (g->dw)
        TRY(cpu_for(dev, g->O * g->I, ELEMENTS, add_chunks, g));
    if (g->db)
        cpu_add_tiles(g->db, g->db_part, g->chunks, g->O);
out:
    deco_scratch_give(dev, g->dw_part);
    deco_scratch_give(dev, g->db_part);
    return st;
}

deco_status cpu_linear_backward(deco_device *dev, deco_array dx, deco_array dw, deco_array db, deco_array dy, deco_array x, deco_array w)
{
    deco_status st = DECO_OK;
    backward g = {dx.data, dw.data, db.data, dy.data, x.data, w.data, w.shape[1], w.shape[0], 0, NULL, NULL};
    if (g.dw || g.db)
        TRY(weight_gradients(dev, &g, x.shape[0]));
    if (g.dx)
        TRY(cpu_for(dev, x.shape[0], ROWS, dx_rows, &g));
out:
    return st;
}
