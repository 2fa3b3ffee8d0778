/* The operation table: what runs on the data of a training step, on pose search and on decoding.
 *
 * Each deco_<op>() checks dtypes and shapes, times the call and calls the device's table. Operations are enqueued: they do
 * not wait or read back, and numbers that change each step are read from device memory. Fails: ARGUMENT (a shape or dtype:
 * the operation, the argument, what it is and what it must be), MEMORY, DEVICE.
 *
 * Gradients are overwritten unless said otherwise; an output that is not wanted is deco_none(). Letters: B batch, P points
 * in the mask, M rows, D box, L = D + 1, N table rows, Z latent, H hidden. */
#ifndef DECO_COMPUTE_OPS_H
#define DECO_COMPUTE_OPS_H

#include "compute/array.h"
#include "compute/device.h"
#include "compute/hypervolume.h"
#include "compute/vit.h"
#include "formulas/ctf.h"

typedef enum deco_activation { DECO_LINEAR, DECO_RELU } deco_activation;

/* ---- primitives: layers ---------------------------------------------------------------------------------------- */

/* y = act(x wᵀ + b).  y [M,O]  x [M,I]  w [O,I]  b [O] or none */
deco_status deco_linear(deco_device *dev, deco_array y, deco_array x, deco_array w, deco_array b, deco_activation act);
/* dx [M,I], dw [O,I], db [O], each or none; dy is the gradient before the activation. */
deco_status deco_linear_backward(deco_device *dev, deco_array dx, deco_array dw, deco_array db, deco_array dy, deco_array x, deco_array w);

/* y = LayerNorm(x) over the last axis, eps 1e-5. `stats` [M,2] f32 keeps mean and 1/σ for backward, or none.  gamma, beta [C] */
deco_status deco_layer_norm(deco_device *dev, deco_array y, deco_array stats, deco_array x, deco_array gamma, deco_array beta, float eps);
deco_status deco_layer_norm_backward(deco_device *dev, deco_array dx, deco_array dgamma, deco_array dbeta, deco_array dy, deco_array x,
                                     deco_array stats, deco_array gamma);

/* y = x + r. Any equal shapes; y may be x or r. */
deco_status deco_add(deco_device *dev, deco_array y, deco_array x, deco_array r);
/* y = max(x + r, 0); r none: y = max(x, 0). Any equal shapes; y may be x. */
deco_status deco_add_relu(deco_device *dev, deco_array y, deco_array x, deco_array r);
/* dx = dy where y > 0, else 0 (the gradient of r is the same). dx may be dy. */
deco_status deco_relu_backward(deco_device *dev, deco_array dx, deco_array dy, deco_array y);

/* [sin k, cos k], k_j = (L // 2) Σ_i x_i f_ji.  pe [M,6·pe]  x [M,3]  freqs [3·pe,3] */
deco_status deco_positional_encoding(deco_device *dev, deco_array pe, deco_array x, deco_array freqs, int64_t L);
/* dx [M,3] */
deco_status deco_positional_encoding_backward(deco_device *dev, deco_array dx, deco_array dpe, deco_array x, deco_array freqs, int64_t L);

/* Every point's features with its image's latent behind them.  y [B,P,F+Z]  x [B,P,F]  z [B,Z] */
deco_status deco_append_latent(deco_device *dev, deco_array y, deco_array x, deco_array z);
/* dx [B,P,F], dz [B,Z] = sum over the points, each or none */
deco_status deco_append_latent_backward(deco_device *dev, deco_array dx, deco_array dz, deco_array dy);

/* ---- primitives: the encoder's ---------------------------------------------------------------------------------- */

/* Rows of patches: bytes as formulas/encoder_pixel.h has them, patches row by row of the image, pixels row by row of the patch.
 *   rows [B·N,patch²]   pixels [B,side,side] U8, N = (side / patch)² */
deco_status deco_patches(deco_device *dev, deco_array rows, deco_array pixels, int64_t patch);

