/* Curves over the epochs of a run. */
#include "analysis/figures.h"
#include "analysis/plot.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINES = 8, DOTTED = 60 /* epochs up to which each has its dot */ };

static double value_of(double y, bool log) { return !log ? y : y > 0 ? log10(y) : NAN; }

/* The finite numbers of a line, in a row; their number. */
static int64_t take_line(double *x, double *y, const double *epoch, const double *from, int64_t epochs, bool log)
{
    int64_t n = 0;

    for (int64_t i = 0; i < epochs; i++) {
        double v = value_of(from[i], log);
        if (!isfinite(v))
            continue;
        x[n] = epoch[i];
        y[n++] = v;
    }
    return n;
}

/* The axis that holds all lines; false when there is nothing. */
static bool range_of(deco_axis *a, const deco_epoch_line *line, int lines, int64_t epochs, bool log)
{
    double low = INFINITY, high = -INFINITY;

    for (int k = 0; k < lines; k++)
        for (int64_t i = 0; i < epochs; i++) {
            double v = value_of(line[k].y[i], log);
            if (isfinite(v)) {
                low = fmin(low, v);
                high = fmax(high, v);
            }
        }
    if (!isfinite(low))
        return false;
    if (!(high - low > 1e-6 * fmax(fabs(low), fabs(high)))) {
        high += log ? 0.2 : fmax(1e-3, 0.1 * fabs(high));
        low -= log ? 0.2 : fmax(1e-3, 0.1 * fabs(low));
    }
    a->low = low - 0.05 * (high - low);
    a->high = high + 0.05 * (high - low);
    return true;
}

deco_status deco_figure_epochs(const char *path, const char *title, const char *label, bool log, const double *epoch, int64_t epochs,
                               const deco_epoch_line *line, int lines)
{
    deco_status st = DECO_OK;
    static const char *const how[] = {"line", "dashes", "dots", "dash-dot"};
    deco_legend_row legend[LINES] = {0};
    deco_plot *plot = NULL;
    double *x = NULL, *y = NULL;
    deco_frame f = {.title = title,
                    .x = {.label = "epoch", .kind = DECO_AXIS_WHOLE},
                    .y = {.label = label, .kind = log ? DECO_AXIS_LOG : DECO_AXIS_PLAIN},
                    .heading = "",
                    .legend = legend,
                    .scale = 2};

    lines = lines < LINES ? lines : LINES;
    if (!epochs || !range_of(&f.y, line, lines, epochs, log))
        return DECO_OK;
    f.x.low = epoch[0] - 0.5;
    f.x.high = epoch[epochs - 1] + 0.5;
    TRY(deco_alloc(&x, 2 * (size_t)epochs, sizeof *x, "curves of a run"));
    y = x + epochs;
    for (int k = 0; k < lines; k++) {
        if (!take_line(x, y, epoch, line[k].y, epochs, log))
            continue;
        snprintf(legend[f.rows].text[0], sizeof legend->text[0], "%s", line[k].name);
        snprintf(legend[f.rows].text[1], sizeof legend->text[1], "%s", how[k % 4]);
        legend[f.rows++].colour = deco_palette_colour(k);
    }
    f.rows = lines > 1 ? f.rows : 0;
    TRY(deco_plot_create(&plot, &f));
    for (int k = 0; k < lines; k++) {
        int64_t n = take_line(x, y, epoch, line[k].y, epochs, log);
        deco_plot_curve(plot, x, y, n, deco_palette_colour(k), (deco_dash)(k % 4));
        if (n <= DOTTED)
            deco_plot_dots(plot, x, y, n, deco_palette_colour(k));
    }
    TRY(deco_plot_write(plot, path, true));
out:
    deco_plot_free(plot);
    free(x);
    return st;
}
