/* FSC curves of one map. */
#include "analysis/figures.h"
#include "analysis/plot.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void draw_level(deco_plot *p, double level, double from, double to)
{
    const double x[2] = {from, to}, y[2] = {level, level};

    deco_plot_curve(p, x, y, 2, (deco_colour){0.6, 0.6, 0.6}, DECO_DASH_NONE);
}

deco_status deco_figure_fsc(const char *path, const char *title, const deco_fsc_line *line, int lines, int64_t shells, double box_A)
{
    deco_status st = DECO_OK;
    static const char *const how[] = {"line", "dashes", "dots", "dash-dot"};
    deco_legend_row legend[8] = {0};
    deco_plot *plot = NULL;
    double *x = NULL, last = (double)(shells - 1) / box_A;

    TRY(deco_alloc(&x, (size_t)shells, sizeof *x, "an FSC curve"));
    for (int64_t s = 0; s < shells; s++)
        x[s] = (double)s / box_A;
    for (int i = 0; i < lines && i < 8; i++) {
        snprintf(legend[i].text[0], sizeof legend[i].text[0], "%s", line[i].name);
        snprintf(legend[i].text[1], sizeof legend[i].text[1], "%s", how[i % 4]);
        legend[i].colour = deco_palette_colour(line[i].colour);
    }
    TRY(deco_plot_create(&plot, &(deco_frame){.title = title,
                                              .x = {.label = "spatial frequency (1/\u00c5)", .high = last},
                                              .y = {.label = "Fourier shell correlation", .low = -0.1, .high = 1.02},
                                              .heading = "FSC of",
                                              .legend = legend,
                                              .rows = lines,
                                              .scale = 2}));
    draw_level(plot, 0, 0, last);
    draw_level(plot, 0.143, 0, last);
    draw_level(plot, 0.5, 0, last);
    for (int i = 0; i < lines && i < 8; i++)
        deco_plot_curve(plot, x, line[i].fsc, shells, legend[i].colour, (deco_dash)(i % 4));
    TRY(deco_plot_write(plot, path, true));
out:
    deco_plot_free(plot);
    free(x);
    return st;
}
