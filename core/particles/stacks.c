/* Where the stacks are, and whether they hold what the rows say. FORMATS.md section 3. */
#include "base/file.h"
#include "base/threads.h"
#include "formats/mrc.h"
#include "particles/build.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Opening a file on a network costs milliseconds of waiting and no work: more threads than cores. */
enum { SEARCH_THREADS = 8, FEW_STACKS = 16 };

/* The parent of what a link to a job directory leads to: there the paths count from, too. NULL when there is none. */
static char *real_parent(const char *directory)
{
    char *real = realpath(directory, NULL), *parent = real ? deco_path_directory(real) : NULL;
    free(real);
    return parent;
}

deco_status stack_places_set(stack_places *out, const char *datadir, const job_files *files, const char *blob_directory)
{
    deco_status st = DECO_OK;
    char *real = files->star ? NULL : real_parent(files->directory), *project = realpath(files->project, NULL), *up = NULL, *top = NULL;

    *out = (stack_places){.datadir = datadir && *datadir ? datadir : NULL};
    if (out->datadir)
        TRY(path_list_add(&out->roots, datadir));
    TRY(path_list_add(&out->roots, files->project));
    if (real && (!project || strcmp(real, project) != 0))
        TRY(path_list_add(&out->roots, real));
    TRY(path_list_add(&out->roots, blob_directory));
    if (files->star) { /* copies of RELION's files lie anywhere; what they name is not far above */
        if (!(up = path_parent(blob_directory)) || !(top = path_parent(up)))
            TRY(deco_fail_memory(strlen(blob_directory), "a directory's name"));
        TRY(path_list_add(&out->roots, up));
        TRY(path_list_add(&out->roots, top));
    }
out:
    free(up);
    free(top);
    free(real);
    free(project);
    return st;
}

void stack_places_free(stack_places *s) { path_list_free(&s->roots); }

/* Place number `i` of a stack; *out is NULL past the last. */
static deco_status place_of(char **out, const stack_places *places, const char *name, int64_t i)
{
    bool absolute = *name == '/';
    int64_t count = absolute ? 1 + (places->datadir != NULL) : places->roots.count;

    *out = NULL;
    if (i >= count)
        return DECO_OK;
    if (absolute)
        *out = i == 0 ? strdup(name) : deco_path_join(places->datadir, name + strspn(name, "/"));
    else
        *out = deco_path_join(places->roots.path[i], name);
    return *out ? DECO_OK : deco_fail_memory(strlen(name), "a file's name");
}

static const stack_places *places_of(const deco_particles *p, const input_parts *parts, int64_t s)
{
    return &parts->part[p->stack_source[s]].places;
}

deco_status particles_places_text(char **out, const deco_particles *p, const input_parts *parts, int64_t s)
{
    deco_status st = DECO_OK;
    const stack_places *places = places_of(p, parts, s);
    const char *name = p->stack_name[s];
    char *text = NULL, *place = NULL, *longer;

    for (int64_t i = 0;; i++) {
        free(place);
        TRY(place_of(&place, places, name, i));
        if (!place)
            break;
        if (!(longer = deco_format(text ? "%s, %s" : "%s%s", text ? text : "", place)))
            TRY(deco_fail_memory(strlen(name), "a message"));
        free(text);
        text = longer;
    }
    *out = text;
    text = NULL;
out:
    free(text);
    free(place);
    return st;
}

typedef struct search {
    deco_particles *p;
    const input_parts *parts;
    found_stack *found;
    deco_monitor *m;
} search;

static deco_status open_header(found_stack *f, const char *path)
{
    deco_mrc *mrc = NULL;
    deco_status st = deco_mrc_open(&mrc, path);

    if (st == DECO_E_MEMORY)
        return st;
    if (st) {
        f->problem = strdup(deco_error());
        return f->problem ? DECO_OK : deco_fail_memory(1, "a message");
    }
    f->nx = mrc->nx, f->ny = mrc->ny, f->nz = mrc->nz;
    deco_mrc_close(mrc);
    return DECO_OK;
}

static deco_status find_one(void *context, int64_t s, int worker)
{
    deco_status st = DECO_OK;
    search *x = context;
    char *place = NULL;

    (void)worker;
    if (deco_monitor_stopped(x->m))
        return deco_fail(DECO_E_STOPPED, "stopped while the stacks were looked for; nothing was written");
    for (int64_t i = 0; !x->p->stack[s]; i++) {
        TRY(place_of(&place, places_of(x->p, x->parts, s), x->p->stack_name[s], i));
        if (!place)
            break;
        if (path_is_file(place)) {
            x->p->stack[s] = place;
            TRY(open_header(&x->found[s], place));
        } else {
            free(place);
        }
        place = NULL;
    }
    deco_progress_add(x->m, 1);
out:
    return st;
}

