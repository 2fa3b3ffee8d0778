/* The subset of each cluster. */
#include "analysis/subsets.h"
#include "analysis/figures.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

static deco_status write_cluster(const char *directory, const deco_subset_source *source, const deco_clustering *c, int64_t k,
                                 const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    char grouped[32], all[32];
    char *stem = deco_format("%s/cluster_%lld", directory, (long long)k);
    char *title = deco_format("Cluster %lld (%s particle%s)", (long long)k, deco_grouped(grouped, n), n == 1 ? "" : "s");
    char *description = deco_format("%s of %s particles of %s: cluster %lld of %lld (%s) of %s; cryodeco %s", grouped,
                                    deco_grouped(all, c->found.N), deco_path_name(source->in.particles->cs_path), (long long)k,
                                    (long long)c->found.K, c->method, source->in.analysis, deco_version());

    if (!stem || !title || !description)
        TRY(deco_fail_memory(256, "a subset's description"));
    TRY(deco_subset_write(
        stem, source,
        &(deco_subset){
            .row = row, .n = n, .label = c->found.label, .name = deco_path_name(stem), .title = title, .description = description}));
out:
    free(stem);
    free(title);
    free(description);
    return st;
}

deco_status deco_subsets_write(const char *directory, const deco_subset_input *in, const deco_clustering *c)
{
    deco_status st = DECO_OK;
    deco_subset_source source = {0};
    int64_t *row = NULL;

    TRY(deco_directory_make(directory));
    TRY(deco_subset_source_open(&source, in, DECO_SUBSET_ALL));
    TRY(deco_alloc(&row, (size_t)c->found.N, sizeof *row, "rows of a subset"));
    for (int64_t k = 0; k < c->found.K; k++) {
        int64_t n = 0;
        for (int64_t i = 0; i < c->found.N; i++)
            if (c->found.label[i] == k)
                row[n++] = i;
        TRY(write_cluster(directory, &source, c, k, row, n));
    }
out:
    deco_subset_source_close(&source);
    free(row);
    return st;
}
