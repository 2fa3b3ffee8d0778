/* The figure: where things stand, axes and legend. What is drawn inside the axes is in plot_marks.c, plot_cloud.c and plot_counts.c. */
#include "analysis/plot_inside.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sizes in points. */
enum {
    AXES_WIDTH = 520,
    AXES_HEIGHT = 440,
    LEFT = 78,
    TOP = 46,
    BOTTOM = 62,
    RIGHT = 24,
    LEGEND_ROW = 17,
    LEGEND_ROWS = 24,
    LEGEND_COLUMNS = 3,
    KEY_WIDTH = 76
};
static const double text_size = 12, title_size = 14;

static double text_width(cairo_t *c, const char *text)
{
    cairo_text_extents_t e;
    cairo_text_extents(c, text, &e);
    return e.x_advance;
}

double deco_plot_x(const deco_plot *p, double x) { return p->left + (x - p->x.low) / (p->x.high - p->x.low) * p->width; }
double deco_plot_y(const deco_plot *p, double y) { return p->top + p->height - (y - p->y.low) / (p->y.high - p->y.low) * p->height; }

double deco_nice_step(double range, int most)
{
    double step = pow(10, floor(log10(range / most)));

    while (range / step > most)
        step *= range / (2 * step) <= most ? 2 : range / (5 * step) <= most ? 5 : 10;
    return step;
}

static void tick_text(char *out, size_t size, const char *minus, double value, double step)
{
    double big = fabs(value) > step / 2 ? value : 0;

    if (step >= 1e5 || step < 1e-4)
        snprintf(out, size, "%s%.3g", big < 0 ? minus : "", fabs(big));
    else
        snprintf(out, size, "%s%.*f", big < 0 ? minus : "", step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0, fabs(big));
}

static void draw_tick(const deco_plot *p, bool vertical, double value, const char *text)
{
    cairo_t *c = p->picture.c;
    double at = vertical ? deco_plot_y(p, value) : deco_plot_x(p, value);

    if (vertical) {
        cairo_move_to(c, p->left - 5, at);
        cairo_rel_line_to(c, 5, 0);
        cairo_stroke(c);
        deco_picture_text(c, p->left - 9, at + 4.2, 1, text);
    } else {
        cairo_move_to(c, at, p->top + p->height);
        cairo_rel_line_to(c, 0, 5);
        cairo_stroke(c);
        deco_picture_text(c, at, p->top + p->height + 19, 0.5, text);
    }
}

/* Decades, and where there are few of them what is between. */
static void draw_log_ticks(const deco_plot *p, const deco_axis *a, bool vertical)
{
    static const int parts[] = {1, 2, 5, 3, 4, 6, 7, 8, 9};
    int taken = a->high - a->low < 1.2 ? 9 : a->high - a->low < 2.5 ? 3 : 1, skip = (int)ceil((a->high - a->low) / 8);
    char text[32];

    for (int decade = (int)floor(a->low); decade <= a->high; decade += skip)
        for (int i = 0; i < taken; i++) {
            double at = decade + log10(parts[i]);
            if (at < a->low || at > a->high)
                continue;
            if (decade < -3 || decade > 4)
                snprintf(text, sizeof text, "%de%d", parts[i], decade);
            else
                snprintf(text, sizeof text, "%g", pow(10, decade) * parts[i]);
            draw_tick(p, vertical, at, text);
        }
}

static void draw_ticks(const deco_plot *p, const deco_axis *a, bool vertical)
{
    double step = deco_nice_step(a->high - a->low, vertical ? 8 : 7), first;
    const char *minus;
    char text[32];

    deco_picture_font(p->picture.c, text_size, false);
    minus = deco_picture_without_fonts(p->picture.c) ? "-" : "\u2212";
    if (a->kind == DECO_AXIS_LOG) {
        draw_log_ticks(p, a, vertical);
        return;
    }
    step = a->kind == DECO_AXIS_WHOLE && step < 1 ? 1 : step;
    first = ceil(a->low / step);
    for (double i = first; i * step <= a->high; i++) {
        tick_text(text, sizeof text, minus, i * step, step);
        draw_tick(p, vertical, i * step, text);
    }
}

static void draw_axes(const deco_plot *p)
{
    cairo_t *c = p->picture.c;

    cairo_set_source_rgb(c, 0.13, 0.13, 0.13);
    cairo_set_line_width(c, 1);
    cairo_rectangle(c, p->left, p->top, p->width, p->height);
    cairo_stroke(c);
    draw_ticks(p, &p->x, false);
    draw_ticks(p, &p->y, true);
    deco_picture_font(c, text_size + 1, false);
    deco_picture_text(c, p->left + p->width / 2, p->top + p->height + 44, 0.5, p->x.label);
    cairo_save(c);
    cairo_translate(c, 20, p->top + p->height / 2);
    cairo_rotate(c, -M_PI / 2);
    deco_picture_text(c, 0, 0, 0.5, p->y.label);
    cairo_restore(c);
}

