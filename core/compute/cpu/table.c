/* The CPU's operations. */
#include "base/pages.h"
#include "compute/cpu/cpu.h"
#include "compute/cpu/hypervolume.h"
#include "compute/cpu/hypervolume_bank.h"

#include <stdlib.h>
#include <string.h>

static deco_status cpu_alloc(deco_device *dev, void **out, size_t bytes, const char *what)
{
    *out = deco_pages(bytes);
    if (!*out)
        return deco_fail_memory(bytes, what);
    memset(*out, 0, bytes);
    return DECO_OK;
}

static void cpu_release(deco_device *dev, void *p) { free(p); }

static deco_status cpu_copy(deco_device *dev, void *to, const void *from, size_t bytes)
{
    if (bytes)
        memmove(to, from, bytes);
    return DECO_OK;
}

static deco_status cpu_wait(deco_device *dev) { return DECO_OK; } /* every call has finished when it returns */

const deco_ops cpu_ops = {
    .destroy = cpu_device_destroy,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_copy,
    .download = cpu_copy,
    .wait = cpu_wait,

    .linear = cpu_linear,
    .linear_backward = cpu_linear_backward,
    .layer_norm = cpu_layer_norm,
    .layer_norm_backward = cpu_layer_norm_backward,
    .add = cpu_add,
    .add_relu = cpu_add_relu,
    .relu_backward = cpu_relu_backward,

    .patches = cpu_patches,
    .tokens = cpu_tokens,
    .tokens_backward = cpu_tokens_backward,
    .class_token = cpu_class_token,
    .class_token_backward = cpu_class_token_backward,
    .gelu = cpu_gelu,
    .gelu_backward = cpu_gelu_backward,
    .batch_statistics = cpu_batch_statistics,
    .running_statistics = cpu_running_statistics,
    .batch_norm = cpu_batch_norm,
    .batch_norm_backward = cpu_batch_norm_backward,
    .attention = cpu_attention_forward,
    .attention_backward = cpu_attention_backward,

    .positional_encoding = cpu_positional_encoding,
    .positional_encoding_backward = cpu_positional_encoding_backward,
    .append_latent = cpu_append_latent,
    .append_latent_backward = cpu_append_latent_backward,

    .slice_points = cpu_slice_points,
    .slice_points_backward = cpu_slice_points_backward,
    .six_rotations = cpu_six_rotations,
    .six_rotations_backward = cpu_six_rotations_backward,
    .ctf_values = cpu_ctf_values,
    .multiply = cpu_multiply,
    .shift = cpu_shift,
    .shift_backward = cpu_shift_backward,
    .squared_error = cpu_squared_error,
    .hartley_2d = cpu_hartley_2d,
    .hartley_3d = cpu_hartley_3d,
    .mask_gather = cpu_mask_gather,
    .lattice_sums = cpu_lattice_sums,

    .rows_gather = cpu_rows_gather,
    .rows_put = cpu_rows_put,
    .clear = cpu_clear,
    .adam = cpu_adam,
    .adam_rows = cpu_adam_rows,
    .blend = cpu_blend,

    .hypervolume_values = cpu_hypervolume_values,
    .hypervolume_backward = cpu_hypervolume_backward,
    .hypervolume_saved_bytes = cpu_hypervolume_saved_bytes,
    .hypervolume_bank = cpu_hypervolume_bank,
    .pose_score = cpu_pose_score,
    .slice_loss = cpu_slice_loss,
    .vit_attention = cpu_vit_attention,
    .vit_attention_backward = cpu_vit_attention_backward,
    .vit_class_attention = cpu_vit_class_attention,
    .vit_mlp = cpu_vit_mlp,
    .vit_mlp_backward = cpu_vit_mlp_backward,
};
