#include "analysis/figures.h"
#include "analysis/percentile.h"
#include "analysis/plot.h"
#include "base/file.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pixels a point: for the eye, and for a page that is refreshed, where a picture's time goes with its pixels. */
enum { BINS = 60, FINE = 2, COARSE = 1, MARGIN = 74 /* points, for bars along the axes */ };

const char *deco_grouped(char out[32], int64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n), to = 0;

    for (int i = 0; i < length; i++) {
        if (i && digits[i - 1] != '-' && (length - i) % 3 == 0)
            out[to++] = ',';
        out[to++] = digits[i];
    }
    out[to] = 0;
    return out;
}

static const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

/* From the lowest to the highest score with a margin; when a few rows lie far out, only around the others. */
static deco_status axis_range(deco_axis *a, const float *score, int64_t N, int64_t stride)
{
    static const double at[] = {0, 0.5, 99.5, 100};
    double v[4], low, high;
    deco_status st = deco_percentiles(v, at, 4, score, N, stride);

    if (st)
        return st;
    low = v[0];
    high = v[3];
    if (high - low > 2 * (v[2] - v[1]) && v[2] > v[1]) {
        low = fmax(low, v[1] - 0.25 * (v[2] - v[1]));
        high = fmin(high, v[2] + 0.25 * (v[2] - v[1]));
    }
    if (!(high - low > 1e-6 * fmax(fabs(low), fabs(high)))) { /* all alike */
        low -= fmax(0.5, 0.5 * fabs(low));
        high += fmax(0.5, 0.5 * fabs(high));
    }
    a->low = low - 0.04 * (high - low);
    a->high = high + 0.04 * (high - low);
    return DECO_OK;
}

deco_plane deco_plane_of_components(const deco_pca *p, const float *scores, int64_t N)
{
    deco_plane plane = {.at = scores, .N = N, .stride = p->Z, .what = "principal components"};

    for (int64_t i = 0; i < 2 && i < p->Z; i++) {
        double percent = 100 * p->ratio[i];
        snprintf(plane.label[i], sizeof plane.label[i], "PC%lld (%.*f %% of variance)", (long long)i + 1, percent < 9.95 ? 1 : 0, percent);
    }
    return plane;
}

deco_plane deco_plane_of_umap(const float *umap, int64_t N)
{
    return (deco_plane){.at = umap, .N = N, .stride = 2, .label = {"UMAP 1", "UMAP 2"}, .what = "UMAP"};
}

/* A figure of one component counts; its bars are stacked by cluster. */
typedef struct histogram {
    int64_t *count; /* [BINS, K] */
    int64_t K, most, beyond;
    double low, high;
} histogram;

static deco_status fill_histogram(histogram *h, const float *score, int64_t N, int64_t stride, const int32_t *label, int64_t K,
                                  const deco_axis *a)
{
    deco_status st = deco_alloc(&h->count, (size_t)(BINS * K), sizeof *h->count, "a histogram");

    h->K = K;
    h->low = a->low;
    h->high = a->high;
    for (int64_t i = 0; !st && i < N; i++) {
        double bin = floor((score[i * stride] - a->low) / (a->high - a->low) * BINS);
        if (bin < 0 || bin >= BINS)
            h->beyond++;
        else
            h->count[(int64_t)bin * K + (label ? label[i] : 0)]++;
    }
    for (int64_t b = 0; !st && b < BINS; b++) {
        int64_t sum = 0;
        for (int64_t k = 0; k < K; k++)
            sum += h->count[b * K + k];
        h->most = sum > h->most ? sum : h->most;
    }
    return st;
}

static void draw_histogram(deco_plot *p, const histogram *h, bool coloured)
{
    for (int64_t b = 0; b < BINS; b++) {
        int64_t sum = 0;
        double width = (h->high - h->low) / BINS, x = h->low + (double)b * width;
        for (int64_t k = 0; k < h->K; k++) {
            int64_t n = h->count[b * h->K + k];
            if (n)
                deco_plot_bar(p, x, x + 0.96 * width, (double)sum, (double)(sum + n),
                              coloured ? deco_palette_colour(k) : (deco_colour){0.6, 0.6, 0.6});
            sum += n;
        }
    }
}

