/* A tile's way back through the layers; forward is network_tile.h's. METHOD.md section 3. */
#ifndef DECO_CUDA_NETWORK_BACKWARD_H
#define DECO_CUDA_NETWORK_BACKWARD_H

#include "network_loss.h"
#include "network_tile.h"

/* Each row's share of the loss, and its slope by the decoder's value. */
template <class T>
__device__ static inline void slopes(const shared_parts<T> &s, const network_call &c, const loss_call &a, int64_t image, int64_t first,
                                     int64_t tile)
{
    const float *bias = c.params + weight_at(c.at, c.n + 1) + T::width;
    int row = (int)threadIdx.x;
    if (row < TILE_ROWS) { /* whole warps */
        int64_t p = first + row, i = image * c.P + p;
        double square = 0, slope = 0;
        if (p < c.P) {
            float difference = a.ctf[i] * value_of(s, row, bias) - a.target[i], dpred = a.scale * difference;
            if (a.dpred)
                a.dpred[i] = dpred;
            square = (double)difference * difference, slope = dpred * a.ctf[i];
        }
        s.slope[row] = (float)slope;
        square = warp_sum(square), slope = warp_sum(slope);
        if (lane() == 0)
            s.sums[2 * (row / WARP)] = square, s.sums[2 * (row / WARP) + 1] = slope;
    }
    block_meet();
    if (threadIdx.x < 2) {
        double sum = 0;
        for (int w = 0; w < TILE_ROWS / WARP; w++)
            sum += s.sums[2 * w + (int)threadIdx.x];
        a.losses[2 * tile + threadIdx.x] = sum;
    }
}

/* Sums down a warp's rows of what each lane has added up for its columns, to `to` [H]. */
template <class T> __device__ static inline void put_columns(float *to, const two (&sum)[NT])
{
    UNROLL
    for (int n = 0; n < NT; n++) {
        two all = {column_sum(sum[n].a), column_sum(sum[n].b)};
        if (lane() / 4 == 0)
            *(two *)(to + column_of(n)) = all;
    }
}

/* v = the slopes times the last layer's weight; before, v's sums with the slopes are that weight's gradient. */
template <class T>
__device__ static inline void last_backward(float (&v)[MT][NT][4], const shared_parts<T> &s, const float *weight, float *dweight)
{
    two sum[NT] = {};
    float slope[LANE_ROWS];
    UNROLL
    for (int r = 0; r < LANE_ROWS; r++)
        slope[r] = s.slope[row_of(r)];
    UNROLL
    for (int n = 0; n < NT; n++) {
        two w = *(const two *)(weight + column_of(n));
        UNROLL
        for (int r = 0; r < LANE_ROWS; r++) {
            float *x = pair_of_row(v, r, n);
            sum[n].a += slope[r] * x[0], sum[n].b += slope[r] * x[1];
            x[0] = slope[r] * w.a, x[1] = slope[r] * w.b;
        }
    }
    put_columns<T>(dweight, sum);
}

