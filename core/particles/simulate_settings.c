/* The options of a simulation checked together, and what they leave open filled in. */
#include "formats/mrc.h"
#include "particles/simulate_parts.h"

#include <stdlib.h>

/* Maps bring their own box and pixel size unless others are asked for. */
static deco_status take_from_map(sim_settings *s)
{
    deco_mrc *f = NULL;
    deco_status st = deco_mrc_open(&f, s->o->from.items[0]);
    if (st)
        return st;
    if (!deco_option_given(s->o, DECO_OPT_psize_A) && f->psize_A > 0)
        s->psize_A = f->psize_A;
    if (!deco_option_given(s->o, DECO_OPT_box))
        s->D = f->nx + f->nx % 2;
    deco_mrc_close(f);
    return DECO_OK;
}

static deco_status check_inputs(sim_settings *s)
{
    const deco_list *from = &s->o->from;
    if (from->count == 0)
        return deco_fail(DECO_E_ARGUMENT,
                         "simulate: --from names nothing; give structures (.pdb, .cif) or maps (.mrc), one for each class");
    s->from_maps = sim_is_map(from->items[0]);
    for (int64_t i = 1; i < from->count; i++)
        if (sim_is_map(from->items[i]) != s->from_maps)
            return deco_fail(DECO_E_ARGUMENT, "simulate: --from mixes maps and structures (%s, %s), which have no frame in common",
                             from->items[0], from->items[i]);
    if (s->continuous && from->count != 2)
        return deco_fail(DECO_E_ARGUMENT, "simulate: --motion goes from one conformation to another; --from names %lld",
                         (long long)from->count);
    s->maps = s->continuous ? s->o->n_conformations : from->count;
    return s->from_maps ? take_from_map(s) : DECO_OK;
}

static deco_status class_shares(sim_settings *s)
{
    const deco_list *w = &s->o->class_weights;
    double sum = 0;
    deco_status st = deco_alloc(&s->share, (size_t)s->maps, sizeof *s->share, "class weights");
    if (st)
        return st;
    if (w->count && (s->continuous || w->count != s->maps))
        return deco_fail(DECO_E_ARGUMENT, "simulate: class_weights has %lld numbers; %s", (long long)w->count,
                         s->continuous ? "a motion has no classes" : "there must be one for each of --from");
    for (int64_t i = 0; i < s->maps; i++) {
        double weight = w->count ? strtod(w->items[i], NULL) : 1;
        if (!(weight >= 0))
            return deco_fail(DECO_E_ARGUMENT, "simulate: class weight %s is not a number from 0", w->items[i]);
        s->share[i] = sum += weight;
    }
    if (!(sum > 0))
        return deco_fail(DECO_E_ARGUMENT, "simulate: class_weights are all 0");
    for (int64_t i = 0; i < s->maps; i++)
        s->share[i] /= sum;
    return DECO_OK;
}

static deco_status check_numbers(const sim_settings *s)
{
    const deco_options *o = s->o;
    if (s->D % 2)
        return deco_fail(DECO_E_ARGUMENT, "simulate: box is %lld; it must be even", (long long)s->D);
    if (s->resolution_A < 2 * s->psize_A)
        return deco_fail(DECO_E_ARGUMENT, "simulate: resolution_A is %g; pixels of %g Å hold nothing finer than %g Å", s->resolution_A,
                         s->psize_A, 2 * s->psize_A);
    if (!(s->mask_radius_px >= 1 && s->mask_radius_px <= (double)s->D / 2))
        return deco_fail(DECO_E_ARGUMENT, "simulate: mask_radius_px is %g; it must be from 1 to half the box, %g", s->mask_radius_px,
                         (double)s->D / 2);
    if (o->defocus_min_A > o->defocus_max_A)
        return deco_fail(DECO_E_ARGUMENT, "simulate: defocus_min_A %g is above defocus_max_A %g", o->defocus_min_A, o->defocus_max_A);
    return DECO_OK;
}

deco_status sim_settle(sim_settings *s, const deco_options *o)
{
    deco_status st = DECO_OK;
    *s = (sim_settings){.o = o, .D = deco_simulated_box(o), .N = o->n_particles, .psize_A = o->psize_A, .continuous = o->motion};
    s->seed = deco_option_given(o, DECO_OPT_seed) ? (uint64_t)o->seed : 0;
    TRY(check_inputs(s));
    s->psize_align_A = o->psize_align_A > 0 ? o->psize_align_A : s->psize_A;
    s->resolution_A = o->resolution_A > 0 ? o->resolution_A : 2.2 * s->psize_A;
    s->mask_radius_px = o->mask_radius_px > 0 ? o->mask_radius_px : (double)s->D / 2 - 2;
    s->stacks = o->n_stacks < s->N ? o->n_stacks : s->N;
    s->micrographs = s->N / 50 > s->stacks ? s->N / 50 : s->stacks; /* a stack holds several micrographs */
    TRY(check_numbers(s));
    TRY(class_shares(s));
out:
    return st;
}
