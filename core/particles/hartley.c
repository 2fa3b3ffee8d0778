/* Centred Hartley transform of one image, by FFTW's real transform. */
#include "particles/hartley.h"
#include "compute/fft_planner.h"

#include <fftw3.h>
#include <stdlib.h>

struct hartley_plan {
    int64_t D;
    fftwf_plan plan;
};

static size_t image_floats(int64_t D) { return ((size_t)(D * D) + 15) & ~(size_t)15; }

size_t hartley_workspace_floats(int64_t D) { return image_floats(D) + (((size_t)(D * (D / 2 + 1)) * 2 + 15) & ~(size_t)15); }

deco_status hartley_workspace(float **out, int64_t D)
{
    size_t bytes = hartley_workspace_floats(D) * sizeof **out;

    /* The plan was made for aligned memory: another alignment would mean other code, and so other bits. */
    *out = aligned_alloc(64, bytes);
    return *out ? DECO_OK : deco_fail_memory(bytes, "an image");
}

static fftwf_complex *transform_of(float *work, int64_t D) { return (fftwf_complex *)(work + image_floats(D)); }

deco_status hartley_create(hartley_plan **out, int64_t D)
{
    deco_status st = DECO_OK;
    hartley_plan *h = NULL;
    float *work = NULL;

    *out = NULL;
    TRY(deco_alloc(&h, 1, sizeof *h, "transform"));
    h->D = D;
    TRY(hartley_workspace(&work, D));
    pthread_mutex_lock(&deco_fft_planner);
    h->plan = fftwf_plan_dft_r2c_2d((int)D, (int)D, work, transform_of(work, D), FFTW_ESTIMATE);
    pthread_mutex_unlock(&deco_fft_planner);
    if (!h->plan)
        TRY(deco_fail(DECO_E_MEMORY, "no plan for a transform of %lld×%lld", (long long)D, (long long)D));
    *out = h;
    h = NULL;
out:
    free(work);
    hartley_free(h);
    return st;
}

void hartley_free(hartley_plan *h)
{
    if (!h)
        return;
    if (h->plan) {
        pthread_mutex_lock(&deco_fft_planner);
        fftwf_destroy_plan(h->plan);
        pthread_mutex_unlock(&deco_fft_planner);
    }
    free(h);
}

/* Row `y` of the middle of H = Re F - Im F with DC in its middle. Transforming about pixel (D/2, D/2) instead of (0, 0) is a factor
 * (-1)^(kx+ky). */
static void hartley_row(float *out, const fftwf_complex *F, int64_t D, int64_t middle, int64_t y)
{
    int64_t c = middle / 2, half = D / 2 + 1, up = (y - c + D) % D, down = (c - y + D) % D;
    const fftwf_complex *here = F + up * half, *opposite = F + down * half;

    for (int64_t x = 0; x < c; x++) { /* F(-k) is the conjugate of F(k): columns of negative kx are not stored */
        float h = opposite[c - x][0] + opposite[c - x][1];
        out[x] = (x + y) & 1 ? -h : h;
    }
    for (int64_t x = c; x < middle; x++) {
        float h = here[x - c][0] - here[x - c][1];
        out[x] = (x + y) & 1 ? -h : h;
    }
}

void hartley_transform(const hartley_plan *h, float *work, int64_t middle)
{
    fftwf_complex *F = transform_of(work, h->D);

    fftwf_execute_dft_r2c(h->plan, work, F);
    for (int64_t y = 0; y < middle; y++)
        hartley_row(work + y * middle, F, h->D, middle, y);
}
