/* What the user named, taken apart: the files of each input, and where its stacks may be. */
#include "base/file.h"
#include "particles/build.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static deco_status copy(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
    return text && !*out ? deco_fail_memory(strlen(text), "a file's name") : DECO_OK;
}

static deco_status take_names(deco_particles *p, const deco_input *in, const input_parts *x)
{
    deco_status st = DECO_OK;

    p->source = in->paths == 1 ? strdup(in->path[0]) : deco_format("%s and %lld more", in->path[0], (long long)in->paths - 1);
    if (!p->source)
        TRY(deco_fail_memory(strlen(in->path[0]), "a file's name"));
    TRY(copy(&p->cs_path, x->part[0].files.rows));
    TRY(copy(&p->project, x->part[0].files.project));
    for (int64_t k = 0; k < x->n; k++) {
        const job_files *f = &x->part[k].files;
        p->from[k].star = f->star;
        p->sources = k + 1;
        TRY(copy(&p->from[k].path, f->rows));
        TRY(copy(&p->from[k].project, f->project));
        if (!p->version)
            TRY(copy(&p->version, f->version));
    }
out:
    return st;
}

static deco_status check_apart(const deco_input *in, const input_parts *x, int64_t k)
{
    struct stat a, b;

    for (int64_t i = 0; i < k; i++)
        if (stat(x->part[i].files.rows, &a) == 0 && stat(x->part[k].files.rows, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
            return deco_fail(DECO_E_FORMAT, "particles: %s and %s are the same set, %s; name it once", in->path[i], in->path[k],
                             x->part[k].files.rows);
    return DECO_OK;
}

deco_status input_parts_find(input_parts *out, deco_particles *p, const deco_input *in, deco_monitor *m)
{
    deco_status st = DECO_OK;

    *out = (input_parts){0};
    if (in->paths < 1)
        return deco_fail(DECO_E_ARGUMENT, "particles is not given: name a job directory, a .cs, .csg or .star file");
    TRY(deco_alloc(&out->part, (size_t)in->paths, sizeof *out->part, "inputs"));
    TRY(deco_alloc(&p->from, (size_t)in->paths, sizeof *p->from, "inputs"));
    for (; out->n < in->paths; out->n++) {
        TRY(job_files_find(&out->part[out->n].files, in->path[out->n], m));
        if ((st = check_apart(in, out, out->n))) {
            out->n++; /* what it has is freed */
            goto out;
        }
    }
    TRY(take_names(p, in, out));
out:
    return st;
}

void input_parts_free(input_parts *x)
{
    for (int64_t k = 0; k < x->n; k++) {
        job_files_free(&x->part[k].files);
        stack_places_free(&x->part[k].places);
        free(x->part[k].blob_directory);
    }
    free(x->part);
    *x = (input_parts){0};
}
