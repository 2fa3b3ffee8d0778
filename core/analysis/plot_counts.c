/* Counts of points: in hexagons of the plane, and along its axes. */
#include "analysis/plot_inside.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Half the width of a hexagon, points; bars along an axis; steps of the key. */
static const double half_width = 5.2;
enum { BARS = 80, KEY_STEPS = 128 };

/* ---- hexagons ---------------------------------------------------------------------------------------------------- */

/* Two rectangular lattices, one in the middle of the other's cells: a point belongs to the nearest centre of either. */
typedef struct honeycomb {
    int wide, high; /* of each */
    int64_t *count; /* [2,high,wide] */
    int64_t most;
} honeycomb;

static double column_width(void) { return 2 * half_width; }
static double row_height(void) { return 2 * half_width * sqrt(3); }

static void centre_of(double at[2], int lattice, int j, int i)
{
    at[0] = (i + 0.5 * lattice) * column_width();
    at[1] = (j + 0.5 * lattice) * row_height();
}

static int64_t hexagon_of(const honeycomb *h, double x, double y)
{
    int64_t best = 0;
    double least = INFINITY;

    for (int lattice = 0; lattice < 2; lattice++) {
        int i = (int)lround(x / column_width() - 0.5 * lattice), j = (int)lround(y / row_height() - 0.5 * lattice);
        double at[2], d;
        i = i < 0 ? 0 : i < h->wide ? i : h->wide - 1;
        j = j < 0 ? 0 : j < h->high ? j : h->high - 1;
        centre_of(at, lattice, j, i);
        d = (x - at[0]) * (x - at[0]) + (y - at[1]) * (y - at[1]);
        if (d < least) {
            least = d;
            best = ((int64_t)lattice * h->high + j) * h->wide + i;
        }
    }
    return best;
}

static deco_status count_hexagons(honeycomb *h, int64_t *beyond, const deco_plot *p, const float *x, const float *y, int64_t stride,
                                  int64_t N)
{
    deco_status st = DECO_OK;

    h->wide = (int)(p->width / column_width()) + 2;
    h->high = (int)(p->height / row_height()) + 2;
    *beyond = 0;
    TRY(deco_alloc(&h->count, 2 * (size_t)h->wide * (size_t)h->high, sizeof *h->count, "counts of a plot"));
    for (int64_t i = 0; i < N; i++) {
        double px = deco_plot_x(p, x[i * stride]) - p->left, py = deco_plot_y(p, y[i * stride]) - p->top;
        if (!(px >= 0 && px <= p->width && py >= 0 && py <= p->height)) {
            ++*beyond;
            continue;
        }
        int64_t n = ++h->count[hexagon_of(h, px, py)];
        h->most = n > h->most ? n : h->most;
    }
out:
    return st;
}

/* 0 for one particle, 1 for the most that there are in a hexagon. */
static double amount(double count, double most) { return most > 1 ? log(count) / log(most) : 1; }

static void draw_hexagon(cairo_t *c, double x, double y)
{
    const double side = 2 * half_width / sqrt(3) * 1.02; /* no white lines between neighbours */

    for (int i = 0; i < 6; i++)
        cairo_line_to(c, x + side * sin(M_PI / 3 * i), y + side * cos(M_PI / 3 * i));
    cairo_close_path(c);
    cairo_fill(c);
}

