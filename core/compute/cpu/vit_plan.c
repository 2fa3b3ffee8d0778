/* Products of the encoder's shapes, kept; weights packed by the pool; gradients of runs of images added up. */
#include "compute/cpu/vit_plan.h"
#include "compute/cpu/vit_rows.h"

#include <stdlib.h>

enum { ELEMENTS = 4096 };

static deco_status make_products(cpu_vit_plan *p)
{
    deco_status st = DECO_OK;
    int64_t C = p->C;
    const struct {
        int64_t in, out;
        unsigned extras;
    } shape[CPU_VIT_PRODUCTS] = {
        [CPU_VIT_C_3C] = {C, 3 * C, DECO_MATMUL_BIAS},
        [CPU_VIT_C_2C] = {C, 2 * C, DECO_MATMUL_BIAS},
        [CPU_VIT_C_C_ADD] = {C, C, DECO_MATMUL_ADD | DECO_MATMUL_BIAS},
        [CPU_VIT_C_4C] = {C, 4 * C, DECO_MATMUL_BIAS},
        [CPU_VIT_4C_C_ADD] = {4 * C, C, DECO_MATMUL_ADD | DECO_MATMUL_BIAS},
        [CPU_VIT_C_C_BACK] = {C, C, DECO_MATMUL_PLAIN},
        [CPU_VIT_3C_C_BACK] = {3 * C, C, DECO_MATMUL_PLAIN},
        [CPU_VIT_C_4C_BACK] = {C, 4 * C, DECO_MATMUL_PLAIN},
        [CPU_VIT_4C_C_BACK] = {4 * C, C, DECO_MATMUL_PLAIN},
    };

    for (int i = 0; i < CPU_VIT_PRODUCTS; i++) {
        TRY(deco_matmul_create(&p->product[i], p->T, shape[i].out, shape[i].in, shape[i].in, shape[i].out, shape[i].extras));
        if (deco_matmul_scratch_bytes(p->product[i]) > p->scratch)
            p->scratch = deco_matmul_scratch_bytes(p->product[i]);
    }
out:
    return st;
}

static void plan_free(cpu_vit_plan *p)
{
    for (int i = 0; p && i < CPU_VIT_PRODUCTS; i++)
        deco_matmul_free(p->product[i]);
    free(p);
}

void cpu_vit_plans_free(cpu_vit_plan *first)
{
    for (cpu_vit_plan *next; first; first = next) {
        next = first->next;
        plan_free(first);
    }
}

deco_status cpu_vit_plan_get(deco_device *dev, const cpu_vit_plan **out, int64_t T, int64_t C)
{
    deco_status st = DECO_OK;
    cpu_device *cpu = (cpu_device *)dev;
    cpu_vit_plan *p, *fresh = NULL;

    *out = NULL;
    pthread_mutex_lock(&dev->scratch_lock);
    for (p = cpu->vits; p && !(p->T == T && p->C == C);)
        p = p->next;
    if (!p) {
        TRY(deco_alloc(&fresh, 1, sizeof *fresh, "the encoder's plan"));
        fresh->T = T, fresh->C = C;
        TRY(make_products(fresh));
        fresh->next = cpu->vits;
        cpu->vits = p = fresh;
        fresh = NULL;
    }
    *out = p;
out:
    pthread_mutex_unlock(&dev->scratch_lock);
    plan_free(fresh);
    return st;
}

/* ---- weights ------------------------------------------------------------------------------------------------------- */

typedef struct packing {
    const cpu_vit_plan *plan;
    cpu_vit_packed *weights;
} packing;

static deco_status pack_one(void *context, int64_t i, int worker)
{
    const packing *p = context;
    const cpu_vit_packed *w = &p->weights[i];
    return deco_matmul_pack(p->plan->product[w->product], w->packed, w->w, w->back ? w->I : 1, w->back ? 1 : w->I);
}

static size_t lines(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

deco_status cpu_vit_pack(deco_device *dev, const cpu_vit_plan *plan, cpu_vit_packed *weights, int n, void **block)
{
    deco_status st = DECO_OK;
    packing p = {plan, weights};
    size_t bytes = 0;

    for (int i = 0; i < n; i++)
        bytes += lines(deco_matmul_packed_bytes(plan->product[weights[i].product]));
    TRY(deco_scratch_take(dev, block, bytes, "packed weights"));
    unsigned char *next = *block;
    for (int i = 0; i < n; i++) {
        weights[i].packed = (float *)next;
        next += lines(deco_matmul_packed_bytes(plan->product[weights[i].product]));
    }
    TRY(deco_pool_run(dev->pool, pack_one, &p, n));
out:
    return st;
}

/* ---- sums of gradients --------------------------------------------------------------------------------------------- */

typedef struct runs_sum {
    float *dw;
    const float *part;
    int64_t runs, n;
} runs_sum;

static deco_status add_elements(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker)
{
    const runs_sum *s = context;
    cpu_vit_rows_best()->add_runs(s->dw + begin, s->part + begin, s->runs, s->n, end - begin);
    return DECO_OK;
}

deco_status cpu_vit_add_runs(deco_device *dev, float *dw, const float *part, int64_t runs, int64_t n)
{
    runs_sum s = {dw, part, runs, n};
    return cpu_for(dev, n, ELEMENTS, add_elements, &s);
}

void cpu_vit_add_images(float *out, const float *part, int64_t B, int64_t columns, int64_t first, int64_t n)
{
    for (int64_t c = 0; c < n; c++) {
        double sum = 0;
        for (int64_t b = 0; b < B; b++)
            sum += part[b * columns + first + c];
        out[c] = (float)sum;
    }
}