deco_status particles_find_stacks(found_stack **out, deco_particles *p, const input_parts *parts, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_pool *pool = NULL;
    search x = {p, parts, NULL, m};

    *out = NULL;
    TRY(deco_alloc(&p->stack, (size_t)p->stacks, sizeof *p->stack, "stacks"));
    TRY(deco_alloc(&x.found, (size_t)p->stacks, sizeof *x.found, "stacks"));
    TRY(deco_pool_create(&pool, p->stacks < FEW_STACKS ? 1 : SEARCH_THREADS, NULL));
    deco_progress_begin(m, "looking for stacks", p->stacks, "stacks");
    st = deco_pool_run(pool, find_one, &x, p->stacks);
    deco_progress_end(m);
    if (st)
        goto out;
    *out = x.found;
    x.found = NULL;
out:
    deco_pool_free(pool);
    particles_free_found(x.found, p->stacks);
    return st;
}

void particles_free_found(found_stack *found, int64_t stacks)
{
    for (int64_t s = 0; found && s < stacks; s++)
        free(found[s].problem);
    free(found);
}

/* Stack `s` is missing: everything about it, and how many share its fate. */
static deco_status missing(const deco_particles *p, const input_parts *parts, int64_t s, int64_t row)
{
    deco_status st = DECO_OK;
    int64_t stacks = 0, rows = 0;
    char *tried = NULL;

    for (int64_t i = 0; i < p->stacks; i++)
        stacks += !p->stack[i];
    for (int64_t i = 0; i < p->N; i++)
        rows += !p->stack[p->image[i].stack];
    TRY(particles_places_text(&tried, p, parts, s));
    st = deco_fail(DECO_E_FILE,
                   "%s: row %lld: stack %s is not found; tried %s. In all %lld of %lld stacks, with %lld of %lld images, are missing. "
                   "Copy or mount them, or give with --datadir the directory that these paths count from",
                   file_path(p, row), file_row(p, row), p->stack_name[s], tried, (long long)stacks, (long long)p->stacks, (long long)rows,
                   (long long)p->N);
out:
    free(tried);
    return st;
}

deco_status particles_check_stacks(const deco_particles *p, const found_stack *found, const input_parts *parts)
{
    for (int64_t i = 0; i < p->N; i++) {
        const deco_image_ref *image = &p->image[i];
        const found_stack *f = &found[image->stack];
        const char *path = p->stack[image->stack];
        if (!path)
            return missing(p, parts, image->stack, i);
        if (f->problem)
            return deco_fail(DECO_E_FORMAT, "%s (row %lld of %s)", f->problem, file_row(p, i), file_path(p, i));
        int64_t box = deco_particles_size(p, i)->box;
        if (f->nx != f->ny)
            return deco_fail(DECO_E_FORMAT,
                             "%s: its images have %lld×%lld px; particles must be square: extract them again in a square box", path,
                             (long long)f->nx, (long long)f->ny);
        if (f->nx != box)
            return deco_fail(DECO_E_FORMAT,
                             "%s: its images have %lld×%lld px, but row %lld of %s says %lld×%lld (blob/shape); the stack and the .cs file "
                             "do not belong together",
                             path, (long long)f->nx, (long long)f->ny, file_row(p, i), file_path(p, i), (long long)box, (long long)box);
        if (image->index >= f->nz)
            return deco_fail(DECO_E_FORMAT,
                             "%s: row %lld: blob/idx is %d, but %s holds %lld images (0 to %lld); the stack and the .cs file do not belong "
                             "together",
                             file_path(p, i), file_row(p, i), image->index, path, (long long)f->nz, (long long)f->nz - 1);
    }
    return DECO_OK;
}

deco_status particles_fill_shapes(deco_particles *p, const found_stack *found, const input_parts *parts)
{
    deco_status st = DECO_OK;
    deco_column *shape = NULL;

    for (int64_t i = 0; i < p->N; i++) {
        int32_t s = p->image[i].stack;
        if (!p->stack[s])
            return missing(p, parts, s, i);
        if (found[s].problem)
            return deco_fail(DECO_E_FORMAT, "%s (row %lld of %s)", found[s].problem, file_row(p, i), file_path(p, i));
    }
    TRY(deco_table_add(p->rows, &shape, "blob/shape", 'u', 4, 1, (const int64_t[]){2}));
    for (int64_t i = 0; i < p->N; i++) {
        deco_cell_set_u64(shape, i, 0, (uint64_t)found[p->image[i].stack].ny);
        deco_cell_set_u64(shape, i, 1, (uint64_t)found[p->image[i].stack].nx);
    }
    p->uid = deco_table_find(p->rows, "uid"); /* columns may have moved */
out:
    return st;
}
