/* A .csg file: which .cs files belong to its group. FORMATS.md section 4. */
#include "base/file.h"
#include "formats/csg.h"
#include "particles/job_directory.h"

#include <stdlib.h>
#include <string.h>

/* ">x.cs" counts from the .csg file's directory; "J12/x.cs" from the project, and where the group was copied its files lie beside it. */
static deco_status find_metafile(char **out, const job_files *f, const char *csg, const char *metafile)
{
    deco_status st = DECO_OK;
    const char *name = *metafile == '>' ? metafile + 1 : metafile;
    const char *const root[] = {*metafile == '>' ? f->directory : f->project, f->directory};
    char *path[2] = {deco_path_join(root[0], name), deco_path_join(root[1], deco_path_name(name))};

    if (!path[0] || !path[1])
        TRY(deco_fail_memory(strlen(name), "a file's name"));
    for (int i = 0; i < 2 && !*out; i++)
        if (path_is_file(path[i])) {
            *out = path[i];
            path[i] = NULL;
        }
    if (!*out)
        st = deco_fail(DECO_E_FILE, "%s: names %s, which is not found; tried %s%s%s. Copy the group's .cs files beside it", csg, metafile,
                       path[0], strcmp(path[0], path[1]) ? ", " : "", strcmp(path[0], path[1]) ? path[1] : "");
out:
    free(path[0]);
    free(path[1]);
    return st;
}

static deco_status take_results(job_files *out, const deco_csg *g, const char *csg)
{
    deco_status st = DECO_OK;
    path_list all = {0};
    char *path = NULL;

    for (int64_t i = 0; i < g->results; i++) {
        free(path);
        path = NULL;
        TRY(find_metafile(&path, out, csg, g->result[i].metafile));
        TRY(path_list_add(&all, path));
        if (!out->rows && !strcmp(g->result[i].name, "blob")) { /* the file with the images gives the rows */
            out->rows = path;
            path = NULL;
        }
    }
    if (!all.count)
        TRY(deco_fail(DECO_E_FORMAT, "%s: the group names no results; export it again", csg));
    if (!out->rows && !(out->rows = strdup(all.path[0])))
        TRY(deco_fail_memory(strlen(all.path[0]), "a file's name"));
    for (int64_t i = 0; i < all.count; i++)
        if (strcmp(all.path[i], out->rows) != 0)
            TRY(path_list_add(&out->joined, all.path[i]));
out:
    free(path);
    path_list_free(&all);
    return st;
}

deco_status job_csg_read(job_files *out, const char *csg)
{
    deco_status st = DECO_OK;
    deco_csg g = {0};

    TRY(deco_csg_read(&g, csg));
    if (!g.type || strcmp(g.type, "particle") != 0)
        TRY(deco_fail(DECO_E_FORMAT, "%s: is a group of type '%s'; one of particles is needed", csg, g.type ? g.type : ""));
    out->version = g.version;
    g.version = NULL;
    TRY(take_results(out, &g, csg));
out:
    deco_csg_free(&g);
    return st;
}

bool job_csg_is_particles(const char *csg)
{
    deco_csg g = {0};
    bool is = !deco_csg_read(&g, csg) && g.type && !strcmp(g.type, "particle");

    deco_csg_free(&g);
    return is;
}
