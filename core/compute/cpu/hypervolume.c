/* The decoder's blocks on the CPU: values tile by tile, gradients by hypervolume_gradient.c.
 *
 * Nothing is saved between the forward call and its backward: what backward needs is 10 kB a point at the default size, and going
 * through a tile again is cheaper than the memory. The training step (slice_loss) does both on the same tile and recomputes nothing. */
#include "compute/cpu/hypervolume.h"
#include "compute/composed.h"
#include "compute/cpu/hypervolume_gradient.h"
#include "compute/cpu/hypervolume_pass.h"

enum { SAVED_BYTES = 64 }; /* never 0: an array without elements means "none" */

typedef struct values {
    cpu_pass pass;
    float *out;
} values;

static deco_status work_on_tile(void *context, int64_t index, int worker)
{
    deco_status st = DECO_OK;
    const values *v = context;
    cpu_tile t;
    TRY(cpu_tile_begin(&t, &v->pass, worker));
    cpu_tile_forward(&t, &v->pass, index);
    cpu_tile_put(v->out, &t, &v->pass, t.out);
out:
    return st;
}

deco_status cpu_hypervolume_values(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                   deco_array freqs, deco_array x, deco_array R, deco_array z)
{
    if (!cpu_decoder_serves(h))
        return composed_hypervolume_values(dev, h, out, saved, params, freqs, x, R, z);
    deco_status st = DECO_OK;
    values v = {.out = out.data};
    TRY(cpu_pass_begin(&v.pass, dev, h, CPU_PASS_MIRRORED, out.shape[0], out.shape[1], params, freqs, x, R, z));
    TRY(deco_pool_run(dev->pool, work_on_tile, &v, cpu_pass_tiles(&v.pass)));
out:
    cpu_pass_end(&v.pass);
    return st;
}

deco_status cpu_hypervolume_backward(deco_device *dev, const deco_hypervolume *h, deco_array dparams, deco_array dz, deco_array dpose,
                                     deco_array dout, deco_array saved, deco_array params, deco_array freqs, deco_array x, deco_array R,
                                     deco_array z)
{
    if (!cpu_decoder_serves(h))
        return composed_hypervolume_backward(dev, h, dparams, dz, dpose, dout, saved, params, freqs, x, R, z);
    cpu_gradient g = {.dparams = dparams.data, .dz = dz.data, .dpose = dpose.data, .dout = dout.data};
    return cpu_hypervolume_gradient(dev, h, &g, dout.shape[0], dout.shape[1], params, freqs, x, R, z);
}

size_t cpu_hypervolume_saved_bytes(deco_device *dev, const deco_hypervolume *h, int64_t B, int64_t P)
{
    return cpu_decoder_serves(h) ? SAVED_BYTES : composed_hypervolume_saved_bytes(dev, h, B, P);
}

deco_status cpu_slice_loss(deco_device *dev, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz, deco_array dR,
                           deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R, deco_array z, deco_array ctf,
                           deco_array target)
{
    if (!cpu_decoder_serves(h))
        return composed_slice_loss(dev, h, loss, dparams, dz, dR, dpred, params, freqs, k, R, z, ctf, target);
    cpu_gradient g = {.dparams = dparams.data, .dz = dz.data, .dpose = dR.data, .ctf = ctf.data, .target = target.data};
    g.dpred = dpred.data;
    g.loss = loss.data;
    return cpu_hypervolume_gradient(dev, h, &g, target.shape[0], target.shape[1], params, freqs, k, R, z);
}
