/* What a backend provides: one function for each operation of ops.h, with the same arguments, already checked. No slot is ever
 * NULL: a block without a kernel of its own names the composed one of composed.h. */
#ifndef DECO_COMPUTE_TABLE_H
#define DECO_COMPUTE_TABLE_H

#include "compute/backend.h"
#include <pthread.h>
#include <stdatomic.h>

/* Every operation once: the table, the timing and their names follow from this list. */
/* clang-format off */
#define DECO_OPS(OP) \
    OP(linear) OP(linear_backward) OP(layer_norm) OP(layer_norm_backward) OP(add) OP(add_relu) OP(relu_backward) \
    OP(patches) OP(tokens) OP(tokens_backward) OP(class_token) OP(class_token_backward) OP(gelu) OP(gelu_backward) \
    OP(batch_statistics) OP(running_statistics) OP(batch_norm) OP(batch_norm_backward) OP(attention) OP(attention_backward) \
    OP(positional_encoding) OP(positional_encoding_backward) OP(append_latent) OP(append_latent_backward) \
    OP(slice_points) OP(slice_points_backward) OP(six_rotations) OP(six_rotations_backward) OP(ctf_values) OP(multiply) \
    OP(shift) OP(shift_backward) OP(squared_error) OP(hartley_2d) OP(hartley_3d) OP(mask_gather) OP(lattice_sums) \
    OP(rows_gather) OP(rows_put) OP(clear) OP(adam) OP(adam_rows) OP(blend) \
    OP(hypervolume_values) OP(hypervolume_backward) OP(hypervolume_bank) OP(pose_score) OP(slice_loss) \
    OP(vit_attention) OP(vit_attention_backward) OP(vit_class_attention) OP(vit_mlp) OP(vit_mlp_backward)
/* clang-format on */

#define DECO_OP_ENUM(op) DECO_OP_##op,
enum { DECO_OPS(DECO_OP_ENUM) DECO_OP_COUNT };
#undef DECO_OP_ENUM

struct deco_ops {
    /* the device itself */
    void (*destroy)(deco_device *dev);
    deco_status (*alloc)(deco_device *dev, void **out, size_t bytes, const char *what);
    void (*release)(deco_device *dev, void *p);
    deco_status (*upload)(deco_device *dev, void *device, const void *host, size_t bytes);
    deco_status (*download)(deco_device *dev, void *host, const void *device, size_t bytes);
    deco_status (*wait)(deco_device *dev);

    /* layers */
    deco_status (*linear)(deco_device *, deco_array y, deco_array x, deco_array w, deco_array b, deco_activation act);
    deco_op_6 *linear_backward;
    deco_status (*layer_norm)(deco_device *, deco_array y, deco_array stats, deco_array x, deco_array gamma, deco_array beta, float eps);
    deco_op_7 *layer_norm_backward;
    deco_op_3 *add, *add_relu, *relu_backward;
    deco_status (*positional_encoding)(deco_device *, deco_array pe, deco_array x, deco_array freqs, int64_t L);
    deco_status (*positional_encoding_backward)(deco_device *, deco_array dx, deco_array dpe, deco_array x, deco_array freqs, int64_t L);
    deco_op_3 *append_latent, *append_latent_backward;

    /* the encoder's */
    deco_status (*patches)(deco_device *, deco_array rows, deco_array pixels, int64_t patch);
    deco_op_4 *tokens;
    deco_op_2 *tokens_backward, *class_token, *class_token_backward, *gelu;
    deco_op_3 *gelu_backward;
    deco_status (*batch_statistics)(deco_device *, deco_array stats, deco_array running, deco_array x, float eps, float momentum);
    deco_status (*running_statistics)(deco_device *, deco_array stats, deco_array running, float eps);
    deco_op_5 *batch_norm;
    deco_op_7 *batch_norm_backward;
    deco_status (*attention)(deco_device *, deco_array o, deco_array log_sum, deco_array qkv, int64_t heads);
    deco_status (*attention_backward)(deco_device *, deco_array dqkv, deco_array dout, deco_array qkv, deco_array o, deco_array log_sum,
                                      int64_t heads);

    /* images */
    deco_op_3 *slice_points, *slice_points_backward, *ctf_values, *multiply;
    deco_op_2 *six_rotations;
    deco_op_3 *six_rotations_backward;
    deco_op_4 *shift;
    deco_op_5 *shift_backward;
    deco_op_4 *squared_error;
    deco_status (*hartley_2d)(deco_device *, deco_array y, deco_array x, bool inverse);
    deco_status (*hartley_3d)(deco_device *, deco_array y, deco_array x, bool inverse);
    deco_op_4 *mask_gather;
    deco_op_2 *lattice_sums;

    /* tables and optimisers */
    deco_op_3 *rows_gather, *rows_put;
    deco_status (*clear)(deco_device *, deco_array x);
    deco_op_5 *adam;
    deco_op_6 *adam_rows;
    deco_op_3 *blend;

    /* blocks */
    deco_status (*hypervolume_values)(deco_device *, const deco_hypervolume *h, deco_array out, deco_array saved, deco_array params,
                                      deco_array freqs, deco_array x, deco_array R, deco_array z);
    deco_status (*hypervolume_backward)(deco_device *, const deco_hypervolume *h, deco_array dparams, deco_array dz, deco_array dpose,
                                        deco_array dout, deco_array saved, deco_array params, deco_array freqs, deco_array x, deco_array R,
                                        deco_array z);
    size_t (*hypervolume_saved_bytes)(deco_device *, const deco_hypervolume *h, int64_t B, int64_t P);
    deco_status (*hypervolume_bank)(deco_device *, const deco_hypervolume *h, deco_array out, deco_array params, deco_array freqs,
                                    deco_array k, deco_array R, deco_array z);
    deco_status (*pose_score)(deco_device *, deco_array score, deco_array best, deco_array slices, deco_array row, deco_array ctf,
                              deco_array images, deco_array shifts, deco_array k, deco_array turn);
    deco_status (*slice_loss)(deco_device *, const deco_hypervolume *h, deco_array loss, deco_array dparams, deco_array dz, deco_array dR,
                              deco_array dpred, deco_array params, deco_array freqs, deco_array k, deco_array R, deco_array z,
                              deco_array ctf, deco_array target);
    deco_status (*vit_attention)(deco_device *, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params);
    deco_status (*vit_attention_backward)(deco_device *, int64_t heads, deco_array dx, deco_array dparams, deco_array dy, deco_array saved,
                                          deco_array x, deco_array params);
    deco_status (*vit_class_attention)(deco_device *, int64_t heads, deco_array y, deco_array x, deco_array params);
    deco_op_5 *vit_mlp;
    deco_op_7 *vit_mlp_backward;
};

typedef struct deco_op_time {
    atomic_int_fast64_t nanoseconds, calls;
} deco_op_time;

struct deco_scratch;

/* The part of a device that every backend has; a backend's own struct begins with it. */
struct deco_device {
    const deco_ops *ops;
    deco_pool *pool;
    char name[32], libraries[128];
    bool has_bf16, bf16; /* matrix products: the device can have them in bf16; they are */
    deco_op_time time[DECO_OP_COUNT];

    pthread_mutex_t scratch_lock;
    struct deco_scratch *scratch; /* blocks of deco_scratch_take, in use or waiting */
    atomic_size_t scratch_bytes;  /* of these and of the backend's own buffers: it only grows */
};

#endif
