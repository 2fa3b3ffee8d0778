#include "analysis/volumes.h"
#include "analysis/figures.h"
#include "analysis/hand.h"
#include "analysis/palette.h"
#include "base/file.h"
#include "formats/mrc.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* vol_000.mrc, and vol_000.png: its central slices and projections. */
static deco_status write_volume(const char *directory, const float *map, int64_t D, double psize_A, int64_t number, deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *path = deco_format("%s/vol_%03lld.mrc", directory, (long long)number),
         *picture = deco_format("%s/vol_%03lld.png", directory, (long long)number);

    if (!path || !picture)
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    TRY(deco_mrc_write_volume(path, map, D, D, D, psize_A, "cryodeco"));
    TRY(deco_figure_optional(deco_figure_map(picture, map, D, psize_A), m));
out:
    free(path);
    free(picture);
    return st;
}

/* A molecule is denser than what is around it, so the mean of the middle (half the width of the box) is above that of the whole map, 0. */
static bool negative_inside(const float *map, int64_t D)
{
    double sum = 0;

    for (int64_t z = D / 4; z < D - D / 4; z++)
        for (int64_t y = D / 4; y < D - D / 4; y++)
            for (int64_t x = D / 4; x < D - D / 4; x++)
                sum += map[(z * D + y) * D + x];
    return sum < 0;
}

/* All maps at one level, in the colours of the plots, and how to make a film of them. */
static deco_status write_script(const char *directory, int64_t n)
{
    deco_status st = DECO_OK;
    deco_file *f = NULL;
    char *path = deco_path_join(directory, "open_all.cxc");

    if (!path)
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    TRY(deco_file_create(&f, path));
    TRY(deco_file_print(f, "# UCSF ChimeraX: open this file, or type: runscript open_all.cxc\n"));
    for (int64_t i = 0; i < n; i++)
        TRY(deco_file_print(f, "open vol_%03lld.mrc id %lld name \"map %lld\"\n", (long long)i, (long long)i + 1, (long long)i));
    for (int64_t i = 0; i < n; i++) {
        deco_colour c = deco_palette_colour(i);
        TRY(deco_file_print(f, "volume #%lld style surface step 1 sdLevel 4 color #%02x%02x%02x\n", (long long)i + 1,
                            (int)lround(255 * c.r), (int)lround(255 * c.g), (int)lround(255 * c.b)));
    }
    TRY(deco_file_print(f, "view\n"));
    if (n > 1)
        TRY(deco_file_print(f,
                            "# side by side: tile\n"
                            "# in one place, from one to the next: volume morph #1-%lld frames 100\n",
                            (long long)n));
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    free(path);
    return st;
}

deco_status deco_volumes_write(const char *directory, deco_model *model, const double *z, int64_t n, bool mirror,
                               const deco_map_shape *shape, deco_monitor *m)
{
    static const deco_map_shape as_it_is = {0};
    deco_status st = DECO_OK;
    int64_t Z = model->shape.Z, D = model->D;
    float *map = NULL, *at = NULL;

    shape = shape ? shape : &as_it_is;
    TRY(deco_map_shape_check(shape, D));
    TRY(deco_alloc(&map, (size_t)(D * D * D), sizeof *map, "a density map"));
    TRY(deco_alloc(&at, (size_t)Z, sizeof *at, "a latent"));
    TRY(deco_directory_make(directory));
    for (int64_t i = 0; i < n; i++) {
        if (deco_monitor_stopped(m))
            TRY(deco_fail(DECO_E_STOPPED, "stopped while maps were made; what is whole in the run's directory stays"));
        for (int64_t j = 0; j < Z; j++)
            at[j] = (float)z[i * Z + j];
        TRY(deco_model_decode(map, model, D, at));
        if (mirror)
            deco_map_mirror(map, D);
        if (negative_inside(map, D))
            deco_warn(m,
                      "%s/vol_%03lld.mrc is negative in its middle: either the molecule is hollow, or the contrast is the wrong way round",
                      deco_path_name(directory), (long long)i);
        TRY(deco_map_shape_apply(map, shape, D, model->psize_A, model->dev));
        TRY(write_volume(directory, map, deco_map_shape_box(shape, D), deco_map_shape_psize(shape, D, model->psize_A), i, m));
        deco_progress_add(m, 1);
    }
    TRY(write_script(directory, n));
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
