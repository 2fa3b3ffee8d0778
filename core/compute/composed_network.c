/* The hypervolume's network, forward and backward, in primitives. METHOD.md section 3. */
#include "compute/composed_network.h"

/* A stage is a linear layer and its norm. Stages INNER and OUTER are the block that stands for the first linear when
 * 6·pe_dim + Z == H (stage 0 is then a norm alone), 1 ... n the residual layers, n + 1 the last linear. */
enum { INNER = -2, OUTER = -1 };

#define EPS 1e-5f

static size_t lines(int64_t floats) { return ((size_t)floats + 15) & ~(size_t)15; }
static int64_t features(const deco_hypervolume *h) { return 6 * h->pe_dim + h->Z; }
static int64_t stage_width(const deco_hypervolume *h, int64_t s) { return s == INNER ? DECO_RESIDUAL_HIDDEN : h->H; }

/* ---- what is kept ---------------------------------------------------------------------------------------------- */

/* A stage keeps its linear's output, the norm's statistics and its value after the ReLU. */
typedef struct stage_kept {
    deco_array linear, stats, value;
} stage_kept;

static size_t stage_floats(int64_t points, int64_t width) { return 2 * lines(points * width) + lines(points * 2); }

network_layout network_plan(const deco_hypervolume *h, int64_t points)
{
    network_layout l = {.points = points};
    size_t at = 0;
    l.x = at, at += lines(points * 3);
    l.features = at, at += lines(points * features(h));
    if (deco_hypervolume_residual_first(h)) {
        l.inner = at, at += stage_floats(points, DECO_RESIDUAL_HIDDEN);
        l.outer = at, at += stage_floats(points, h->H);
        l.sum = at, at += lines(points * h->H);
    }
    l.stage = stage_floats(points, h->H);
    l.stages = at, at += (size_t)(h->n + 1) * l.stage;
    l.total = at;
    return l;
}

static deco_array kept(const network *net, size_t at, int64_t width) { return deco_f32_2(net->kept + at, net->at.points, width); }

static stage_kept stage_of(const network *net, int64_t s)
{
    int64_t P = net->at.points, width = stage_width(net->h, s);
    size_t at = s == INNER ? net->at.inner : s == OUTER ? net->at.outer : net->at.stages + (size_t)s * net->at.stage;
    stage_kept k;
    k.linear = kept(net, at, width), at += lines(P * width);
    k.stats = kept(net, at, 2), at += lines(P * 2);
    k.value = kept(net, at, width);
    return k;
}

/* ---- parameters ------------------------------------------------------------------------------------------------ */

typedef struct stage_parameters {
    deco_array w, b, gamma, beta;
} stage_parameters;

static deco_array tensor(const deco_hypervolume *h, deco_array flat, int64_t i)
{
    deco_parameter p = deco_hypervolume_tensor(h, i);
    return flat.data ? deco_array_of((float *)flat.data + p.offset, DECO_F32, p.dims, p.shape[0], p.shape[1], 1, 1) : deco_none();
}

/* Weight and bias of the linear, then of its norm; stage 0 of a residual first block has no linear, and its number points
 * two tensors back. */
static stage_parameters parameters_of(const deco_hypervolume *h, deco_array flat, int64_t s)
{
    int64_t each = h->layer_norm ? 4 : 2, i = s * each;
    if (deco_hypervolume_residual_first(h))
        i = s < 0 ? (s + 2) * each : 2 * each + (each - 2) + (s - 1) * each;
    stage_parameters p = {.w = tensor(h, flat, i), .b = tensor(h, flat, i + 1)};
    if (h->layer_norm && s <= h->n)
        p.gamma = tensor(h, flat, i + 2), p.beta = tensor(h, flat, i + 3);
    return p;
}

/* ---- forward --------------------------------------------------------------------------------------------------- */

