/* `cryodeco info PATH`: what is there, what is missing, and what can be done with it. Unlike opening for a run, it goes on where something is
 * wrong and says so at the end. */
#include "particles/info.h"
#include "compute/hypervolume.h"
#include "particles/cache_env.h"
#include "particles/file_order.h"
#include "particles/loader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

value_range info_range(const deco_column *c, int64_t rows)
{
    value_range r = {NAN, NAN, 0};

    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < c->cells; k++) {
            double v = deco_cell_real(c, i, k);
            if (!isfinite(v)) {
                r.not_finite++;
                continue;
            }
            r.least = v < r.least || isnan(r.least) ? v : r.least;
            r.most = v > r.most || isnan(r.most) ? v : r.most;
        }
    return r;
}

/* Takes one step. What is wrong with the input becomes a problem of the report; only what is wrong with the machine ends it. */
static deco_status take(findings *f, bool *sound, deco_status st)
{
    *sound = !st;
    if (st == DECO_E_FORMAT || st == DECO_E_FILE)
        return path_list_add(&f->problems, deco_error());
    return st;
}

static int by_group(const void *a, const void *b)
{
    const exposure_group *x = a, *y = b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static deco_status count_groups(findings *f)
{
    deco_status st = DECO_OK;
    const deco_column *c = deco_table_find(f->p->rows, "ctf/exp_group_id");
    exposure_group *row = NULL;

    if (!c || c->cells != 1 || (c->kind != 'u' && c->kind != 'i'))
        return DECO_OK;
    TRY(deco_alloc(&row, (size_t)f->p->N, sizeof *row, "exposure groups"));
    for (int64_t i = 0; i < f->p->N; i++)
        row[i] = (exposure_group){deco_particles_source_number(f->p, i), deco_cell_u64(c, i, 0), 0};
    qsort(row, (size_t)f->p->N, sizeof *row, by_group);
    for (int64_t i = 0; i < f->p->N; i++)
        f->groups += i == 0 || by_group(&row[i], &row[i - 1]) != 0;
    TRY(deco_alloc(&f->group, (size_t)f->groups, sizeof *f->group, "exposure groups"));
    exposure_group *g = f->group - 1;
    for (int64_t i = 0; i < f->p->N; i++) {
        if (i == 0 || by_group(&row[i], &row[i - 1]) != 0)
            *++g = row[i];
        g->particles++;
    }
out:
    free(row);
    return st;
}

/* Bytes that grow with the number of particles, with the batches, and with the decoder at its default size. */
static void forecast(findings *f, const deco_options *o)
{
    const deco_particles *p = f->p;
    int64_t Z = o->conf_table_dim, D = p->D, largest = D, P = (int64_t)(0.7854 * (double)(D * D));
    deco_hypervolume h = {
        .L = D + 1, .pe_dim = o->pe_dim, .H = o->hypervolume_dim, .n = o->hypervolume_layers, .Z = Z, .layer_norm = o->decoder_ln};

    for (int64_t k = 0; k < p->sizes; k++)
        largest = p->size[k].box > largest ? p->size[k].box : largest;
    for (int64_t i = 0; i < p->rows->columns; i++)
        f->table_bytes += (double)p->rows->column[i].item * (double)p->rows->column[i].cells * (double)p->N;
    f->batch = o->batch_size_known_poses;
    f->row_bytes =
        (double)p->N * (double)(sizeof(deco_image_ref) + sizeof(float) + sizeof(deco_ctf_row) + 11 * sizeof(float) + 2 * sizeof(double) +
                                (4 * (size_t)Z) * sizeof(float)); /* latents: value, gradient, two moments */
    f->loader_bytes = (double)deco_loader_bytes(largest, P, f->batch, (int)o->prefetch, 0, false);
    f->training_bytes = 4.0 * sizeof(float) * (double)deco_hypervolume_parameters(&h);
}

static deco_status forecast_cache(findings *f, bool float32)
{
    deco_status st = deco_cache_bytes(&f->cache_bytes[0], f->p, float32, false);
    return st ? st : deco_cache_bytes(&f->cache_bytes[1], f->p, float32, true);
}

/* The stacks, and what is known of the images without or with them. */
static deco_status look_at_images(findings *f, const deco_input *in, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_particles *p = f->p;
    bool sound;

    TRY(take(f, &sound, particles_read_refs(p)));
    if (!sound)
        goto out;
    TRY(particles_find_stacks(&f->found, p, &f->parts, m));
    for (int64_t s = 0; s < p->stacks; s++) {
        f->stacks_found += p->stack[s] != NULL;
        f->images_in_stacks += f->found[s].nz;
    }
    if (!deco_table_find(p->rows, "blob/shape") && particles_all_star(p))
        TRY(take(f, &sound, particles_fill_shapes(p, f->found, &f->parts)));
    if (sound)
        TRY(take(f, &f->images_known, particles_read_images(p, in, m)));
    if (f->images_known)
        TRY(take(f, &f->stacks_sound, particles_check_stacks(p, f->found, &f->parts)));
out:
    return st;
}

static deco_status find_out(findings *f, const deco_input *in, const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_particles *p;
    bool sound;

    TRY(deco_alloc(&f->p, 1, sizeof *f->p, "particles"));
    p = f->p;
    f->in = in;
    TRY(input_parts_find(&f->parts, p, in, m));
    TRY(particles_read_rows(p, &f->parts, in->datadir, m));
    TRY(take(f, &sound, particles_check_uids(p)));
    f->input_rows = p->N;
    if (!p->N)
        goto out;
    TRY(particles_keep_rows(p, in, m));
    TRY(count_groups(f));
    TRY(particles_count_expanded(&f->expanded_from, p));
    TRY(look_at_images(f, in, m));
    TRY(take(f, &f->ctf_known, particles_read_ctf(p, m)));
    TRY(particles_pose_prefix(&f->pose_prefix, p->rows));
    if (!f->images_known)
        goto out;
    for (int64_t i = 0; i < p->N; i++)
        *(p->sign[i] > 0 ? &f->dark : &f->light) += 1;
    if (f->pose_prefix)
        TRY(take(f, &sound, particles_read_poses(p, DECO_NEED_POSES, m)));
    forecast(f, o);
    TRY(forecast_cache(f, !strcmp(o->image_precision, "float32")));
    if (p->uid)
        deco_particles_digest(f->digest, p);
out:
    return st;
}

deco_status deco_particles_info(char **out, const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    findings f = {0};
    deco_input in = deco_input_of(o);

    *out = NULL;
    TRY(find_out(&f, &in, o, m));
    TRY(o->json ? info_json(out, &f) : info_text(out, &f));
out:
    particles_free_found(f.found, f.p ? f.p->stacks : 0);
    deco_particles_free(f.p);
    input_parts_free(&f.parts);
    path_list_free(&f.problems);
    free(f.group);
    free(f.pose_prefix);
    return st;
}
