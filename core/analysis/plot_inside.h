/* The inside of a figure, for what draws on it. */
#ifndef DECO_ANALYSIS_PLOT_INSIDE_H
#define DECO_ANALYSIS_PLOT_INSIDE_H

#include "analysis/picture.h"
#include "analysis/plot.h"

struct deco_plot {
    deco_picture picture;
    deco_axis x, y;
    double left, top, width, height; /* of the axes, points */
    double margin;
    bool key;
};

/* Data to points. */
double deco_plot_x(const deco_plot *p, double x);
double deco_plot_y(const deco_plot *p, double y);

#endif
