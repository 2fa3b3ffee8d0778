/* The wrappers: shapes and dtypes are checked here, once, so that layers and backends never do; then the call is timed. */
#include "compute/ops_check.h"

#include <stdio.h>
#include <time.h>

/* ---- checks ---------------------------------------------------------------------------------------------------- */

static const char *shape_text(char text[96], deco_array x)
{
    static const char *const name[] = {"f32", "f64", "bf16", "f16", "i32", "i64", "u8", "bytes"};
    int n = snprintf(text, 96, "%s", (unsigned)x.dtype <= DECO_BYTES ? name[x.dtype] : "?");
    if (x.dtype == DECO_BYTES)
        n += snprintf(text + n, 96 - (size_t)n, "(%zu)", x.item);
    for (int i = 0; i < x.dims && i < DECO_ARRAY_DIMS; i++)
        n += snprintf(text + n, 96 - (size_t)n, "%s%lld", i ? "," : " [", (long long)x.shape[i]);
    snprintf(text + n, 96 - (size_t)n, "%s", x.dims > 0 ? "]" : "");
    return text;
}

static bool same_shape(deco_array x, deco_array like)
{
    bool same = x.dtype == like.dtype && x.dims == like.dims && x.dims <= DECO_ARRAY_DIMS && (x.dtype != DECO_BYTES || x.item == like.item);
    for (int i = 0; same && i < like.dims; i++)
        same = x.shape[i] == like.shape[i] && x.shape[i] >= 0;
    return same;
}

static bool is_empty(deco_array x)
{
    for (int i = 0; i < x.dims; i++)
        if (!x.shape[i])
            return true;
    return false;
}

deco_status op_check(const char *op, const char *argument, deco_array x, deco_array like)
{
    char is[96], must[96];
    if (!same_shape(x, like))
        return deco_fail(DECO_E_ARGUMENT, "%s: %s is %s; it must be %s", op, argument, shape_text(is, x), shape_text(must, like));
    if (!x.data && !is_empty(x))
        return deco_fail(DECO_E_ARGUMENT, "%s: %s has no memory", op, argument);
    return DECO_OK;
}

/* ---- timing ---------------------------------------------------------------------------------------------------- */

int64_t op_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

const char *deco_op_timing(const deco_device *dev, int i, double *seconds, int64_t *calls)
{
#define OP_NAME(op) #op,
    static const char *const name[] = {DECO_OPS(OP_NAME)};
#undef OP_NAME
    if (i < 0 || i >= DECO_OP_COUNT)
        return NULL;
    *seconds = 1e-9 * (double)atomic_load(&dev->time[i].nanoseconds);
    *calls = atomic_load(&dev->time[i].calls);
    return name[i];
}

/* ---- layers ---------------------------------------------------------------------------------------------------- */

deco_status deco_linear(deco_device *dev, deco_array y, deco_array x, deco_array w, deco_array b, deco_activation act)
{
    int64_t M = x.shape[0], I = x.shape[1], O = w.shape[0];
    NEED(x, f32_2(M, I));
    NEED(w, f32_2(O, I));
    NEED(y, f32_2(M, O));
    MAY(b, f32_1(O));
    RUN(linear, y, x, w, b, act);
}

deco_status deco_linear_backward(deco_device *dev, deco_array dx, deco_array dw, deco_array db, deco_array dy, deco_array x, deco_array w)
{
    int64_t M = x.shape[0], I = x.shape[1], O = w.shape[0];
    NEED(x, f32_2(M, I));
    NEED(w, f32_2(O, I));
    NEED(dy, f32_2(M, O));
    MAY(dx, f32_2(M, I));
    MAY(dw, f32_2(O, I));
    MAY(db, f32_1(O));
    RUN(linear_backward, dx, dw, db, dy, x, w);
}

deco_status deco_layer_norm(deco_device *dev, deco_array y, deco_array stats, deco_array x, deco_array gamma, deco_array beta, float eps)
{
    int64_t M = x.shape[0], C = x.shape[1];
    NEED(x, f32_2(M, C));
    NEED(y, f32_2(M, C));
    MAY(stats, f32_2(M, 2));
    NEED(gamma, f32_1(C));
    NEED(beta, f32_1(C));
    RUN(layer_norm, y, stats, x, gamma, beta, eps);
}

