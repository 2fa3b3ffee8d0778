/* The kernels of vit_rows.h, for the vectors that rows_kernels.h works with; included behind it. The including file gives larger_ (of a
 * and b, where a NaN in a goes on), largest_ (of all lanes, any where there is a NaN), reciprocal_ (to 1 ulp) and names the table:
 * VIT_KERNELS. */

/* The first n lanes of a, the others of b. */
KERNEL inline vec first_lanes_(vec a, vec b, int64_t n)
{
    ivec lane, kept;
    for (int i = 0; i < VN; i++)
        lane[i] = i;
    kept = lane < (int32_t)n;
    return (vec)(((ivec)a & kept) | ((ivec)b & ~kept));
}

KERNEL inline vec absolute_(vec a) { return (vec)((ivec)a & 0x7fffffff); }

/* e^x for x <= 0; below -87, where it leaves f32, e^-87. Cephes' polynomial: 1 ulp. */
KERNEL inline vec exp_(vec x)
{
    const vec shift = splat(12582912.f); /* 1.5·2^23 */
    x = larger_(x, splat(-87.f));
    vec turned = fma_(x, splat(1.44269504f), shift), n = turned - shift;
    vec r = fma_(n, splat(-0.693359375f), x);
    r = fma_(n, splat(2.12194440e-4f), r);
    vec p = fma_(splat(1.9875691500e-4f), r, splat(1.3981999507e-3f));
    p = fma_(p, r, splat(8.3334519073e-3f));
    p = fma_(p, r, splat(4.1665795894e-2f));
    p = fma_(p, r, splat(1.6666665459e-1f));
    p = fma_(p, r, splat(5.0000001201e-1f));
    p = fma_(p * r, r, r) + 1.f;
    return p * (vec)(((ivec)turned << 23) + 0x3f800000); /* the low bits of `turned` are n */
}

/* Φ(x) and e^(-x²/2). Φ(-|x|) = ½ erfc(|x|/√2) by Abramowitz and Stegun 7.1.26, |error| of erf <= 1.5e-7. */
KERNEL inline vec normal_(vec x, vec *gauss)
{
    vec a = absolute_(x), t = reciprocal_(fma_(a, splat(0.3275911f * 0.707106781f), splat(1.f))), e = exp_(a * a * -0.5f);
    vec p = fma_(t, splat(1.061405429f), splat(-1.453152027f));
    p = fma_(p, t, splat(1.421413741f));
    p = fma_(p, t, splat(-0.284496736f));
    p = fma_(p, t, splat(0.254829592f)) * t;
    vec below = p * e * 0.5f, above = 1.f - below;
    ivec positive = (ivec)(x > 0.f);
    *gauss = e;
    return (vec)(((ivec)above & positive) | ((ivec)below & ~positive));
}

/* ---- norms ------------------------------------------------------------------------------------------------------ */

KERNEL void vit_layer_norm(float *y, float *stats, const float *x, const float *gamma, const float *beta, int64_t rows, int64_t n,
                           float eps)
{
    float per = 1.f / (float)n;
    for (int64_t i = 0; i < rows; i++, x += n, y += n) {
        vec sum = {0}, square = {0};
        for (int64_t j = 0; j < n; j += VN)
            sum += load_some(x + j, n - j);
        float mu = sum_(sum) * per;
        vec mean = splat(mu);
        int64_t j = 0;
        for (; j + VN <= n; j += VN) {
            vec d = load(x + j) - mean;
            square = fma_(d, d, square);
        }
        float rest = 0;
        for (; j < n; j++)
            rest += (x[j] - mu) * (x[j] - mu);
        float r = 1.f / sqrtf((sum_(square) + rest) * per + eps);
        vec rstd = splat(r);
        for (j = 0; j < n; j += VN) {
            vec v = (load_some(x + j, n - j) - mean) * rstd;
            store_some(y + j, fma_(v, load_some(gamma + j, n - j), load_some(beta + j, n - j)), n - j);
        }
        if (stats)
            stats[2 * i] = mu, stats[2 * i + 1] = r;
    }
}