/* Beside the axes: a bar of the colours, with the counts 1, 10, 100 … */
static void draw_key(const deco_plot *p, int64_t most)
{
    cairo_t *c = p->picture.c;
    double left = p->left + p->width + 22, wide = 12, high = p->height * 0.6, bottom = p->top + p->height - 4;
    char text[32];

    for (int i = 0; i < KEY_STEPS; i++) {
        deco_colour k = deco_palette_amount((i + 0.5) / KEY_STEPS);
        cairo_set_source_rgb(c, k.r, k.g, k.b);
        cairo_rectangle(c, left, bottom - high * (i + 1) / KEY_STEPS, wide, high / KEY_STEPS + 0.4);
        cairo_fill(c);
    }
    cairo_set_source_rgb(c, 0.13, 0.13, 0.13);
    deco_picture_font(c, 11, false);
    for (double n = 1; n < 0.7 * (double)most || n == 1; n *= 10) {
        snprintf(text, sizeof text, "%.0f", n);
        deco_picture_text(c, left + wide + 5, bottom - high * amount(n, (double)most) + 4, 0, text);
    }
    if (most > 1) {
        snprintf(text, sizeof text, "%lld", (long long)most);
        deco_picture_text(c, left + wide + 5, bottom - high + 4, 0, text);
    }
    deco_picture_text(c, left, bottom - high - 26, 0, "particles");
    deco_picture_text(c, left, bottom - high - 12, 0, "a hexagon");
}

deco_status deco_plot_hexagons(int64_t *beyond, deco_plot *p, const float *x, const float *y, int64_t stride, int64_t N)
{
    deco_status st = DECO_OK;
    honeycomb h = {0};
    cairo_t *c = p->picture.c;
    int64_t cells;

    TRY(count_hexagons(&h, beyond, p, x, y, stride, N));
    cells = 2 * (int64_t)h.wide * h.high;
    cairo_save(c);
    cairo_rectangle(c, p->left, p->top, p->width, p->height);
    cairo_clip(c);
    for (int64_t i = 0; i < cells; i++) {
        double at[2];
        deco_colour k;
        if (!h.count[i])
            continue;
        centre_of(at, (int)(i / ((int64_t)h.wide * h.high)), (int)(i / h.wide % h.high), (int)(i % h.wide));
        k = deco_palette_amount(amount((double)h.count[i], (double)h.most));
        cairo_set_source_rgb(c, k.r, k.g, k.b);
        draw_hexagon(c, p->left + at[0], p->top + at[1]);
    }
    cairo_restore(c);
    if (p->key)
        draw_key(p, h.most);
out:
    free(h.count);
    return st;
}

/* ---- along the axes ---------------------------------------------------------------------------------------------- */

/* `counts` [BARS] as bars over the axes (`upright`), or to their right. */
static void draw_bars(const deco_plot *p, const int64_t *counts, bool upright)
{
    cairo_t *c = p->picture.c;
    double room = p->margin - 8, length = (upright ? p->width : p->height) / BARS;
    int64_t most = 1;

    for (int i = 0; i < BARS; i++)
        most = counts[i] > most ? counts[i] : most;
    cairo_set_source_rgb(c, 0.35, 0.42, 0.5);
    for (int i = 0; i < BARS; i++) {
        double high = room * (double)counts[i] / (double)most;
        if (upright)
            cairo_rectangle(c, p->left + i * length, p->top - 5 - high, length * 0.92, high);
        else
            cairo_rectangle(c, p->left + p->width + 5, p->top + p->height - (i + 1) * length, high, length * 0.92);
        cairo_fill(c);
    }
}

deco_status deco_plot_marginals(deco_plot *p, const float *x, const float *y, int64_t stride, int64_t N)
{
    deco_status st = DECO_OK;
    int64_t *count = NULL;

    TRY(deco_alloc(&count, 2 * BARS, sizeof *count, "counts of a plot"));
    for (int64_t i = 0; i < N; i++) {
        double u = floor((x[i * stride] - p->x.low) / (p->x.high - p->x.low) * BARS),
               v = floor((y[i * stride] - p->y.low) / (p->y.high - p->y.low) * BARS);
        if (!(u >= 0 && u < BARS && v >= 0 && v < BARS))
            continue;
        count[(int)u]++;
        count[BARS + (int)v]++;
    }
    draw_bars(p, count, true);
    draw_bars(p, count + BARS, false);
out:
    free(count);
    return st;
}