/* The class token in front, positions added.  x [B,T,C]  patch [B·(T-1),C]  cls [C]  pos [T,C];  backward: dcls [C] from dx [B,T,C] */
deco_status deco_tokens(deco_device *dev, deco_array x, deco_array patch, deco_array cls, deco_array pos);
deco_status deco_tokens_backward(deco_device *dev, deco_array dcls, deco_array dx);

/* y [B,C] = token 0 of x [B,T,C].  dx [B,T,C]: dy [B,C] there, 0 elsewhere. */
deco_status deco_class_token(deco_device *dev, deco_array y, deco_array x);
deco_status deco_class_token_backward(deco_device *dev, deco_array dx, deco_array dy);

/* y = x·Φ(x), any equal shapes; y may be x.  dx = dy·(Φ(x) + x·φ(x)); dx may be dy. */
deco_status deco_gelu(deco_device *dev, deco_array y, deco_array x);
deco_status deco_gelu_backward(deco_device *dev, deco_array dx, deco_array dy, deco_array x);

/* stats [2,C]: mean and 1/σ over the rows of x [M,C], M at least 1. `running` [2,C], mean and variance, moves towards the batch's by
 * `momentum`, the variance to its unbiased estimate; none: left alone. And the stats that running ones amount to. */
deco_status deco_batch_statistics(deco_device *dev, deco_array stats, deco_array running, deco_array x, float eps, float momentum);
deco_status deco_running_statistics(deco_device *dev, deco_array stats, deco_array running, float eps);

/* y = (x - mean)/σ·γ + β, column by column.  x, y [M,C]  stats [2,C]  gamma, beta [C]; y may be x */
deco_status deco_batch_norm(deco_device *dev, deco_array y, deco_array x, deco_array stats, deco_array gamma, deco_array beta);
/* With stats those of x itself.  dx [M,C], dgamma, dbeta [C], each or none */
deco_status deco_batch_norm_backward(deco_device *dev, deco_array dx, deco_array dgamma, deco_array dbeta, deco_array dy, deco_array x,
                                     deco_array stats, deco_array gamma);

/* o = softmax(q kᵀ / √(C/heads)) v, head by head.  o [B,T,C]  qkv [B,T,3C], q, k, v behind one another, each head by head.
 * log_sum [B,heads,T] keeps the logarithm of each row's sum for backward, or none. */
deco_status deco_attention(deco_device *dev, deco_array o, deco_array log_sum, deco_array qkv, int64_t heads);
/* dqkv [B,T,3C] from dout [B,T,C] */
deco_status deco_attention_backward(deco_device *dev, deco_array dqkv, deco_array dout, deco_array qkv, deco_array o, deco_array log_sum,
                                    int64_t heads);

/* ---- primitives: images ---------------------------------------------------------------------------------------- */

/* Points of slices: x[b,p] = (k[p], 0) @ R[b].  x [B,P,3]  k [P,2]  R [B,3,3];  dR [B,3,3] = Σ_p (k, 0)ᵀ dx */
deco_status deco_slice_points(deco_device *dev, deco_array x, deco_array k, deco_array R);
deco_status deco_slice_points_backward(deco_device *dev, deco_array dR, deco_array dx, deco_array k);

/* R [B,3,3] of six [B,6]: Gram-Schmidt of two vectors to the rows e1, e2; the third is e1×e2. METHOD.md section 5. */
deco_status deco_six_rotations(deco_device *dev, deco_array R, deco_array six);
/* dsix [B,6] */
deco_status deco_six_rotations_backward(deco_device *dev, deco_array dsix, deco_array dR, deco_array six);

/* CTF values [B,P] of `ctf` [B] deco_ctf_row (BYTES) at k [P,2] cycles per pixel: 1/Å are k / row's psize_A. */
deco_status deco_ctf_values(deco_device *dev, deco_array out, deco_array ctf, deco_array k);

/* y = x · c, element by element, any equal shapes (CTF · slice; its backward is the same call). y may be x. */
deco_status deco_multiply(deco_device *dev, deco_array y, deco_array x, deco_array c);

