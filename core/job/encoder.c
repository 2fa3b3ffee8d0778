/* The encoder that a run asks for: its shape, and where its first numbers come from. */
#include "job/run_job.h"

#include <inttypes.h>
#include <string.h>

/* As encoder_type names it, with what else is given in its place. */
static deco_status shape_from_options(deco_vit *v, const deco_options *o)
{
    if (!o->encoder_type || !deco_encoder_named(v, o->encoder_type))
        return deco_fail(DECO_E_ARGUMENT, "encoder_type is %s; it must be vit_tiny, vit_small, vit_base or vit_large",
                         o->encoder_type ? o->encoder_type : "empty");
    if (o->encoder_width) {
        v->C = o->encoder_width;
        v->heads = deco_encoder_heads(v->C);
    }
    if (o->encoder_depth)
        v->depth = o->encoder_depth;
    if (o->encoder_heads)
        v->heads = o->encoder_heads;
    if (!v->heads)
        return deco_fail(DECO_E_ARGUMENT,
                         "encoder_width is %" PRId64 ", of which the number of attention heads is not known: give it with --encoder_heads",
                         v->C);
    v->Z = o->feature_dim;
    return deco_vit_check(v);
}

static void tell_encoder(const run_job *j)
{
    const deco_options *o = j->o;
    const deco_vit *v = &j->encoder;
    bool random = !j->weights;

    deco_info(j->m, "encoder: %" PRId64 " blocks of width %" PRId64 " with %" PRId64 " heads, %.1f million numbers, from %s; trained: %s",
              v->depth, v->C, v->heads, (double)deco_vit_parameters(v) / 1e6, random ? "random numbers" : o->pretrained_model_path,
              !strcmp(o->finetune_strategy, "mlp_layer")   ? "its head"
              : !strcmp(o->finetune_strategy, "vit_block") ? "its last blocks and its head"
                                                           : "all but the projection of patches");
    if (random)
        deco_warn(j->m,
                  "an encoder without weights learns slowly: unless the states are easy to tell apart in single images, a table of latents "
                  "(--use_conf_encoder False) finds them sooner");
    else
        deco_info(j->m,
                  "these weights are Cryo-IEF's, with terms of their own: for academic research only; commercial use needs their authors' "
                  "permission (https://huggingface.co/westlake-repl/Cryo-IEF)");
}

deco_status run_job_open_encoder(run_job *j)
{
    deco_status st = DECO_OK;
    const deco_options *o = j->o;

    if (!o->use_conf_encoder)
        return DECO_OK;
    if (!strcmp(o->finetune_strategy, "random_initial"))
        TRY(shape_from_options(&j->encoder, o));
    else
        TRY(deco_encoder_weights_open(&j->weights, &j->encoder, o->pretrained_model_path, o->encoder_heads));
    j->encoder.Z = o->feature_dim;
    tell_encoder(j);
out:
    return st;
}
