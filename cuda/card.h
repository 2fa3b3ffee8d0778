/* What the files of this folder share: the device's parts as kernels need them, errors, products. Read by C and C++.
 *
 * All work of a device goes to one stream, in the order of the calls; so scratch may be given back while its kernels still wait, and
 * two threads of the host may call at once. Sums run over tiles of fixed size in a fixed order, without atomics. */
#ifndef DECO_CUDA_CARD_H
#define DECO_CUDA_CARD_H

#include <cuda_runtime_api.h>
#include <math.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#include "compute/backend.h"

/* A status of each library, as ours. `call` names it. */
deco_status cuda_check(cudaError_t error, const char *call);
#define CUDA(call) TRY(cuda_check((call), #call))

/* Makes the device this thread's current one. */
deco_status cuda_enter(deco_device *dev);
cudaStream_t cuda_stream(const deco_device *dev);

/* What kernels of variable size go by. */
typedef struct cuda_limits {
    int processors; /* multiprocessors */
    size_t shared;  /* bytes of shared memory that a block may ask for */
} cuda_limits;
cuda_limits cuda_limits_of(const deco_device *dev);
bool cuda_bf16(const deco_device *dev); /* products in bf16: asked for, and the card has tensor cores for it */

/* A number out of range that a kernel met: it is left here, the kernel goes on without it, and the next download or wait fails. */
typedef enum cuda_index { CUDA_ROW = 1, CUDA_MASK_POINT, CUDA_SLICE, CUDA_TURN } cuda_index;
typedef struct cuda_fault {
    int taken, index; /* a cuda_index */
    long long at, value, limit;
} cuda_fault;
cuda_fault *cuda_fault_of(const deco_device *dev); /* on the device */

/* C = op(A) op(B), row by row in memory: op(A) [m,k], op(B) [k,n], C [m,n]; lda, ldb, ldc are the lengths of rows in memory. `batch` products
 * whose operands lie `step` numbers apart. Sums are float32; float32 operands are multiplied as such, not as TF32. */
typedef struct cuda_product {
    int64_t m, n, k;
    bool ta, tb;
    const void *a, *b; /* float32, or both bf16 */
    void *c;
    bool bf16, bf16_out; /* of a and b; of c */
    const void *bias;    /* [n] of c's type, added to every row; NULL: none */
    const float *plus;   /* as c, added to it; not c itself, or the library gives other bits; NULL: none. With c in float32 alone */
    int64_t lda, ldb, ldc;
    int64_t batch, a_step, b_step, c_step; /* batch 0 is one product */
    float factor;                          /* 0 is 1 */
} cuda_product;
deco_status cuda_multiply_matrices(deco_device *dev, const cuda_product *p);

/* out [batch, (D,) D, D/2 + 1] complex = the real transform of in [batch, (D,) D, D]; `dims` is 2 or 3. */
deco_status cuda_fourier(deco_device *dev, float *out, float *in, int dims, int64_t D, int64_t batch);

static inline int64_t cuda_tiles(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* The operations, as in ops.h. */
deco_status cuda_linear(deco_device *dev, deco_array y, deco_array x, deco_array w, deco_array b, deco_activation act);
deco_op_6 cuda_linear_backward;
deco_status cuda_layer_norm(deco_device *dev, deco_array y, deco_array stats, deco_array x, deco_array gamma, deco_array beta, float eps);
deco_op_7 cuda_layer_norm_backward;
deco_op_3 cuda_add, cuda_add_relu, cuda_relu_backward, cuda_multiply;
deco_status cuda_clear(deco_device *dev, deco_array x);
deco_op_4 cuda_squared_error;
deco_status cuda_positional_encoding(deco_device *dev, deco_array pe, deco_array x, deco_array freqs, int64_t L);
deco_status cuda_positional_encoding_backward(deco_device *dev, deco_array dx, deco_array dpe, deco_array x, deco_array freqs, int64_t L);
deco_op_3 cuda_append_latent, cuda_append_latent_backward;
deco_op_3 cuda_slice_points, cuda_slice_points_backward, cuda_ctf_values;
deco_op_2 cuda_six_rotations;
deco_op_3 cuda_six_rotations_backward;
deco_op_4 cuda_shift;
deco_op_5 cuda_shift_backward;
deco_status cuda_hartley_2d(deco_device *dev, deco_array y, deco_array x, bool inverse);
deco_status cuda_hartley_3d(deco_device *dev, deco_array y, deco_array x, bool inverse);
deco_op_4 cuda_mask_gather;
deco_op_2 cuda_lattice_sums;
deco_op_3 cuda_rows_gather, cuda_rows_put;
deco_op_5 cuda_adam;
deco_op_6 cuda_adam_rows;
deco_op_3 cuda_blend;
deco_status cuda_pose_score(deco_device *dev, deco_array score, deco_array best, deco_array slices, deco_array row, deco_array ctf,
                            deco_array images, deco_array shifts, deco_array k, deco_array turn);
deco_status cuda_patches(deco_device *dev, deco_array rows, deco_array pixels, int64_t patch);
deco_op_4 cuda_tokens;
deco_op_2 cuda_tokens_backward, cuda_class_token, cuda_class_token_backward, cuda_gelu;
deco_op_3 cuda_gelu_backward;
deco_status cuda_batch_statistics(deco_device *dev, deco_array stats, deco_array running, deco_array x, float eps, float momentum);
deco_status cuda_running_statistics(deco_device *dev, deco_array stats, deco_array running, float eps);
deco_op_5 cuda_batch_norm;
deco_op_7 cuda_batch_norm_backward;
deco_status cuda_hypervolume_values(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                    deco_array freqs, deco_array x, deco_array R, deco_array z);
deco_status cuda_slice_loss(deco_device *dev, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz, deco_array dR,
                            deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R, deco_array z, deco_array ctf,
                            deco_array target);
deco_status cuda_vit_attention(deco_device *dev, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params);
deco_status cuda_vit_attention_backward(deco_device *dev, int64_t heads, deco_array dx, deco_array dparams, deco_array dy, deco_array saved,
                                        deco_array x, deco_array params);
deco_status cuda_vit_class_attention(deco_device *dev, int64_t heads, deco_array y, deco_array x, deco_array params);
deco_op_5 cuda_vit_mlp, cuda_composed_vit_mlp;
deco_op_7 cuda_vit_mlp_backward, cuda_composed_vit_mlp_backward;

/* The program's blocks made of operations, for what ours do not serve. */
deco_status cuda_composed_vit_attention(deco_device *dev, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params);
deco_status cuda_composed_vit_attention_backward(deco_device *dev, int64_t heads, deco_array dx, deco_array dparams, deco_array dy,
                                                 deco_array saved, deco_array x, deco_array params);
deco_status cuda_composed_values(deco_device *dev, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                 deco_array freqs, deco_array x, deco_array R, deco_array z);
deco_status cuda_composed_slice_loss(deco_device *dev, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz,
                                     deco_array dR, deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R,
                                     deco_array z, deco_array ctf, deco_array target);
deco_status cuda_attention(deco_device *dev, deco_array o, deco_array log_sum, deco_array qkv, int64_t heads);
deco_status cuda_attention_backward(deco_device *dev, deco_array dqkv, deco_array dout, deco_array qkv, deco_array o, deco_array log_sum,
                                    int64_t heads);
#ifdef __cplusplus
}
#endif

#endif