deco_status deco_layer_norm_backward(deco_device *dev, deco_array dx, deco_array dgamma, deco_array dbeta, deco_array dy, deco_array x,
                                     deco_array stats, deco_array gamma)
{
    int64_t M = x.shape[0], C = x.shape[1];
    NEED(x, f32_2(M, C));
    NEED(dy, f32_2(M, C));
    NEED(stats, f32_2(M, 2));
    NEED(gamma, f32_1(C));
    MAY(dx, f32_2(M, C));
    MAY(dgamma, f32_1(C));
    MAY(dbeta, f32_1(C));
    RUN(layer_norm_backward, dx, dgamma, dbeta, dy, x, stats, gamma);
}

deco_status deco_add(deco_device *dev, deco_array y, deco_array x, deco_array r)
{
    NEED(x, like_f32(x));
    NEED(r, like_f32(x));
    NEED(y, like_f32(x));
    RUN(add, y, x, r);
}

deco_status deco_add_relu(deco_device *dev, deco_array y, deco_array x, deco_array r)
{
    NEED(x, like_f32(x));
    NEED(y, like_f32(x));
    MAY(r, like_f32(x));
    RUN(add_relu, y, x, r);
}

deco_status deco_relu_backward(deco_device *dev, deco_array dx, deco_array dy, deco_array y)
{
    NEED(y, like_f32(y));
    NEED(dy, like_f32(y));
    NEED(dx, like_f32(y));
    RUN(relu_backward, dx, dy, y);
}

deco_status deco_positional_encoding(deco_device *dev, deco_array pe, deco_array x, deco_array freqs, int64_t L)
{
    int64_t M = x.shape[0], F = freqs.shape[0];
    NEED(x, f32_2(M, 3));
    NEED(freqs, f32_2(F, 3));
    NEED(pe, f32_2(M, 2 * F));
    RUN(positional_encoding, pe, x, freqs, L);
}

deco_status deco_positional_encoding_backward(deco_device *dev, deco_array dx, deco_array dpe, deco_array x, deco_array freqs, int64_t L)
{
    int64_t M = x.shape[0], F = freqs.shape[0];
    NEED(x, f32_2(M, 3));
    NEED(freqs, f32_2(F, 3));
    NEED(dpe, f32_2(M, 2 * F));
    NEED(dx, f32_2(M, 3));
    RUN(positional_encoding_backward, dx, dpe, x, freqs, L);
}

deco_status deco_append_latent(deco_device *dev, deco_array y, deco_array x, deco_array z)
{
    int64_t B = x.shape[0], P = x.shape[1], F = x.shape[2], Z = z.shape[1];
    NEED(x, f32_3(B, P, F));
    NEED(z, f32_2(B, Z));
    NEED(y, f32_3(B, P, F + Z));
    RUN(append_latent, y, x, z);
}

deco_status deco_append_latent_backward(deco_device *dev, deco_array dx, deco_array dz, deco_array dy)
{
    int64_t B = dy.shape[0], P = dy.shape[1], F = dx.data ? dx.shape[2] : dy.shape[2] - dz.shape[1], Z = dy.shape[2] - F;
    NEED(dy, f32_3(B, P, F + Z));
    MAY(dx, f32_3(B, P, F));
    MAY(dz, f32_2(B, Z));
    RUN(append_latent_backward, dx, dz, dy);
}

/* ---- images ---------------------------------------------------------------------------------------------------- */

deco_status deco_slice_points(deco_device *dev, deco_array x, deco_array k, deco_array R)
{
    int64_t B = R.shape[0], P = k.shape[0];
    NEED(k, f32_2(P, 2));
    NEED(R, f32_3(B, 3, 3));
    NEED(x, f32_3(B, P, 3));
    RUN(slice_points, x, k, R);
}

deco_status deco_slice_points_backward(deco_device *dev, deco_array dR, deco_array dx, deco_array k)
{
    int64_t B = dx.shape[0], P = k.shape[0];
    NEED(k, f32_2(P, 2));
    NEED(dx, f32_3(B, P, 3));
    NEED(dR, f32_3(B, 3, 3));
    RUN(slice_points_backward, dR, dx, k);
}

deco_status deco_six_rotations(deco_device *dev, deco_array R, deco_array six)
{
    int64_t B = six.shape[0];
    NEED(six, f32_2(B, 6));
    NEED(R, f32_3(B, 3, 3));
    RUN(six_rotations, R, six);
}

