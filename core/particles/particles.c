/* A particle set: opened step by step, freed, and told from others by its digest. */
#include "particles/particles.h"
#include "base/fnv.h"
#include "particles/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

deco_input deco_input_of(const deco_options *o)
{
    return (deco_input){.path = (const char *const *)o->particles.items,
                        .paths = o->particles.count,
                        .datadir = o->datadir,
                        .ind = o->ind,
                        .min_score = o->min_score,
                        .contrast = o->contrast,
                        .box = o->box};
}

static deco_status open_images(deco_particles *p, const deco_input *in, int need, const input_parts *parts, deco_monitor *m)
{
    deco_status st = DECO_OK;
    found_stack *found = NULL;
    bool sized = deco_table_find(p->rows, "blob/shape") || !particles_all_star(p);

    TRY(particles_read_refs(p));
    if ((need & DECO_NEED_STACKS) || !sized)
        TRY(particles_find_stacks(&found, p, parts, m));
    if (!sized)
        TRY(particles_fill_shapes(p, found, parts));
    TRY(particles_read_images(p, in, m));
    if (need & DECO_NEED_STACKS)
        TRY(particles_check_stacks(p, found, parts));
out:
    particles_free_found(found, p->stacks);
    return st;
}

deco_status deco_particles_open_input(deco_particles **out, const deco_input *in, int need, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_particles *p = NULL;
    input_parts parts = {0};
    int64_t expanded;

    *out = NULL;
    TRY(deco_alloc(&p, 1, sizeof *p, "particles"));
    TRY(input_parts_find(&parts, p, in, m));
    TRY(particles_read_rows(p, &parts, in->datadir, m));
    TRY(particles_check_uids(p));
    TRY(particles_keep_rows(p, in, m));
    TRY(particles_count_expanded(&expanded, p));
    if (expanded)
        deco_info(m, "%s: symmetry expanded: %lld rows of %lld images; their poses tell the copies apart (use_gt_poses)", p->source,
                  (long long)p->N, (long long)expanded);
    TRY(open_images(p, in, need, &parts, m));
    TRY(particles_read_ctf(p, m));
    TRY(particles_read_poses(p, need, m));
    *out = p;
    p = NULL;
out:
    deco_particles_free(p);
    input_parts_free(&parts);
    return st;
}

deco_status deco_particles_open(deco_particles **out, const char *path, const char *datadir, int need, deco_monitor *m)
{
    return deco_particles_open_input(out, &(deco_input){.path = &path, .paths = 1, .datadir = datadir}, need, m);
}

void deco_particles_free(deco_particles *p)
{
    if (!p)
        return;
    for (int64_t k = 0; k < p->sources; k++) {
        free(p->from[k].path);
        free(p->from[k].project);
    }
    free(p->from);
    for (int64_t s = 0; s < p->stacks; s++) {
        if (p->stack)
            free(p->stack[s]);
        free(p->stack_name[s]);
    }
    deco_table_free(p->rows);
    free(p->stack);
    free(p->stack_name);
    free(p->stack_source);
    free(p->input_row);
    free(p->image);
    free(p->size);
    free(p->size_of);
    free(p->sign);
    free(p->ctf);
    free(p->R);
    free(p->shift);
    free(p->poses);
    free(p->source);
    free(p->cs_path);
    free(p->project);
    free(p->version);
    free(p);
}

void deco_particles_digest(char out[17], const deco_particles *p)
{
    uint64_t h = DECO_FNV_START;

    for (int64_t i = 0; i < p->N; i++) {
        const char *name = p->stack_name[p->image[i].stack];
        uint64_t uid = deco_particles_uid(p, i);
        h = deco_fnv1a(h, &uid, sizeof uid);
        h = deco_fnv1a(h, name, strlen(name) + 1);
        if (p->sources > 1)
            h = deco_fnv1a(h, &p->stack_source[p->image[i].stack], sizeof *p->stack_source);
        h = deco_fnv1a(h, &p->image[i].index, sizeof p->image[i].index);
    }
    h = deco_fnv1a(h, &p->D, sizeof p->D);
    h = deco_fnv1a(h, &p->psize_A, sizeof p->psize_A);
    for (int64_t k = 0; p->sizes > 1 && k < p->sizes; k++) {
        h = deco_fnv1a(h, &p->size[k].psize_A, sizeof p->size[k].psize_A);
        h = deco_fnv1a(h, &p->size[k].cut, sizeof p->size[k].cut);
    }
    snprintf(out, 17, "%016llx", (unsigned long long)h);
}