KERNEL void vit_layer_norm_backward(float *dx, float *dgamma, float *dbeta, const float *g, const float *dy, const float *x,
                                    const float *stats, const float *gamma, int64_t rows, int64_t n)
{
    float per = 1.f / (float)n;
    for (int64_t i = 0; i < rows; i++, dx += n, g += n, dy += n, x += n) {
        vec mean = splat(stats[2 * i]), rstd = splat(stats[2 * i + 1]), sum = {0}, along = {0};
        for (int64_t j = 0; j < n; j += VN) {
            vec d = load_some(g + j, n - j), hat = (load_some(x + j, n - j) - mean) * rstd, w = d * load_some(gamma + j, n - j);
            sum += w;
            along = fma_(w, hat, along);
            store_some(dgamma + j, fma_(d, hat, load_some(dgamma + j, n - j)), n - j);
            store_some(dbeta + j, load_some(dbeta + j, n - j) + d, n - j);
        }
        vec a = splat(sum_(sum) * per), b = splat(sum_(along) * per);
        for (int64_t j = 0; j < n; j += VN) {
            vec hat = (load_some(x + j, n - j) - mean) * rstd, w = load_some(g + j, n - j) * load_some(gamma + j, n - j);
            store_some(dx + j, fma_(rstd, w - a - hat * b, load_some(dy + j, n - j)), n - j);
        }
    }
}

KERNEL void vit_batch_norm(float *y, const float *x, const float *stats, const float *gamma, const float *beta, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++, x += n, y += n)
        for (int64_t j = 0; j < n; j += VN) {
            vec scale = load_some(stats + n + j, n - j) * load_some(gamma + j, n - j);
            vec v = (load_some(x + j, n - j) - load_some(stats + j, n - j)) * scale;
            store_some(y + j, v + load_some(beta + j, n - j), n - j);
        }
}

KERNEL void vit_batch_norm_sums(float *sums, const float *g, const float *x, const float *stats, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++, x += n, g += n)
        for (int64_t j = 0; j < n; j += VN) {
            vec hat = (load_some(x + j, n - j) - load_some(stats + j, n - j)) * load_some(stats + n + j, n - j),
                d = load_some(g + j, n - j);
            store_some(sums + j, load_some(sums + j, n - j) + d, n - j);
            store_some(sums + n + j, fma_(d, hat, load_some(sums + n + j, n - j)), n - j);
        }
}

KERNEL void vit_batch_norm_gradient(float *dx, const float *g, const float *dy, const float *x, const float *stats, const float *gamma,
                                    const float *mean, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++, dx += n, g += n, x += n, dy += dy ? n : 0)
        for (int64_t j = 0; j < n; j += VN) {
            vec rstd = load_some(stats + n + j, n - j), hat = (load_some(x + j, n - j) - load_some(stats + j, n - j)) * rstd;
            vec d = load_some(g + j, n - j) - load_some(mean + j, n - j) - hat * load_some(mean + n + j, n - j);
            vec residual = dy ? load_some(dy + j, n - j) : splat(0.f);
            store_some(dx + j, fma_(rstd * load_some(gamma + j, n - j), d, residual), n - j);
        }
}

KERNEL void vit_column_sums(float *sums, const float *x, const float *mean, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++, x += n)
        for (int64_t j = 0; j < n; j += VN) {
            vec v = load_some(x + j, n - j), sum = load_some(sums + j, n - j);
            if (mean) {
                vec d = v - load_some(mean + j, n - j);
                sum = fma_(d, d, sum);
            } else
                sum += v;
            store_some(sums + j, sum, n - j);
        }
}

/* ---- GELU ------------------------------------------------------------------------------------------------------- */

KERNEL void vit_gelu(float *y, const float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j += VN) {
        vec v = load_some(x + j, n - j), gauss;
        store_some(y + j, v * normal_(v, &gauss), n - j);
    }
}

KERNEL void vit_gelu_backward(float *dx, float *y, float *db, const float *dy, const float *x, int64_t rows, int64_t n)
{
    const vec density = splat(0.398942280f); /* 1/√(2π) */
    for (int64_t i = 0; i < rows; i++, x += n, dx += n, dy += n, y += y ? n : 0)
        for (int64_t j = 0; j < n; j += VN) {
            vec v = load_some(x + j, n - j), gauss, phi = normal_(v, &gauss);
            vec d = load_some(dy + j, n - j) * fma_(v * density, gauss, phi);
            store_some(dx + j, d, n - j);
            if (y)
                store_some(y + j, v * phi, n - j);
            if (db)
                store_some(db + j, load_some(db + j, n - j) + d, n - j);
        }
}

