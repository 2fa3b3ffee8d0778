/* `cryodeco subset`: which particles, in which job's rows, to which files. */
#include "analysis/figures.h"
#include "analysis/staging.h"
#include "analysis/subset_choice.h"
#include "analysis/subset_original.h"
#include "analysis/subset_write.h"
#include "base/file.h"
#include "job/job.h"
#include "job/outdir.h"
#include "job/subset_source.h"
#include <cjson/cJSON.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct subset_job {
    const deco_options *o;
    deco_monitor *m;
    subset_source source;
    deco_choice choice;
    int64_t *row; /* [n] of source.p */
    int64_t n;
    deco_particles *original; /* NULL: the source's own rows are written */
    deco_original there;
    int32_t *label; /* [original->N] */
    int forms;
} subset_job;

static deco_status choose(subset_job *j)
{
    deco_status st = DECO_OK;
    const deco_options *o = j->o;
    char *labels = NULL;

    TRY(deco_choice_begin(&j->choice, j->source.p, o->partial, j->m));
    if (o->labels.count) {
        TRY(subset_source_labels(&labels, &j->source));
        TRY(deco_choice_labels(&j->choice, labels, &o->labels));
    }
    if (o->uids)
        TRY(deco_choice_uids(&j->choice, o->uids));
    if (o->rows)
        TRY(deco_choice_rows(&j->choice, o->rows));
    if (o->star)
        TRY(deco_choice_images(&j->choice, o->star));
    if (o->selection)
        TRY(deco_choice_selection(&j->choice, &j->source.selection, j->source.analysis));
    TRY(deco_choice_end(&j->row, &j->n, &j->choice));
out:
    free(labels);
    return st;
}

/* The same particles in the original job, each with the label of the small one's row. */
static deco_status find_original(subset_job *j)
{
    deco_status st = DECO_OK;
    const deco_options *o = j->o;

    TRY(deco_original_make_room(j->source.p));
    TRY(deco_particles_open_input(&j->original, &(deco_input){.path = (const char *const *)&o->original, .paths = 1, .box = o->box}, 0,
                                  j->m));
    TRY(deco_original_find(&j->there, j->original, j->source.p, j->row, j->n, !strcmp(o->match, "image"), o->partial, j->m));
    if (j->choice.label) {
        TRY(deco_alloc(&j->label, (size_t)j->original->N, sizeof *j->label, "labels"));
        for (int64_t i = 0; i < j->there.n; i++)
            j->label[j->there.row[i]] = j->choice.label[j->there.chosen[i]];
    }
out:
    return st;
}

/* An original that has poses but no half sets gets those of the small images: without them a refinement would mix the halves anew. */
static deco_status keep_split(deco_subset_source *files, const subset_job *j)
{
    deco_status st = DECO_OK;
    static const char name[] = "alignments3D/split";
    const deco_column *here = deco_table_find(j->source.p->rows, name);
    deco_column *split;

    if (!j->original || !here || deco_table_find(files->columns, name) || !deco_table_has_prefix(files->columns, "alignments3D"))
        return DECO_OK;
    TRY(deco_table_add(files->columns, &split, name, here->kind, here->item, here->dims, here->shape));
    for (int64_t i = 0; i < j->there.n; i++)
        deco_cell_set_u64(split, j->there.row[i], 0, deco_cell_u64(here, j->there.chosen[i], 0));
    deco_info(j->m, "original %s: has no %s; that of %s is put in", j->original->source, name, j->source.p->source);
out:
    return st;
}

/* A group's title may be read by people who have not seen the command. */
static deco_status write_in(const char *directory, const subset_job *j)
{
    deco_status st = DECO_OK;
    const deco_particles *p = j->original ? j->original : j->source.p;
    deco_subset_input in = {p, j->source.estimated && !j->original, j->source.R.data, j->source.shift.data, NULL};
    deco_subset_source files = {0};
    char chosen[32], written[32], all[32];
    const char *name = deco_path_name(j->o->output);
    int64_t n = j->original ? j->there.n : j->n;
    char *stem = deco_path_join(directory, name);
    char *title = deco_format("%s (%s particle%s)", name, deco_grouped(written, n), n == 1 ? "" : "s");
    char *description =
        deco_format("%s of %s particles of %s: %s%s%s; cryodeco %s", deco_grouped(chosen, j->n), deco_grouped(all, j->source.p->N),
                    deco_path_name(j->source.p->cs_path), j->choice.words ? j->choice.words : "all", j->original ? "; rows of " : "",
                    j->original ? deco_path_name(p->cs_path) : "", deco_version());

    if (!stem || !title || !description)
        TRY(deco_fail_memory(256, "a subset's description"));
    TRY(deco_subset_source_open(&files, &in, j->forms));
    TRY(keep_split(&files, j));
    TRY(deco_subset_write(stem, &files,
                          &(deco_subset){.row = j->original ? j->there.row : j->row,
                                         .n = n,
                                         .label = j->original ? j->label : j->choice.label,
                                         .name = name,
                                         .title = title,
                                         .description = description}));
out:
    deco_subset_source_close(&files);
    free(stem);
    free(title);
    free(description);
    return st;
}

/* ---- the files --------------------------------------------------------------------------------------------------- */

static deco_status move_file(const char *from, const char *to, const char *ending)
{
    deco_status st = DECO_OK;
    char *made = deco_format("%s%s", from, ending), *name = deco_format("%s%s", to, ending);

    if (!made || !name)
        st = deco_fail_memory(strlen(to), "a file's name");
    else if (rename(made, name))
        st = deco_fail_errno(DECO_E_FILE, "%s: cannot be renamed to %s", made, name);
    free(made);
    free(name);
    return st;
}

