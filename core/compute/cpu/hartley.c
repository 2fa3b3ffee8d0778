/* Centred Hartley transforms by FFTW's real transform, whose other half follows from F(-k) = conj F(k). METHOD.md section 1.3.
 *
 * Plans are estimated: a measured plan changes the bits from run to run. */
#include "compute/cpu/cpu.h"
#include "compute/fft_planner.h"

#include <fftw3.h>
#include <stdlib.h>

typedef enum plan_kind { IMAGE, DEPTH } plan_kind;

struct cpu_plan {
    int64_t D;
    plan_kind kind;
    fftwf_plan plan;
    cpu_plan *next;
};

pthread_mutex_t deco_fft_planner = PTHREAD_MUTEX_INITIALIZER;

void cpu_plans_free(cpu_plan *p)
{
    pthread_mutex_lock(&deco_fft_planner);
    for (cpu_plan *next; p; p = next) {
        next = p->next;
        fftwf_destroy_plan(p->plan);
        free(p);
    }
    pthread_mutex_unlock(&deco_fft_planner);
}

/* Complex numbers in a row of the half transform, and in a plane of it, whose start stays 64-byte aligned. */
static int64_t half_row(int64_t D) { return D / 2 + 1; }
static int64_t half_plane(int64_t D) { return (D * half_row(D) + 7) & ~(int64_t)7; }
static size_t image_bytes(int64_t D) { return ((size_t)(D * D) * sizeof(float) + 63) & ~(size_t)63; }

static fftwf_plan make_plan(int64_t D, plan_kind kind, float *in, fftwf_complex *out)
{
    int n = (int)D, row = (int)half_row(D), plane = (int)half_plane(D);
    if (kind == IMAGE)
        return fftwf_plan_dft_r2c_2d(n, n, in, out, FFTW_ESTIMATE);
    return fftwf_plan_many_dft(1, &n, row, out, NULL, plane, 1, out, NULL, plane, 1, FFTW_FORWARD, FFTW_ESTIMATE | FFTW_UNALIGNED);
}

/* The plan of a D×D image, or of D points along z for each point of a row of D planes. */
static deco_status find_plan(deco_device *dev, fftwf_plan *out, int64_t D, plan_kind kind)
{
    deco_status st = DECO_OK;
    cpu_plan **list = &((cpu_device *)dev)->plans, *p = NULL;
    float *block = NULL; /* an estimate does not touch it, but reads the pointers' alignment */

    pthread_mutex_lock(&deco_fft_planner);
    for (p = *list; p && (p->D != D || p->kind != kind); p = p->next)
        ;
    if (!p) {
        TRY(deco_scratch_take(dev, &block, image_bytes(D) + (size_t)half_plane(D) * sizeof(fftwf_complex), "transform"));
        TRY(deco_alloc(&p, 1, sizeof *p, "transform"));
        fftwf_plan plan = make_plan(D, kind, block, (fftwf_complex *)((char *)block + image_bytes(D)));
        if (!plan) {
            free(p);
            st = deco_fail(DECO_E_DEVICE, "FFTW has no plan for a box of %lld", (long long)D);
            goto out;
        }
        *p = (cpu_plan){D, kind, plan, *list};
        *list = p;
    }
    *out = p->plan;
out:
    pthread_mutex_unlock(&deco_fft_planner);
    deco_scratch_give(dev, block);
    return st;
}

typedef struct transform {
    fftwf_plan image, depth;
    float *y;
    const float *x;
    fftwf_complex *planes; /* 3-D: [D] half planes */
    int64_t D;
    float scale;
} transform;

/* ifftshift: the centre, D // 2, comes first. */
static void centre_first(float *to, const float *from, int64_t D)
{
    int64_t c = D / 2;
    for (int64_t y = 0; y < D; y++) {
        const float *row = from + (y + c) % D * D;
        for (int64_t x = 0; x < D - c; x++)
            to[y * D + x] = row[x + c];
        for (int64_t x = D - c; x < D; x++)
            to[y * D + x] = row[x + c - D];
    }
}

