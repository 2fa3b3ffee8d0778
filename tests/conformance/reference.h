/* The operations in double precision, written from METHOD.md and not from core/formulas, or the two would share their faults.
 *
 * Where gradients are wanted, numbers are complex: the derivative by x is Im f(x + ih) / h with h = 1e-30, a finite difference without
 * cancellation, so exact to rounding and blind to the kink of a ReLU nearby. */
#ifndef DECO_CONFORMANCE_REFERENCE_H
#define DECO_CONFORMANCE_REFERENCE_H

#include "compute/hypervolume.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#undef I /* of complex.h: the letter is a width here */
#define REF_PI 3.14159265358979323846

typedef double complex number;

/* C's own product also looks after infinities, at ten times the cost. */
static inline number ref_times(number a, number b)
{
    return creal(a) * creal(b) - cimag(a) * cimag(b) + (creal(a) * cimag(b) + cimag(a) * creal(b)) * _Complex_I;
}

/* d scalar(context) / d v[i] for at most `samples` elements i, evenly spread; NaN for the others. */
static inline void ref_gradient(double *grad, number *v, int64_t n, int64_t samples, number (*scalar)(void *), void *context)
{
    const double h = 1e-30;
    int64_t every = n > samples ? (n + samples - 1) / samples : 1;
    for (int64_t i = 0; i < n; i++) {
        grad[i] = NAN;
        if (i % every)
            continue;
        number old = v[i];
        v[i] = old + h * _Complex_I;
        grad[i] = cimag(scalar(context)) / h;
        v[i] = old;
    }
}

static inline number *ref_numbers(const float *x, int64_t n)
{
    number *v = malloc((size_t)(n + 1) * sizeof *v);
    for (int64_t i = 0; v && i < n; i++)
        v[i] = x[i];
    return v;
}

static inline number ref_dot(const number *y, const float *cotangent, int64_t n)
{
    number s = 0;
    for (int64_t i = 0; i < n; i++)
        s += y[i] * cotangent[i];
    return s;
}

static inline void ref_real(double *out, const number *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = creal(y[i]);
}

/* ---- layers ---------------------------------------------------------------------------------------------------- */

/* The smallest |x| that a ReLU has met since this was set: nearer to 0 than f32 can tell, its gradient is either. */
static double ref_nearest_kink = INFINITY;

static inline number ref_relu(number x)
{
    ref_nearest_kink = fmin(ref_nearest_kink, fabs(creal(x)));
    return creal(x) > 0 ? x : 0;
}

/* Touches no shared memory, and is most of the suite's time under the thread sanitizer. */
__attribute__((no_sanitize_thread)) static inline void ref_linear(number *y, const number *x, const number *w, const number *b, int64_t M,
                                                                  int64_t I, int64_t O)
{
    for (int64_t m = 0; m < M; m++)
        for (int64_t o = 0; o < O; o++) {
            number s = b ? b[o] : 0;
            for (int64_t i = 0; i < I; i++)
                s += ref_times(x[m * I + i], w[o * I + i]);
            y[m * O + o] = s;
        }
}

static inline void ref_layer_norm(number *y, const number *x, const number *gamma, const number *beta, int64_t M, int64_t C, double eps)
{
    for (int64_t m = 0; m < M; m++, x += C, y += C) {
        number mean = 0, variance = 0;
        for (int64_t c = 0; c < C; c++)
            mean += x[c] / C;
        for (int64_t c = 0; c < C; c++)
            variance += ref_times(x[c] - mean, x[c] - mean) / C;
        number rstd = 1 / csqrt(variance + eps);
        for (int64_t c = 0; c < C; c++)
            y[c] = ref_times(ref_times(x[c] - mean, rstd), gamma[c]) + beta[c];
    }
}

/* Features [sin k, cos k] of one point, `count` frequencies. */
static inline void ref_encoding(number *out, const number x[3], const number *freqs, int64_t count, int64_t L)
{
    for (int64_t j = 0; j < count; j++) {
        number k = 0;
        for (int i = 0; i < 3; i++)
            k += ref_times(x[i], freqs[3 * j + i]) * (double)(L / 2);
        out[j] = csin(k);
        out[count + j] = ccos(k);
    }
}

/* (kx, ky, 0) @ R */
static inline void ref_slice_point(number x[3], const number *R, const float *k)
{
    for (int a = 0; a < 3; a++)
        x[a] = k[0] * R[a] + k[1] * R[3 + a];
}

/* ---- the decoder ------------------------------------------------------------------------------------------------ */

/* Takes the next linear (and its norm) of the flat vector and applies it; returns what follows in the vector. */
static inline const number *ref_linear_of(number *y, const number *x, const number *p, int64_t in, int64_t out, bool norm)
{
    ref_linear(y, x, p, p + in * out, 1, in, out);
    p += in * out + out;
    if (norm) {
        ref_layer_norm(y, y, p, p + out, 1, out, 1e-5);
        p += 2 * out;
    }
    return p;
}

