#include "analysis/gallery.h"
#include "analysis/figures.h"
#include "analysis/plot_inside.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

typedef struct wall {
    const char *directory;
    char *path; /* of the newest plot */
} wall;

/* DIRECTORY/NAME, good until the next one; NULL without memory. */
static const char *place_of(wall *w, const char *name)
{
    free(w->path);
    w->path = deco_path_join(w->directory, name);
    return w->path;
}

#define HANG(call) TRY(place ? deco_figure_optional((call), g->m) : deco_fail_memory(strlen(directory), "a file's name"))

static deco_status look_for_fonts(deco_monitor *m)
{
    deco_picture p = {0};
    deco_status st = deco_picture_create(&p, 1, 1, 1, 1, 1, 1);

    if (!st) {
        deco_picture_font(p.c, 12, false);
        if (deco_picture_without_fonts(p.c))
            deco_warn(
                m, "no font is installed (fc-list shows none): plots have plain letters; fonts-dejavu-core or any other gives better ones");
    }
    deco_picture_free(&p);
    return st;
}

deco_status deco_gallery_planes(const char *directory, const deco_gallery *g)
{
    deco_status st = DECO_OK;
    wall w = {directory, NULL};
    deco_plane of_pca = deco_plane_of_components(g->pca, g->scores, g->N), of_umap = deco_plane_of_umap(g->umap, g->N);
    const char *place;

    TRY(look_for_fonts(g->m));
    place = place_of(&w, "pca.png");
    HANG(deco_figure_density(place, &of_pca));
    place = place_of(&w, "pca_hexbin.png");
    HANG(deco_figure_hexagons(place, &of_pca, NULL));
    place = place_of(&w, "pca_marginals.png");
    HANG(deco_figure_marginals(place, &of_pca));
    if (!g->umap)
        goto out;
    place = place_of(&w, "umap.png");
    HANG(deco_figure_density(place, &of_umap));
    place = place_of(&w, "umap_hexbin.png");
    HANG(deco_figure_hexagons(place, &of_umap, NULL));
    place = place_of(&w, "umap_marginals.png");
    HANG(deco_figure_marginals(place, &of_umap));
out:
    free(w.path);
    return st;
}

deco_status deco_gallery_clusters(const char *directory, const deco_gallery *g, const deco_clustering *c)
{
    deco_status st = DECO_OK;
    wall w = {directory, NULL};
    deco_plane of_pca = deco_plane_of_components(g->pca, g->scores, g->N), of_umap = deco_plane_of_umap(g->umap, g->N);
    int64_t K = c->found.K, Z = g->Z;
    double *centre = NULL;
    const char *place;

    place = place_of(&w, "z_pca.png");
    HANG(deco_figure_clusters(place, &of_pca, c));
    if (g->umap) {
        place = place_of(&w, "umap_clusters.png");
        HANG(deco_figure_clusters(place, &of_umap, c));
        place = place_of(&w, "umap_hex.png");
        HANG(deco_figure_hexagons(place, &of_umap, c));
    }
    TRY(deco_alloc(&centre, (size_t)(K * Z), sizeof *centre, "cluster centres"));
    for (int64_t i = 0; i < K * Z; i++)
        centre[i] = g->z[c->row[i / Z] * Z + i % Z];
    place = place_of(&w, "dendrogram.png");
    HANG(deco_figure_dendrogram(place, centre, c->size, K, Z));
out:
    free(centre);
    free(w.path);
    return st;
}

/* Where places lie on the first two components, xy [2,points]. */
static void project(double *xy, const deco_pca *p, const double *place, int64_t points)
{
    memset(xy, 0, 2 * (size_t)points * sizeof *xy);
    for (int64_t i = 0; i < points; i++)
        for (int64_t axis = 0; axis < 2 && axis < p->Z; axis++)
            for (int64_t j = 0; j < p->Z; j++)
                xy[axis * points + i] += (place[i * p->Z + j] - p->mean[j]) * p->components[axis * p->Z + j];
}

deco_status deco_gallery_traversal(const char *directory, const deco_gallery *g, int64_t component, const double *at, int64_t points)
{
    deco_status st = DECO_OK;
    wall w = {directory, NULL};
    deco_plane of_pca = deco_plane_of_components(g->pca, g->scores, g->N), of_umap = deco_plane_of_umap(g->umap, g->N);
    double *xy = NULL;
    int64_t *row = NULL;
    const char *place;

    TRY(deco_alloc(&xy, 2 * (size_t)points, sizeof *xy, "places of maps"));
    TRY(deco_alloc(&row, (size_t)points, sizeof *row, "places of maps"));
    project(xy, g->pca, at, points);
    place = place_of(&w, "pca_traversal.png");
    HANG(deco_figure_traversal(place, &of_pca, component, xy, points, false));
    if (!g->umap)
        goto out;
    deco_nearest_to_places(row, at, points, g->z, g->N, g->Z);
    for (int64_t i = 0; i < 2 * points; i++)
        xy[i] = g->umap[2 * row[i % points] + i / points];
    place = place_of(&w, "umap_traversal.png");
    HANG(deco_figure_traversal(place, &of_umap, component, xy, points, true));
out:
    free(xy);
    free(row);
    free(w.path);
    return st;
}
