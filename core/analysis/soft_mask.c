#include "analysis/soft_mask.h"
#include "analysis/fsc.h"
#include "analysis/percentile.h"
#include <math.h>
#include <stdlib.h>

static const double sigmas = 5, of_peak = 0.1, peak_percent = 99.9;
static const float far_away = 1e12F;

void deco_soft_mask_free(deco_soft_mask *m)
{
    free(m->value);
    *m = (deco_soft_mask){0};
}

/* ---- distances --------------------------------------------------------------------------------------------------- */

typedef struct distances {
    float *d;
    int64_t D;
    int axis;
} distances;

/* One line: the lower envelope of a parabola on each of its points. `f` [n] in, `out` [n], `at` [n] and `from` [n+1] scratch. */
static void transform_line(float *out, const float *f, int64_t n, int64_t *at, double *from)
{
    int64_t k = 0;

    at[0] = 0;
    from[0] = -INFINITY;
    from[1] = INFINITY;
    for (int64_t q = 1; q < n; q++) {
        double s;
        for (;; k--) {
            s = ((double)f[q] - f[at[k]] + (double)(q * q - at[k] * at[k])) / (2.0 * (double)(q - at[k]));
            if (s > from[k])
                break;
        }
        k++;
        at[k] = q;
        from[k] = s;
        from[k + 1] = INFINITY;
    }
    k = 0;
    for (int64_t q = 0; q < n; q++) {
        while (from[k + 1] < (double)q)
            k++;
        out[q] = (float)((double)((q - at[k]) * (q - at[k])) + f[at[k]]);
    }
}

static deco_status transform_plane(void *context, int64_t index, int worker)
{
    const distances *t = context;
    deco_status st = DECO_OK;
    int64_t D = t->D, step = t->axis == 0 ? 1 : t->axis == 1 ? D : D * D, *at = NULL;
    float *line = NULL;
    double *from = NULL;

    TRY(deco_alloc(&line, 2 * (size_t)D, sizeof *line, "a line of distances"));
    TRY(deco_alloc(&at, (size_t)D, sizeof *at, "a line of distances"));
    TRY(deco_alloc(&from, (size_t)D + 1, sizeof *from, "a line of distances"));
    for (int64_t j = 0; j < D; j++) {
        float *d = t->d + (t->axis == 2 ? index * D + j : index * D * D + (t->axis == 0 ? j * D : j));
        for (int64_t i = 0; i < D; i++)
            line[i] = d[i * step];
        transform_line(line + D, line, D, at, from);
        for (int64_t i = 0; i < D; i++)
            d[i * step] = line[D + i];
    }
out:
    free(line);
    free(at);
    free(from);
    return st;
}

deco_status deco_distance2(float *out, const uint8_t *in, int64_t D, deco_pool *pool)
{
    deco_status st = DECO_OK;
    distances t = {out, D, 0};

    for (int64_t i = 0; i < D * D * D; i++)
        out[i] = in[i] ? 0 : far_away;
    for (t.axis = 0; t.axis < 3; t.axis++)
        TRY(deco_pool_run(pool, transform_plane, &t, D));
out:
    return st;
}

/* ---- the mask ---------------------------------------------------------------------------------------------------- */

/* (a + sign·b)/2 up to a shell, with an edge of two; back in real space. */
static deco_status low_passed(float **out, const float *a, const float *b, float sign, int64_t D, double shell, deco_device *dev)
{
    deco_status st = DECO_OK;
    float *mean = NULL;

    *out = NULL;
    TRY(deco_alloc(&mean, (size_t)(D * D * D), sizeof *mean, "a map"));
    for (int64_t i = 0; i < D * D * D; i++)
        mean[i] = 0.5f * (a[i] + sign * b[i]);
    TRY(deco_map_transform(out, mean, NULL, D, dev));
    for (int64_t i = 0; i < D * D * D; i++) {
        int64_t x = i % D - D / 2, y = i / D % D - D / 2, z = i / D / D - D / 2;
        double beyond = (sqrt((double)(x * x + y * y + z * z)) - shell) / 2 + 0.5;
        (*out)[i] *= (float)(beyond <= 0 ? 1 : beyond >= 1 ? 0 : 0.5 + 0.5 * cos(M_PI * beyond));
    }
    TRY(deco_map_untransform(*out, D, dev));
out:
    free(mean);
    return st;
}

static double radius_of(int64_t i, int64_t D)
{
    int64_t x = i % D - D / 2, y = i / D % D - D / 2, z = i / D / D - D / 2;
    return sqrt((double)(x * x + y * y + z * z));
}

/* Where images are windowed away there is no noise to measure by. */
static double deviation(const float *map, int64_t D)
{
    double sum = 0, n = 0;

    for (int64_t i = 0; i < D * D * D; i++)
        if (radius_of(i, D) < 0.4 * (double)D) {
            sum += (double)map[i] * map[i];
            n++;
        }
    return n > 0 ? sqrt(sum / n) : 0;
}

/* 1 up to `add` from the core, then half a cosine over `edge`; never beyond the sphere in which images have their values. */
static void soften(deco_soft_mask *m, int64_t D, double add)
{
    double sum = 0;

    for (int64_t i = 0; i < D * D * D; i++) {
        double beyond = (sqrt((double)m->value[i]) - add) / m->edge_px, rim = (radius_of(i, D) - 0.46 * (double)D) / (0.04 * (double)D);
        double v = beyond <= 0 ? 1 : beyond >= 1 ? 0 : 0.5 + 0.5 * cos(M_PI * beyond);
        v *= rim <= 0 ? 1 : rim >= 1 ? 0 : 0.5 + 0.5 * cos(M_PI * rim);
        m->value[i] = (float)v;
        sum += v;
    }
    m->share = sum / (double)(D * D * D);
}

deco_status deco_soft_mask_make(deco_soft_mask *out, const float *half0, const float *half1, int64_t D, double low_pass, deco_device *dev)
{
    deco_status st = DECO_OK;
    int64_t n = D * D * D, inside = 0;
    deco_soft_mask m = {.low_pass = low_pass};
    float *map = NULL, *noise = NULL;
    uint8_t *core = NULL;
    double peak;

    *out = (deco_soft_mask){0};
    TRY(deco_alloc(&m.value, (size_t)n, sizeof *m.value, "a mask"));
    TRY(deco_alloc(&core, (size_t)n, sizeof *core, "a mask"));
    TRY(low_passed(&map, half0, half1, 1, D, low_pass, dev));
    TRY(low_passed(&noise, half0, half1, -1, D, low_pass, dev));
    TRY(deco_percentiles(&peak, &peak_percent, 1, map, n, 1));
    m.threshold = fmax(sigmas * deviation(noise, D), of_peak * peak);
    m.edge_px = fmax(3, (double)D / low_pass);
    for (int64_t i = 0; i < n; i++)
        inside += core[i] = map[i] > m.threshold && radius_of(i, D) < 0.46 * (double)D;
    m.sphere = inside < 8;
    for (int64_t i = 0; i < n && m.sphere; i++)
        core[i] = radius_of(i, D) < 0.4 * (double)D;
    TRY(deco_distance2(m.value, core, D, deco_device_pool(dev)));
    soften(&m, D, m.sphere ? 0 : 0.5 * (double)D / low_pass);
    *out = m;
    m = (deco_soft_mask){0};
out:
    deco_soft_mask_free(&m);
    free(map);
    free(noise);
    free(core);
    return st;
}
