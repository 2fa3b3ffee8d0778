/* Sums over symmetrised lattices, in double. */
#include "particles/image_sums.h"

#include <math.h>

image_sums image_sums_of(const float *hartley, int64_t D)
{
    image_sums total = {0, 0};

    for (int64_t y = 0; y < D; y++) {
        double s = hartley[y * D], q = s * s; /* the first column, once more */
        for (int64_t x = 0; x < D; x++) {
            double v = hartley[y * D + x];
            s += v;
            q += v * v;
        }
        total.sum += y ? s : 2 * s;
        total.squares += y ? q : 2 * q;
    }
    return total;
}

deco_status image_sums_scale(double *mean, double *std, const image_sums *s, const int64_t *number, const deco_particles *p)
{
    double sum = 0, squares = 0, L = (double)(p->D + 1), count = (double)p->N * L * L;

    for (int64_t i = 0; i < p->N; i++) {
        const image_sums *one = &s[number ? number[i] : i];
        sum += (double)p->sign[i] * one->sum;
        squares += one->squares;
    }
    *mean = sum / count;
    *std = sqrt(squares / count - *mean * *mean);
    if (!(*std > 0 && *std < 1e30))
        return deco_fail(DECO_E_FORMAT,
                         "%s: the standard deviation of the images' transforms is %g; they cannot be brought to a common scale", p->source,
                         *std);
    return DECO_OK;
}
