/* The CPU device: our pool of threads and products, oneDNN for other products, FFTW for transforms. */
#ifndef DECO_COMPUTE_CPU_H
#define DECO_COMPUTE_CPU_H

#include "compute/table.h"

extern const deco_ops cpu_ops;

deco_status cpu_device_create(deco_device **out, int threads);
void cpu_device_destroy(deco_device *dev);

/* This worker's buffer, 64-byte aligned, at least `bytes` long, not cleared; only for the task that runs on `worker` now. It grows
 * when a call asks for more than any before it and is kept. NULL without memory. */
void *cpu_scratch(deco_device *dev, int worker, size_t bytes);

/* Tile `tile` of a long loop, the items [begin, end), on `worker`. */
typedef deco_status cpu_loop(deco_device *dev, const void *context, int64_t tile, int64_t begin, int64_t end, int worker);

/* Runs `loop` over [0, n) in tiles of `size` items: the cut never depends on the number of threads. */
deco_status cpu_for(deco_device *dev, int64_t n, int64_t size, cpu_loop *loop, const void *context);
static inline int64_t cpu_tiles(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* Sums by tile: out[c] = Σ_t part[t·columns + c], tiles in rising order, in double; as f32. */
void cpu_add_tiles(float *out, const double *part, int64_t tiles, int64_t columns);

/* FFTW's plans, kept for the life of the device (hartley.c). */
typedef struct cpu_plan cpu_plan;
void cpu_plans_free(cpu_plan *plans);

typedef struct cpu_worker {
    unsigned char *buffer;
    size_t size;
    unsigned char pad[64 - sizeof(void *) - sizeof(size_t)]; /* a cache line a worker */
} cpu_worker;

typedef struct cpu_device {
    deco_device base;
    cpu_worker *worker; /* [threads of the pool] */
    cpu_plan *plans;
} cpu_device;

/* The primitives, as in ops.h. */
deco_status cpu_linear(deco_device *dev, deco_array y, deco_array x, deco_array w, deco_array b, deco_activation act);
deco_op_6 cpu_linear_backward;
deco_status cpu_layer_norm(deco_device *dev, deco_array y, deco_array stats, deco_array x, deco_array gamma, deco_array beta, float eps);
deco_op_7 cpu_layer_norm_backward;
deco_op_3 cpu_add, cpu_add_relu, cpu_relu_backward, cpu_multiply;
deco_status cpu_clear(deco_device *dev, deco_array x);
deco_op_4 cpu_squared_error;
deco_status cpu_positional_encoding(deco_device *dev, deco_array pe, deco_array x, deco_array freqs, int64_t L);
deco_status cpu_positional_encoding_backward(deco_device *dev, deco_array dx, deco_array dpe, deco_array x, deco_array freqs, int64_t L);
deco_op_3 cpu_append_latent, cpu_append_latent_backward;
deco_op_3 cpu_slice_points, cpu_slice_points_backward, cpu_ctf_values;
deco_op_2 cpu_six_rotations;
deco_op_3 cpu_six_rotations_backward;
deco_op_4 cpu_shift;
deco_op_5 cpu_shift_backward;
deco_status cpu_hartley_2d(deco_device *dev, deco_array y, deco_array x, bool inverse);
deco_status cpu_hartley_3d(deco_device *dev, deco_array y, deco_array x, bool inverse);
deco_op_4 cpu_mask_gather;
deco_op_2 cpu_lattice_sums;
deco_status cpu_pose_score(deco_device *dev, deco_array score, deco_array best, deco_array slices, deco_array row, deco_array ctf,
                           deco_array images, deco_array shifts, deco_array k, deco_array turn);
deco_op_3 cpu_rows_gather, cpu_rows_put;
deco_op_5 cpu_adam;
deco_op_6 cpu_adam_rows;
deco_op_3 cpu_blend;
deco_status cpu_patches(deco_device *dev, deco_array rows, deco_array pixels, int64_t patch);
deco_op_4 cpu_tokens;
deco_op_2 cpu_tokens_backward, cpu_class_token, cpu_class_token_backward, cpu_gelu;
deco_op_3 cpu_gelu_backward;
deco_status cpu_batch_statistics(deco_device *dev, deco_array stats, deco_array running, deco_array x, float eps, float momentum);
deco_status cpu_running_statistics(deco_device *dev, deco_array stats, deco_array running, float eps);
deco_op_5 cpu_batch_norm;
deco_op_7 cpu_batch_norm_backward;
deco_status cpu_attention_forward(deco_device *dev, deco_array o, deco_array log_sum, deco_array qkv, int64_t heads);
deco_status cpu_attention_backward(deco_device *dev, deco_array dqkv, deco_array dout, deco_array qkv, deco_array o, deco_array log_sum,
                                   int64_t heads);

/* The encoder's half blocks, an image a task. */
deco_status cpu_vit_attention(deco_device *dev, int64_t heads, deco_array y, deco_array saved, deco_array x, deco_array params);
deco_status cpu_vit_attention_backward(deco_device *dev, int64_t heads, deco_array dx, deco_array dparams, deco_array dy, deco_array saved,
                                       deco_array x, deco_array params);
deco_status cpu_vit_class_attention(deco_device *dev, int64_t heads, deco_array y, deco_array x, deco_array params);
deco_op_5 cpu_vit_mlp;
deco_op_7 cpu_vit_mlp_backward;

#endif
