/* Names, shapes and places of the decoder's parameters. METHOD.md section 3. */
#include "compute/hypervolume.h"

#include <stdio.h>

/* A linear layer or a LayerNorm of the network: a weight and a bias each. */
typedef struct layer {
    char name[56];
    int64_t in, out; /* in 0: a LayerNorm of width `out` */
} layer;

/* Layer i, in the order of the flat vector; false past the last. */
static bool layer_at(layer *l, const deco_hypervolume *h, int64_t i)
{
    int64_t in = 6 * h->pe_dim + h->Z, norm = h->layer_norm ? 1 : 0, block = 1 + norm;
    *l = (layer){.in = 0, .out = h->H};
    if (deco_hypervolume_residual_first(h)) {
        static const int number[] = {0, 1, 3, 4}; /* .2 is the ReLU */
        if (i < 2 * block) {
            bool down = i < block, is_norm = i % block;
            l->in = is_norm ? 0 : down ? in : DECO_RESIDUAL_HIDDEN;
            l->out = down ? DECO_RESIDUAL_HIDDEN : h->H;
            snprintf(l->name, sizeof l->name, "decoder.main_layers.0.layers.%d", number[(down ? 0 : 2) + is_norm]);
            return true;
        }
        i -= 2 * block;
    } else {
        if (i == 0) {
            l->in = in;
            snprintf(l->name, sizeof l->name, "decoder.main_layers.0");
            return true;
        }
        i--;
    }
    if (i < norm) {
        snprintf(l->name, sizeof l->name, "decoder.main_layers.1");
        return true;
    }
    i -= norm;
    if (i < h->n * block) {
        int64_t number = 3 + 2 * (i / block);
        l->in = i % block ? 0 : h->H;
        snprintf(l->name, sizeof l->name, "decoder.main_layers.%lld.layers.%d", (long long)number, (int)(i % block));
        return true;
    }
    i -= h->n * block;
    int64_t last = 3 + 2 * h->n;
    l->in = h->H, l->out = 1;
    snprintf(l->name, sizeof l->name, "decoder.main_layers.%lld", (long long)last);
    return i == 0;
}

static int64_t weight_count(const layer *l) { return l->in ? l->in * l->out : l->out; }

int64_t deco_hypervolume_tensors(const deco_hypervolume *h)
{
    layer l;
    int64_t n = 0;
    while (layer_at(&l, h, n))
        n++;
    return 2 * n;
}

deco_parameter deco_hypervolume_tensor(const deco_hypervolume *h, int64_t i)
{
    deco_parameter p = {0};
    layer l;
    for (int64_t j = 0; j < i / 2 && layer_at(&l, h, j); j++)
        p.offset += weight_count(&l) + l.out;
    if (!layer_at(&l, h, i / 2))
        return p;
    bool bias = i % 2;
    snprintf(p.name, sizeof p.name, "%s.%s", l.name, bias ? "bias" : "weight");
    p.offset += bias ? weight_count(&l) : 0;
    p.dims = l.in && !bias ? 2 : 1;
    p.shape[0] = l.out;
    p.shape[1] = p.dims == 2 ? l.in : 1;
    p.count = p.shape[0] * p.shape[1];
    p.fan_in = l.in;
    return p;
}

int64_t deco_hypervolume_parameters(const deco_hypervolume *h)
{
    layer l;
    int64_t n = 0;
    for (int64_t i = 0; layer_at(&l, h, i); i++)
        n += weight_count(&l) + l.out;
    return n;
}

static deco_status in_range(const char *what, int64_t value, int64_t low, int64_t high)
{
    if (value < low || value > high)
        return deco_fail(DECO_E_ARGUMENT, "decoder: %s is %lld; it must be %lld to %lld", what, (long long)value, (long long)low,
                         (long long)high);
    return DECO_OK;
}

/* With these bounds the sum of all parameters stays below 2^41. */
deco_status deco_hypervolume_check(const deco_hypervolume *h)
{
    deco_status st = DECO_OK;
    TRY(in_range("the lattice (box + 1)", h->L, 3, 32769));
    TRY(in_range("pe_dim", h->pe_dim, 1, 16384));
    TRY(in_range("hypervolume_dim", h->H, 1, 65536));
    TRY(in_range("hypervolume_layers", h->n, 0, 256));
    TRY(in_range("the latent width", h->Z, 0, 65536));
out:
    return st;
}

double deco_hypervolume_flop(const deco_hypervolume *h, bool train)
{
    double H = (double)h->H, first = 2 * H * (double)(6 * h->pe_dim); /* the latent's part is worked out once an image */
    double inner = 2 * H * H * (double)h->n, last = 2 * H, first_input = 0;
    if (deco_hypervolume_residual_first(h)) {
        first = 4 * H * DECO_RESIDUAL_HIDDEN;
        first_input = first; /* dz needs the gradient of the block's input */
    }
    double forward = first + inner + last;
    return train ? 2 * forward + inner + last + first_input : forward;
}
