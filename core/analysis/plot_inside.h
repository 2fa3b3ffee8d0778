/* The inside of a figure, for what draws on it. */
#ifndef DECO_ANALYSIS_PLOT_INSIDE_H
#define DECO_ANALYSIS_PLOT_INSIDE_H

#include "analysis/plot.h"
#include <cairo.h>

struct deco_plot {
    cairo_surface_t *surface;
    cairo_t *c;
    deco_axis x, y;
    double scale;                                               /* image pixels a point */
    double image_width, image_height, left, top, width, height; /* points; the last four: the axes */
};

/* Data to points. */
double deco_plot_x(const deco_plot *p, double x);
double deco_plot_y(const deco_plot *p, double y);
void deco_plot_font(cairo_t *c, double size, bool bold);

#endif
