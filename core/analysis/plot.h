/* One figure: a pair of axes with ticks, a title and a legend, dark on white, drawn by Cairo into memory of ours. */
#ifndef DECO_ANALYSIS_PLOT_H
#define DECO_ANALYSIS_PLOT_H

#include "analysis/palette.h"
#include "base/status.h"

typedef enum deco_axis_kind {
    DECO_AXIS_PLAIN,
    DECO_AXIS_WHOLE /* ticks at whole numbers */,
    DECO_AXIS_LOG /* low, high and places are log10 */
} deco_axis_kind;

typedef struct deco_axis {
    const char *label; /* with its unit */
    double low, high;
    deco_axis_kind kind;
} deco_axis;

typedef struct deco_legend_row {
    char text[3][32]; /* columns: name, count, share */
    deco_colour colour;
} deco_legend_row;

typedef struct deco_plot deco_plot;

/* 1, 2 or 5 times a power of ten, so that at most `most` steps fit into a range above 0. */
double deco_nice_step(double range, int most);

typedef struct deco_frame {
    const char *title;
    deco_axis x, y;
    const char *heading; /* of the legend, to the right */
    const deco_legend_row *legend;
    int64_t rows;  /* may be 0; those past what fits are counted in one line */
    double scale;  /* pixels a point in the PNG */
    double margin; /* points above and to the right of the axes that are kept free for deco_plot_marginals */
    bool key;      /* room to the right for deco_plot_key */
} deco_frame;

deco_status deco_plot_create(deco_plot **out, const deco_frame *f);
void deco_plot_free(deco_plot *p);

/* N points at (x[i·stride], y[i·stride]), of the colour of class label[i] (NULL: all grey). All are drawn, smaller and fainter the
 * more there are, classes through one another. *beyond: how many lie outside the axes. Fails: MEMORY. */
deco_status deco_plot_points(int64_t *beyond, deco_plot *p, const float *x, const float *y, int64_t stride, const int32_t *label,
                             int64_t N);

/* The same, coloured by how many there are around (deco_palette_amount of the logarithm). */
deco_status deco_plot_density(int64_t *beyond, deco_plot *p, const float *x, const float *y, int64_t stride, int64_t N);

/* Counts in hexagons of the plane, in colours of their logarithm, and with `key` in the frame what the colours mean. Fails: MEMORY. */
deco_status deco_plot_hexagons(int64_t *beyond, deco_plot *p, const float *x, const float *y, int64_t stride, int64_t N);

/* How all N lie along either axis, in the frame's margins. Fails: MEMORY. */
deco_status deco_plot_marginals(deco_plot *p, const float *x, const float *y, int64_t stride, int64_t N);

/* A bar from y0 to y1 over [x0, x1]. */
void deco_plot_bar(deco_plot *p, double x0, double x1, double y0, double y1, deco_colour c);

/* Numbers 0 … n-1 at (x[i], y[i]), moved apart where they would cover one another; none when there are too many to be read. */
deco_status deco_plot_numbers(deco_plot *p, const double *x, const double *y, int64_t n);

/* The same in rings joined by a line, each at its very place. */
void deco_plot_path(deco_plot *p, const double *x, const double *y, int64_t n);

/* A line through (x[i], y[i]), cut off at the axes. Dashes tell lines apart without colour. */
typedef enum deco_dash { DECO_DASH_NONE, DECO_DASH_LONG, DECO_DASH_DOTS, DECO_DASH_MIXED } deco_dash;
void deco_plot_curve(deco_plot *p, const double *x, const double *y, int64_t n, deco_colour colour, deco_dash dash);

/* A line in the lower corner of the axes. */
void deco_plot_note(deco_plot *p, const char *text);

/* A disc on each (x[i], y[i]). */
void deco_plot_dots(deco_plot *p, const double *x, const double *y, int64_t n, deco_colour colour);

/* As PNG, and with `svg` as SVG beside it. Whole or absent. Fails: UNSUPPORTED (it cannot be drawn here), MEMORY, FILE. */
deco_status deco_plot_write(const deco_plot *p, const char *path, bool svg);

#endif
