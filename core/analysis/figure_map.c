/* A map at a glance: three central slices and three projections, in grey. */
#include "analysis/figures.h"
#include "analysis/percentile.h"
#include "analysis/picture.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sizes in points, of which an image pixel is one. */
enum { VIEWS = 6, TILE = 144, GAP = 8, HEAD = 24, BAR_INSET = 10 };

static const char *const name[VIEWS] = {"slice z = 0", "slice y = 0", "slice x = 0", "sum along z", "sum along y", "sum along x"};

/* View `v` [D,D]: rows downwards. The first three are planes through the centre, the others sums of all planes. */
static void take_view(float *out, const float *map, int64_t D, int v)
{
    const int64_t step[3] = {D * D, D, 1}; /* of z, y, x */
    int axis = v % 3;
    int64_t along = step[axis], down = axis == 0 ? D : D * D, across = axis == 2 ? D : 1;

    for (int64_t j = 0; j < D; j++)
        for (int64_t i = 0; i < D; i++) {
            const float *p = map + j * down + i * across;
            double sum = 0;
            for (int64_t k = 0; v >= 3 && k < D; k++)
                sum += p[k * along];
            out[j * D + i] = v < 3 ? p[D / 2 * along] : (float)sum;
        }
}

/* Black and white of three views together, so that they can be compared; a few hot pixels do not take the contrast away. */
static deco_status grey_range(double range[2], const float *views, int64_t D)
{
    static const double percent[] = {2, 99.8};
    deco_status st = deco_percentiles(range, percent, 2, views, 3 * D * D, 1);

    if (!st && !(range[1] > range[0]))
        range[1] = range[0] + 1;
    return st;
}

static deco_status draw_tile(cairo_t *c, double x, double y, const float *view, int64_t D, const double range[2])
{
    deco_status st = DECO_OK;
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)D, (int)D);
    unsigned char *pixels;
    int stride;

    TRY(deco_picture_check(cairo_surface_status(s)));
    cairo_surface_flush(s);
    pixels = cairo_image_surface_get_data(s);
    stride = cairo_image_surface_get_stride(s);
    for (int64_t j = 0; j < D; j++)
        for (int64_t i = 0; i < D; i++) {
            double t = (view[j * D + i] - range[0]) / (range[1] - range[0]);
            uint32_t grey = (uint32_t)(255 * (t > 0 ? (t < 1 ? t : 1) : 0) + 0.5), word = grey << 16 | grey << 8 | grey;
            memcpy(pixels + j * stride + 4 * i, &word, 4);
        }
    cairo_surface_mark_dirty(s);
    cairo_save(c);
    cairo_rectangle(c, x, y, TILE, TILE);
    cairo_clip(c);
    cairo_translate(c, x, y);
    cairo_scale(c, TILE / (double)D, TILE / (double)D);
    cairo_set_source_surface(c, s, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(c), CAIRO_FILTER_BILINEAR);
    cairo_pattern_set_extend(cairo_get_source(c), CAIRO_EXTEND_PAD);
    cairo_paint(c);
    cairo_restore(c);
out:
    cairo_surface_destroy(s);
    return st;
}

/* A round length of a quarter to half of the box. */
static void draw_scale_bar(cairo_t *c, double x, double y, double box_A)
{
    double length = pow(10, floor(log10(box_A / 2)));
    char text[32];

    if (!(box_A > 0))
        return;
    length *= box_A / 2 >= 5 * length ? 5 : box_A / 2 >= 2 * length ? 2 : 1;
    double wide = TILE * length / box_A;
    snprintf(text, sizeof text, "%g \u00c5", length);
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_rectangle(c, x + BAR_INSET, y + TILE - BAR_INSET, wide, 2.5);
    cairo_fill(c);
    deco_picture_text(c, x + BAR_INSET + wide / 2, y + TILE - BAR_INSET - 4, 0.5, text);
}

static deco_status draw_views(cairo_t *c, const float *view, int64_t D, double psize_A)
{
    deco_status st = DECO_OK;
    double range[2];

    deco_picture_font(c, 12, false);
    for (int v = 0; v < VIEWS; v++) {
        double x = GAP + v * (TILE + GAP) + (v >= 3 ? GAP : 0);
        if (v % 3 == 0)
            TRY(grey_range(range, view + v * D * D, D));
        TRY(draw_tile(c, x, HEAD, view + v * D * D, D, range));
        cairo_set_source_rgb(c, 0.85, 0.87, 0.9);
        deco_picture_text(c, x + TILE / 2.0, HEAD - 8, 0.5, name[v]);
    }
    draw_scale_bar(c, GAP, HEAD, (double)D * psize_A);
out:
    return st;
}

deco_status deco_figure_map(const char *path, const float *map, int64_t D, double psize_A)
{
    deco_status st = DECO_OK;
    deco_picture p = {0};
    float *view = NULL;

    TRY(deco_alloc(&view, VIEWS * (size_t)(D * D), sizeof *view, "views of a map"));
    for (int v = 0; v < VIEWS; v++)
        take_view(view + v * D * D, map, D, v);
    TRY(deco_picture_create(&p, VIEWS * TILE + (VIEWS + 2) * GAP, HEAD + TILE + GAP, 1, 0.09, 0.10, 0.12));
    TRY(draw_views(p.c, view, D, psize_A));
    TRY(deco_picture_write(&p, path));
out:
    deco_picture_free(&p);
    free(view);
    return st;
}
