/* The kernels of rows.h, for vectors of VN floats. The including file gives `vec` and `ivec` (floats and as many int32), KERNEL (the
 * target, static), fma_ (a·b + c), where_positive (a where x > 0, else 0; a NaN in x counts as positive, so that it goes on), sum_ (of all
 * lanes), and the table's name. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Four rows at once: their sums are independent chains of additions, and a column sum is loaded and stored once for the four. */
enum { ROWS = CPU_ROWS_AT_ONCE };

KERNEL inline vec splat(float a) { return a - (vec){0}; }

KERNEL inline vec load(const float *p)
{
    vec a;
    memcpy(&a, p, sizeof a);
    return a;
}

KERNEL inline void store(float *p, vec a) { memcpy(p, &a, sizeof a); }

/* The first n lanes, or all when there are more. */
KERNEL inline void store_some(float *p, vec a, int64_t n)
{
    if (n >= VN)
        store(p, a);
    else
        memcpy(p, &a, (size_t)n * sizeof *p);
}

KERNEL inline vec load_some(const float *p, int64_t n)
{
    vec a = {0};
    if (n >= VN)
        return load(p);
    memcpy(&a, p, (size_t)n * sizeof *p);
    return a;
}

/* π/2 in three parts, the first two so short that their products with a whole number below 2^12 are exact (Cody and Waite), and
 * the polynomials of Cephes on [-π/4, π/4]. Error: 1 ulp of 1. */
#define SINCOS_LIMIT 6000.f

KERNEL inline void sincos_(vec *sine, vec *cosine, vec x)
{
    const vec shift = splat(12582912.f); /* 1.5·2^23: adding it rounds to whole numbers */
    vec turned = fma_(x, splat(0.636619772f), shift), q = shift - turned;
    ivec quarter = (ivec)turned;
    vec r = fma_(q, splat(1.5703125f), x);
    r = fma_(q, splat(4.837512969970703125e-4f), r);
    r = fma_(q, splat(7.54978995489188e-8f), r);
    vec s2 = r * r;
    vec s = fma_(fma_(splat(-1.9515295891e-4f), s2, splat(8.3321608736e-3f)), s2, splat(-1.6666654611e-1f));
    vec c = fma_(fma_(splat(2.443315711809948e-5f), s2, splat(-1.388731625493765e-3f)), s2, splat(4.166664568298827e-2f));
    s = fma_(s * s2, r, r);
    c = fma_(c * s2, s2, fma_(s2, splat(-0.5f), splat(1.f)));
    ivec odd = -(quarter & 1), sin_bits = (ivec)s, cos_bits = (ivec)c;
    *sine = (vec)(((sin_bits & ~odd) | (cos_bits & odd)) ^ ((quarter & 2) << 30));
    *cosine = (vec)(((cos_bits & ~odd) | (sin_bits & odd)) ^ (((quarter + 1) & 2) << 30));
}

/* Where the reduction above would lose digits: frequencies or points far beyond those of any job. */
KERNEL void encode_far(float *pe, const float x[3], const cpu_frequencies *f)
{
    for (int64_t j = 0; j < f->count; j++) {
        float k = x[0] * f->f[j] + x[1] * f->f[f->stride + j] + x[2] * f->f[2 * f->stride + j];
        pe[j] = sinf(k), pe[f->count + j] = cosf(k);
    }
}

KERNEL void encode(float *pe, const float *x, int64_t rows, const cpu_frequencies *f)
{
    const float *fx = f->f, *fy = fx + f->stride, *fz = fy + f->stride;
    for (int64_t i = 0; i < rows; i++, x += 3, pe += 2 * f->count) {
        if (sqrtf(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]) * f->longest > SINCOS_LIMIT) {
            encode_far(pe, x, f);
            continue;
        }
        vec x0 = splat(x[0]), x1 = splat(x[1]), x2 = splat(x[2]);
        for (int64_t j = 0; j < f->count; j += VN) {
            vec s, c;
            sincos_(&s, &c, fma_(x2, load(fz + j), fma_(x1, load(fy + j), x0 * load(fx + j))));
            store_some(pe + j, s, f->count - j);
            store_some(pe + f->count + j, c, f->count - j);
        }
    }
}

KERNEL void encode_backward(float *dx, const float *dpe, const float *pe, int64_t rows, const cpu_frequencies *f)
{
    const float *fx = f->f, *fy = fx + f->stride, *fz = fy + f->stride;
    int64_t n = f->count;
    for (int64_t i = 0; i < rows; i++, dx += 3, pe += 2 * n, dpe += 2 * n) {
        vec d0 = {0}, d1 = {0}, d2 = {0};
        for (int64_t j = 0; j < n; j += VN) {
            vec sine = load_some(pe + j, n - j), cosine = load_some(pe + n + j, n - j);
            vec dk = load_some(dpe + j, n - j) * cosine - load_some(dpe + n + j, n - j) * sine;
            d0 = fma_(dk, load(fx + j), d0);
            d1 = fma_(dk, load(fy + j), d1);
            d2 = fma_(dk, load(fz + j), d2);
        }
        dx[0] = sum_(d0), dx[1] = sum_(d1), dx[2] = sum_(d2);
    }
}

#define LAYER_NORM_EPS 1e-5f