/* The linear and its norm into `value`, or without norms into `linear`; which of the two is the result. */
static deco_status linear_and_norm(const network *net, deco_array *result, int64_t s, const deco_array *input)
{
    deco_status st = DECO_OK;
    stage_kept k = stage_of(net, s);
    stage_parameters p = parameters_of(net->h, net->params, s);
    deco_array linear = input ? k.linear : kept(net, net->at.sum, net->h->H); /* stage 0 after the block: a norm of its sum */

    if (input)
        TRY(deco_linear(net->dev, linear, *input, p.w, p.b, DECO_LINEAR));
    *result = linear;
    if (net->h->layer_norm) {
        TRY(deco_layer_norm(net->dev, k.value, k.stats, linear, p.gamma, p.beta, EPS));
        *result = k.value;
    }
out:
    return st;
}

static deco_status encode(const network *net, const network_input *in)
{
    deco_status st = DECO_OK;
    const deco_hypervolume *h = net->h;
    int64_t P = net->at.points, F = 6 * h->pe_dim;
    float *x = in->R.data ? net->kept + net->at.x : in->x.data, *all = net->kept + net->at.features, *pe = h->Z ? net->work : all;

    if (in->R.data)
        TRY(deco_slice_points(net->dev, deco_f32_3(x, 1, P, 3), in->x, in->R));
    TRY(deco_positional_encoding(net->dev, deco_f32_2(pe, P, F), deco_f32_2(x, P, 3), net->freqs, h->L));
    if (h->Z)
        TRY(deco_append_latent(net->dev, deco_f32_3(all, 1, P, F + h->Z), deco_f32_3(pe, 1, P, F), in->z));
out:
    return st;
}

/* f := f + LN(Linear(128 → H)(ReLU(LN(Linear(H → 128)(f))))) */
static deco_status residual_first(const network *net, deco_array f)
{
    deco_status st = DECO_OK;
    deco_array r;
    deco_array inner = stage_of(net, INNER).value;
    TRY(linear_and_norm(net, &r, INNER, &f));
    TRY(deco_add_relu(net->dev, inner, r, deco_none()));
    TRY(linear_and_norm(net, &r, OUTER, &inner));
    TRY(deco_add(net->dev, kept(net, net->at.sum, net->h->H), f, r));
out:
    return st;
}

deco_status network_forward(const network *net, float *out, const network_input *in)
{
    deco_status st = DECO_OK;
    const deco_hypervolume *h = net->h;
    deco_array f = kept(net, net->at.features, features(h)), r, x = stage_of(net, 0).value;
    bool block = deco_hypervolume_residual_first(h);

    TRY(encode(net, in));
    if (block)
        TRY(residual_first(net, f));
    TRY(linear_and_norm(net, &r, 0, block ? NULL : &f));
    TRY(deco_add_relu(net->dev, x, r, deco_none()));
    for (int64_t s = 1; s <= h->n; s++) {
        deco_array y = stage_of(net, s).value;
        TRY(linear_and_norm(net, &r, s, &x));
        TRY(deco_add_relu(net->dev, y, r, x));
        x = y;
    }
    stage_parameters last = parameters_of(h, net->params, h->n + 1);
    TRY(deco_linear(net->dev, deco_f32_2(out, net->at.points, 1), x, last.w, last.b, DECO_LINEAR));
out:
    return st;
}

/* ---- backward -------------------------------------------------------------------------------------------------- */

/* Three buffers for the gradients of a point's numbers, as wide as the widest; a fourth for dx where dR is wanted. */
static int64_t widest(const deco_hypervolume *h)
{
    int64_t w = features(h) > h->H ? features(h) : h->H;
    return w > DECO_RESIDUAL_HIDDEN ? w : DECO_RESIDUAL_HIDDEN;
}

size_t network_work(const deco_hypervolume *h, int64_t points) { return 3 * lines(points * widest(h)) + lines(points * 3); }

static deco_array work(const network *net, int i, int64_t width)
{
    return deco_f32_2(net->work + (size_t)i * lines(net->at.points * widest(net->h)), net->at.points, width);
}

/* From the gradient dy of a stage's norm to that of its linear's output, and to dx of its input unless that is none. `dlinear` may
 * be dy's memory; without norms it is dy. */
