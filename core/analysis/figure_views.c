/* Where particles were seen from, as a map of the sphere. */
#include "analysis/figures.h"
#include "analysis/palette.h"
#include "analysis/picture.h"
#include <chealpix.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* NSIDE: cells of 3.7 degrees. Image sizes in pixels; the sphere is painted in ACROSS × ACROSS/2 cells. */
enum { NSIDE = 16, CELLS = 12 * NSIDE * NSIDE, ACROSS = 96, WIDTH = 500, HEIGHT = 340, MIDDLE = 166, HALF = 225 };
static const double spread_deg = 6; /* of a particle, so that few do not look like a hundred preferred views */

typedef struct sphere {
    double direction[CELLS][3];
    double count[CELLS];
} sphere;

static void count_directions(sphere *s, const float *R, int64_t N)
{
    for (long i = 0; i < CELLS; i++)
        pix2vec_ring(NSIDE, i, s->direction[i]);
    for (int64_t i = 0; i < N; i++) {
        double v[3] = {R[9 * i + 6], R[9 * i + 7], R[9 * i + 8]}; /* the normal of the slice: the plane's points are c·R, c in z = 0 */
        long cell;
        if (!(v[0] * v[0] + v[1] * v[1] + v[2] * v[2] > 0))
            continue;
        vec2pix_ring(NSIDE, v, &cell);
        s->count[cell] += 1;
    }
}