/* Value at one point x with latent z. METHOD.md section 3. */
static inline number ref_decoder(const deco_hypervolume *h, const number *p, const number *freqs, const number x[3], const number *z)
{
    int64_t in = 6 * h->pe_dim + h->Z, H = h->H, wide = (in > H ? in : H) + 128;
    number *f = malloc(3 * (size_t)wide * sizeof *f), *a = f + wide, *b = a + wide, out;
    ref_encoding(f, x, freqs, 3 * h->pe_dim, h->L);
    for (int64_t i = 0; i < h->Z; i++)
        f[6 * h->pe_dim + i] = z[i];
    if (in == H) {
        p = ref_linear_of(a, f, p, H, 128, h->layer_norm);
        for (int64_t i = 0; i < 128; i++)
            a[i] = ref_relu(a[i]);
        p = ref_linear_of(b, a, p, 128, H, h->layer_norm);
        for (int64_t i = 0; i < H; i++)
            f[i] += b[i];
        if (h->layer_norm) {
            ref_layer_norm(f, f, p, p + H, 1, H, 1e-5);
            p += 2 * H;
        }
        for (int64_t i = 0; i < H; i++)
            a[i] = ref_relu(f[i]);
    } else {
        p = ref_linear_of(a, f, p, in, H, h->layer_norm);
        for (int64_t i = 0; i < H; i++)
            a[i] = ref_relu(a[i]);
    }
    for (int64_t layer = 0; layer < h->n; layer++) {
        p = ref_linear_of(b, a, p, H, H, h->layer_norm);
        for (int64_t i = 0; i < H; i++)
            a[i] = ref_relu(a[i] + b[i]);
    }
    ref_linear(&out, a, p, p + H, 1, H, 1);
    free(f);
    return out;
}

/* ---- images ---------------------------------------------------------------------------------------------------- */

/* METHOD.md section 2, through the angle of the frequency. `kV`, `cs_mm`, `k` in cycles per pixel. */
static inline double ref_ctf(double dfu, double dfv, double astig, double kV, double cs_mm, double w, double phase, double B, double psize,
                             double kx, double ky)
{
    double V = kV * 1e3, lambda = 12.2639 / sqrt(V + 0.97845e-6 * V * V), Cs = cs_mm * 1e7;
    double s = hypot(kx, ky) / psize, theta = atan2(ky, kx);
    double df = 0.5 * (dfu + dfv + (dfu - dfv) * cos(2 * (theta - astig)));
    double gamma = 2 * REF_PI * (-0.5 * df * lambda * s * s + 0.25 * Cs * pow(lambda, 3) * pow(s, 4)) - phase;
    return (sqrt(1 - w * w) * sin(gamma) - w * cos(gamma)) * exp(-B * s * s / 4);
}

/* H'(k) = cos(2π k·t) H(k) + sin(2π k·t) H(-k) */
static inline number ref_shifted(number at, number opposite, const float *k, const number *t)
{
    number a = 2 * REF_PI * (k[0] * t[0] + k[1] * t[1]);
    return ccos(a) * at + csin(a) * opposite;
}

/* One axis of the centred transform: F[u] = Σ f[i] exp(-2πi (i - c)(u - c) / D), c = D // 2; `count` lines at `stride`. */
static inline void ref_fourier_axis(number *f, int64_t D, int64_t stride, int64_t lines, int64_t next)
{
    number *to = malloc((size_t)D * sizeof *to);
    for (int64_t l = 0; l < lines; l++) {
        number *line = f + l / stride * next + l % stride;
        for (int64_t u = 0; u < D; u++) {
            to[u] = 0;
            for (int64_t i = 0; i < D; i++)
                to[u] += line[i * stride] * cexp(-2 * REF_PI * _Complex_I * (double)((i - D / 2) * (u - D / 2)) / (double)D);
        }
        for (int64_t u = 0; u < D; u++)
            line[u * stride] = to[u];
    }
    free(to);
}

/* Centred Hartley transform of `dims` axes of D points. METHOD.md section 1.3. */
static inline void ref_hartley(double *out, const float *x, int64_t D, int dims, bool inverse)
{
    int64_t n = 1;
    for (int i = 0; i < dims; i++)
        n *= D;
    number *f = ref_numbers(x, n);
    for (int64_t stride = 1, i = 0; i < dims; i++, stride *= D)
        ref_fourier_axis(f, D, stride, n / D, stride * D);
    for (int64_t i = 0; i < n; i++)
        out[i] = (creal(f[i]) - cimag(f[i])) / (inverse ? (double)n : 1);
    free(f);
}

/* Point i of the symmetrised lattice: last row := first row, last column := first column. METHOD.md section 1.4. */
static inline double ref_lattice(const float *x, int64_t D, int64_t i)
{
    int64_t row = i / (D + 1), column = i % (D + 1);
    return x[row % D * D + column % D];
}

/* ---- rotations of the pose table: Gram-Schmidt of two vectors, the third row their product --------------------------------- */

static inline void ref_rotation_from_six(number R[9], const number six[6])
{
    number length = csqrt(six[0] * six[0] + six[1] * six[1] + six[2] * six[2]), along = 0;
    for (int i = 0; i < 3; i++)
        R[i] = six[i] / length;
    for (int i = 0; i < 3; i++)
        along += R[i] * six[3 + i];
    for (int i = 0; i < 3; i++)
        R[3 + i] = six[3 + i] - along * R[i];
    length = csqrt(R[3] * R[3] + R[4] * R[4] + R[5] * R[5]);
    for (int i = 0; i < 3; i++)
        R[3 + i] /= length;
    R[6] = R[1] * R[5] - R[2] * R[4];
    R[7] = R[2] * R[3] - R[0] * R[5];
    R[8] = R[0] * R[4] - R[1] * R[3];
}

#endif