deco_status deco_six_rotations_backward(deco_device *dev, deco_array dsix, deco_array dR, deco_array six)
{
    int64_t B = six.shape[0];
    NEED(six, f32_2(B, 6));
    NEED(dR, f32_3(B, 3, 3));
    NEED(dsix, f32_2(B, 6));
    RUN(six_rotations_backward, dsix, dR, six);
}

deco_status deco_ctf_values(deco_device *dev, deco_array out, deco_array ctf, deco_array k)
{
    int64_t B = ctf.shape[0], P = k.shape[0];
    NEED(ctf, records(sizeof(deco_ctf_row), B));
    NEED(k, f32_2(P, 2));
    NEED(out, f32_2(B, P));
    RUN(ctf_values, out, ctf, k);
}

deco_status deco_multiply(deco_device *dev, deco_array y, deco_array x, deco_array c)
{
    NEED(x, like_f32(x));
    NEED(c, like_f32(x));
    NEED(y, like_f32(x));
    RUN(multiply, y, x, c);
}

deco_status deco_shift(deco_device *dev, deco_array y, deco_array x, deco_array t, deco_array k)
{
    int64_t B = x.shape[0], P = x.shape[1];
    NEED(x, f32_2(B, P));
    NEED(t, f32_2(B, 2));
    NEED(k, f32_2(P, 2));
    NEED(y, f32_2(B, P));
    if (y.data == x.data)
        return deco_fail(DECO_E_ARGUMENT, "%s: y is x; a shift reads x(k) and x(-k) and cannot work in place", __func__);
    RUN(shift, y, x, t, k);
}

deco_status deco_shift_backward(deco_device *dev, deco_array dt, deco_array dy, deco_array x, deco_array t, deco_array k)
{
    int64_t B = x.shape[0], P = x.shape[1];
    NEED(x, f32_2(B, P));
    NEED(dy, f32_2(B, P));
    NEED(t, f32_2(B, 2));
    NEED(k, f32_2(P, 2));
    NEED(dt, f32_2(B, 2));
    RUN(shift_backward, dt, dy, x, t, k);
}

deco_status deco_squared_error(deco_device *dev, deco_array loss, deco_array dpred, deco_array pred, deco_array target)
{
    NEED(pred, like_f32(pred));
    NEED(target, like_f32(pred));
    MAY(dpred, like_f32(pred));
    NEED(loss, deco_f64_1(NULL, 1));
    if (!deco_array_count(pred))
        return deco_fail(DECO_E_ARGUMENT, "%s: pred is empty; a mean needs an element", __func__);
    RUN(squared_error, loss, dpred, pred, target);
}

/* Lengths that FFTW can plan with its 32-bit sizes. */
static deco_status check_box(const char *op, int64_t D)
{
    if (D < 1 || D > 16384)
        return deco_fail(DECO_E_ARGUMENT, "%s: a box of %lld; it must be 1 to 16384", op, (long long)D);
    return DECO_OK;
}

deco_status deco_hartley_2d(deco_device *dev, deco_array y, deco_array x, bool inverse)
{
    int64_t B = x.shape[0], D = x.shape[1];
    NEED(x, f32_3(B, D, D));
    NEED(y, f32_3(B, D, D));
    deco_status bad = check_box(__func__, D);
    if (bad)
        return bad;
    RUN(hartley_2d, y, x, inverse);
}

deco_status deco_hartley_3d(deco_device *dev, deco_array y, deco_array x, bool inverse)
{
    int64_t D = x.shape[0];
    NEED(x, f32_3(D, D, D));
    NEED(y, f32_3(D, D, D));
    deco_status bad = check_box(__func__, D);
    if (bad)
        return bad;
    RUN(hartley_3d, y, x, inverse);
}

deco_status deco_mask_gather(deco_device *dev, deco_array y, deco_array x, deco_array index, deco_array scale)
{
    int64_t B = x.shape[0], D = x.shape[1], P = index.shape[0];
    NEED(x, f32_3(B, D, D));
    NEED(index, deco_array_of(NULL, DECO_I32, 1, P, 1, 1, 1));
    NEED(scale, f32_1(B));
    NEED(y, f32_2(B, P));
    RUN(mask_gather, y, x, index, scale);
}

deco_status deco_lattice_sums(deco_device *dev, deco_array out, deco_array x)
{
    int64_t B = x.shape[0], D = x.shape[1];
    NEED(x, f32_3(B, D, D));
    NEED(out, deco_array_of(NULL, DECO_F64, 2, B, 2, 1, 1));
    RUN(lattice_sums, out, x);
}

