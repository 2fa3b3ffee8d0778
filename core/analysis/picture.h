/* Pictures: what is drawn is recorded, and then written as PNG, as SVG or both. Axes are plot.h's. */
#ifndef DECO_ANALYSIS_PICTURE_H
#define DECO_ANALYSIS_PICTURE_H

#include "base/status.h"
#include <cairo.h>

/* `width` × `height` points, a PNG's points of `scale` pixels each, filled with one colour. Fails: MEMORY. Free with deco_picture_free. */
typedef struct deco_picture {
    cairo_surface_t *surface; /* the recording */
    cairo_t *c;
    double width, height, scale;
} deco_picture;
deco_status deco_picture_create(deco_picture *out, double width, double height, double scale, double r, double g, double b);
void deco_picture_free(deco_picture *p);

/* `align` 0: starts at x; 0.5: centred there; 1: ends there. y is the baseline. */
void deco_picture_text(cairo_t *c, double x, double y, double align, const char *text);

/* Letters of the figures' own font, `size` points high. */
void deco_picture_font(cairo_t *c, double size, bool bold);

/* The library was built without that font, and none is installed: Cairo then draws letters of its own, of ASCII alone. */
bool deco_picture_without_fonts(cairo_t *c);

/* What Cairo has to say, as a status. */
deco_status deco_picture_check(cairo_status_t s);

/* As PNG. Whole or absent. Fails: UNSUPPORTED (it cannot be drawn here, a missing font for one), MEMORY, FILE. */
deco_status deco_picture_write(const deco_picture *p, const char *path);

/* The same as SVG, beside `path`, whose ending .png is replaced. The same bytes whatever the process drew before. */
deco_status deco_picture_write_svg(const deco_picture *p, const char *path);

#endif
