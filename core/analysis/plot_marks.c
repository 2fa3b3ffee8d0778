/* What stands inside the axes: clouds of points, bars, numbers. */
#include "analysis/plot_inside.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A disc's coverage at PHASES × PHASES positions within a pixel. Stamping it costs a few nanoseconds, so that a million points are no
 * matter; Cairo would take a microsecond for each. */
enum { PHASES = 4, STAMP = 13, GRAIN = 8, MOST_NUMBERS = 150, RING = 8 };
typedef struct stamp {
    int reach; /* pixels to each side */
    uint8_t alpha[PHASES][PHASES][STAMP][STAMP];
} stamp;

/* The share of the pixel from (x, y) to (x + 1, y + 1) that a disc about the origin covers. */
static double coverage(double x, double y, double radius)
{
    int in = 0;

    for (int j = 0; j < GRAIN; j++)
        for (int i = 0; i < GRAIN; i++) {
            double dx = x + (i + 0.5) / GRAIN, dy = y + (j + 0.5) / GRAIN;
            in += dx * dx + dy * dy <= radius * radius;
        }
    return in / (double)(GRAIN * GRAIN);
}

static void cut_stamp(stamp *s, double radius, double opacity)
{
    s->reach = (int)ceil(radius + 0.5);
    for (int py = 0; py < PHASES; py++)
        for (int px = 0; px < PHASES; px++)
            for (int y = -s->reach; y <= s->reach; y++)
                for (int x = -s->reach; x <= s->reach; x++) {
                    double share = coverage(x - (px + 0.5) / PHASES, y - (py + 0.5) / PHASES, radius);
                    s->alpha[py][px][y + s->reach][x + s->reach] = (uint8_t)(255 * opacity * share + 0.5);
                }
}

static inline uint32_t blend(uint32_t under, uint32_t over, uint32_t a)
{
    uint32_t out = 0;
    for (int shift = 0; shift < 24; shift += 8) {
        uint32_t u = under >> shift & 255, o = over >> shift & 255;
        out |= ((u * (255 - a) + o * a + 127) / 255) << shift;
    }
    return out;
}

typedef struct canvas {
    unsigned char *pixels;
    int stride, x0, x1, y0, y1; /* bytes a row; the axes' inside, pixels */
} canvas;

static void stamp_at(const canvas *v, const stamp *s, double x, double y, uint32_t colour)
{
    int cx = (int)floor(x), cy = (int)floor(y), px = (int)((x - cx) * PHASES), py = (int)((y - cy) * PHASES);

    for (int dy = -s->reach; dy <= s->reach; dy++) {
        uint32_t *row = (uint32_t *)(void *)(v->pixels + (ptrdiff_t)(cy + dy) * v->stride);
        if (cy + dy < v->y0 || cy + dy >= v->y1)
            continue;
        for (int dx = -s->reach; dx <= s->reach; dx++) {
            uint32_t a = s->alpha[py][px][dy + s->reach][dx + s->reach];
            if (a && cx + dx >= v->x0 && cx + dx < v->x1)
                row[cx + dx] = blend(row[cx + dx], colour, a);
        }
    }
}

static uint32_t packed(deco_colour c)
{
    return (uint32_t)(255 * c.r + 0.5) << 16 | (uint32_t)(255 * c.g + 0.5) << 8 | (uint32_t)(255 * c.b + 0.5);
}

/* A step near the golden section of N without a common factor: i·step mod N visits every row once, far ones in turn. */
static int64_t spread_step(int64_t N)
{
    for (int64_t step = (int64_t)(0.618034 * (double)N) + 1;; step++) {
        int64_t a = N, b = step;
        while (b) {
            int64_t t = a % b;
            a = b;
            b = t;
        }
        if (a == 1)
            return step;
    }
}

int64_t deco_plot_points(deco_plot *p, const float *x, const float *y, int64_t stride, const int32_t *label, int64_t N)
{
    double decades = fmin(fmax(log10((double)(N > 0 ? N : 1)) - 3, 0), 3); /* 0 at a thousand points, 3 at a million */
    int64_t beyond = 0, step = N > 0 ? spread_step(N) : 1, i = 0;
    canvas v;
    stamp s;

    cut_stamp(&s, (4.5 - 1.1 * decades) * p->scale / 2, 0.72 - 0.16 * decades);
    cairo_surface_flush(p->surface);
    v.pixels = cairo_image_surface_get_data(p->surface);
    v.stride = cairo_image_surface_get_stride(p->surface);
    v.x0 = (int)(p->left * p->scale) + 1;
    v.x1 = (int)((p->left + p->width) * p->scale) - 1;
    v.y0 = (int)(p->top * p->scale) + 1;
    v.y1 = (int)((p->top + p->height) * p->scale) - 1;
    for (int64_t n = 0; n < N; n++, i = (i + step) % N) {
        double px = deco_plot_x(p, x[i * stride]) * p->scale, py = deco_plot_y(p, y[i * stride]) * p->scale;
        if (!(px >= v.x0 && px < v.x1 && py >= v.y0 && py < v.y1))
            beyond++;
        else
            stamp_at(&v, &s, px, py, label ? packed(deco_palette_colour(label[i])) : 0x777777);
    }
    cairo_surface_mark_dirty(p->surface);
    return beyond;
}

void deco_plot_bar(deco_plot *p, double x0, double x1, double y0, double y1, deco_colour c)
{
    double left = deco_plot_x(p, x0), top = deco_plot_y(p, y1);

    cairo_set_source_rgb(p->c, c.r, c.g, c.b);
    cairo_rectangle(p->c, left, top, deco_plot_x(p, x1) - left, deco_plot_y(p, y0) - top);
    cairo_fill(p->c);
}