/* Cells go from north to south, ring by ring: the first one not above a latitude. */
static int first_below(const sphere *s, double latitude)
{
    double z = latitude > M_PI / 2 ? 2 : latitude < -M_PI / 2 ? -2 : sin(latitude);
    int low = 0, high = CELLS;

    while (low < high) {
        int middle = low + (high - low) / 2;
        if (s->direction[middle][2] > z)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Particles about a direction, over what even views would give. */
static double density(const sphere *s, const double u[3], double N)
{
    const double sigma = spread_deg * M_PI / 180, near = cos(3 * sigma), latitude = asin(u[2]);
    double sum = 0, weight = 0;

    for (int i = first_below(s, latitude + 3 * sigma), end = first_below(s, latitude - 3 * sigma); i < end; i++) {
        double dot = u[0] * s->direction[i][0] + u[1] * s->direction[i][1] + u[2] * s->direction[i][2];
        if (dot < near)
            continue;
        double w = exp((dot - 1) / (sigma * sigma));
        sum += w * s->count[i];
        weight += w;
    }
    return weight > 0 ? sum / weight * CELLS / N : 0;
}

/* Mollweide: x in [-2, 2], y in [-1, 1] to a direction; false outside the ellipse. */
static bool direction_at(double u[3], double x, double y)
{
    double theta, latitude, longitude;

    if (x * x / 4 + y * y >= 1)
        return false;
    theta = asin(y);
    latitude = asin((2 * theta + sin(2 * theta)) / M_PI);
    longitude = M_PI * x / (2 * cos(theta));
    u[0] = cos(latitude) * cos(longitude);
    u[1] = cos(latitude) * sin(longitude);
    u[2] = sin(latitude);
    return true;
}

/* Where a latitude is drawn: 2θ + sin 2θ = π sin latitude, by Newton steps. */
static double height_of(double latitude)
{
    double theta = latitude;

    for (int i = 0; i < 20 && fabs(latitude) < M_PI / 2 - 1e-6; i++)
        theta -= (2 * theta + sin(2 * theta) - M_PI * sin(latitude)) / (2 + 2 * cos(2 * theta));
    return sin(theta);
}

static void draw_graticule(cairo_t *c)
{
    cairo_set_source_rgba(c, 1, 1, 1, 0.3);
    cairo_set_line_width(c, 0.8);
    for (int latitude = -60; latitude <= 60; latitude += 30) {
        double y = height_of(latitude * M_PI / 180), x = 2 * sqrt(1 - y * y);
        cairo_move_to(c, WIDTH / 2.0 - x * HALF / 2, MIDDLE - y * HALF / 2);
        cairo_line_to(c, WIDTH / 2.0 + x * HALF / 2, MIDDLE - y * HALF / 2);
    }
    for (int longitude = -120; longitude <= 120; longitude += 60)
        for (int i = 0; i <= 60; i++) {
            double y = -1 + i / 30.0, x = longitude / 90.0 * sqrt(fmax(0, 1 - y * y));
            (i ? cairo_line_to : cairo_move_to)(c, WIDTH / 2.0 + x * HALF / 2, MIDDLE - y * HALF / 2);
        }
    cairo_stroke(c);
}

/* The cells of the sphere in the ellipse, blown up smoothly. `most`: the density of the lightest colour. */
static deco_status draw_sphere(cairo_t *c, const float *value, double most)
{
    deco_status st = DECO_OK;
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, ACROSS, ACROSS / 2);
    unsigned char *pixels;

    TRY(deco_picture_check(cairo_surface_status(s)));
    cairo_surface_flush(s);
    pixels = cairo_image_surface_get_data(s);
    for (int i = 0; i < ACROSS * ACROSS / 2; i++) {
        deco_colour k = deco_palette_amount(value[i] / most);
        uint32_t word = (uint32_t)(255 * k.r) << 16 | (uint32_t)(255 * k.g) << 8 | (uint32_t)(255 * k.b);
        memcpy(pixels + (i / ACROSS) * cairo_image_surface_get_stride(s) + 4 * (i % ACROSS), &word, 4);
    }
    cairo_surface_mark_dirty(s);
    cairo_save(c);
    cairo_translate(c, WIDTH / 2.0, MIDDLE);
    cairo_scale(c, HALF, HALF / 2.0);
    cairo_arc(c, 0, 0, 1, 0, 2 * M_PI);
    cairo_clip(c);
    cairo_scale(c, 2.0 / ACROSS, 4.0 / ACROSS);
    cairo_set_source_surface(c, s, -ACROSS / 2.0, -ACROSS / 4.0);
    cairo_pattern_set_filter(cairo_get_source(c), CAIRO_FILTER_BILINEAR);
    cairo_pattern_set_extend(cairo_get_source(c), CAIRO_EXTEND_PAD);
    cairo_paint(c);
    cairo_restore(c);
    draw_graticule(c);
out:
    cairo_surface_destroy(s);
    return st;
}

static void draw_key(cairo_t *c, double most)
{
    const double left = 100, wide = 260, top = HEIGHT - 36;
    char text[32];

    for (int i = 0; i < 150; i++) {
        deco_colour k = deco_palette_amount(i / 149.0);
        cairo_set_source_rgb(c, k.r, k.g, k.b);
        cairo_rectangle(c, left + i * wide / 150, top, wide / 150 + 0.5, 9);
        cairo_fill(c);
    }
    cairo_set_source_rgb(c, 0.13, 0.13, 0.13);
    deco_picture_font(c, 12, false);
    for (int i = 0; i <= 4; i++) {
        snprintf(text, sizeof text, "%.*f", most < 3.5 && i % 4 ? 1 : 0, most * i / 4);
        deco_picture_text(c, left + wide * i / 4, top + 23, 0.5, text);
    }
    deco_picture_text(c, left + wide + 16, top + 9, 0, "times even");
}

static deco_status draw(cairo_t *c, const sphere *s, int64_t N)
{
    float value[ACROSS * ACROSS / 2];
    double most = 2, u[3];
    char title[96], grouped[32];

    for (int i = 0; i < ACROSS * ACROSS / 2; i++) {
        int across = i % ACROSS, down = i / ACROSS;
        double x = 4 * (across + 0.5) / ACROSS - 2, y = 1 - 4 * (down + 0.5) / ACROSS, inside = sqrt(x * x / 4 + y * y);
        if (inside >= 1) /* the rim is painted from cells whose middle lies a little outside */
            x *= 0.9999 / inside, y *= 0.9999 / inside;
        value[i] = direction_at(u, x, y) ? (float)density(s, u, N > 0 ? (double)N : 1) : 0;
        most = fmax(most, value[i]);
    }
    most = most > 4 ? 4 * ceil(most / 4) : most > 2 ? 4 : 2; /* its quarters have short numbers */
    snprintf(title, sizeof title, "View directions of %s particle%s", deco_grouped(grouped, N), N == 1 ? "" : "s");
    deco_picture_font(c, 14, true);
    cairo_set_source_rgb(c, 0.13, 0.13, 0.13);
    deco_picture_text(c, WIDTH / 2.0, 28, 0.5, title);
    draw_key(c, most);
    return draw_sphere(c, value, most);
}

deco_status deco_figure_views(const char *path, const float *R, int64_t N)
{
    deco_status st = DECO_OK;
    deco_picture p = {0};
    sphere *s = NULL;

    TRY(deco_alloc(&s, 1, sizeof *s, "view directions"));
    count_directions(s, R, N);
    TRY(deco_picture_create(&p, WIDTH, HEIGHT, 1, 1, 1, 1));
    TRY(draw(p.c, s, N));
    TRY(deco_picture_write(&p, path));
out:
    deco_picture_free(&p);
    free(s);
    return st;
}