/* One row of H = Re F - Im F, the centre in its middle: `at` is F's row of the same frequency, `opposite` that of the negated one. */
static void hartley_row(float *y, const fftwf_complex *at, const fftwf_complex *opposite, int64_t D, float scale)
{
    int64_t shift = D - D / 2;
    for (int64_t x = 0; x < D; x++) {
        int64_t u = (x + shift) % D;
        y[x] = scale * (u < half_row(D) ? at[u][0] - at[u][1] : opposite[D - u][0] + opposite[D - u][1]);
    }
}

static deco_status transform_image(deco_device *dev, const void *context, int64_t b, int64_t begin, int64_t end, int worker)
{
    const transform *t = context;
    int64_t D = t->D, shift = D - D / 2;
    float *in = cpu_scratch(dev, worker, image_bytes(D) + (size_t)half_plane(D) * sizeof(fftwf_complex));
    if (!in)
        return deco_fail_memory(image_bytes(D), "transform");
    fftwf_complex *F = (fftwf_complex *)((char *)in + image_bytes(D));
    centre_first(in, t->x + b * D * D, D);
    fftwf_execute_dft_r2c(t->image, in, F);
    for (int64_t y = 0; y < D; y++) {
        int64_t v = (y + shift) % D;
        hartley_row(t->y + (b * D + y) * D, F + v * half_row(D), F + (D - v) % D * half_row(D), D, t->scale);
    }
    return DECO_OK;
}

deco_status cpu_hartley_2d(deco_device *dev, deco_array y, deco_array x, bool inverse)
{
    deco_status st = DECO_OK;
    int64_t D = x.shape[1];
    transform t = {.y = y.data, .x = x.data, .D = D, .scale = inverse ? (float)(1.0 / ((double)D * (double)D)) : 1};
    TRY(find_plan(dev, &t.image, D, IMAGE));
    TRY(cpu_for(dev, x.shape[0], 1, transform_image, &t));
out:
    return st;
}

/* ---- 3-D: the planes, then lines along z, then the values --------------------------------------------------------- */

static deco_status transform_plane(deco_device *dev, const void *context, int64_t z, int64_t begin, int64_t end, int worker)
{
    const transform *t = context;
    int64_t D = t->D;
    float *in = cpu_scratch(dev, worker, image_bytes(D));
    if (!in)
        return deco_fail_memory(image_bytes(D), "transform");
    centre_first(in, t->x + (z + D / 2) % D * D * D, D);
    fftwf_execute_dft_r2c(t->image, in, t->planes + z * half_plane(D));
    return DECO_OK;
}

static deco_status transform_depth(deco_device *dev, const void *context, int64_t y, int64_t begin, int64_t end, int worker)
{
    const transform *t = context;
    fftwf_complex *row = t->planes + y * half_row(t->D);
    fftwf_execute_dft(t->depth, row, row);
    return DECO_OK;
}

static deco_status hartley_plane(deco_device *dev, const void *context, int64_t z, int64_t begin, int64_t end, int worker)
{
    const transform *t = context;
    int64_t D = t->D, shift = D - D / 2, w = (z + shift) % D;
    const fftwf_complex *at = t->planes + w * half_plane(D), *opposite = t->planes + (D - w) % D * half_plane(D);
    for (int64_t y = 0; y < D; y++) {
        int64_t v = (y + shift) % D;
        hartley_row(t->y + (z * D + y) * D, at + v * half_row(D), opposite + (D - v) % D * half_row(D), D, t->scale);
    }
    return DECO_OK;
}

deco_status cpu_hartley_3d(deco_device *dev, deco_array y, deco_array x, bool inverse)
{
    deco_status st = DECO_OK;
    int64_t D = x.shape[0];
    double voxels = (double)D * (double)D * (double)D;
    transform t = {.y = y.data, .x = x.data, .D = D, .scale = inverse ? (float)(1 / voxels) : 1};

    TRY(deco_scratch_take(dev, &t.planes, (size_t)(D * half_plane(D)) * sizeof *t.planes, "3-D transform"));
    TRY(find_plan(dev, &t.image, D, IMAGE));
    TRY(find_plan(dev, &t.depth, D, DEPTH));
    TRY(cpu_for(dev, D, 1, transform_plane, &t));
    TRY(cpu_for(dev, D, 1, transform_depth, &t));
    TRY(cpu_for(dev, D, 1, hartley_plane, &t));
out:
    deco_scratch_give(dev, t.planes);
    return st;
}