/* Image b shifted by t[b] pixels: y(k) = cos(2π k·t) x(k) + sin(2π k·t) x(-k).  y, x [B,P] (not the same memory)  t [B,2]  k [P,2] */
deco_status deco_shift(deco_device *dev, deco_array y, deco_array x, deco_array t, deco_array k);
/* dt [B,2] */
deco_status deco_shift_backward(deco_device *dev, deco_array dt, deco_array dy, deco_array x, deco_array t, deco_array k);

/* loss [1] f64 = mean (pred - target)² over all elements; dpred = 2 (pred - target) / count, or none. */
deco_status deco_squared_error(deco_device *dev, deco_array loss, deco_array dpred, deco_array pred, deco_array target);

/* y [B,D,D] = centred Hartley transform of x [B,D,D], unscaled; `inverse` divides by D². y may be x. METHOD.md 1.3 */
deco_status deco_hartley_2d(deco_device *dev, deco_array y, deco_array x, bool inverse);
/* y [D,D,D] of x [D,D,D]; `inverse` divides by D³. */
deco_status deco_hartley_3d(deco_device *dev, deco_array y, deco_array x, bool inverse);

/* y[b,p] = scale[b] · x[b, point p of the D×D transform]: mask indices count on the L×L lattice, whose last row and column
 * repeat the first.  y [B,P]  x [B,D,D]  index [P] i32  scale [B] */
deco_status deco_mask_gather(deco_device *dev, deco_array y, deco_array x, deco_array index, deco_array scale);

/* Σ and Σ² over the symmetrised L×L lattice of each D×D transform, in double.  out [B,2] f64  x [B,D,D] */
deco_status deco_lattice_sums(deco_device *dev, deco_array out, deco_array x);

/* ---- primitives: tables and optimisers -------------------------------------------------------------------------- */

/* y[i] = table[row[i]].  y [B,W]  table [N,W]  row [B] i64 */
deco_status deco_rows_gather(deco_device *dev, deco_array y, deco_array table, deco_array row);
/* table[row[i]] = x[i]; of a row that comes twice the last stays. */
deco_status deco_rows_put(deco_device *dev, deco_array table, deco_array x, deco_array row);
/* x = 0 */
deco_status deco_clear(deco_device *dev, deco_array x);

/* Adam's numbers, read on the device at each step. `decay` is AdamW's (decoupled, 0 for Adam); `step` counts from 1. In double:
 * a float's 0.999 puts 1 - β2 one part in 80 000 off. */
typedef struct deco_adam_step {
    double lr, beta1, beta2, eps, decay;
    int64_t step;
} deco_adam_step;
/* One step on x [n] with gradient g, moments m and v. `hyper` [1] deco_adam_step (BYTES). As PyTorch's AdamW: bias corrections
 * 1 - βᵗ in double, x -= lr·decay·x first. */
deco_status deco_adam(deco_device *dev, deco_array x, deco_array g, deco_array m, deco_array v, deco_array hyper);

/* The same on all rows of a table whose gradient is g[i] in row row[i] and zero elsewhere: those rows move too, by their old moments.
 * A row that comes twice has the sum.   x, m, v [N,W]   g [B,W]   row [B] i64 */
deco_status deco_adam_rows(deco_device *dev, deco_array x, deco_array g, deco_array row, deco_array m, deco_array v, deco_array hyper);

/* y += weight · (x - y), element by element: a running mean.  y, x [n]   weight [1] f32 */
deco_status deco_blend(deco_device *dev, deco_array y, deco_array x, deco_array weight);

/* ---- primitives: pose search ------------------------------------------------------------------------------------ */

/* Candidate poses of G images, C each: the best shift of each candidate, and its score. METHOD.md section 6.
 *   score [G,C,Q]      lowest over the shifts t of ½‖X‖² - <image shifted by t, X>, X = ctf · slice
 *   best [G,C,Q] i32   number of that shift; of equal ones the lowest
 *   slices [S,P]       row [G,C] i32: candidate c of image g is slice row[g,c]; none: it is slice g·C + c
 *   ctf, images [G,P]  shifts [T,2] pixels   k [P,2], point P-1-p opposite to point p
 *   turn [P] i32: Q = 4, candidate (…,q) is the slice read q times through `turn` (geometry/quarter_turn.h); none: Q = 1
 * Neither shifted images nor scores by shift are ever whole in memory. */
