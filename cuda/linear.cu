/* Linear layers: products by the library, biases and the weights' gradient around them. */
#include "launch.h"

__global__ void bias_kernel(float *y, const float *b, int64_t n, int64_t O, bool relu)
{
    int64_t i = grid_thread();
    if (i >= n)
        return;
    float v = b ? y[i] + b[i % O] : y[i];
    y[i] = relu && v < 0 ? 0 : v;
}

deco_status cuda_linear(deco_device *dev, deco_array y, deco_array x, deco_array w, deco_array b, deco_activation act)
{
    deco_status st = DECO_OK;
    int64_t M = x.shape[0], I = w.shape[1], O = w.shape[0];
    cuda_product p = {};

    p.m = M, p.n = O, p.k = I, p.tb = true;
    p.a = (const float *)x.data, p.b = (const float *)w.data, p.c = (float *)y.data;
    p.lda = I, p.ldb = I, p.ldc = O;
    TRY(cuda_enter(dev));
    TRY(cuda_multiply_matrices(dev, &p));
    if (b.data || act == DECO_RELU)
        TRY(LAUNCH(dev, bias_kernel, blocks_of(M * O), THREADS, (float *)y.data, (const float *)b.data, M * O, O, act == DECO_RELU));
out:
    return st;
}

/* ---- backward -------------------------------------------------------------------------------------------------------------- */

/* The weights' gradient is a sum over as many as a million rows: CHUNKS runs. */
enum { CHUNKS = 16, SHORTEST = 1024 };
static int64_t run_of(int64_t M) { return cuda_tiles(M, CHUNKS) > SHORTEST ? cuda_tiles(M, CHUNKS) : (int64_t)SHORTEST; }

static deco_status bias_gradient(deco_device *dev, float *db, const float *dy, int64_t M, int64_t O)
{
    deco_status st = DECO_OK;
    int64_t tiles = cuda_tiles(M, CUDA_TILE_ROWS);
    double *part = NULL;
    TRY(deco_scratch_take(dev, &part, (size_t)(tiles * O) * sizeof *part, "gradients of biases"));
    TRY(cuda_column_parts(dev, part, dy, NULL, M, O));
    TRY(cuda_add_parts(dev, db, part, 1, tiles, O));
out:
    deco_scratch_give(dev, part);
    return st;
}

deco_status cuda_run_products(deco_device *dev, float *part, const void *dy, const void *x, bool bf16, int64_t M, int64_t O, int64_t I,
                              int64_t run)
{
    deco_status st = DECO_OK;
    int64_t whole = M / run, rest = M % run, item = bf16 ? 2 : (int64_t)sizeof(float);
    cuda_product p = {};

    p.bf16 = bf16, p.ta = true, p.m = O, p.n = I, p.lda = O, p.ldb = I, p.ldc = I;
    if (whole) {
        p.k = run, p.a = dy, p.b = x, p.c = part;
        p.batch = whole, p.a_step = run * O, p.b_step = run * I, p.c_step = O * I;
        TRY(cuda_multiply_matrices(dev, &p));
    }
    if (rest) {
        p.k = rest, p.a = (const char *)dy + whole * run * O * item, p.b = (const char *)x + whole * run * I * item,
        p.c = part + whole * O * I;
        p.batch = 0;
        TRY(cuda_multiply_matrices(dev, &p));
    }
out:
    return st;
}

deco_status cuda_weight_gradient(deco_device *dev, float *dw, const void *dy, const void *x, bool bf16, int64_t M, int64_t O, int64_t I,
                                 int64_t run)
{
    deco_status st = DECO_OK;
    int64_t runs = cuda_tiles(M, run);
    float *part = NULL;
    TRY(deco_scratch_take(dev, &part, (size_t)(runs * O * I) * sizeof *part, "gradients of weights"));
    TRY(cuda_run_products(dev, part, dy, x, bf16, M, O, I, run));
    TRY(cuda_add_float_parts(dev, dw, part, 1, runs, O * I));
out:
    deco_scratch_give(dev, part);
    return st;
}

deco_status cuda_linear_backward(deco_device *dev, deco_array dx, deco_array dw, deco_array db, deco_array dy, deco_array x, deco_array w)
{
    deco_status st = DECO_OK;
    int64_t M = x.shape[0], I = w.shape[1], O = w.shape[0];
    const float *g = (const float *)dy.data;
    cuda_product p = {};

    TRY(cuda_enter(dev));
    if (dw.data)
        TRY(cuda_weight_gradient(dev, (float *)dw.data, g, x.data, false, M, O, I, run_of(M)));
    if (db.data)
        TRY(bias_gradient(dev, (float *)db.data, g, M, O));
    if (!dx.data)
        goto out;
    p.m = M, p.n = I, p.k = O, p.a = g, p.b = (const float *)w.data, p.c = (float *)dx.data;
    p.lda = O, p.ldb = I, p.ldc = I;
    TRY(cuda_multiply_matrices(dev, &p));
out:
    return st;
}