/* How particles are drawn where they have two dimensions. */
typedef enum cloud_kind { CLOUD_PLAIN, CLOUD_DENSITY, CLOUD_HEXAGONS, CLOUD_MARGINALS } cloud_kind;

static deco_status draw_cloud(int64_t *beyond, deco_plot *plot, const deco_plane *p, const int32_t *label, cloud_kind kind)
{
    const float *x = p->at, *y = p->at + 1;
    deco_status st;

    if (kind == CLOUD_PLAIN)
        return deco_plot_points(beyond, plot, x, y, p->stride, label, p->N);
    if (kind == CLOUD_DENSITY)
        return deco_plot_density(beyond, plot, x, y, p->stride, p->N);
    st = deco_plot_hexagons(beyond, plot, x, y, p->stride, p->N);
    return st || kind == CLOUD_HEXAGONS ? st : deco_plot_marginals(plot, x, y, p->stride, p->N);
}

/* Axes, legend and all particles: a cloud, or with one dimension a histogram. */
static deco_status draw_particles(deco_plot **out, const char *title, const deco_plane *p, const deco_clusters *c,
                                  const deco_legend_row *legend, cloud_kind kind, double scale)
{
    deco_status st = DECO_OK;
    deco_plot *plot = NULL;
    bool flat = p->stride < 2;
    deco_frame f = {.title = title,
                    .x = {.label = p->label[0]},
                    .y = {.label = flat ? "particles" : p->label[1]},
                    .heading = "cluster",
                    .legend = legend,
                    .rows = c ? c->K : 0,
                    .scale = scale,
                    .margin = kind == CLOUD_MARGINALS && !flat ? MARGIN : 0,
                    .key = kind == CLOUD_HEXAGONS && !flat};
    char note[64], grouped[32];
    histogram h = {0};
    int64_t beyond;

    TRY(axis_range(&f.x, p->at, p->N, p->stride));
    if (flat) {
        TRY(fill_histogram(&h, p->at, p->N, p->stride, c ? c->label : NULL, c ? c->K : 1, &f.x));
        f.y.high = 1.08 * (double)h.most;
    } else
        TRY(axis_range(&f.y, p->at + 1, p->N, p->stride));
    TRY(deco_plot_create(&plot, &f));
    beyond = h.beyond;
    if (flat)
        draw_histogram(plot, &h, c != NULL);
    else
        TRY(draw_cloud(&beyond, plot, p, c ? c->label : NULL, kind));
    if (beyond) {
        snprintf(note, sizeof note, "%s particle%s outside the axes", deco_grouped(grouped, beyond), plural(beyond));
        deco_plot_note(plot, note);
    }
    *out = plot;
    plot = NULL;
out:
    free(h.count);
    deco_plot_free(plot);
    return st;
}

static deco_status make_legend(deco_legend_row **out, const deco_clustering *c)
{
    deco_status st = deco_alloc(out, (size_t)c->found.K, sizeof **out, "a legend");

    for (int64_t k = 0; !st && k < c->found.K; k++) {
        deco_legend_row *row = *out + k;
        snprintf(row->text[0], sizeof row->text[0], "%lld", (long long)k);
        deco_grouped(row->text[1], c->size[k]);
        snprintf(row->text[2], sizeof row->text[2], "%.1f %%", 100.0 * (double)c->size[k] / (double)c->found.N);
        row->colour = deco_palette_colour(k);
    }
    return st;
}

/* The number of each cluster, where its centre is. */
static deco_status number_clusters(deco_plot *plot, const deco_plane *p, const deco_clustering *c)
{
    deco_status st = DECO_OK;
    double *xy = NULL;
    int64_t K = c->found.K;

    if (p->stride < 2)
        return DECO_OK;
    TRY(deco_alloc(&xy, 2 * (size_t)K, sizeof *xy, "cluster centres"));
    for (int64_t k = 0; k < K; k++) {
        xy[k] = p->at[c->row[k] * p->stride];
        xy[K + k] = p->at[c->row[k] * p->stride + 1];
    }
    TRY(deco_plot_numbers(plot, xy, xy + K, K));
out:
    free(xy);
    return st;
}

