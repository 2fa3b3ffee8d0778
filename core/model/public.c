/* A finished run as cryodeco.h shows it: open its newest checkpoint, decode maps. */
#include "model/model.h"

#include "base/file.h"
#include "model/checkpoints.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEWEST = -2 };

static deco_status newest_path(char **out, const char *outdir)
{
    deco_checkpoint *list;
    int64_t count;
    deco_status st = deco_checkpoints_list(&list, &count, outdir);

    if (st)
        return st;
    if (count) {
        *out = list[0].path;
        list[0].path = NULL;
    } else {
        st = deco_fail(DECO_E_FILE,
                       "%s/out: there is no weights.<epoch>.safetensors here; train first, or name the output directory of a finished run",
                       outdir);
    }
    deco_checkpoints_free(list, count);
    return st;
}

deco_status deco_checkpoint_path(char **out, const char *outdir, int64_t epoch)
{
    *out = NULL;
    if (epoch == NEWEST)
        return newest_path(out, outdir);
    *out = deco_format("%s/out/weights.%lld.safetensors", outdir, (long long)epoch);
    return *out ? DECO_OK : deco_fail_memory(strlen(outdir) + 40, "a path");
}

deco_status deco_model_open(deco_model **out, const char *outdir, int64_t epoch, int threads)
{
    deco_status st = DECO_OK;
    deco_device *dev = NULL;
    deco_model *m = NULL;
    char *path = NULL;
    deco_position at;

    if (!out)
        return deco_fail(DECO_E_ARGUMENT, "deco_model_open: out is NULL; give a place for the model");
    *out = NULL;
    if (!outdir || threads < 0)
        return deco_fail(DECO_E_ARGUMENT, "deco_model_open: %s",
                         outdir ? "threads is below 0; 0 takes the cores this process may use" : "outdir is NULL");
    TRY(deco_checkpoint_path(&path, outdir, epoch));
    TRY(deco_device_create(&dev, "auto", threads));
    TRY(deco_checkpoint_read(&m, &at, dev, path, DECO_READ_DECODER));
    m->owns_device = true;
    dev = NULL;
    *out = m;
out:
    deco_device_free(dev);
    free(path);
    return st;
}

size_t deco_model_box(const deco_model *m) { return (size_t)m->D; }
size_t deco_model_latent(const deco_model *m) { return (size_t)m->shape.Z; }
double deco_model_psize_A(const deco_model *m) { return m->psize_A; }

deco_status deco_volume_decode(float *out, deco_model *m, const float *z, size_t nz)
{
    if (!out || !m || (nz && !z))
        return deco_fail(DECO_E_ARGUMENT, "deco_volume_decode: %s is NULL", !out ? "out" : !m ? "m" : "z");
    if (nz != (size_t)m->shape.Z)
        return deco_fail(DECO_E_ARGUMENT, "deco_volume_decode: a latent of %zu numbers; this model's latents have %lld", nz,
                         (long long)m->shape.Z);
    for (size_t i = 0; i < nz; i++)
        if (!isfinite(z[i]))
            return deco_fail(DECO_E_ARGUMENT, "deco_volume_decode: z[%zu] is %g; latents are finite numbers", i, (double)z[i]);
    return deco_model_decode(out, m, m->D, z);
}
