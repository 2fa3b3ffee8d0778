/* A finished run as cryodeco.h shows it: open its newest checkpoint, decode maps. */
#include "model/model.h"

#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NEWEST = -2 };

/* The number of "weights.<epoch>.safetensors"; false for any other name. */
static bool epoch_of_name(const char *name, int64_t *epoch)
{
    long long e;
    char again[64];

    if (sscanf(name, "weights.%lld.safetensors", &e) != 1)
        return false;
    snprintf(again, sizeof again, "weights.%lld.safetensors", e); /* sscanf takes more than it should: "weights.1.safetensors.old" */
    if (strcmp(again, name) != 0)
        return false;
    *epoch = e;
    return true;
}

static deco_status newest_epoch(int64_t *newest, const char *folder)
{
    DIR *d = opendir(folder);
    bool found = false;

    if (!d)
        return deco_fail_errno(DECO_E_FILE,
                               "%s: cannot look for weights.<epoch>.safetensors here; name the output directory of a finished run", folder);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        int64_t epoch;
        if (epoch_of_name(e->d_name, &epoch) && (!found || epoch > *newest)) {
            *newest = epoch;
            found = true;
        }
    }
    closedir(d);
    if (!found)
        return deco_fail(DECO_E_FILE,
                         "%s: there is no weights.<epoch>.safetensors here; train first, or name the output directory of a finished run",
                         folder);
    return DECO_OK;
}

deco_status deco_checkpoint_path(char **out, const char *outdir, int64_t epoch)
{
    deco_status st = DECO_OK;
    char *folder = deco_path_join(outdir, "out");

    *out = NULL;
    if (!folder) {
        st = deco_fail_memory(strlen(outdir) + 5, "a path");
        goto out;
    }
    if (epoch == NEWEST)
        TRY(newest_epoch(&epoch, folder));
    *out = deco_format("%s/weights.%lld.safetensors", folder, (long long)epoch);
    if (!*out)
        st = deco_fail_memory(strlen(folder) + 40, "a path");
out:
    free(folder);
    return st;
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
    TRY(deco_checkpoint_read(&m, &at, dev, path, false));
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
    return deco_model_decode(out, m, z);
}
