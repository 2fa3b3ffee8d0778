/* From D×D transforms to the symmetrised lattice: masked values, sums. METHOD.md sections 1.4 and 1.5. */
#include "compute/cpu/cpu.h"

typedef struct lattice {
    float *y;
    double *sums;
    const float *x, *scale;
    const int32_t *index;
    int64_t D, P;
} lattice;

static deco_status gather_image(deco_device *dev, const void *context, int64_t b, int64_t begin, int64_t end, int worker)
{
    const lattice *l = context;
    int64_t D = l->D, L = D + 1;
    const float *x = l->x + b * D * D;
    for (int64_t p = 0; p < l->P; p++) {
        int64_t i = l->index[p], row = i / L, column = i % L;
        if (i < 0 || row >= L)
            return deco_fail(DECO_E_ARGUMENT, "mask point %lld is %lld; the lattice has points 0 to %lld", (long long)p, (long long)i,
                             (long long)(L * L - 1));
        l->y[b * l->P + p] = l->scale[b] * x[(row == D ? 0 : row) * D + (column == D ? 0 : column)];
    }
    return DECO_OK;
}

deco_status cpu_mask_gather(deco_device *dev, deco_array y, deco_array x, deco_array index, deco_array scale)
{
    lattice l = {.y = y.data, .x = x.data, .scale = scale.data, .index = index.data, .D = x.shape[1], .P = index.shape[0]};
    return cpu_for(dev, x.shape[0], 1, gather_image, &l);
}

/* The first row and the first column stand on the lattice twice, their corner four times. */
static deco_status sum_image(deco_device *dev, const void *context, int64_t b, int64_t begin, int64_t end, int worker)
{
    const lattice *l = context;
    double sum = 0, squares = 0;
    for (int64_t y = 0; y < l->D; y++) {
        const float *x = l->x + (b * l->D + y) * l->D;
        double row = x[0], row_squares = (double)x[0] * x[0];
        for (int64_t i = 0; i < l->D; i++)
            row += x[i], row_squares += (double)x[i] * x[i];
        sum += y ? row : 2 * row;
        squares += y ? row_squares : 2 * row_squares;
    }
    l->sums[2 * b] = sum;
    l->sums[2 * b + 1] = squares;
    return DECO_OK;
}

deco_status cpu_lattice_sums(deco_device *dev, deco_array out, deco_array x)
{
    lattice l = {.sums = out.data, .x = x.data, .D = x.shape[1]};
    return cpu_for(dev, x.shape[0], 1, sum_image, &l);
}
