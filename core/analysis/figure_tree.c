/* The dendrogram of the clusters' centres. */
#include "analysis/figures.h"
#include "analysis/plot.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Where each node of the tree hangs: leaves at their number, a merge between what it joins. */
typedef struct hung {
    double x, y;
} hung;

static void draw_merge(deco_plot *p, hung a, hung b, double height)
{
    const double x[4] = {a.x, a.x, b.x, b.x}, y[4] = {a.y, height, height, b.y};

    deco_plot_curve(p, x, y, 4, (deco_colour){0.25, 0.25, 0.25}, DECO_DASH_NONE);
}

static deco_status draw_tree(deco_plot *p, const double *linkage, const int32_t *order, int64_t K)
{
    deco_status st = DECO_OK;
    hung *node = NULL;

    TRY(deco_alloc(&node, 2 * (size_t)K, sizeof *node, "a dendrogram"));
    for (int64_t i = 0; i < K; i++)
        node[order[i]] = (hung){(double)i, 0};
    for (int64_t m = 0; m + 1 < K; m++) {
        hung a = node[(int64_t)linkage[4 * m]], b = node[(int64_t)linkage[4 * m + 1]];
        draw_merge(p, a, b, linkage[4 * m + 2]);
        node[K + m] = (hung){(a.x + b.x) / 2, linkage[4 * m + 2]};
    }
    for (int64_t i = 0; i < K; i++) {
        double x = (double)i, none = 0;
        deco_plot_dots(p, &x, &none, 1, deco_palette_colour(order[i]));
    }
out:
    free(node);
    return st;
}

static deco_status make_legend(deco_legend_row **out, const int64_t *size, int64_t K)
{
    deco_status st = deco_alloc(out, (size_t)K, sizeof **out, "a legend");

    for (int64_t k = 0; !st && k < K; k++) {
        snprintf((*out)[k].text[0], sizeof(*out)[k].text[0], "%lld", (long long)k);
        deco_grouped((*out)[k].text[1], size[k]);
        (*out)[k].colour = deco_palette_colour(k);
    }
    return st;
}

deco_status deco_figure_dendrogram(const char *path, const double *centres, const int64_t *size, int64_t K, int64_t Z)
{
    deco_status st = DECO_OK;
    deco_plot *plot = NULL;
    deco_legend_row *legend = NULL;
    int32_t *order = NULL;
    double *linkage = NULL, most = 0;

    TRY(deco_alloc(&order, (size_t)K, sizeof *order, "a dendrogram"));
    TRY(deco_alloc(&linkage, 4 * (size_t)K, sizeof *linkage, "a dendrogram"));
    TRY(deco_dendrogram_order(order, linkage, centres, K, Z));
    for (int64_t m = 0; m + 1 < K; m++)
        most = fmax(most, linkage[4 * m + 2]);
    TRY(make_legend(&legend, size, K));
    TRY(deco_plot_create(
        &plot,
        &(deco_frame){.title = "How far the clusters' centres are apart (average linkage)",
                      .x = {"cluster", -0.6, (double)K - 0.4, DECO_AXIS_WHOLE},
                      .y = {.label = "distance of latents", .low = most > 0 ? -0.03 * most : -0.03, .high = most > 0 ? 1.06 * most : 1},
                      .heading = "cluster",
                      .legend = legend,
                      .rows = K,
                      .scale = 2}));
    TRY(draw_tree(plot, linkage, order, K));
    TRY(deco_plot_write(plot, path, true));
out:
    deco_plot_free(plot);
    free(legend);
    free(order);
    free(linkage);
    return st;
}