deco_status deco_pose_score(deco_device *dev, deco_array score, deco_array best, deco_array slices, deco_array row, deco_array ctf,
                            deco_array images, deco_array shifts, deco_array k, deco_array turn);

/* ---- blocks ---------------------------------------------------------------------------------------------------- */

/* Hartley values of the hypervolume.
 *   out [B,P]   params [n]   freqs [3·pe,3]   z [B,Z] or none when Z = 0
 *   R [B,3,3] with x = k [P,2]: slices;   R none with x [B,P,3]: any points
 * `saved` [bytes] U8 keeps what backward needs; none: no backward follows, and less is written. Worked on in chunks of points. */
deco_status deco_hypervolume_values(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                    deco_array freqs, deco_array x, deco_array R, deco_array z);
/* Gradients of Σ dout·out: dparams [n], dz [B,Z], and dR [B,3,3] (with R) or dx [B,P,3] (without); each or none. */
deco_status deco_hypervolume_backward(deco_device *dev, const deco_hypervolume *h, deco_array dparams, deco_array dz, deco_array dpose,
                                      deco_array dout, deco_array saved, deco_array params, deco_array freqs, deco_array x, deco_array R,
                                      deco_array z);
size_t deco_hypervolume_saved_bytes(deco_device *dev, const deco_hypervolume *h, int64_t B, int64_t P);

/* Slices of several latents at one set of rotations: out [B,n,P], latent b at rotation r.
 *   params [n]   freqs [3·pe,3]   k [P,2]   R [n,3,3]   z [B,Z], or none when Z = 0
 * What depends on the point alone is worked out once for all latents. */
deco_status deco_hypervolume_bank(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array params, deco_array freqs,
                                  deco_array k, deco_array R, deco_array z);

/* One batch of images against their slices, forward and backward in one: METHOD.md section 5.
 *   loss [1] f64     mean (CTF·slice - target)²
 *   dparams [n]  dz [B,Z] or none  dR [B,3,3] or none   dpred [B,P] or none: gradient of CTF·slice (that of the target is -dpred)
 *   k [P,2]  R [B,3,3]  z [B,Z] or none  ctf [B,P]  target [B,P] */
deco_status deco_slice_loss(deco_device *dev, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz, deco_array dR,
                            deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R, deco_array z, deco_array ctf,
                            deco_array target);

/* The halves of an encoder's block. Parameters, their gradients and what is kept are runs of numbers laid out as vit.h says.
 *   attention   y = x + proj(attention(qkv(LayerNorm(x))))           y, x [B,T,C]
 *   of the class tokens alone, without a backward                    y [B,C]: the first token's row of that
 *   MLP         y = x + fc2(GELU(fc1(BatchNorm(x))))                  stats [2,C] of the norm; y none: only `saved`, which backward needs
 * `saved` none: no backward follows, and y may be x. In backward stats are those of x itself; dx [B,T,C] and dparams are all overwritten, and dx is
 * not dy's memory. */
deco_status deco_vit_attention(deco_device *dev, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params);
deco_status deco_vit_attention_backward(deco_device *dev, int64_t heads, deco_array dx, deco_array dparams, deco_array dy, deco_array saved,
                                        deco_array x, deco_array params);
deco_status deco_vit_class_attention(deco_device *dev, int64_t heads, deco_array y, deco_array x, deco_array params);
deco_status deco_vit_mlp(deco_device *dev, deco_array y, deco_array saved, deco_array x, deco_array stats, deco_array params);
deco_status deco_vit_mlp_backward(deco_device *dev, deco_array dx, deco_array dparams, deco_array dy, deco_array saved, deco_array x,
                                  deco_array stats, deco_array params);

/* ---- timing ---------------------------------------------------------------------------------------------------- */

/* Seconds spent in operation `i` and calls of it since the device was made; name NULL past the last. For the log and bench. */
const char *deco_op_timing(const deco_device *dev, int i, double *seconds, int64_t *calls);

#endif
