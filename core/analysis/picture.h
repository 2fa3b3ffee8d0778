/* Pictures without axes: a surface of ours, text on it, and the PNG. Axes are plot.h's. */
#ifndef DECO_ANALYSIS_PICTURE_H
#define DECO_ANALYSIS_PICTURE_H

#include "base/status.h"
#include <cairo.h>

/* `width` × `height` points of `scale` pixels each, filled with one colour. Fails: MEMORY. Destroy both with deco_picture_free. */
typedef struct deco_picture {
    cairo_surface_t *surface;
    cairo_t *c;
} deco_picture;
deco_status deco_picture_create(deco_picture *out, double width, double height, double scale, double r, double g, double b);
void deco_picture_free(deco_picture *p);

/* `align` 0: starts at x; 0.5: centred there; 1: ends there. y is the baseline. */
void deco_picture_text(cairo_t *c, double x, double y, double align, const char *text);

/* What Cairo has to say, as a status. */
deco_status deco_picture_check(cairo_status_t s);

/* As PNG. Whole or absent. */
deco_status deco_picture_write(cairo_surface_t *surface, cairo_t *c, const char *path);

#endif
