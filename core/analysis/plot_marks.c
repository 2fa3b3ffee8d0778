/* What stands inside the axes: bars, lines, numbers. */
#include "analysis/plot_inside.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_NUMBERS = 150, RING = 8 };

void deco_plot_bar(deco_plot *p, double x0, double x1, double y0, double y1, deco_colour c)
{
    double left = deco_plot_x(p, x0), top = deco_plot_y(p, y1);

    cairo_set_source_rgb(p->picture.c, c.r, c.g, c.b);
    cairo_rectangle(p->picture.c, left, top, deco_plot_x(p, x1) - left, deco_plot_y(p, y0) - top);
    cairo_fill(p->picture.c);
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
    deco_picture_font(p->picture.c, size, true);
    for (int64_t i = 0; i < n; i++)
        draw_number(p->picture.c, at[2 * i], at[2 * i + 1], i);
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
                cairo_line_to(p->picture.c, px, py);
            } else if (hypot(px - last_x, py - last_y) >= 2 * RING) { /* one that would cover the last is left out */
                draw_ring(p->picture.c, px, py, i);
                last_x = px;
                last_y = py;
            }
        }
        if (pass == 0) {
            cairo_set_source_rgb(p->picture.c, 0, 0.45, 0.7);
            cairo_set_line_width(p->picture.c, 2);
            cairo_stroke(p->picture.c);
            deco_picture_font(p->picture.c, 10, true);
        }
    }
}

void deco_plot_curve(deco_plot *p, const double *x, const double *y, int64_t n, deco_colour colour, deco_dash dash)
{
    static const double pattern[][4] = {{0}, {7, 4}, {2, 3}, {9, 3, 2, 3}};
    static const int parts[] = {0, 2, 2, 4};

    cairo_save(p->picture.c);
    cairo_rectangle(p->picture.c, p->left, p->top, p->width, p->height);
    cairo_clip(p->picture.c);
    for (int64_t i = 0; i < n; i++)
        cairo_line_to(p->picture.c, deco_plot_x(p, x[i]), deco_plot_y(p, y[i]));
    cairo_set_source_rgb(p->picture.c, colour.r, colour.g, colour.b);
    cairo_set_line_width(p->picture.c, 2);
    cairo_set_line_join(p->picture.c, CAIRO_LINE_JOIN_ROUND);
    cairo_set_dash(p->picture.c, pattern[dash], parts[dash], 0);
    cairo_stroke(p->picture.c);
    cairo_restore(p->picture.c);
}

void deco_plot_dots(deco_plot *p, const double *x, const double *y, int64_t n, deco_colour colour)
{
    cairo_set_source_rgb(p->picture.c, colour.r, colour.g, colour.b);
    for (int64_t i = 0; i < n; i++) {
        if (!(x[i] >= p->x.low && x[i] <= p->x.high && y[i] >= p->y.low && y[i] <= p->y.high))
            continue;
        cairo_arc(p->picture.c, deco_plot_x(p, x[i]), deco_plot_y(p, y[i]), 3, 0, 2 * M_PI);
        cairo_fill(p->picture.c);
    }
}