/* ---- softmax ---------------------------------------------------------------------------------------------------- */

/* Lanes past the end must neither be the largest nor count. */
KERNEL void vit_softmax(float *s, float *log_sum, float *scale, float factor, int64_t stride, int64_t rows, int64_t n)
{
    int64_t whole = n - n % VN;
    for (int64_t i = 0; i < rows; i++, s += stride) {
        vec most = splat(s[0]), sum = {0}, last = whole < n ? first_lanes_(load(s + whole), most, n - whole) : most;
        vec other = last;
        for (int64_t j = 0; j + VN < whole; j += 2 * VN) { /* two chains; where there is an odd one out it is seen below */
            most = larger_(load(s + j), most);
            other = larger_(load(s + j + VN), other);
        }
        if (whole)
            most = larger_(load(s + whole - VN), most);
        float m = largest_(larger_(most, other));
        for (int64_t j = 0; j < whole; j += VN) {
            vec e = exp_((load(s + j) - m) * factor);
            sum += e;
            store(s + j, e);
        }
        if (whole < n) {
            last = exp_((last - m) * factor);
            sum += first_lanes_(last, splat(0.f), n - whole);
            store(s + whole, last);
        }
        float all = sum_(sum);
        scale[i] = 1.f / all;
        log_sum[i] = m * factor + logf(all);
    }
}

KERNEL void vit_softmax_backward(float *p, float *dp, const float *log_sum, const float *delta, float factor, int64_t stride, int64_t rows,
                                 int64_t n)
{
    for (int64_t i = 0; i < rows; i++, p += stride, dp += stride) {
        vec whole = splat(log_sum[i]), d = splat(delta[i]), f = splat(factor);
        for (int64_t j = 0; j < n; j += VN) {
            vec e = exp_(load_some(p + j, n - j) * f - whole);
            store_some(p + j, e, n - j);
            store_some(dp + j, e * (load_some(dp + j, n - j) - d) * f, n - j);
        }
    }
}

KERNEL void vit_scale_rows(float *x, const float *scale, int64_t stride, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++, x += stride)
        for (int64_t j = 0; j < n; j += VN)
            store_some(x + j, load_some(x + j, n - j) * scale[i], n - j);
}

KERNEL void vit_dots(float *out, const float *a, const float *b, int64_t stride, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < rows; i++, a += stride, b += stride) {
        vec sum = {0};
        for (int64_t j = 0; j < n; j += VN)
            sum = fma_(load_some(a + j, n - j), load_some(b + j, n - j), sum);
        out[i] = sum_(sum);
    }
}

/* ---- optimisers ------------------------------------------------------------------------------------------------- */

KERNEL void vit_add_runs(float *out, const float *part, int64_t runs, int64_t stride, int64_t n)
{
    for (int64_t i = 0; i < n; i += VN) {
        int64_t lanes = n - i < VN ? n - i : VN;
        double sum[VN] = {0};
        for (int64_t r = 0; r < runs; r++) {
            vec v = load_some(part + r * stride + i, lanes);
            for (int k = 0; k < VN; k++)
                sum[k] += (double)v[k];
        }
        for (int64_t k = 0; k < lanes; k++)
            out[i + k] = (float)sum[k];
    }
}

/* The compiler makes vectors of it: no product is joined with a sum, so the numbers are those of any processor. */
KERNEL void vit_adam(float *restrict x, float *restrict m, float *restrict v, const float *restrict g, const deco_adam_factors *f,
                     int64_t n)
{
    const deco_adam_factors factors = *f;
    for (int64_t i = 0; i < n; i++)
        deco_adam_update(x + i, m + i, v + i, g[i], factors);
}

const cpu_vit_rows VIT_KERNELS = {
    .layer_norm = vit_layer_norm,
    .layer_norm_backward = vit_layer_norm_backward,
    .batch_norm = vit_batch_norm,
    .batch_norm_sums = vit_batch_norm_sums,
    .batch_norm_gradient = vit_batch_norm_gradient,
    .column_sums = vit_column_sums,
    .gelu = vit_gelu,
    .gelu_backward = vit_gelu_backward,
    .softmax = vit_softmax,
    .softmax_backward = vit_softmax_backward,
    .scale_rows = vit_scale_rows,
    .dots = vit_dots,
    .add_runs = vit_add_runs,
    .adam = vit_adam,
};
