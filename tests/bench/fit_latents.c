/* What an analysis makes of latents, without a run: for tests/bench/peers/latents.py.
 *
 *     bench_fit_latents Z.npy X.npy OUT K SEED THREADS
 *
 * Z.npy [N,Z] f4 and X.npy [N,any] f4; writes OUT/umap.npy [N,2] and OUT/labels.npy [N] of Z, labels in the program's own way, by UMAP where Z is above
 * umap_dim; and on stdout {"log_likelihood": …}, the mean of a row of X under a mixture fitted to it. */
#include "analysis/analysis.h"
#include "analysis/clustering.h"
#include "analysis/umap.h"
#include "base/file.h"
#include "formats/npy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESTARTS = 20, ITERATIONS = 100 };

typedef struct fit {
    const char *out;
    deco_npy z, x;
    int64_t N, Z;
    uint64_t seed;
    deco_options *o;
    deco_pool *pool;
    float *scores, *plane, *narrow;
} fit;

static deco_status put(const fit *f, const char *name, const char *descr, int dims, int64_t columns, const void *data)
{
    char *path = deco_path_join(f->out, name);
    deco_status st =
        path ? deco_npy_write(path, descr, dims, (const int64_t[]){f->N, columns}, data) : deco_fail_memory(64, "a file's name");

    free(path);
    return st;
}

static deco_status lay_out(fit *f)
{
    deco_status st = DECO_OK;
    deco_pca pca = {0};
    deco_neighbours near = {0};
    int64_t dim = f->o->umap_dim;

    TRY(deco_alloc(&f->scores, (size_t)(f->N * f->Z), sizeof *f->scores, "scores"));
    TRY(deco_alloc(&f->plane, 2 * (size_t)f->N, sizeof *f->plane, "a layout"));
    TRY(deco_pca_fit(&pca, f->scores, f->z.data, f->N, f->Z, f->pool));
    TRY(deco_neighbours_find(&near, f->z.data, f->N, f->Z, DECO_UMAP_NEIGHBOURS, f->seed, f->pool, NULL));
    TRY(deco_umap_fit(f->plane, &(deco_umap_plan){2, 0, f->seed}, &near, f->scores, f->Z, f->pool, NULL));
    if (f->Z > dim) {
        TRY(deco_alloc(&f->narrow, (size_t)(f->N * dim), sizeof *f->narrow, "a layout"));
        TRY(deco_umap_fit(f->narrow, &(deco_umap_plan){dim, 0, f->seed}, &near, f->scores, f->Z, f->pool, NULL));
    }
    TRY(put(f, "umap.npy", "<f4", 2, 2, f->plane));
out:
    deco_pca_free(&pca);
    deco_neighbours_free(&near);
    return st;
}

static deco_status run(fit *f)
{
    deco_status st = DECO_OK;
    deco_clustering c = {0};
    deco_gmm g = {0};

    TRY(lay_out(f));
    TRY(deco_clustering_find(&c, f->z.data, f->narrow, f->N, f->Z, f->o, f->seed, f->pool, NULL));
    TRY(put(f, "labels.npy", "<i4", 1, 0, c.found.label));
    TRY(deco_gmm_fit(&g, f->x.data, f->N, f->x.shape[1], f->o->k_num, RESTARTS, ITERATIONS, f->seed, f->pool));
    printf("{\"log_likelihood\": %.9g}\n", g.log_likelihood);
out:
    deco_clustering_free(&c);
    deco_gmm_free(&g);
    return st;
}

int main(int argc, char **argv)
{
    deco_status st = DECO_OK;
    fit f = {0};

    if (argc != 7)
        return fprintf(stderr, "bench_fit_latents Z.npy X.npy OUT K SEED THREADS\n"), 2;
    f.out = argv[3];
    f.seed = strtoull(argv[5], NULL, 10);
    TRY(deco_npy_read(&f.z, argv[1]));
    TRY(deco_npy_read(&f.x, argv[2]));
    f.N = f.z.shape[0];
    f.Z = f.z.shape[1];
    TRY(deco_options_create(&f.o));
    TRY(deco_options_set(f.o, "k_num", argv[4]));
    TRY(deco_pool_create(&f.pool, atoi(argv[6]), NULL));
    TRY(run(&f));
out:
    if (st)
        fprintf(stderr, "%s\n", deco_error());
    free(f.scores);
    free(f.plane);
    free(f.narrow);
    deco_npy_free(&f.z);
    deco_npy_free(&f.x);
    deco_options_free(f.o);
    deco_pool_free(f.pool);
    return st != DECO_OK;
}