/* ---- tables and optimisers -------------------------------------------------------------------------------------- */

deco_status deco_rows_gather(deco_device *dev, deco_array y, deco_array table, deco_array row)
{
    int64_t B = row.shape[0], N = table.shape[0], W = table.shape[1];
    NEED(table, f32_2(N, W));
    NEED(row, deco_i64_1(NULL, B));
    NEED(y, f32_2(B, W));
    RUN(rows_gather, y, table, row);
}

deco_status deco_rows_put(deco_device *dev, deco_array table, deco_array x, deco_array row)
{
    int64_t B = row.shape[0], N = table.shape[0], W = table.shape[1];
    NEED(table, f32_2(N, W));
    NEED(row, deco_i64_1(NULL, B));
    NEED(x, f32_2(B, W));
    RUN(rows_put, table, x, row);
}

deco_status deco_clear(deco_device *dev, deco_array x)
{
    NEED(x, x);
    RUN(clear, x);
}

deco_status deco_adam(deco_device *dev, deco_array x, deco_array g, deco_array m, deco_array v, deco_array hyper)
{
    int64_t n = x.shape[0];
    NEED(x, f32_1(n));
    NEED(g, f32_1(n));
    NEED(m, f32_1(n));
    NEED(v, f32_1(n));
    NEED(hyper, records(sizeof(deco_adam_step), 1));
    RUN(adam, x, g, m, v, hyper);
}

deco_status deco_adam_rows(deco_device *dev, deco_array x, deco_array g, deco_array row, deco_array m, deco_array v, deco_array hyper)
{
    int64_t N = x.shape[0], W = x.shape[1], B = row.shape[0];
    NEED(x, f32_2(N, W));
    NEED(row, deco_i64_1(NULL, B));
    NEED(g, f32_2(B, W));
    NEED(m, f32_2(N, W));
    NEED(v, f32_2(N, W));
    NEED(hyper, records(sizeof(deco_adam_step), 1));
    RUN(adam_rows, x, g, row, m, v, hyper);
}

deco_status deco_blend(deco_device *dev, deco_array y, deco_array x, deco_array weight)
{
    int64_t n = y.shape[0];
    NEED(y, f32_1(n));
    NEED(x, f32_1(n));
    NEED(weight, f32_1(1));
    RUN(blend, y, x, weight);
}

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

/* What the three blocks share: B images (or point sets) of P points. `x` is k [P,2] with R, points [B,P,3] without. */
static deco_status check_hypervolume(const char *op, const deco_hypervolume *h, int64_t B, int64_t P, deco_array params, deco_array freqs,
                                     deco_array x, deco_array R, deco_array z)
{
    deco_status st = DECO_OK;
    TRY(deco_hypervolume_check(h));
    TRY(op_check(op, "params", params, f32_1(deco_hypervolume_parameters(h))));
    TRY(op_check(op, "freqs", freqs, f32_2(3 * h->pe_dim, 3)));
    if (R.data) {
        TRY(op_check(op, "R", R, f32_3(B, 3, 3)));
        TRY(op_check(op, "x (k, with R)", x, f32_2(P, 2)));
    } else {
        TRY(op_check(op, "x (points, without R)", x, f32_3(B, P, 3)));
    }
    if (h->Z)
        TRY(op_check(op, "z", z, f32_2(B, h->Z)));
    else if (z.data)
        st = deco_fail(DECO_E_ARGUMENT, "%s: z is given, but the decoder has no latent (Z = 0)", op);
out:
    return st;
}

deco_status deco_hypervolume_values(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                    deco_array freqs, deco_array x, deco_array R, deco_array z)
{
    int64_t B = out.shape[0], P = out.shape[1];
    NEED(out, f32_2(B, P));
    deco_status bad = check_hypervolume(__func__, h, B, P, params, freqs, x, R, z);
    if (bad)
        return bad;
    MAY(saved, deco_array_of(NULL, DECO_U8, 1, (int64_t)dev->ops->hypervolume_saved_bytes(dev, h, B, P), 1, 1, 1));
    RUN(hypervolume_values, h, out, saved, params, freqs, x, R, z);
}