/* v, the gradient of a layer's value, becomes that of the sum before the ReLU, and x that of the linear's sums; `columns` as columns_of. */
template <class T>
__device__ static inline void norm_backward(float (&v)[MT][NT][4], const shared_parts<T> &s, const float *rstd, const float *gamma,
                                            const quad *keep, float *columns)
{
    quad above = keep[(KEPT_QUADS - 1) * T::threads];
    float a[LANE_ROWS] = {},
          b[LANE_ROWS] = {}; /* Σ over the columns of the gradient by the normalised value, and of that times the value */
    two sum[NT];
    UNROLL
    for (int n = 0; n < NT; n++) {
        two g = *(const two *)(gamma + column_of(n));
        two with_normal = {0, 0};
        sum[n] = {0, 0};
        UNROLL
        for (int r = 0; r < LANE_ROWS; r++) {
            uint32_t kept = keep[(n * (LANE_ROWS / 4) + r / 4) * T::threads].w[r % 4], bits = above.w[r / 2] >> (4 * n + r % 2 * 2);
            float *d = pair_of_row(v, r, n), first = pair_first(kept), second = pair_second(kept);
            d[0] = bits & 1 ? d[0] : 0, d[1] = bits & 2 ? d[1] : 0;
            with_normal.a += d[0] * first, with_normal.b += d[1] * second;
            sum[n].a += d[0], sum[n].b += d[1];
            float left = d[0] * g.a, right = d[1] * g.b;
            a[r] += left, a[r] += right;
            b[r] += left * first, b[r] += right * second;
        }
        with_normal = {column_sum(with_normal.a), column_sum(with_normal.b)};
        if (lane() / 4 == 0)
            *(two *)(columns + DGAMMA * T::width + column_of(n)) = with_normal;
    }
    put_columns<T>(columns + DBETA * T::width, sum);
    UNROLL
    for (int r = 0; r < LANE_ROWS; r++) {
        a[r] = row_sum(a[r]), b[r] = row_sum(b[r]);
        if (lane() % 4 == 0)
            s.stats[row_of(r) * T::NW + warp_number()] = {a[r], b[r]};
    }
    block_meet(); /* and x has been read */
    float scale[LANE_ROWS];
    UNROLL
    for (int r = 0; r < LANE_ROWS; r++) {
        scale[r] = rstd[row_of(r)];
        a[r] = b[r] = 0;
        UNROLL
        for (int w = 0; w < T::NW; w++) {
            two part = s.stats[row_of(r) * T::NW + w];
            a[r] += part.a, b[r] += part.b;
        }
        a[r] *= -scale[r] / T::width, b[r] *= -scale[r] / T::width;
    }
    UNROLL
    for (int n = 0; n < NT; n++) {
        two g = *(const two *)(gamma + column_of(n));
        unsigned char *at = pairs_of<T>(s.x, n);
        sum[n] = {0, 0};
        UNROLL
        for (int r = 0; r < LANE_ROWS; r++) {
            uint32_t kept = keep[(n * (LANE_ROWS / 4) + r / 4) * T::threads].w[r % 4];
            const float *d = pair_of_row(v, r, n);
            float first = scale[r] * (d[0] * g.a) + (b[r] * pair_first(kept) + a[r]);
            float second = scale[r] * (d[1] * g.b) + (b[r] * pair_second(kept) + a[r]);
            sum[n].a += first, sum[n].b += second;
            *(uint32_t *)(at + 8 * r * T::pitch) = pair_of(first, second);
        }
    }
    put_columns<T>(columns + DBIAS * T::width, sum);
}

/* v, the gradients of sines and cosines from frequency `first` on, to those of the rotation's first two rows, added to dR. */
template <class T>
__device__ static inline void turn_backward(float (&dR)[6], float (&v)[MT][NT][4], const shared_parts<T> &s, const network_call &c,
                                            int first)
{
    UNROLL
    for (int n = 0; n < NT; n++) {
        int j = first + column_of(n) / 2;
        if (j >= c.F)
            continue;
        float f[3], along[2] = {0, 0}; /* Σ over rows of the plane's coordinates times the gradient by the phase */
        UNROLL
        for (int i = 0; i < 3; i++)
            f[i] = c.freqs[3 * j + i] * (c.half_L * ONE_TURN);
        UNROLL
        for (int r = 0; r < LANE_ROWS; r++) {
            const float *x = s.point + 3 * row_of(r), *k = s.plane + 2 * row_of(r), *d = pair_of_row(v, r, n);
            float sine, cosine;
            sine_and_cosine(x[0] * f[0] + x[1] * f[1] + x[2] * f[2], &sine, &cosine);
            float dphase = cosine * d[0] - sine * d[1];
            along[0] += k[0] * dphase, along[1] += k[1] * dphase;
        }
        UNROLL
        for (int i = 0; i < 6; i++)
            dR[i] += along[i / 3] * (f[i % 3] / ONE_TURN);
    }
}

#endif