KERNEL void norm(float *x, float *y, float *inverse_sd, const float *residual, const cpu_norm *layer)
{
    const cpu_norm l = *layer; /* a copy: the stores below could reach *layer for all the compiler knows */
    int64_t H = l.H, step = ROWS * H;
    float per = 1.f / (float)H;
    for (int64_t i = 0; i < l.rows; i += ROWS, y += step, x += step) {
        vec sum[ROWS] = {{0}}, square[ROWS] = {{0}}, mean[ROWS], scale[ROWS];
        for (int64_t j = 0; j < H; j += VN) {
            vec b = load(l.bias + j);
            for (int r = 0; r < ROWS; r++) {
                __builtin_prefetch(x + r * H + j, 1); /* last touched a tile ago */
                sum[r] += load(y + r * H + j) + b;
            }
        }
        for (int r = 0; r < ROWS; r++)
            mean[r] = splat(sum_(sum[r]) * per);
        for (int64_t j = 0; j < H; j += VN) {
            vec b = load(l.bias + j);
            for (int r = 0; r < ROWS; r++) {
                vec d = load(y + r * H + j) + b - mean[r];
                square[r] = fma_(d, d, square[r]);
            }
        }
        for (int r = 0; r < ROWS; r++) {
            float s = 1.f / sqrtf(sum_(square[r]) * per + LAYER_NORM_EPS);
            scale[r] = splat(s);
            if (inverse_sd)
                inverse_sd[i + r] = s;
        }
        for (int64_t j = 0; j < H; j += VN) {
            vec b = load(l.bias + j), gamma = load(l.gamma + j), beta = load(l.beta + j);
            for (int r = 0; r < ROWS; r++) {
                vec v = (load(y + r * H + j) + b - mean[r]) * scale[r];
                if (inverse_sd)
                    store(y + r * H + j, v);
                v = fma_(v, gamma, beta);
                if (residual)
                    v += load(residual + (i + r) * H + j);
                store(x + r * H + j, where_positive(v, v));
            }
        }
    }
}

/* `last`: dout is given. A constant in each of the two callers, so that no row asks. */
KERNEL inline __attribute__((always_inline)) void norm_backward_(float *g, float *y, cpu_norm_backward l, bool last)
{
    int64_t H = l.H, step = ROWS * H;
    const float *x = l.x;
    float per = 1.f / (float)H;
    for (int64_t i = 0; i < l.rows; i += ROWS, g += step, y += step, x += step) {
        vec sum[ROWS] = {{0}}, along[ROWS] = {{0}}, scale[ROWS], dout[ROWS];
        for (int r = 0; r < ROWS; r++)
            dout[r] = splat(last ? l.dout[i + r] : 0.f);
        for (int64_t j = 0; j < H; j += VN) {
            vec gamma = load(l.gamma + j), dw = {0}, dgamma = {0}, dbeta = {0};
            for (int r = 0; r < ROWS; r++) {
                vec at = load(x + r * H + j), normal = load(y + r * H + j), d;
                if (last) {
                    d = dout[r] * load(l.w + j);
                    dw = fma_(dout[r], at, dw);
                } else
                    d = load(g + r * H + j);
                d = where_positive(at, d);
                store(g + r * H + j, d);
                dbeta += d;
                dgamma = fma_(d, normal, dgamma);
                sum[r] = fma_(d, gamma, sum[r]);
                along[r] = fma_(d * gamma, normal, along[r]);
            }
            if (last)
                store(l.dw + j, load(l.dw + j) + dw);
            store(l.dgamma + j, load(l.dgamma + j) + dgamma);
            store(l.dbeta + j, load(l.dbeta + j) + dbeta);
        }
        for (int r = 0; r < ROWS; r++) {
            scale[r] = splat(l.inverse_sd[i + r]);
            sum[r] = splat(sum_(sum[r]) * per), along[r] = splat(sum_(along[r]) * per);
        }
        for (int64_t j = 0; j < H; j += VN) {
            vec gamma = load(l.gamma + j), dbias = {0};
            for (int r = 0; r < ROWS; r++) {
                vec d = load(g + r * H + j) * gamma - fma_(load(y + r * H + j), along[r], sum[r]);
                d *= scale[r];
                store(y + r * H + j, d);
                dbias += d;
            }
            store(l.dbias + j, load(l.dbias + j) + dbias);
        }
    }
}

KERNEL void norm_backward(float *g, float *y, const cpu_norm_backward *l)
{
    if (l->dout)
        norm_backward_(g, y, *l, true);
    else
        norm_backward_(g, y, *l, false);
}

KERNEL void sum_and_difference(float *a, float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i += VN) {
        vec x = load(a + i), y = load(b + i);
        store(a + i, x + y);
        store(b + i, x - y);
    }
}

KERNEL void dot(float *out, const float *x, const float *w, float b, int64_t rows, int64_t H)
{
    for (int64_t i = 0; i < rows; i += ROWS, x += ROWS * H) {
        vec sum[ROWS] = {{0}};
        for (int64_t j = 0; j < H; j += VN)
            for (int r = 0; r < ROWS; r++)
                sum[r] = fma_(load(x + r * H + j), load(w + j), sum[r]);
        for (int r = 0; r < ROWS; r++)
            out[i + r] = sum_(sum[r]) + b;
    }
}

const cpu_rows KERNELS = {KERNELS_NAME, encode, encode_backward, norm, norm_backward, sum_and_difference, dot};
