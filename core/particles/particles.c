/* A particle set: opened step by step, freed, and told from others by its digest. */
#include "particles/particles.h"
#include "base/fnv.h"
#include "particles/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static deco_status take_names(deco_particles *p, const char *path, job_files *files)
{
    p->version = files->version;
    files->version = NULL;
    p->source = strdup(path);
    p->cs_path = strdup(files->rows);
    p->project = strdup(files->project);
    return p->source && p->cs_path && p->project ? DECO_OK : deco_fail_memory(strlen(path), "a file's name");
}

static deco_status open_stacks(deco_particles *p, const stack_places *places, deco_monitor *m)
{
    deco_status st = DECO_OK;
    found_stack *found = NULL;

    TRY(particles_find_stacks(&found, p, places, m));
    TRY(particles_check_stacks(p, found, places));
out:
    particles_free_found(found, p->stacks);
    return st;
}

deco_input deco_input_of(const deco_options *o)
{
    return (deco_input){.path = o->particles.count ? o->particles.items[0] : NULL, .datadir = o->datadir, .ind = o->ind, .box = o->box};
}

deco_status deco_particles_open_input(deco_particles **out, const deco_input *in, int need, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_particles *p = NULL;
    job_files files = {0};
    stack_places places = {0};
    char *blob_directory = NULL;

    *out = NULL;
    TRY(job_files_find(&files, in->path, m));
    TRY(deco_alloc(&p, 1, sizeof *p, "particles"));
    TRY(take_names(p, in->path, &files));
    TRY(particles_read_rows(p, &files, &blob_directory));
    TRY(particles_check_uids(p));
    TRY(particles_keep_rows(p, in->ind));
    TRY(particles_read_images(p, in->box, m));
    TRY(particles_read_ctf(p, m));
    TRY(particles_read_poses(p, need, m));
    if (need & DECO_NEED_STACKS) {
        TRY(stack_places_set(&places, in->datadir, &files, blob_directory));
        TRY(open_stacks(p, &places, m));
    }
    *out = p;
    p = NULL;
out:
    deco_particles_free(p);
    job_files_free(&files);
    stack_places_free(&places);
    free(blob_directory);
    return st;
}

deco_status deco_particles_open(deco_particles **out, const char *path, const char *datadir, int need, deco_monitor *m)
{
    return deco_particles_open_input(out, &(deco_input){.path = path, .datadir = datadir}, need, m);
}

void deco_particles_free(deco_particles *p)
{
    if (!p)
        return;
    for (int64_t s = 0; s < p->stacks; s++) {
        if (p->stack)
            free(p->stack[s]);
        free(p->stack_name[s]);
    }
    deco_table_free(p->rows);
    free(p->stack);
    free(p->stack_name);
    free(p->input_row);
    free(p->image);
    free(p->size);
    free(p->size_of);
    free(p->sign);
    free(p->ctf);
    free(p->R);
    free(p->shift);
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
        h = deco_fnv1a(h, &p->image[i].index, sizeof p->image[i].index);
    }
    h = deco_fnv1a(h, &p->D, sizeof p->D);
    h = deco_fnv1a(h, &p->psize_A, sizeof p->psize_A);
    snprintf(out, 17, "%016llx", (unsigned long long)h);
}
