#include "analysis/volumes.h"
#include "analysis/hand.h"
#include "base/file.h"
#include "formats/mrc.h"
#include <stdlib.h>
#include <string.h>

static deco_status write_volume(const char *directory, const float *map, const deco_model *model, int64_t number)
{
    char *path = deco_format("%s/vol_%03lld.mrc", directory, (long long)number);
    deco_status st;

    if (!path)
        return deco_fail_memory(strlen(directory), "a file's name");
    st = deco_mrc_write_volume(path, map, model->D, model->D, model->D, model->psize_A, "cryodeco");
    free(path);
    return st;
}

deco_status deco_volumes_write(const char *directory, deco_model *model, const double *z, int64_t n, bool mirror, deco_monitor *m)
{
    deco_status st = DECO_OK;
    int64_t Z = model->shape.Z, D = model->D;
    float *map = NULL, *at = NULL;

    TRY(deco_alloc(&map, (size_t)(D * D * D), sizeof *map, "a density map"));
    TRY(deco_alloc(&at, (size_t)Z, sizeof *at, "a latent"));
    TRY(deco_directory_make(directory));
    for (int64_t i = 0; i < n; i++) {
        if (deco_monitor_stopped(m))
            TRY(deco_fail(DECO_E_STOPPED, "stopped during the analysis; `cryodeco analyze` makes it from the last checkpoint"));
        for (int64_t j = 0; j < Z; j++)
            at[j] = (float)z[i * Z + j];
        TRY(deco_model_decode(map, model, at));
        if (mirror)
            deco_map_mirror(map, D);
        TRY(write_volume(directory, map, model, i));
        deco_progress_add(m, 1);
    }
out:
    free(map);
    free(at);
    return st;
}

deco_status deco_latents_write(const char *directory, const char *name, const double *z, int64_t n, int64_t Z)
{
    deco_status st = DECO_OK;
    deco_file *f = NULL;
    char *path = deco_path_join(directory, name);

    if (!path)
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    TRY(deco_file_create(&f, path));
    for (int64_t i = 0; i < n * Z; i++)
        TRY(deco_file_print(f, "%.9g%c", z[i], i % Z == Z - 1 ? '\n' : ' '));
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    free(path);
    return st;
}