static deco_status stage_backward(const network *net, int64_t s, deco_array dx, deco_array dlinear, deco_array dy, const deco_array *input)
{
    deco_status st = DECO_OK;
    stage_kept k = stage_of(net, s);
    stage_parameters p = parameters_of(net->h, net->params, s), d = parameters_of(net->h, net->dparams, s);
    deco_array linear = input ? k.linear : kept(net, net->at.sum, net->h->H);

    if (net->h->layer_norm) {
        TRY(deco_layer_norm_backward(net->dev, dlinear, d.gamma, d.beta, dy, linear, k.stats, p.gamma));
        dy = dlinear;
    }
    if (input)
        TRY(deco_linear_backward(net->dev, dx, d.w, d.b, dy, *input, p.w));
out:
    return st;
}

/* dy, in buffer 1, is the gradient of the block's sum and becomes that of the features, which reach it both ways. */
static deco_status residual_first_backward(const network *net, deco_array dy, deco_array f)
{
    deco_status st = DECO_OK;
    deco_array inner = stage_of(net, INNER).value, dinner = work(net, 0, DECO_RESIDUAL_HIDDEN), df = work(net, 2, net->h->H);
    TRY(stage_backward(net, OUTER, dinner, df, dy, &inner));
    TRY(deco_relu_backward(net->dev, dinner, dinner, inner));
    TRY(stage_backward(net, INNER, df, dinner, dinner, &f));
    TRY(deco_add(net->dev, dy, dy, df));
out:
    return st;
}

static deco_status encode_backward(const network *net, deco_array dz, deco_array dpose, deco_array df, const network_input *in)
{
    deco_status st = DECO_OK;
    const deco_hypervolume *h = net->h;
    int64_t P = net->at.points, F = 6 * h->pe_dim;
    float *x = in->R.data ? net->kept + net->at.x : in->x.data, *dpe = df.data;
    float *dx = in->R.data ? (float *)work(net, 3, 3).data : dpose.data;

    if (h->Z) {
        deco_array to = dpose.data ? deco_f32_3(work(net, 0, F).data, 1, P, F) : deco_none();
        TRY(deco_append_latent_backward(net->dev, to, dz, deco_f32_3(df.data, 1, P, F + h->Z)));
        dpe = to.data;
    }
    if (!dpose.data)
        goto out;
    TRY(deco_positional_encoding_backward(net->dev, deco_f32_2(dx, P, 3), deco_f32_2(dpe, P, F), deco_f32_2(x, P, 3), net->freqs, h->L));
    if (in->R.data)
        TRY(deco_slice_points_backward(net->dev, dpose, deco_f32_3(dx, 1, P, 3), in->x));
out:
    return st;
}

deco_status network_backward(const network *net, deco_array dz, deco_array dpose, const float *dout, const network_input *in)
{
    deco_status st = DECO_OK;
    const deco_hypervolume *h = net->h;
    bool block = deco_hypervolume_residual_first(h), inputs = dz.data || dpose.data;
    deco_array f = kept(net, net->at.features, features(h)), x = stage_of(net, h->n).value;
    deco_array dx = work(net, 0, h->H), dy = work(net, 1, h->H), dlinear = work(net, 2, h->H), df = work(net, 2, features(h));
    stage_parameters last = parameters_of(h, net->params, h->n + 1), d = parameters_of(h, net->dparams, h->n + 1);

    TRY(deco_linear_backward(net->dev, dx, d.w, d.b, deco_f32_2((float *)dout, net->at.points, 1), x, last.w));
    for (int64_t s = h->n; s >= 1; s--) {
        deco_array input = stage_of(net, s - 1).value;
        TRY(deco_relu_backward(net->dev, dy, dx, stage_of(net, s).value));
        TRY(stage_backward(net, s, dx, dlinear, dy, &input));
        TRY(deco_add(net->dev, dx, dx, dy));
    }
    TRY(deco_relu_backward(net->dev, dy, dx, stage_of(net, 0).value));
    TRY(stage_backward(net, 0, inputs && !block ? df : deco_none(), dy, dy, block ? NULL : &f));
    if (block)
        TRY(residual_first_backward(net, dy, f));
    if (inputs)
        TRY(encode_backward(net, dz, dpose, block ? dy : df, in));
out:
    return st;
}
