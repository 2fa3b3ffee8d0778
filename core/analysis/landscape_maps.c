#include "analysis/landscape_maps.h"
#include "analysis/hand.h"
#include "analysis/percentile.h"
#include "analysis/soft_mask.h"
#include "base/cores.h"
#include "base/monitor.h"
#include "compute/cpu/dnnl.h"
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 64 }; /* maps of a product */
static const double densest_percent = 99.9, share_of_densest = 0.2, beyond_px = 2, share_of_memory = 0.5;

void deco_map_set_free(deco_map_set *s)
{
    free(s->index);
    free(s->value);
    free(s->mean);
    free(s->scores);
    free(s->ratio);
    free(s->direction);
    *s = (deco_map_set){0};
}

/* ---- the maps, and their mask -------------------------------------------------------------------------------------- */

static deco_status check_memory(int64_t n, int64_t box)
{
    double one = (double)box * (double)box * (double)box * sizeof(float), allowed = share_of_memory * deco_memory_allowed();

    if ((double)n * one <= allowed)
        return DECO_OK;
    return deco_fail(DECO_E_MEMORY,
                     "a landscape of %lld maps of %lld px takes %.1f GB, more than half of this machine's memory; landscape %lld would "
                     "fit, or a smaller landscape_box",
                     (long long)n, (long long)box, (double)n * one / 1e9, (long long)(allowed / one));
}

/* Marks what stands out in one map. */
static deco_status mark_density(uint8_t *in, const float *map, int64_t voxels)
{
    double densest;
    deco_status st = deco_percentiles(&densest, &densest_percent, 1, map, voxels, 1);

    for (int64_t v = 0; v < voxels && !st && densest > 0; v++)
        in[v] |= map[v] > share_of_densest * densest;
    return st;
}

/* s->index: what is marked and what is near it; all voxels where nothing is. */
static deco_status grow_mask(deco_map_set *s, const uint8_t *in, deco_pool *pool)
{
    deco_status st = DECO_OK;
    int64_t all = s->box * s->box * s->box;
    float *distance2 = NULL;

    TRY(deco_alloc(&distance2, (size_t)all, sizeof *distance2, "the mask of a landscape"));
    TRY(deco_alloc(&s->index, (size_t)all, sizeof *s->index, "the mask of a landscape"));
    TRY(deco_distance2(distance2, in, s->box, pool));
    for (int64_t v = 0; v < all; v++)
        if (distance2[v] <= beyond_px * beyond_px)
            s->index[s->voxels++] = (int32_t)v;
    for (int64_t v = 0; v < all && !s->voxels; v++)
        s->index[v] = (int32_t)v;
    s->voxels = s->voxels ? s->voxels : all;
out:
    free(distance2);
    return st;
}

/* Of each map the voxels of the mask, one map behind the other, less their mean. */
static deco_status keep_masked(deco_map_set *s)
{
    deco_status st = DECO_OK;
    int64_t all = s->box * s->box * s->box;
    double *sum = NULL;

    TRY(deco_alloc(&sum, (size_t)s->voxels, sizeof *sum, "a mean map"));
    TRY(deco_alloc(&s->mean, (size_t)s->voxels, sizeof *s->mean, "a mean map"));
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t v = 0; v < s->voxels; v++) /* what is read never stands before what is written */
            sum[v] += s->value[i * s->voxels + v] = s->value[i * all + s->index[v]];
    for (int64_t v = 0; v < s->voxels; v++)
        s->mean[v] = (float)(sum[v] / (double)s->n);
    for (int64_t i = 0; i < s->n; i++)
        for (int64_t v = 0; v < s->voxels; v++)
            s->value[i * s->voxels + v] -= s->mean[v];
out:
    free(sum);
    return st;
}