deco_status deco_figure_clusters(const char *path, const deco_plane *p, const deco_clustering *c)
{
    deco_status st = DECO_OK;
    deco_plot *plot = NULL;
    deco_legend_row *legend = NULL;
    char title[160], grouped[32];

    snprintf(title, sizeof title, "%s particle%s in %lld cluster%s (%s%s%s)", deco_grouped(grouped, p->N), plural(p->N),
             (long long)c->found.K, plural(c->found.K), c->method, c->note ? " of the " : "", c->note ? c->note : "");
    TRY(make_legend(&legend, c));
    TRY(draw_particles(&plot, title, p, &c->found, legend, CLOUD_PLAIN, FINE));
    TRY(number_clusters(plot, p, c));
    TRY(deco_plot_write(plot, path, true));
out:
    deco_plot_free(plot);
    free(legend);
    return st;
}

deco_status deco_figure_traversal(const char *path, const deco_plane *p, int64_t component, const double *xy, int64_t points, bool nearest)
{
    deco_status st = DECO_OK;
    deco_plot *plot = NULL;
    char title[160], grouped[32];

    snprintf(title, sizeof title, "Maps 0 to %lld along PC%lld, 5th to 95th percentile of %s particle%s%s", (long long)points - 1,
             (long long)component + 1, deco_grouped(grouped, p->N), plural(p->N), nearest ? ": the particle nearest to each" : "");
    TRY(draw_particles(&plot, title, p, NULL, NULL, CLOUD_PLAIN, FINE));
    deco_plot_path(plot, xy, xy + points, points);
    TRY(deco_plot_write(plot, path, true));
out:
    deco_plot_free(plot);
    return st;
}

static deco_status figure_of_all(const char *path, const deco_plane *p, const deco_clustering *c, cloud_kind kind, const char *how)
{
    deco_status st = DECO_OK;
    deco_plot *plot = NULL;
    char title[160], grouped[32];

    snprintf(title, sizeof title, "%s of %s particle%s%s", p->what, deco_grouped(grouped, p->N), plural(p->N), how);
    if (*title >= 'a' && *title <= 'z')
        *title = (char)(*title - 'a' + 'A');
    TRY(draw_particles(&plot, title, p, NULL, NULL, kind, FINE));
    if (c)
        TRY(number_clusters(plot, p, c));
    TRY(deco_plot_write(plot, path, true));
out:
    deco_plot_free(plot);
    return st;
}

deco_status deco_figure_density(const char *path, const deco_plane *p)
{
    return figure_of_all(path, p, NULL, CLOUD_DENSITY, p->stride < 2 ? "" : ", lighter where more lie");
}

deco_status deco_figure_hexagons(const char *path, const deco_plane *p, const deco_clustering *c)
{
    return figure_of_all(path, p, c, CLOUD_HEXAGONS, c && p->stride > 1 ? ", with the clusters' centres" : "");
}

deco_status deco_figure_marginals(const char *path, const deco_plane *p) { return figure_of_all(path, p, NULL, CLOUD_MARGINALS, ""); }

deco_status deco_figure_latents(const char *path, const float *z, int64_t N, int64_t Z, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_pca pca = {0};
    deco_plane plane;
    deco_plot *plot = NULL;
    float *scores = NULL;
    char title[160], grouped[32];

    snprintf(title, sizeof title, "Latents of %s particle%s", deco_grouped(grouped, N), plural(N));
    TRY(deco_alloc(&scores, (size_t)(N * Z), sizeof *scores, "principal components of the latents"));
    TRY(deco_pca_fit(&pca, scores, z, N, Z, pool));
    plane = deco_plane_of_components(&pca, scores, N);
    TRY(draw_particles(&plot, title, &plane, NULL, NULL, CLOUD_PLAIN, COARSE));
    TRY(deco_plot_write(plot, path, false));
out:
    deco_plot_free(plot);
    deco_pca_free(&pca);
    free(scores);
    return st;
}

deco_status deco_figure_optional(deco_status st, deco_monitor *m)
{
    if (st != DECO_E_UNSUPPORTED)
        return st;
    deco_warn(m, "%s; it is left out", deco_error());
    return DECO_OK;
}
