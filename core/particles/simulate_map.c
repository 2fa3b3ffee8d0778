/* MRC maps brought to the set's box and pixel size. */
#include "compute/ops.h"
#include "formats/mrc.h"
#include "particles/simulate_parts.h"

#include <math.h>
#include <stdlib.h>

/* Voxels that the map's grid must be padded or cut to, so that Fourier cropping gives the wanted pixel size. */
static deco_status grid_for(int64_t *n, const sim_settings *s, const deco_mrc *f)
{
    double view = (double)s->D * s->psize_A, voxels;
    if (f->nx != f->ny || f->ny != f->nz)
        return deco_fail(DECO_E_FORMAT, "%s: a map of %lld×%lld×%lld voxels; a cube is needed", f->path, (long long)f->nx, (long long)f->ny,
                         (long long)f->nz);
    if (!(f->psize_A > 0))
        return deco_fail(DECO_E_FORMAT, "%s: the header gives no voxel size; set it (mrcfile: voxel_size) and try again", f->path);
    voxels = view / f->psize_A;
    *n = 2 * (int64_t)llround(voxels / 2);
    if (*n < 8 || *n > 4096 || fabs((double)*n - voxels) > 1e-3 * voxels)
        return deco_fail(DECO_E_ARGUMENT,
                         "%s: %lld voxels of %g Å cannot be brought to a box of %lld pixels of %g Å: that view is %.3f voxels wide, and an "
                         "even whole number is needed; --psize_A %g --box %lld fits",
                         f->path, (long long)f->nx, f->psize_A, (long long)s->D, s->psize_A, voxels, f->psize_A,
                         (long long)(f->nx + f->nx % 2));
    return DECO_OK;
}

deco_status sim_density_of_map(float *v, const sim_settings *s, const char *path, deco_device *dev)
{
    deco_status st = DECO_OK;
    deco_mrc *f = NULL;
    float *file = NULL, *grid = NULL;
    int64_t n = 0;

    TRY(deco_mrc_open(&f, path));
    TRY(grid_for(&n, s, f));
    TRY(deco_alloc(&file, (size_t)(f->nx * f->nx * f->nx), sizeof *file, "map"));
    TRY(deco_alloc(&grid, (size_t)(n * n * n), sizeof *grid, "map"));
    TRY(deco_mrc_read(f, file, 0, f->nz));
    for (int64_t i = 0; i < f->nx * f->nx * f->nx; i++)
        if (!isfinite(file[i]))
            TRY(deco_fail(DECO_E_FORMAT, "%s: voxel %lld (x fastest) is %g", path, (long long)i, (double)file[i]));
    sim_central(grid, n, file, f->nx);
    TRY(deco_hartley_3d(dev, deco_f32_3(grid, n, n, n), deco_f32_3(grid, n, n, n), false));
    TRY(deco_device_wait(dev));
    sim_central(v, s->D, grid, n);
    sim_band_limit(v, s->D);
    TRY(deco_hartley_3d(dev, deco_f32_3(v, s->D, s->D, s->D), deco_f32_3(v, s->D, s->D, s->D), true));
    TRY(deco_device_wait(dev));
out:
    deco_mrc_close(f);
    free(file);
    free(grid);
    return st;
}
