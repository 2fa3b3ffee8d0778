/* Clouds of points. */
#include "analysis/plot_inside.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A disc's coverage at PHASES × PHASES positions within a pixel. Stamping it costs a few nanoseconds, so that a million points are no
 * matter; Cairo would take a microsecond for each. */
enum { PHASES = 4, STAMP = 13, GRAIN = 8 };
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

/* The inside of the axes as an image, as fine as the PNG. */
typedef struct canvas {
    cairo_surface_t *image;
    unsigned char *pixels;
    int stride, width, height; /* bytes a row; pixels */
    double left, top;          /* of the image, points */
} canvas;

static void stamp_at(const canvas *v, const stamp *s, double x, double y, uint32_t colour)
{
    int cx = (int)floor(x), cy = (int)floor(y), px = (int)((x - cx) * PHASES), py = (int)((y - cy) * PHASES);

    for (int dy = -s->reach; dy <= s->reach; dy++) {
        uint32_t *row = (uint32_t *)(void *)(v->pixels + (ptrdiff_t)(cy + dy) * v->stride);
        if (cy + dy < 0 || cy + dy >= v->height)
            continue;
        for (int dx = -s->reach; dx <= s->reach; dx++) {
            uint32_t a = s->alpha[py][px][dy + s->reach][dx + s->reach];
            if (a && cx + dx >= 0 && cx + dx < v->width)
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

static deco_status canvas_begin(canvas *v, const deco_plot *p)
{
    double scale = p->picture.scale;

    v->left = p->left + 1 / scale; /* the frame's line stays */
    v->top = p->top + 1 / scale;
    v->width = (int)(p->width * scale) - 2;
    v->height = (int)(p->height * scale) - 2;
    v->image = cairo_image_surface_create(CAIRO_FORMAT_RGB24, v->width, v->height);
    cairo_surface_flush(v->image);
    v->pixels = cairo_image_surface_get_data(v->image);
    v->stride = cairo_image_surface_get_stride(v->image);
    if (v->pixels)
        memset(v->pixels, 255, (size_t)v->stride * (size_t)v->height);
    return deco_picture_check(cairo_surface_status(v->image));
}

static void canvas_end(canvas *v, const deco_plot *p)
{
    cairo_t *c = p->picture.c;

    if (!v->image)
        return;
    cairo_surface_mark_dirty(v->image);
    cairo_save(c);
    cairo_translate(c, v->left, v->top);
    cairo_scale(c, 1 / p->picture.scale, 1 / p->picture.scale);
    cairo_set_source_surface(c, v->image, 0, 0);
    cairo_pattern_set_filter(cairo_get_source(c), CAIRO_FILTER_NEAREST);
    cairo_paint(c);
    cairo_restore(c);
    cairo_surface_destroy(v->image);
}

/* Points per cell of GRID × GRID points of the figure, smoothed: how crowded it is around. */
enum { GRID = 2, SMOOTHINGS = 3 };
typedef struct crowd {
    float *count; /* [high,wide] */
    int wide, high;
    float most;
} crowd;

static int cell_of(const crowd *d, const deco_plot *p, double px, double py)
{
    int i = (int)((px - p->left) / GRID), j = (int)((py - p->top) / GRID);
    i = i < 0 ? 0 : i < d->wide ? i : d->wide - 1;
    j = j < 0 ? 0 : j < d->high ? j : d->high - 1;
    return j * d->wide + i;
}

/* The mean of three along rows (`step` 1) or columns. */
static void smooth(float *out, const float *in, int n, int step)
{
    for (int i = 0; i < n; i++) {
        float before = i >= step ? in[i - step] : 0, after = i + step < n ? in[i + step] : 0;
        out[i] = (before + in[i] + after) / 3;
    }
}

static deco_status count_crowd(crowd *d, const deco_plot *p, const float *x, const float *y, int64_t stride, int64_t N)
{
    deco_status st = DECO_OK;
    float *spare = NULL;
    int n;

    d->wide = (int)(p->width / GRID) + 1;
    d->high = (int)(p->height / GRID) + 1;
    n = d->wide * d->high;
    TRY(deco_alloc(&d->count, (size_t)n, sizeof *d->count, "densities of a plot"));
    TRY(deco_alloc(&spare, (size_t)n, sizeof *spare, "densities of a plot"));
    for (int64_t i = 0; i < N; i++) {
        double px = deco_plot_x(p, x[i * stride]), py = deco_plot_y(p, y[i * stride]);
        if (px >= p->left && px <= p->left + p->width && py >= p->top && py <= p->top + p->height)
            d->count[cell_of(d, p, px, py)]++;
    }
    for (int i = 0; i < SMOOTHINGS; i++) {
        smooth(spare, d->count, n, 1);
        smooth(d->count, spare, n, d->wide);
    }
    for (int i = 0; i < n; i++)
        d->most = d->count[i] > d->most ? d->count[i] : d->most;
out:
    free(spare);
    return st;
}

/* `d` NULL: by label, or grey. */
static deco_status draw_cloud(int64_t *beyond, deco_plot *p, const float *x, const float *y, int64_t stride, const int32_t *label,
                              int64_t N, const crowd *d)
{
    double decades = fmin(fmax(log10((double)(N > 0 ? N : 1)) - 3, 0), 3); /* 0 at a thousand points, 3 at a million */
    double scale = p->picture.scale;
    int64_t step = N > 0 ? spread_step(N) : 1, i = 0;
    deco_status st = DECO_OK;
    canvas v = {0};
    stamp s;

    *beyond = 0;
    cut_stamp(&s, (4.5 - 1.1 * decades) * scale / 2, d ? 0.85 : 0.72 - 0.16 * decades);
    TRY(canvas_begin(&v, p));
    for (int64_t n = 0; n < N; n++, i = (i + step) % N) {
        double px = deco_plot_x(p, x[i * stride]), py = deco_plot_y(p, y[i * stride]), ix = (px - v.left) * scale,
               iy = (py - v.top) * scale;
        uint32_t colour = 0x777777;
        if (!(ix >= 0 && ix < v.width && iy >= 0 && iy < v.height)) {
            ++*beyond;
            continue;
        }
        if (d)
            colour = packed(deco_palette_amount(log1p((double)d->count[cell_of(d, p, px, py)]) / log1p((double)d->most)));
        else if (label)
            colour = packed(deco_palette_colour(label[i]));
        stamp_at(&v, &s, ix, iy, colour);
    }
out:
    canvas_end(&v, p);
    return st;
}

deco_status deco_plot_points(int64_t *beyond, deco_plot *p, const float *x, const float *y, int64_t stride, const int32_t *label, int64_t N)
{
    return draw_cloud(beyond, p, x, y, stride, label, N, NULL);
}

deco_status deco_plot_density(int64_t *beyond, deco_plot *p, const float *x, const float *y, int64_t stride, int64_t N)
{
    crowd d = {0};
    deco_status st = count_crowd(&d, p, x, y, stride, N);

    if (!st)
        st = draw_cloud(beyond, p, x, y, stride, NULL, N, &d);
    free(d.count);
    return st;
}
