/* Both sides of a gradient of weights packed, or one where the kernels turn the other themselves. */
#include "compute/cpu/product_gradient.h"

#include <stddef.h>

int64_t cpu_product_panels(const cpu_products *k, int64_t T, int64_t n)
{
    return cpu_product_packed(k, T, n + k->columns) + cpu_product_packed(k, T, k->columns);
}

/* ---- dy read down its columns as it lies ------------------------------------------------------------------------------ */

/* As many columns of x at a time as `panels` has room for. */
static void turned(const cpu_products *k, const cpu_product_gradient *g, float *panels)
{
    int64_t most = g->O < g->I ? g->O : g->I;
    for (int64_t i = 0; i < g->I; i += most) {
        int64_t n = g->I - i < most ? g->I - i : most;
        cpu_product p = {.M = g->O, .N = n, .K = g->T, .ldc = g->ld, .a = g->dy, .row = 1, .step = g->O, .b = panels};
        k->pack(panels, &(cpu_product_side){g->x + i, g->ld, 1, g->T, n}, 0, n);
        p.c = g->dw + i;
        p.onto = g->add ? p.c : NULL;
        k->multiply(&p);
    }
}

/* ---- both packed ------------------------------------------------------------------------------------------------------ */

/* Columns of one side, packed panel by panel, each as if there were no other: all before they are used, or one at a time. */
typedef struct side {
    const float *x;
    int64_t n, ld, first; /* [T,n]; the first column of the panel */
    float *packed;
    bool whole;
} side;

static int64_t panel_width(const side *s, const cpu_products *k) { return s->n - s->first < k->columns ? s->n - s->first : k->columns; }

/* Numbers of a packed row of the panel, with those that fill a line up. */
static int64_t panel_step(const side *s, const cpu_products *k)
{
    int64_t columns = cpu_product_line(panel_width(s, k));
    return columns < k->columns ? columns : k->columns;
}

static float *panel_of(const side *s, int64_t T) { return s->packed + (s->whole ? s->first * T : 0); }

/* dy as it lies would be read down its columns, a cache line a number. */
static void pack_panel(const side *s, const cpu_products *k, int64_t T)
{
    k->pack(panel_of(s, T), &(cpu_product_side){s->x + s->first, s->ld, 1, T, panel_width(s, k)}, 0, INT64_MAX);
}

static void block_of(float *dw, int64_t ld, const cpu_products *k, const side *dy, const side *x, int64_t T, bool add)
{
    cpu_product p = {.M = panel_width(dy, k), .N = panel_width(x, k), .K = T, .ldc = ld, .row = 1};
    p.a = panel_of(dy, T), p.step = panel_step(dy, k), p.b = panel_of(x, T);
    p.c = dw + dy->first * ld + x->first;
    p.onto = add ? p.c : NULL;
    k->multiply(&p);
}

/* Of at most k->rows rows. */
static void some_rows(float *dw, int64_t ld, const cpu_products *k, side *dy, side *x, int64_t T, bool add)
{
    side *inner = dy->whole ? dy : x, *outer = dy->whole ? x : dy;
    for (inner->first = 0; inner->first < inner->n; inner->first += k->columns)
        pack_panel(inner, k, T);
    for (outer->first = 0; outer->first < outer->n; outer->first += k->columns) {
        pack_panel(outer, k, T);
        for (inner->first = 0; inner->first < inner->n; inner->first += k->columns)
            block_of(dw, ld, k, dy, x, T, add);
    }
}

static void packed(const cpu_products *k, const cpu_product_gradient *g, float *panels)
{
    float *panel = panels + cpu_product_packed(k, g->T, (g->O < g->I ? g->O : g->I) + k->columns);
    for (int64_t t = 0; t < g->T; t += k->rows) {
        side dy = {g->dy + t * g->O, g->O, g->O, 0, g->O < g->I ? panels : panel, g->O < g->I};
        side x = {g->x + t * g->ld, g->I, g->ld, 0, g->O < g->I ? panel : panels, g->O >= g->I};
        some_rows(g->dw, g->ld, k, &dy, &x, g->T - t < k->rows ? g->T - t : k->rows, g->add || t);
    }
}

void cpu_product_weights(const cpu_products *k, const cpu_product_gradient *g, float *panels)
{
    if (k->turns_a)
        turned(k, g, panels);
    else
        packed(k, g, panels);
}
