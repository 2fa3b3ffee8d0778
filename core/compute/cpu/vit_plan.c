/* Products of the encoder's shapes, kept; weights packed by the pool; gradients of weights by tiles of the weight. */
#include "compute/cpu/vit_plan.h"

#include <stdlib.h>

enum { TILE = 192 }; /* of a weight's rows and columns: enough tasks for many threads, and still near the product's best rate */

static deco_status make_products(cpu_vit_plan *p)
{
    deco_status st = DECO_OK;
    int64_t C = p->C;
    const struct {
        int64_t in, out;
        bool add;
    } shape[CPU_VIT_PRODUCTS] = {{C, 3 * C, false}, {C, C, false},     {C, C, true},     {C, 4 * C, false},
                                 {4 * C, C, true},  {3 * C, C, false}, {4 * C, C, false}};

    for (int i = 0; i < CPU_VIT_PRODUCTS; i++) {
        TRY(deco_matmul_create(&p->product[i], p->T, shape[i].out, shape[i].in, shape[i].in, shape[i].out, shape[i].add));
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

/* ---- gradients of weights ------------------------------------------------------------------------------------------ */

typedef struct gradients {
    const cpu_weight_gradient *g;
    int n;
    int64_t rows;
    float add;
} gradients;

static int64_t tiles_of(const cpu_weight_gradient *g) { return cpu_tiles(g->O, TILE) * cpu_tiles(g->I, TILE); }

/* All rows at once: no partial sums, and no order of them to keep. */
static deco_status gradient_tile(void *context, int64_t task, int worker)
{
    const gradients *all = context;
    const cpu_weight_gradient *g = all->g;
    for (; task >= tiles_of(g); g++)
        task -= tiles_of(g);
    int64_t across = cpu_tiles(g->I, TILE), o = task / across * TILE, i = task % across * TILE;
    int64_t m = g->O - o < TILE ? g->O - o : TILE, n = g->I - i < TILE ? g->I - i : TILE;
    return deco_cpu_sgemm(true, false, m, n, all->rows, 1, g->dy + o, g->O, g->x + i, g->I, all->add, g->dw + o * g->I + i, g->I);
}

deco_status cpu_weight_gradients(deco_device *dev, const cpu_weight_gradient *g, int n, int64_t rows, bool add)
{
    gradients all = {g, n, rows, add ? 1.f : 0.f};
    int64_t tasks = 0;
    for (int i = 0; i < n; i++)
        tasks += tiles_of(&g[i]);
    return deco_pool_run(dev->pool, gradient_tile, &all, tasks);
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
