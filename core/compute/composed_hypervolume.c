/* The decoder's blocks, composed: the network of composed_network.c on runs of at most RUN points of one image, in order. */
#include "compute/composed.h"
#include "compute/composed_network.h"
#include "compute/table.h"

/* Points a run: 32 tiles of the CPU's products, and some 50 MB of activations at the default sizes. */
enum { RUN = 6144 };

/* One block's arguments, and the memory that each run uses again. */
typedef struct job {
    deco_device *dev;
    const deco_hypervolume *h;
    deco_array params, freqs, x, R, z;
    int64_t P;
    unsigned char *saved; /* of all runs, one behind the other; NULL: `kept` is used again */
    float *kept, *work;
    float *dparams; /* of one run */
    float *dimage;  /* of one run: dz, then dR */
} job;

static int64_t first_run(int64_t P) { return P < RUN ? P : RUN; }

static size_t bytes_of(const deco_hypervolume *h, int64_t points) { return network_plan(h, points).total * sizeof(float); }

static size_t bytes_before(const deco_hypervolume *h, int64_t P, int64_t image, int64_t point)
{
    size_t whole = bytes_of(h, RUN), image_bytes = (size_t)(P / RUN) * whole + (P % RUN ? bytes_of(h, P % RUN) : 0);
    return (size_t)image * image_bytes + (size_t)(point / RUN) * whole;
}

size_t composed_hypervolume_saved_bytes(deco_device *dev, const deco_hypervolume *h, int64_t B, int64_t P)
{
    return bytes_before(h, P, B, 0);
}

/* The network and its input for the run of image b that begins at point p. */
static network run_of(const job *j, network_input *in, int64_t b, int64_t p)
{
    int64_t n = j->P - p < RUN ? j->P - p : RUN, Z = j->h->Z;
    network net = {.dev = j->dev, .h = j->h, .params = j->params, .freqs = j->freqs, .work = j->work, .at = network_plan(j->h, n)};
    net.kept = j->saved ? (float *)(void *)(j->saved + bytes_before(j->h, j->P, b, p)) : j->kept;
    if (j->R.data) {
        in->x = deco_f32_2((float *)j->x.data + 2 * p, n, 2);
        in->R = deco_f32_3((float *)j->R.data + 9 * b, 1, 3, 3);
    } else {
        in->x = deco_f32_3((float *)j->x.data + 3 * (b * j->P + p), 1, n, 3);
        in->R = deco_none();
    }
    in->z = Z ? deco_f32_2((float *)j->z.data + b * Z, 1, Z) : deco_none();
    return net;
}

static deco_status take_memory(job *j, bool kept, bool backward)
{
    deco_status st = DECO_OK;
    int64_t n = first_run(j->P);
    TRY(deco_scratch_take(j->dev, &j->work, network_work(j->h, n) * sizeof *j->work, "decoder"));
    if (kept)
        TRY(deco_scratch_take(j->dev, &j->kept, bytes_of(j->h, n), "decoder"));
    if (!backward)
        goto out;
    TRY(deco_scratch_take(j->dev, &j->dparams, (size_t)deco_hypervolume_parameters(j->h) * sizeof *j->dparams, "decoder's gradient"));
    TRY(deco_scratch_take(j->dev, &j->dimage, (size_t)(j->h->Z + 9) * sizeof *j->dimage, "decoder's gradient"));
out:
    return st;
}