deco_status deco_map_set_decode(deco_map_set *out, deco_model *model, const double *z, int64_t n, int64_t box, bool mirror, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_map_set s = {.n = n, .box = box, .psize_A = model->psize_A * (double)model->D / (double)box};
    int64_t all = box * box * box, Z = model->shape.Z;
    uint8_t *in = NULL;
    float *at = NULL;

    *out = (deco_map_set){0};
    TRY(check_memory(n, box));
    TRY(deco_alloc(&s.value, (size_t)(n * all), sizeof *s.value, "the maps of a landscape"));
    TRY(deco_alloc(&in, (size_t)all, sizeof *in, "the mask of a landscape"));
    TRY(deco_alloc(&at, (size_t)Z, sizeof *at, "a latent"));
    for (int64_t i = 0; i < n; i++) {
        float *map = s.value + i * all;
        if (deco_monitor_stopped(m))
            TRY(deco_fail(DECO_E_STOPPED, "stopped while the maps of a landscape were made; what is whole in the run's directory stays"));
        for (int64_t j = 0; j < Z; j++)
            at[j] = (float)z[i * Z + j];
        TRY(deco_model_decode(map, model, box, at));
        if (mirror)
            deco_map_mirror(map, box);
        TRY(mark_density(in, map, all));
        deco_progress_add(m, 1);
    }
    TRY(grow_mask(&s, in, deco_device_pool(model->dev)));
    TRY(keep_masked(&s));
    *out = s;
    s = (deco_map_set){0};
out:
    deco_map_set_free(&s);
    free(in);
    free(at);
    return st;
}

void deco_map_set_spread(float *map, const deco_map_set *s, const float *values)
{
    memset(map, 0, (size_t)(s->box * s->box * s->box) * sizeof *map);
    for (int64_t v = 0; v < s->voxels; v++)
        map[s->index[v]] = values[v];
}

/* ---- principal components ------------------------------------------------------------------------------------------ */

typedef struct products {
    const deco_map_set *s;
    float *gram; /* [n,n] */
} products;

static deco_status multiply_tile(void *context, int64_t index, int worker)
{
    const products *p = context;
    int64_t n = p->s->n, K = p->s->voxels, first = index * TILE, rows = n - first < TILE ? n - first : TILE;

    return deco_cpu_sgemm(false, true, rows, n, K, 1, p->s->value + first * K, K, p->s->value, K, 0, p->gram + first * n, n);
}

/* Component k from the eigenvector u [n] of the maps' products and its eigenvalue. */
static void take_component(deco_map_set *s, int64_t k, const double *u, int64_t stride, double value)
{
    float *direction = s->direction + k * s->voxels;
    double most = 0, length = sqrt(value > 0 ? value : 0), sign;

    for (int64_t i = 0; i < s->n; i++)
        most = fabs(u[i * stride]) > fabs(most) ? u[i * stride] : most;
    sign = most < 0 ? -1 : 1;
    for (int64_t i = 0; i < s->n; i++) {
        float share = (float)(sign * u[i * stride] / sqrt((double)(s->n - 1)));
        s->scores[i * s->components + k] = (float)(sign * length * u[i * stride]);
        for (int64_t v = 0; v < s->voxels; v++)
            direction[v] += share * s->value[i * s->voxels + v];
    }
}

deco_status deco_map_set_components(deco_map_set *s, int64_t most, deco_pool *pool)
{
    deco_status st = DECO_OK;
    int64_t n = s->n;
    products p = {s, NULL};
    double *gram = NULL, *value = NULL, all = 0;

    s->components = most < n - 1 ? most : n - 1;
    TRY(deco_alloc(&p.gram, (size_t)(n * n), sizeof *p.gram, "products of maps"));
    TRY(deco_alloc(&gram, (size_t)(n * n), sizeof *gram, "products of maps"));
    TRY(deco_alloc(&value, (size_t)n, sizeof *value, "variances of maps"));
    TRY(deco_alloc(&s->scores, (size_t)(n * s->components), sizeof *s->scores, "principal components of maps"));
    TRY(deco_alloc(&s->ratio, (size_t)s->components, sizeof *s->ratio, "variances of maps"));
    TRY(deco_alloc(&s->direction, (size_t)(s->components * s->voxels), sizeof *s->direction, "principal components of maps"));
    TRY(deco_pool_run(pool, multiply_tile, &p, (n + TILE - 1) / TILE));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            gram[i * n + j] = 0.5 * ((double)p.gram[i * n + j] + p.gram[j * n + i]);
    if (LAPACKE_dsyevd(LAPACK_ROW_MAJOR, 'V', 'U', (lapack_int)n, gram, (lapack_int)n, value))
        TRY(deco_fail(DECO_E_ARGUMENT, "the principal components of the maps cannot be computed (dsyevd)"));
    for (int64_t i = 0; i < n; i++)
        all += value[i] > 0 ? value[i] : 0;
    for (int64_t k = 0; k < s->components; k++) { /* dsyevd's rise */
        take_component(s, k, gram + (n - 1 - k), n, value[n - 1 - k]);
        s->ratio[k] = all > 0 && value[n - 1 - k] > 0 ? value[n - 1 - k] / all : 0;
    }
out:
    free(p.gram);
    free(gram);
    free(value);
    return st;
}
