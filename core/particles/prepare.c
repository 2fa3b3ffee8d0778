/* Window and centred Hartley transform of one image, by FFTW's real transform. */
#include "particles/prepare.h"
#include "compute/fft_planner.h"
#include "geometry/lattice.h"

#include <fftw3.h>
#include <stdlib.h>

struct prepare {
    int64_t D;
    float *window;
    fftwf_plan plan;
};

static size_t image_floats(int64_t D) { return ((size_t)(D * D) + 15) & ~(size_t)15; }

size_t prepare_workspace_floats(int64_t D) { return image_floats(D) + (((size_t)(D * (D / 2 + 1)) * 2 + 15) & ~(size_t)15); }

deco_status prepare_workspace(float **out, int64_t D)
{
    size_t bytes = prepare_workspace_floats(D) * sizeof **out;

    /* The plan was made for aligned memory: another alignment would mean other code, and so other bits. */
    *out = aligned_alloc(64, bytes);
    return *out ? DECO_OK : deco_fail_memory(bytes, "an image");
}

static fftwf_complex *transform_of(float *work, int64_t D) { return (fftwf_complex *)(work + image_floats(D)); }

deco_status prepare_create(prepare **out, int64_t D)
{
    deco_status st = DECO_OK;
    prepare *q = NULL;
    float *work = NULL;

    *out = NULL;
    TRY(deco_alloc(&q, 1, sizeof *q, "window"));
    q->D = D;
    TRY(deco_alloc(&q->window, (size_t)(D * D), sizeof *q->window, "window"));
    deco_window_fill(q->window, D);
    TRY(prepare_workspace(&work, D));
    pthread_mutex_lock(&deco_fft_planner);
    q->plan = fftwf_plan_dft_r2c_2d((int)D, (int)D, work, transform_of(work, D), FFTW_ESTIMATE);
    pthread_mutex_unlock(&deco_fft_planner);
    if (!q->plan)
        TRY(deco_fail(DECO_E_MEMORY, "no plan for a transform of %lld×%lld", (long long)D, (long long)D));
    *out = q;
    q = NULL;
out:
    free(work);
    prepare_free(q);
    return st;
}

void prepare_free(prepare *q)
{
    if (!q)
        return;
    if (q->plan) {
        pthread_mutex_lock(&deco_fft_planner);
        fftwf_destroy_plan(q->plan);
        pthread_mutex_unlock(&deco_fft_planner);
    }
    free(q->window);
    free(q);
}

/* Row `y` of H = Re F - Im F with DC in the middle. Transforming about pixel (D/2, D/2) instead of (0, 0) is a factor (-1)^(kx+ky). */
static void hartley_row(float *out, const fftwf_complex *F, int64_t D, int64_t y)
{
    int64_t c = D / 2, half = c + 1, up = (y - c + D) % D, down = (c - y + D) % D;
    const fftwf_complex *here = F + up * half, *opposite = F + down * half;

    for (int64_t x = 0; x < c; x++) { /* F(-k) is the conjugate of F(k): columns of negative kx are not stored */
        float h = opposite[c - x][0] + opposite[c - x][1];
        out[x] = (x + y) & 1 ? -h : h;
    }
    for (int64_t x = c; x < D; x++) {
        float h = here[x - c][0] - here[x - c][1];
        out[x] = (x + y) & 1 ? -h : h;
    }
}

void prepare_image(const prepare *q, float *work)
{
    fftwf_complex *F = transform_of(work, q->D);

    for (int64_t i = 0; i < q->D * q->D; i++)
        work[i] *= q->window[i];
    fftwf_execute_dft_r2c(q->plan, work, F);
    for (int64_t y = 0; y < q->D; y++)
        hartley_row(work + y * q->D, F, q->D, y);
}