static void give_memory(job *j)
{
    deco_scratch_give(j->dev, j->work);
    deco_scratch_give(j->dev, j->kept);
    deco_scratch_give(j->dev, j->dparams);
    deco_scratch_give(j->dev, j->dimage);
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

deco_status composed_hypervolume_values(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                        deco_array freqs, deco_array x, deco_array R, deco_array z)
{
    deco_status st = DECO_OK;
    int64_t B = out.shape[0], P = out.shape[1];
    job j = {.dev = dev, .h = h, .params = params, .freqs = freqs, .x = x, .R = R, .z = z, .P = P, .saved = saved.data};

    TRY(take_memory(&j, !saved.data, false));
    for (int64_t b = 0; b < B; b++)
        for (int64_t p = 0; p < P; p += RUN) {
            network_input in;
            network net = run_of(&j, &in, b, p);
            TRY(network_forward(&net, (float *)out.data + b * P + p, &in));
        }
out:
    give_memory(&j);
    return st;
}

/* ---- gradients ------------------------------------------------------------------------------------------------- */

typedef struct gradients {
    deco_array params, z, pose; /* each or none */
} gradients;

static deco_status add_to(deco_device *dev, float *sum, float *part, int64_t n)
{
    return deco_add(dev, deco_f32_1(sum, n), deco_f32_1(sum, n), deco_f32_1(part, n));
}

/* Runs add their gradients one after the other; a gradient of points belongs to one run and is written where it stays. */
static deco_status run_backward(const job *j, const gradients *d, const float *dout, int64_t b, int64_t p)
{
    deco_status st = DECO_OK;
    network_input in;
    network net = run_of(j, &in, b, p);
    int64_t n = net.at.points, Z = j->h->Z;
    deco_array dz = d->z.data ? deco_f32_2(j->dimage, 1, Z) : deco_none(), dpose = deco_none();

    if (d->params.data)
        net.dparams = deco_f32_1(j->dparams, d->params.shape[0]);
    if (d->pose.data)
        dpose = in.R.data ? deco_f32_3(j->dimage + Z, 1, 3, 3) : deco_f32_3((float *)d->pose.data + 3 * (b * j->P + p), 1, n, 3);
    TRY(network_backward(&net, dz, dpose, dout + b * j->P + p, &in));
    if (d->params.data)
        TRY(add_to(j->dev, d->params.data, j->dparams, d->params.shape[0]));
    if (dz.data)
        TRY(add_to(j->dev, (float *)d->z.data + b * Z, dz.data, Z));
    if (dpose.data && in.R.data)
        TRY(add_to(j->dev, (float *)d->pose.data + 9 * b, dpose.data, 9));
out:
    return st;
}

static deco_status clear_gradients(const job *j, const gradients *d)
{
    deco_status st = DECO_OK;
    if (d->params.data)
        TRY(deco_clear(j->dev, d->params));
    if (d->z.data)
        TRY(deco_clear(j->dev, d->z));
    if (d->pose.data)
        TRY(deco_clear(j->dev, d->pose));
out:
    return st;
}

deco_status composed_hypervolume_backward(deco_device *dev, const deco_hypervolume *h, deco_array dparams, deco_array dz, deco_array dpose,
                                          deco_array dout, deco_array saved, deco_array params, deco_array freqs, deco_array x,
                                          deco_array R, deco_array z)
{
    deco_status st = DECO_OK;
    int64_t B = dout.shape[0], P = dout.shape[1];
    job j = {.dev = dev, .h = h, .params = params, .freqs = freqs, .x = x, .R = R, .z = z, .P = P, .saved = saved.data};
    gradients d = {dparams, dz, dpose};

    TRY(take_memory(&j, false, true));
    TRY(clear_gradients(&j, &d));
    for (int64_t b = 0; b < B; b++)
        for (int64_t p = 0; p < P; p += RUN)
            TRY(run_backward(&j, &d, dout.data, b, p));
out:
    give_memory(&j);
    return st;
}

/* ---- the loss of slices ---------------------------------------------------------------------------------------- */

/* The loss needs all values before the first gradient, and keeping every activation of a batch would take gigabytes: values first,
 * then each run once more with its activations. */
deco_status composed_slice_loss(deco_device *dev, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz,
                                deco_array dR, deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R,
                                deco_array z, deco_array ctf, deco_array target)
{
    deco_status st = DECO_OK;
    int64_t B = target.shape[0], P = target.shape[1];
    job j = {.dev = dev, .h = h, .params = params, .freqs = freqs, .x = k, .R = R, .z = z, .P = P};
    gradients d = {dparams, dz, dR};
    float *values = NULL, *slope = NULL;
    bool backward = dparams.data || dz.data || dR.data;

    TRY(deco_scratch_take(dev, &values, (size_t)(B * P) * sizeof *values, "slices"));
    TRY(deco_scratch_take(dev, &slope, (size_t)(B * P) * sizeof *slope, "gradients of slices"));
    TRY(take_memory(&j, true, true));
    deco_array pred = deco_f32_2(values, B, P), dvalues = deco_f32_2(slope, B, P), dproduct = dpred.data ? dpred : dvalues;
    TRY(composed_hypervolume_values(dev, h, pred, deco_none(), params, freqs, k, R, z));
    TRY(deco_multiply(dev, pred, pred, ctf));
    TRY(deco_squared_error(dev, loss, dproduct, pred, target));
    TRY(deco_multiply(dev, dvalues, dproduct, ctf));
    TRY(clear_gradients(&j, &d));
    for (int64_t b = 0; backward && b < B; b++)
        for (int64_t p = 0; p < P; p += RUN) {
            network_input in;
            network net = run_of(&j, &in, b, p);
            TRY(network_forward(&net, values + b * P + p, &in));
            TRY(run_backward(&j, &d, slope, b, p));
        }
out:
    give_memory(&j);
    deco_scratch_give(dev, values);
    deco_scratch_give(dev, slope);
    return st;
}
