#include "analysis/spectrum.h"
#include "compute/fft_planner.h"
#include <fftw3.h>
#include <stdlib.h>
#include <string.h>

deco_status deco_spectrum_make(float complex **out, const float *map, int64_t D)
{
    deco_status st = DECO_OK;
    float complex *s = NULL;
    fftwf_plan plan;

    *out = NULL;
    TRY(deco_alloc(&s, (size_t)(D * D * deco_spectrum_width(D)), sizeof *s, "the transform of a map"));
    pthread_mutex_lock(&deco_fft_planner);
    plan = fftwf_plan_dft_r2c_3d((int)D, (int)D, (int)D, (float *)(uintptr_t)map, s, FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
    pthread_mutex_unlock(&deco_fft_planner);
    if (!plan)
        TRY(deco_fail_memory(1, "the transform of a map"));
    fftwf_execute(plan);
    pthread_mutex_lock(&deco_fft_planner);
    fftwf_destroy_plan(plan);
    pthread_mutex_unlock(&deco_fft_planner);
    *out = s;
    s = NULL;
out:
    free(s);
    return st;
}

deco_status deco_spectrum_back(float *map, float complex *spectrum, int64_t D)
{
    float scale = (float)(1 / ((double)D * (double)D * (double)D));
    fftwf_plan plan;

    pthread_mutex_lock(&deco_fft_planner);
    plan = fftwf_plan_dft_c2r_3d((int)D, (int)D, (int)D, spectrum, map, FFTW_ESTIMATE);
    pthread_mutex_unlock(&deco_fft_planner);
    if (!plan)
        return deco_fail_memory(1, "the transform of a map");
    fftwf_execute(plan);
    pthread_mutex_lock(&deco_fft_planner);
    fftwf_destroy_plan(plan);
    pthread_mutex_unlock(&deco_fft_planner);
    for (int64_t i = 0; i < D * D * D; i++)
        map[i] *= scale;
    return DECO_OK;
}

/* Frequencies from -n/2 to n/2 - 1 of the smaller box n. The last plane in x stands for both its ends in a larger box, so half of it goes to each. */
deco_status deco_map_resize(float **out, const float *map, int64_t D, int64_t to)
{
    deco_status st = DECO_OK;
    float complex *from = NULL, *into = NULL;
    int64_t n = D < to ? D : to, w = deco_spectrum_width(D), w_to = deco_spectrum_width(to);
    float scale = (float)((double)to * (double)to * (double)to / ((double)D * (double)D * (double)D));
    float *made = NULL;

    *out = NULL;
    TRY(deco_alloc(&made, (size_t)(to * to * to), sizeof *made, "a density map"));
    if (to == D) {
        memcpy(made, map, (size_t)(D * D * D) * sizeof *made);
    } else {
        TRY(deco_spectrum_make(&from, map, D));
        TRY(deco_alloc(&into, (size_t)(to * to * w_to), sizeof *into, "the transform of a map"));
        for (int64_t z = -n / 2; z < n / 2; z++)
            for (int64_t y = -n / 2; y < n / 2; y++) {
                const float complex *a = from + (((z + D) % D) * D + (y + D) % D) * w;
                float complex *b = into + (((z + to) % to) * to + (y + to) % to) * w_to;
                for (int64_t x = 0; x <= n / 2; x++)
                    b[x] = a[x] * (x == n / 2 && to > D ? 0.5F : 1) * scale;
            }
        TRY(deco_spectrum_back(made, into, to));
    }
    *out = made;
    made = NULL;
out:
    free(from);
    free(into);
    free(made);
    return st;
}