/* The title, smaller where it would not fit. */
static void draw_title(const deco_plot *p, const char *title)
{
    double wide, room = p->picture.width - 2 * RIGHT, size = title_size;

    deco_picture_font(p->picture.c, size, true);
    wide = text_width(p->picture.c, title);
    if (wide > room)
        deco_picture_font(p->picture.c, size *= room / wide, true);
    deco_picture_text(p->picture.c, wide > room ? p->picture.width / 2 : fmax(p->left + p->width / 2, wide / 2 + RIGHT), 28, 0.5, title);
}

/* Widths of the legend's columns of text over all rows. */
static void legend_widths(double wide[3], const deco_legend_row *row, int64_t rows)
{
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_A8, 1, 1);
    cairo_t *c = cairo_create(s);

    deco_picture_font(c, text_size, false);
    wide[0] = wide[1] = wide[2] = 0;
    for (int64_t i = 0; i < rows; i++)
        for (int k = 0; k < 3; k++)
            wide[k] = fmax(wide[k], text_width(c, row[i].text[k]));
    cairo_destroy(c);
    cairo_surface_destroy(s);
}

static void draw_legend(const deco_plot *p, const char *heading, const deco_legend_row *row, int64_t rows, const double wide[3],
                        double column)
{
    int64_t room = LEGEND_ROWS * LEGEND_COLUMNS, shown = rows > room ? room - 1 : rows;
    double x0 = p->left + p->width + RIGHT, y0 = p->top + 10;
    char more[64];

    deco_picture_font(p->picture.c, text_size, true);
    deco_picture_text(p->picture.c, x0, y0, 0, heading);
    deco_picture_font(p->picture.c, text_size, false);
    for (int64_t i = 0; i <= shown && i < rows; i++) {
        int64_t across = i / LEGEND_ROWS, down = 1 + i % LEGEND_ROWS;
        double x = x0 + (double)across * column, y = y0 + (double)down * LEGEND_ROW + 3;
        if (i == shown) {
            snprintf(more, sizeof more, "and %lld more", (long long)(rows - shown));
            deco_picture_text(p->picture.c, x, y, 0, more);
            break;
        }
        cairo_set_source_rgb(p->picture.c, row[i].colour.r, row[i].colour.g, row[i].colour.b);
        cairo_arc(p->picture.c, x + 5, y - 4, 5, 0, 2 * M_PI);
        cairo_fill(p->picture.c);
        cairo_set_source_rgb(p->picture.c, 0.13, 0.13, 0.13);
        deco_picture_text(p->picture.c, x + 16, y, 0, row[i].text[0]);
        deco_picture_text(p->picture.c, x + 16 + wide[0] + 10 + wide[1], y, 1, row[i].text[1]);
        deco_picture_text(p->picture.c, x + 16 + wide[0] + 10 + wide[1] + 10 + wide[2], y, 1, row[i].text[2]);
    }
}

deco_status deco_plot_create(deco_plot **out, const deco_frame *f)
{
    deco_status st = DECO_OK;
    deco_plot *p = NULL;
    double wide[3], column, right, width;
    int64_t columns = (f->rows + LEGEND_ROWS - 1) / LEGEND_ROWS;

    *out = NULL;
    TRY(deco_alloc(&p, 1, sizeof *p, "a plot"));
    *p = (deco_plot){.x = f->x,
                     .y = f->y,
                     .left = LEFT,
                     .top = TOP + f->margin,
                     .width = AXES_WIDTH,
                     .height = AXES_HEIGHT,
                     .margin = f->margin,
                     .key = f->key};
    legend_widths(wide, f->legend, f->rows);
    column = 16 + wide[0] + 10 + wide[1] + 10 + wide[2] + RIGHT;
    right = f->margin + RIGHT + (f->key ? KEY_WIDTH : 0);
    width = LEFT + AXES_WIDTH + right + (double)(columns < LEGEND_COLUMNS ? columns : LEGEND_COLUMNS) * column;
    TRY(deco_picture_create(&p->picture, width, TOP + f->margin + AXES_HEIGHT + BOTTOM, f->scale, 1, 1, 1));
    draw_axes(p);
    draw_title(p, f->title);
    if (f->rows)
        draw_legend(p, f->heading, f->legend, f->rows, wide, column);
    TRY(deco_picture_check(cairo_status(p->picture.c)));
    *out = p;
    p = NULL;
out:
    deco_plot_free(p);
    return st;
}

void deco_plot_free(deco_plot *p)
{
    if (!p)
        return;
    deco_picture_free(&p->picture);
    free(p);
}

void deco_plot_note(deco_plot *p, const char *text)
{
    deco_picture_font(p->picture.c, text_size - 2, false);
    cairo_set_source_rgb(p->picture.c, 0.35, 0.35, 0.35);
    deco_picture_text(p->picture.c, p->left + p->width - 6, p->top + p->height - 7, 1, text);
}

deco_status deco_plot_write(const deco_plot *p, const char *path, bool svg)
{
    deco_status st = deco_picture_write(&p->picture, path);

    return st || !svg ? st : deco_picture_write_svg(&p->picture, path);
}