deco_status deco_hypervolume_backward(deco_device *dev, const deco_hypervolume *h, deco_array dparams, deco_array dz, deco_array dpose,
                                      deco_array dout, deco_array saved, deco_array params, deco_array freqs, deco_array x, deco_array R,
                                      deco_array z)
{
    int64_t B = dout.shape[0], P = dout.shape[1];
    NEED(dout, f32_2(B, P));
    deco_status bad = check_hypervolume(__func__, h, B, P, params, freqs, x, R, z);
    if (bad)
        return bad;
    NEED(saved, deco_array_of(NULL, DECO_U8, 1, (int64_t)dev->ops->hypervolume_saved_bytes(dev, h, B, P), 1, 1, 1));
    MAY(dparams, f32_1(deco_hypervolume_parameters(h)));
    MAY(dz, f32_2(B, h->Z));
    MAY(dpose, R.data ? f32_3(B, 3, 3) : f32_3(B, P, 3));
    RUN(hypervolume_backward, h, dparams, dz, dpose, dout, saved, params, freqs, x, R, z);
}

size_t deco_hypervolume_saved_bytes(deco_device *dev, const deco_hypervolume *h, int64_t B, int64_t P)
{
    return dev->ops->hypervolume_saved_bytes(dev, h, B, P);
}

deco_status deco_hypervolume_bank(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array params, deco_array freqs,
                                  deco_array k, deco_array R, deco_array z)
{
    int64_t B = out.shape[0], n = out.shape[1], P = out.shape[2];
    deco_status bad = deco_hypervolume_check(h);
    if (bad)
        return bad;
    NEED(out, f32_3(B, n, P));
    NEED(params, f32_1(deco_hypervolume_parameters(h)));
    NEED(freqs, f32_2(3 * h->pe_dim, 3));
    NEED(k, f32_2(P, 2));
    NEED(R, f32_3(n, 3, 3));
    if (h->Z)
        NEED(z, f32_2(B, h->Z));
    else if (z.data)
        return deco_fail(DECO_E_ARGUMENT, "%s: z is given, but the decoder has no latent (Z = 0)", __func__);
    RUN(hypervolume_bank, h, out, params, freqs, k, R, z);
}

deco_status deco_pose_score(deco_device *dev, deco_array score, deco_array best, deco_array slices, deco_array row, deco_array ctf,
                            deco_array images, deco_array shifts, deco_array k, deco_array turn)
{
    int64_t G = images.shape[0], P = images.shape[1], C = score.shape[1], Q = turn.data ? 4 : 1, T = shifts.shape[0];
    int64_t S = row.data ? slices.shape[0] : G * C;
    deco_array numbers = deco_array_of(NULL, DECO_I32, 3, G, C, Q, 1);
    NEED(images, f32_2(G, P));
    NEED(ctf, f32_2(G, P));
    NEED(score, f32_3(G, C, Q));
    NEED(best, numbers);
    NEED(slices, f32_2(S, P));
    MAY(row, deco_array_of(NULL, DECO_I32, 2, G, C, 1, 1));
    NEED(shifts, f32_2(T, 2));
    NEED(k, f32_2(P, 2));
    MAY(turn, deco_array_of(NULL, DECO_I32, 1, P, 1, 1, 1));
    if (T < 1 || T > INT32_MAX || P < 2 || P % 2)
        return deco_fail(DECO_E_ARGUMENT, "%s: %lld shifts and %lld points; a search needs a shift, and points in opposite pairs", __func__,
                         (long long)T, (long long)P);
    RUN(pose_score, score, best, slices, row, ctf, images, shifts, k, turn);
}

deco_status deco_slice_loss(deco_device *dev, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz, deco_array dR,
                            deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R, deco_array z, deco_array ctf,
                            deco_array target)
{
    int64_t B = target.shape[0], P = target.shape[1];
    NEED(target, f32_2(B, P));
    NEED(ctf, f32_2(B, P));
    NEED(R, f32_3(B, 3, 3));
    deco_status bad = check_hypervolume(__func__, h, B, P, params, freqs, k, R, z);
    if (bad)
        return bad;
    NEED(loss, deco_f64_1(NULL, 1));
    MAY(dparams, f32_1(deco_hypervolume_parameters(h)));
    MAY(dz, f32_2(B, h->Z));
    MAY(dR, f32_3(B, 3, 3));
    MAY(dpred, f32_2(B, P));
    if (!deco_array_count(target))
        return deco_fail(DECO_E_ARGUMENT, "%s: target is empty; a mean needs an element", __func__);
    RUN(slice_loss, h, loss, dparams, dz, dR, dpred, params, freqs, k, R, z, ctf, target);
}
