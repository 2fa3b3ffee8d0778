/* Gradients of the decoder's parameters, latents and rotations from what the tiles of network_loss.cu left: products over points for the weights,
 * sums in double for the rest. */
#include "network_loss.h"

enum { MOST_RUNS = 40 }; /* of a product over points; runs are added up in double */

/* Adds a layer's weights' gradient, from runs [runs,H,K] of products over points: to dweight [H,pitch]; for the first layer its columns are
 * sine, cosine, sine, cosine ... of F frequencies. The first chunk does not add, it puts. */
__global__ void weight_sums_kernel(float *dweight, const float *part, int64_t runs, int64_t H, int64_t K, int64_t pitch, int64_t F,
                                   int adds)
{
    int64_t i = grid_thread(), n = i / K, k = i % K;
    if (i >= H * K || (F && k >= 2 * F))
        return;
    double sum = 0;
    for (int64_t r = 0; r < runs; r++)
        sum += part[r * H * K + i];
    float *to = dweight + n * pitch + (F ? k / 2 + k % 2 * F : k);
    *to = adds ? *to + (float)sum : (float)sum;
}

/* Biases and norms of all layers and the last weight, from the images' column sums [B,columns]. */
__global__ void put_column_sums_kernel(float *dparams, const float *sums, network_places at, int64_t n, int64_t B, int64_t columns)
{
    int64_t i = grid_thread();
    if (i >= columns)
        return;
    double sum = 0;
    for (int64_t b = 0; b < B; b++)
        sum += sums[b * columns + i];
    int64_t row = i / at.H, l = row / SUMS, c = i % at.H;
    int64_t to = l > n                  ? weight_at(at, n + 1)
                 : row % SUMS == DBIAS  ? bias_at(at, l)
                 : row % SUMS == DGAMMA ? gamma_at(at, l)
                                        : beta_at(at, l);
    dparams[to + c] = (float)sum;
}

/* The latents' columns of the first weight: Σ over images of Σ d(bias) · z. */
__global__ void latent_weight_kernel(float *dparams, const float *sums, const float *z, network_places at, int64_t B, int64_t Z,
                                     int64_t columns)
{
    int64_t i = grid_thread(), n = i / Z, j = i % Z;
    if (i >= at.H * Z)
        return;
    double sum = 0;
    for (int64_t b = 0; b < B; b++)
        sum += (double)sums[b * columns + n] * z[b * Z + j];
    dparams[n * at.inputs + at.inputs - Z + j] = (float)sum;
}

__global__ void latent_kernel(float *dz, const float *sums, const float *params, network_places at, int64_t B, int64_t Z, int64_t columns)
{
    int64_t i = grid_thread(), b = i / Z, j = i % Z;
    if (i >= B * Z)
        return;
    double sum = 0;
    for (int64_t n = 0; n < at.H; n++)
        sum += (double)sums[b * columns + n] * params[n * at.inputs + at.inputs - Z + j];
    dz[i] = (float)sum;
}

/* dR [B,3,3] from an image's `rows` rows of six numbers each; slices have no z. */
__global__ void turn_sums_kernel(float *dR, const float *turns, int64_t images, int64_t rows)
{
    int64_t i = grid_thread(), b = i / 9, e = i % 9;
    if (i >= 9 * images)
        return;
    double sum = 0;
    for (int64_t r = 0; e < 6 && r < rows; r++)
        sum += turns[(b * rows + r) * 6 + e];
    dR[i] = (float)sum;
}

/* loss = the mean of the squares, and the last layer's bias: Σ of slopes. A block. */
__global__ void loss_sums_kernel(double *loss, float *dbias, const double *losses, int64_t tiles, double count)
{
    double square = 0, slope = 0;
    for (int64_t t = threadIdx.x; t < tiles; t += THREADS)
        square += losses[2 * t], slope += losses[2 * t + 1];
    square = block_sum(square), slope = block_sum(slope);
    if (threadIdx.x == 0) {
        *loss = square / count;
        if (dbias)
            *dbias = (float)slope;
    }
}

/* ---- calls ------------------------------------------------------------------------------------------------------------------------------- */

int64_t network_runs_floats(const network_call *c)
{
    int64_t K = network_features(c) > c->at.H ? network_features(c) : c->at.H;
    return 2 * MOST_RUNS * c->at.H * K;
}

/* Runs of whole tiles for the products over points: as many as go without a rest, if some 15 to MOST_RUNS do. */
static int64_t runs_of(int64_t tiles)
{
    for (int64_t runs = MOST_RUNS; runs >= 15; runs--)
        if (tiles % runs == 0)
            return runs;
    return tiles < MOST_RUNS ? tiles : (int64_t)MOST_RUNS;
}

deco_status network_weights_backward(deco_device *dev, const network_call *c, const loss_call *a, float *dparams, float *part, int64_t tile,
                                     bool adds)
{
    deco_status st = DECO_OK;
    int64_t H = c->at.H, rows = c->tiles * tile, run = c->tiles / runs_of(c->tiles) * tile, runs = cuda_tiles(rows, run);
    for (int64_t l = 0; l <= c->n; l++) {
        int64_t K = l ? H : network_features(c);
        const unsigned char *x = l ? a->inputs + (l - 1) * a->rows * H * 2 : a->features, *d = a->gradients + l * a->rows * H * 2;
        TRY(cuda_run_products(dev, part, d, x, true, rows, H, K, run));
        TRY(LAUNCH(dev, weight_sums_kernel, blocks_of(H * K), THREADS, dparams + weight_at(c->at, l), (const float *)part, runs, H, K,
                   l ? H : c->at.inputs, (int64_t)(l ? 0 : c->F), adds));
    }
out:
    return st;
}

deco_status network_turns_backward(deco_device *dev, float *dR, const float *turns, int64_t images, int64_t rows)
{
    return LAUNCH(dev, turn_sums_kernel, blocks_of(9 * images), THREADS, dR, turns, images, rows);
}

deco_status network_put_sums(deco_device *dev, const network_call *c, const loss_arrays *arrays, const float *sums, const double *losses)
{
    deco_status st = DECO_OK;
    int64_t H = c->at.H, B = arrays->B, Z = arrays->Z, columns = columns_of(c->n, H);
    float *dparams = (float *)arrays->dparams.data;
    TRY(LAUNCH(dev, loss_sums_kernel, 1, THREADS, (double *)arrays->loss.data, dparams ? dparams + weight_at(c->at, c->n + 1) + H : NULL,
               losses, B * c->tiles_an_image, (double)B * (double)c->P));
    if (dparams) {
        TRY(LAUNCH(dev, put_column_sums_kernel, blocks_of(columns), THREADS, dparams, sums, c->at, (int64_t)c->n, B, columns));
        TRY(LAUNCH(dev, latent_weight_kernel, blocks_of(H * Z), THREADS, dparams, sums, arrays->z, c->at, B, Z, columns));
    }
    if (arrays->dz.data)
        TRY(LAUNCH(dev, latent_kernel, blocks_of(B * Z), THREADS, (float *)arrays->dz.data, sums, c->params, c->at, B, Z, columns));
out:
    return st;
}
