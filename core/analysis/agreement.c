#include "analysis/agreement.h"
#include <math.h>

enum { MOST = 2048 }; /* shells: half of the largest box that fits in memory by far */

double deco_agreement_radius(const float *a, const float *b, int64_t D, int64_t radius, double least)
{
    double ab[MOST] = {0}, aa[MOST] = {0}, bb[MOST] = {0}, before = 1;
    int64_t last = radius < D / 2 - 1 ? radius : D / 2 - 1, i = 0;

    last = last < MOST - 1 ? last : MOST - 1;
    for (int64_t z = -D / 2; z < D / 2; z++)
        for (int64_t y = -D / 2; y < D / 2; y++)
            for (int64_t x = -D / 2; x < D / 2; x++, i++) {
                int64_t r = lround(sqrt((double)(x * x + y * y + z * z)));
                if (r > last)
                    continue;
                ab[r] += (double)a[i] * b[i];
                aa[r] += (double)a[i] * a[i];
                bb[r] += (double)b[i] * b[i];
            }
    for (int64_t r = 1; r <= last; r++) {
        double fsc = aa[r] > 0 && bb[r] > 0 ? ab[r] / sqrt(aa[r] * bb[r]) : 0;
        if (fsc < least)
            return r == 1 ? 1 : (double)(r - 1) + (before - least) / (before - fsc);
        before = fsc;
    }
    return (double)radius;
}
