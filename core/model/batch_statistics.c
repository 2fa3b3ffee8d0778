/* BatchNorm over the batches of all workers together. METHOD.md section 4. */
#include "model/batch_statistics.h"
#include "compute/backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What each worker tells of a channel: mean and variance of its rows; and of all, how many they are. Joined in double, in the workers' order. */
static deco_status join(float *stats, float *running, const deco_encoder *e, int64_t rows, float eps, float momentum)
{
    deco_status st = DECO_OK;
    int size = deco_comm_size(e->comm), rank = deco_comm_rank(e->comm);
    int64_t C = e->shape.C, width = 2 * C + 1;
    double *all = NULL;
    size_t *first = NULL;

    TRY(deco_alloc(&all, (size_t)(size * width), sizeof *all, "batch statistics"));
    TRY(deco_alloc(&first, (size_t)size + 1, sizeof *first, "batch statistics"));
    for (int g = 0; g <= size; g++)
        first[g] = (size_t)(g * width) * sizeof *all;
    double *mine = all + rank * width;
    mine[2 * C] = (double)rows;
    for (int64_t c = 0; c < C; c++) {
        mine[c] = stats[c];
        mine[C + c] = 1 / ((double)stats[C + c] * stats[C + c]) - (double)eps;
    }
    TRY(deco_comm_gather(e->comm, all, first, "the statistics of a BatchNorm"));
    for (int64_t c = 0; c < C; c++) {
        double n = 0, mean = 0, variance = 0;
        for (int g = 0; g < size; g++) {
            n += all[g * width + 2 * C];
            mean += all[g * width + 2 * C] * all[g * width + c];
        }
        mean /= n;
        for (int g = 0; g < size; g++) {
            double off = all[g * width + c] - mean;
            variance += all[g * width + 2 * C] * (fmax(0, all[g * width + C + c]) + off * off);
        }
        double unbiased = variance / (n > 1 ? n - 1 : 1);
        stats[c] = (float)mean;
        stats[C + c] = (float)(1 / sqrt(variance / n + (double)eps));
        running[c] += momentum * (stats[c] - running[c]);
        running[C + c] += momentum * ((float)unbiased - running[C + c]);
    }
out:
    free(all);
    free(first);
    return st;
}

deco_status deco_batch_statistics_of_all(deco_encoder *e, deco_array stats, deco_array running, deco_array x, float eps, float momentum)
{
    deco_status st = DECO_OK;
    size_t bytes = (size_t)(2 * e->shape.C) * sizeof(float);
    float *host = NULL;

    if (!e->comm)
        return deco_batch_statistics(e->dev, stats, running, x, eps, momentum);
    TRY(deco_batch_statistics(e->dev, stats, deco_none(), x, eps, momentum));
    TRY(deco_alloc(&host, 2, bytes, "batch statistics"));
    TRY(deco_device_download(e->dev, host, stats.data, bytes));
    TRY(deco_device_download(e->dev, host + 2 * e->shape.C, running.data, bytes));
    TRY(join(host, host + 2 * e->shape.C, e, e->blank ? 0 : x.shape[0], eps, momentum));
    TRY(deco_device_upload(e->dev, stats.data, host, bytes));
    TRY(deco_device_upload(e->dev, running.data, host + 2 * e->shape.C, bytes));
out:
    free(host);
    return st;
}

/* dx of a worker has -γ/σ (mean dβ + x̂ mean dγ) with the means over its own rows, where those over all rows belong: the difference is a
 * BatchNorm of x with other constants, γ/σ (mean dγ here - of all) and γ/σ (mean dβ here - of all). */
deco_status deco_batch_gradient_of_all(deco_encoder *e, deco_array dx, deco_array x, deco_array stats, const float *gamma,
                                       const float *dgamma, const float *dbeta)
{
    deco_status st = DECO_OK;
    int64_t C = e->shape.C, rows = e->blank ? 0 : x.shape[0];
    size_t bytes = (size_t)C * sizeof(float);
    float *host = NULL, *device = NULL;
    double *sums = NULL;

    if (!e->comm)
        return DECO_OK;
    TRY(deco_alloc(&host, 5, bytes, "a BatchNorm's gradient"));
    TRY(deco_alloc(&sums, (size_t)(2 * C + 1), sizeof *sums, "a BatchNorm's gradient"));
    TRY(deco_device_download(e->dev, host, dgamma, bytes));
    TRY(deco_device_download(e->dev, host + C, dbeta, bytes));
    TRY(deco_device_download(e->dev, host + 2 * C, gamma, bytes));
    TRY(deco_device_download(e->dev, host + 3 * C, stats.data, 2 * bytes)); /* of which 1/σ is wanted */
    for (int64_t i = 0; i < 2 * C; i++)
        sums[i] = e->blank ? 0 : host[i];
    sums[2 * C] = (double)rows;
    TRY(deco_comm_sum_doubles(e->comm, sums, 2 * C + 1, "the gradient of a BatchNorm"));
    if (e->blank)
        goto out; /* nothing of it is in the batch */
    for (int64_t i = 0; i < 2 * C; i++) {
        double here = (double)host[i] / (double)x.shape[0], all = sums[i] / sums[2 * C];
        host[i] = (float)((double)host[2 * C + i % C] * host[4 * C + i % C] * (here - all));
    }
    TRY(deco_scratch_take(e->dev, &device, (size_t)(dx.shape[0] * C + 2 * C) * sizeof *device, "a BatchNorm's gradient"));
    TRY(deco_device_upload(e->dev, device, host, 2 * bytes));
    deco_array change = deco_f32_2(device + 2 * C, dx.shape[0], C);
    TRY(deco_batch_norm(e->dev, change, x, stats, deco_f32_1(device, C), deco_f32_1(device + C, C)));
    TRY(deco_add(e->dev, dx, dx, change));
out:
    deco_scratch_give(e->dev, device);
    free(host);
    free(sums);
    return st;
}