static double inside(double v, double low, double high) { return fmin(fmax(v, low), high); }

/* Numbers that would cover one another push each other away, a little at a time. They are wider than high. */
static void move_apart(double *at, int64_t n, double high, const deco_plot *p)
{
    const double wide = 1.7 * high;

    for (int round = 0; round < 200; round++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = i + 1; j < n; j++) {
                double dx = (at[2 * j] - at[2 * i]) / wide, dy = (at[2 * j + 1] - at[2 * i + 1]) / high, d = hypot(dx, dy),
                       push = (1 - d) / 4;
                if (d >= 1)
                    continue;
                if (d < 1e-6) { /* one on the other: apart in a direction of their own */
                    dx = cos((double)j);
                    dy = sin((double)j);
                    d = 1;
                }
                at[2 * i] = inside(at[2 * i] - push * wide * dx / d, p->left + wide, p->left + p->width - wide);
                at[2 * j] = inside(at[2 * j] + push * wide * dx / d, p->left + wide, p->left + p->width - wide);
                at[2 * i + 1] = inside(at[2 * i + 1] - push * high * dy / d, p->top + high, p->top + p->height - high);
                at[2 * j + 1] = inside(at[2 * j + 1] + push * high * dy / d, p->top + high, p->top + p->height - high);
            }
}

/* The outline of a number about (x, y). */
static void number_outline(cairo_t *c, double x, double y, int64_t number)
{
    cairo_text_extents_t e;
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)number);
    cairo_text_extents(c, text, &e);
    cairo_move_to(c, x - e.x_bearing - e.width / 2, y - e.y_bearing - e.height / 2);
    cairo_text_path(c, text);
}

/* With a white edge, to be read on any colour. */
static void draw_number(cairo_t *c, double x, double y, int64_t number)
{
    number_outline(c, x, y, number);
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_set_line_width(c, 4);
    cairo_set_line_join(c, CAIRO_LINE_JOIN_ROUND);
    cairo_stroke_preserve(c);
    cairo_set_source_rgb(c, 0.1, 0.1, 0.1);
    cairo_fill(c);
}

static void draw_ring(cairo_t *c, double x, double y, int64_t number)
{
    cairo_arc(c, x, y, RING, 0, 2 * M_PI);
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_fill_preserve(c);
    cairo_set_source_rgb(c, 0, 0.45, 0.7);
    cairo_set_line_width(c, 1.5);
    cairo_stroke(c);
    number_outline(c, x, y, number);
    cairo_set_source_rgb(c, 0.1, 0.1, 0.1);
    cairo_fill(c);
}

deco_status deco_plot_numbers(deco_plot *p, const double *x, const double *y, int64_t n)
{
    deco_status st = DECO_OK;
    double *at = NULL, size = n > 30 ? 10 : 13;

    if (n > MOST_NUMBERS)
        return DECO_OK;
    TRY(deco_alloc(&at, 2 * (size_t)n, sizeof *at, "places of labels"));
    for (int64_t i = 0; i < n; i++) {
        at[2 * i] = inside(deco_plot_x(p, x[i]), p->left, p->left + p->width);
        at[2 * i + 1] = inside(deco_plot_y(p, y[i]), p->top, p->top + p->height);
    }
    move_apart(at, n, size, p);
    deco_plot_font(p->c, size, true);
    for (int64_t i = 0; i < n; i++)
        draw_number(p->c, at[2 * i], at[2 * i + 1], i);
out:
    free(at);
    return st;
}

void deco_plot_path(deco_plot *p, const double *x, const double *y, int64_t n)
{
    double last_x = -INFINITY, last_y = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < n; i++) {
            double px = inside(deco_plot_x(p, x[i]), p->left, p->left + p->width);
            double py = inside(deco_plot_y(p, y[i]), p->top, p->top + p->height - 1.5 * RING);
            if (pass == 0) {
                cairo_line_to(p->c, px, py);
            } else if (hypot(px - last_x, py - last_y) >= 2 * RING) { /* one that would cover the last is left out */
                draw_ring(p->c, px, py, i);
                last_x = px;
                last_y = py;
            }
        }
        if (pass == 0) {
            cairo_set_source_rgb(p->c, 0, 0.45, 0.7);
            cairo_set_line_width(p->c, 2);
            cairo_stroke(p->c);
            deco_plot_font(p->c, 10, true);
        }
    }
}

void deco_plot_curve(deco_plot *p, const double *x, const double *y, int64_t n, deco_colour colour, deco_dash dash)
{
    static const double pattern[][4] = {{0}, {7, 4}, {2, 3}, {9, 3, 2, 3}};
    static const int parts[] = {0, 2, 2, 4};

    cairo_save(p->c);
    cairo_rectangle(p->c, p->left, p->top, p->width, p->height);
    cairo_clip(p->c);
    for (int64_t i = 0; i < n; i++)
        cairo_line_to(p->c, deco_plot_x(p, x[i]), deco_plot_y(p, y[i]));
    cairo_set_source_rgb(p->c, colour.r, colour.g, colour.b);
    cairo_set_line_width(p->c, 2);
    cairo_set_line_join(p->c, CAIRO_LINE_JOIN_ROUND);
    cairo_set_dash(p->c, pattern[dash], parts[dash], 0);
    cairo_stroke(p->c);
    cairo_restore(p->c);
}
