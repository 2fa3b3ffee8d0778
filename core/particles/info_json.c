/* The report of `cryodeco info --json` for programs: names stay as they are. Unknown values are null. */
#include "base/file.h"
#include "particles/info.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED_MISSING = 100 };

static void put_text(cJSON *to, const char *name, const char *text)
{
    cJSON_AddItemToObject(to, name, text ? cJSON_CreateString(text) : cJSON_CreateNull());
}

static void put_number(cJSON *to, const char *name, double value, bool known)
{
    cJSON_AddItemToObject(to, name, known && isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

static void put_list(cJSON *to, const char *name, const path_list *l)
{
    cJSON *list = cJSON_AddArrayToObject(to, name);
    for (int64_t i = 0; i < l->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(l->path[i]));
}

/* {"ctf/df1_A": {"min", "max", "not_finite"}} of each numeric column of a prefix. */
static void put_ranges(cJSON *to, const deco_table *t, const char *prefix)
{
    size_t n = strlen(prefix);

    for (int64_t i = 0; i < t->columns; i++) {
        const deco_column *c = &t->column[i];
        if (strncmp(c->name, prefix, n) != 0 || c->name[n] != '/' || c->kind == 'S')
            continue;
        value_range r = info_range(c, t->rows);
        cJSON *one = cJSON_AddObjectToObject(to, c->name);
        put_number(one, "min", r.least, true);
        put_number(one, "max", r.most, true);
        put_number(one, "not_finite", (double)r.not_finite, true);
    }
}

static void put_sizes(cJSON *root, const findings *f)
{
    cJSON *list = cJSON_AddArrayToObject(root, "image_sizes");

    for (int64_t k = 0; f->images_known && k < f->p->sizes; k++) {
        const deco_image_size *s = &f->p->size[k];
        cJSON *one = cJSON_CreateObject();
        put_number(one, "box", (double)s->box, true);
        put_number(one, "psize_A", s->psize_A, true);
        put_number(one, "particles", (double)s->rows, true);
        put_number(one, "cut", (double)s->cut, true);
        cJSON_AddItemToArray(list, one);
    }
}

static void put_images(cJSON *root, const findings *f)
{
    const deco_particles *p = f->p;
    const char *contrast = f->dark && f->light ? "mixed" : f->dark ? "dark_on_light" : f->light ? "light_on_dark" : NULL;

    put_number(root, "particles", (double)p->N, true);
    put_number(root, "box", p->sizes ? (double)p->size->box : 0, f->images_known && p->sizes == 1);
    put_number(root, "psize_A", p->sizes ? p->size->psize_A : 0, f->images_known && p->sizes == 1);
    put_number(root, "training_box", (double)p->D, f->images_known);
    put_number(root, "training_psize_A", p->psize_A, f->images_known);
    put_sizes(root, f);
    put_text(root, "contrast", contrast);
    cJSON_AddBoolToObject(root, "contrast_stated", p->sign_from && !strcmp(p->sign_from, "stated"));
    put_text(root, "contrast_from", p->sign_from);
}

static void put_inputs(cJSON *root, const findings *f)
{
    cJSON *list = cJSON_AddArrayToObject(root, "inputs");

    for (int64_t k = 0; k < f->p->sources; k++) {
        const deco_source *from = &f->p->from[k];
        const job_files *files = &f->parts.part[k].files;
        cJSON *one = cJSON_CreateObject();
        put_text(one, "named", f->in->path[k]);
        put_text(one, "path", from->path);
        put_text(one, "program", from->star ? "RELION" : "CryoSPARC");
        put_number(one, "rows", (double)from->rows, true);
        put_list(one, "joined", &files->joined);
        put_text(one, "project", files->project);
        put_text(one, "cryosparc_version", files->version);
        cJSON_AddItemToArray(list, one);
    }
}

static void put_groups(cJSON *root, const findings *f)
{
    cJSON *list = cJSON_AddArrayToObject(root, "exposure_groups");
    for (int64_t i = 0; i < f->groups; i++) {
        cJSON *one = cJSON_CreateObject();
        put_number(one, "input", (double)f->group[i].source, true);
        put_number(one, "id", (double)f->group[i].id, true);
        put_number(one, "particles", (double)f->group[i].particles, true);
        cJSON_AddItemToArray(list, one);
    }
}

static deco_status put_stacks(cJSON *root, const findings *f)
{
    deco_status st = DECO_OK;
    const deco_particles *p = f->p;
    cJSON *stacks = cJSON_AddObjectToObject(root, "stacks"), *list;
    char *tried = NULL;
    int64_t listed = 0;

    put_number(stacks, "count", (double)p->stacks, f->found != NULL);
    put_number(stacks, "found", (double)f->stacks_found, f->found != NULL);
    put_number(stacks, "missing", (double)(p->stacks - f->stacks_found), f->found != NULL);
    put_number(stacks, "images", (double)f->images_in_stacks, f->found != NULL);
    list = cJSON_AddArrayToObject(stacks, "missing_paths");
    for (int64_t s = 0; f->found && s < p->stacks && listed < LISTED_MISSING; s++) {
        if (p->stack[s])
            continue;
        free(tried);
        TRY(particles_places_text(&tried, p, &f->parts, s));
        cJSON *one = cJSON_CreateObject();
        put_text(one, "path", p->stack_name[s]);
        put_text(one, "tried", tried);
        cJSON_AddItemToArray(list, one);
        listed++;
    }
out:
    free(tried);
    return st;
}

static void put_needs(cJSON *root, const findings *f)
{
    cJSON *memory = cJSON_AddObjectToObject(root, "memory_bytes");
    put_number(memory, "rows", f->table_bytes + f->row_bytes, f->images_known);
    put_number(memory, "loader", f->loader_bytes, f->images_known);
    put_number(memory, "default_decoder_weights", f->training_bytes, f->images_known);
    cJSON *cache = cJSON_AddObjectToObject(root, "cache_bytes");
    put_number(cache, "without_encoder", f->cache_bytes[0], f->images_known);
    put_number(cache, "with_encoder", f->cache_bytes[1], f->images_known);
}

deco_status info_json(char **out, const findings *f)
{
    deco_status st = DECO_OK;
    const deco_particles *p = f->p;
    cJSON *root = cJSON_CreateObject(), *columns, *values, *runs;
    bool usable = f->images_known && f->ctf_known && f->stacks_sound && !f->problems.count;

    put_text(root, "source", p->source);
    put_text(root, "cs", p->cs_path);
    put_list(root, "joined", &f->parts.part[0].files.joined);
    put_text(root, "project", p->project);
    put_text(root, "cryosparc_version", p->version);
    put_inputs(root, f);
    put_number(root, "input_rows", (double)f->input_rows, true);
    put_number(root, "expanded_from", (double)f->expanded_from, f->expanded_from > 0);
    put_images(root, f);
    values = cJSON_AddObjectToObject(root, "ranges");
    put_ranges(values, p->rows, "ctf");
    if (f->pose_prefix)
        put_ranges(values, p->rows, f->pose_prefix);
    put_groups(root, f);
    put_text(root, "poses", p->poses);
    cJSON_AddBoolToObject(root, "shifts", p->shift != NULL);
    TRY(put_stacks(root, f));
    columns = cJSON_AddArrayToObject(root, "columns");
    for (int64_t i = 0; i < p->rows->columns; i++)
        cJSON_AddItemToArray(columns, cJSON_CreateString(p->rows->column[i].name));
    runs = cJSON_AddObjectToObject(root, "can_run");
    cJSON_AddBoolToObject(runs, "known_poses", usable && p->R && p->shift);
    put_needs(root, f);
    put_text(root, "digest", *f->digest ? f->digest : NULL);
    put_list(root, "problems", &f->problems);
    char *text = cJSON_Print(root);
    if (!text)
        TRY(deco_fail_memory(4096, "the report"));
    *out = deco_format("%s\n", text);
    cJSON_free(text);
    if (!*out)
        st = deco_fail_memory(4096, "the report");
out:
    cJSON_Delete(root);
    return st;
}