/* Whole files take their names. A .csg describes the .cs beside it, so an older one goes first and the new one comes last: whenever the
 * program is killed, what can be imported is whole. */
static deco_status publish(const char *staged, const subset_job *j)
{
    deco_status st = DECO_OK;
    const char *to = j->o->output;
    char *from = deco_path_join(staged, deco_path_name(to)), *csg = deco_format("%s.csg", to), *directory = deco_path_directory(to);
    int fd = -1;

    if (!from || !csg || !directory)
        TRY(deco_fail_memory(strlen(to), "a file's name"));
    if (j->forms & DECO_SUBSET_CS)
        unlink(csg); /* it may not be there */
    if (j->forms & DECO_SUBSET_CS)
        TRY(move_file(from, to, ".cs"));
    if (j->forms & DECO_SUBSET_STAR)
        TRY(move_file(from, to, ".star"));
    if (j->forms & DECO_SUBSET_CSG)
        TRY(move_file(from, to, ".csg"));
    if ((fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
        fsync(fd); /* some file systems cannot; the names are then as safe as they get */
out:
    if (fd >= 0)
        close(fd);
    free(from);
    free(csg);
    free(directory);
    return st;
}

static deco_status write_files(const subset_job *j)
{
    deco_status st = DECO_OK;
    deco_staging staging = {0};
    char *directory = deco_path_directory(j->o->output);

    if (!directory)
        TRY(deco_fail_memory(strlen(j->o->output), "a folder's name"));
    TRY(deco_directory_make(directory));
    TRY(deco_staging_begin(&staging, j->o->output, false, j->m));
    TRY(write_in(staging.path, j));
    TRY(publish(staging.path, j));
out:
    deco_staging_end(&staging);
    free(directory);
    return st;
}

/* Neither an input's directory nor that of the original is written to. */
static deco_status check_output(subset_job *j)
{
    deco_status st = DECO_OK;
    static const char *const endings[] = {"cs", "csg", "star"};
    char *directory = deco_path_directory(j->o->output);

    if (!directory)
        TRY(deco_fail_memory(strlen(j->o->output), "a folder's name"));
    for (int64_t i = 0; i < j->source.o->particles.count; i++)
        TRY(deco_output_check("output", directory, j->source.o->particles.items[i]));
    if (j->o->original)
        TRY(deco_output_check("output", directory, j->o->original));
    for (int i = 0; i < 3; i++)
        j->forms |= deco_list_has(&j->o->forms, endings[i]) ? 1 << i : 0;
out:
    free(directory);
    return st;
}

static deco_status summarise(char **out, const subset_job *j)
{
    static const char *const endings[] = {"cs", "csg", "star"};
    int64_t n = j->original ? j->there.n : j->n;
    const char *source = j->original ? j->original->source : j->source.p->source;
    cJSON *root, *files;
    char *json = NULL;

    if (!j->o->json) {
        *out = deco_format("subset    %s.{%s%s%s}\nparticles %" PRId64 " of %" PRId64 "%s%s\n", j->o->output,
                           j->forms & DECO_SUBSET_CS ? "cs" : "", j->forms & DECO_SUBSET_CSG ? ",csg" : "",
                           !(j->forms & DECO_SUBSET_STAR) ? ""
                           : j->forms & DECO_SUBSET_CS    ? ",star"
                                                          : "star",
                           n, j->original ? j->original->N : j->source.p->N, j->original ? " in " : "", j->original ? source : "");
        return *out ? DECO_OK : deco_fail_memory(256, "a summary");
    }
    root = cJSON_CreateObject();
    files = cJSON_AddArrayToObject(root, "files");
    for (int i = 0; i < 3; i++) {
        char *path = j->forms & 1 << i ? deco_format("%s.%s", j->o->output, endings[i]) : NULL;
        if (path)
            cJSON_AddItemToArray(files, cJSON_CreateString(path));
        free(path);
    }
    cJSON_AddNumberToObject(root, "particles", (double)n);
    cJSON_AddNumberToObject(root, "chosen", (double)j->n);
    cJSON_AddNumberToObject(root, "of", (double)j->source.p->N);
    cJSON_AddStringToObject(root, "source", j->source.p->source);
    if (j->original) {
        cJSON_AddStringToObject(root, "original", source);
        cJSON_AddStringToObject(root, "joined_on", j->there.how);
        cJSON_AddNumberToObject(root, "matched", (double)j->there.matched);
        cJSON_AddNumberToObject(root, "recentred", (double)j->there.recentred);
    }
    json = cJSON_PrintUnformatted(root);
    *out = json ? deco_format("%s\n", json) : NULL;
    cJSON_free(json);
    cJSON_Delete(root);
    return *out ? DECO_OK : deco_fail_memory(256, "a summary");
}

deco_status deco_job_subset(const deco_options *o, deco_monitor *m, bool *wrote, char **summary)
{
    deco_status st = DECO_OK;
    subset_job j = {.o = o, .m = m};

    TRY(subset_source_open(&j.source, o, m));
    TRY(check_output(&j));
    TRY(choose(&j));
    if (o->original)
        TRY(find_original(&j));
    *wrote = true;
    TRY(write_files(&j));
    TRY(summarise(summary, &j));
out:
    subset_source_close(&j.source);
    deco_choice_free(&j.choice);
    deco_original_free(&j.there);
    deco_particles_free(j.original);
    free(j.row);
    free(j.label);
    return st;
}
