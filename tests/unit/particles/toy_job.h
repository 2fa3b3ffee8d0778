/* A small job directory in the test's own folder: 3 stacks of 5 images of 8×8 px, any number of rows that point into them, one .cs file that
 * holds every column. Tests break what they are about and write it. */
#ifndef DECO_TESTS_TOY_JOB_H
#define DECO_TESTS_TOY_JOB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <sys/stat.h>

#include "base/file.h"
#include "formats/cs.h"
#include "formats/mrc.h"
#include "particles/particles.h"
#include "support/scratch.h"

enum { TOY_D = 8, TOY_STACKS = 3, TOY_IMAGES = 5 };
#define TOY_ALL (DECO_NEED_STACKS | DECO_NEED_POSES | DECO_NEED_SHIFTS)

typedef struct toy {
    char project[600], job[640], cs[700];
    deco_table *t;
} toy;

/* A file of the test data: of CRYODECO_DATA, or the project's own. */
static inline const char *data_path(const char *name)
{
    static char path[4][1024];
    static int turn;
    const char *root = getenv("CRYODECO_DATA");
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", root ? root : TESTS_DIRECTORY "/data", name);
    return path[turn];
}

#define toy_ok(call) \
    do { \
        if (call) \
            fail_msg("%s", deco_error()); \
    } while (0)

/* Pixel `i` of image `k` of stack `s`: any numbers, the same each time, different for each image. */
static inline float toy_pixel(int s, int k, int i)
{
    return sinf((float)(1 + s * 977 + k * 131 + i * 7)) + 0.25f * (float)((i * 31 + k) % 5);
}

static inline char *toy_stack_path(const toy *j, int s)
{
    static char path[4][800];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/stacks/s%d.mrc", j->job, s);
    return path[turn];
}

/* `change` (may be NULL) is called on each image before it is written. */
static inline void toy_write_stack(const toy *j, int s, int D, int images, void (*change)(int image, float *pixels))
{
    deco_mrc_writer *w = NULL;
    float *pixels = malloc((size_t)(D * D) * sizeof *pixels);

    toy_ok(deco_mrc_stack_create(&w, toy_stack_path(j, s), D, D, images, 3.0, 2));
    for (int k = 0; k < images; k++) {
        for (int i = 0; i < D * D; i++)
            pixels[i] = toy_pixel(s, k, i);
        if (change)
            change(k, pixels);
        toy_ok(deco_mrc_stack_append(w, pixels));
    }
    toy_ok(deco_mrc_stack_commit(w));
    free(pixels);
}

static inline void toy_set(toy *j, const char *column, int64_t row, int64_t cell, double value)
{
    deco_cell_set_real((deco_column *)deco_table_find(j->t, column), row, cell, value);
}

static inline void toy_set_text(toy *j, const char *column, int64_t row, const char *text)
{
    deco_cell_set_text((deco_column *)deco_table_find(j->t, column), row, text);
}

/* True when `name` begins with one of the comma-separated words of `list`. */
static inline bool toy_left_out(const char *name, const char *list)
{
    for (const char *p = list; p && *p; p += strcspn(p, ","), p += *p == ',') {
        size_t n = strcspn(p, ",");
        if (!strncmp(name, p, n))
            return true;
    }
    return false;
}

static inline void toy_add(deco_table *t, const char *name, char kind, size_t item, int64_t cells, const char *without)
{
    if (!toy_left_out(name, without))
        toy_ok(deco_table_add(t, NULL, name, kind, item, cells > 1, &cells));
}

static inline void toy_fill_row(toy *j, int64_t i)
{
    static const struct {
        const char *name;
        double value;
    } same[] = {{"blob/psize_A", 3},        {"blob/sign", -1},       {"ctf/accel_kv", 300},        {"ctf/cs_mm", 2.7},
                {"ctf/amp_contrast", 0.1},  {"ctf/df1_A", 15000},    {"ctf/df2_A", 14000},         {"ctf/df_angle_rad", 0.5},
                {"ctf/phase_shift_rad", 0}, {"ctf/exp_group_id", 1}, {"alignments3D/psize_A", 1.5}};
    char path[64];

    for (size_t k = 0; k < sizeof same / sizeof *same; k++)
        if (deco_table_find(j->t, same[k].name))
            toy_set(j, same[k].name, i, 0, same[k].value);
    if (deco_table_find(j->t, "uid"))
        deco_cell_set_u64((deco_column *)deco_table_find(j->t, "uid"), i, 0, 0x8000000000000000u + (uint64_t)i * 7919u);
    if (deco_table_find(j->t, "blob/path")) {
        snprintf(path, sizeof path, "%s/stacks/s%d.mrc", deco_path_name(j->job), (int)(i % TOY_STACKS));
        toy_set_text(j, "blob/path", i, path);
    }
    if (deco_table_find(j->t, "blob/idx"))
        toy_set(j, "blob/idx", i, 0, (double)(i * 2 % TOY_IMAGES));
    for (int k = 0; k < 2; k++) {
        if (deco_table_find(j->t, "blob/shape"))
            toy_set(j, "blob/shape", i, k, TOY_D);
        if (deco_table_find(j->t, "alignments3D/shift"))
            toy_set(j, "alignments3D/shift", i, k, (double)(i + k));
    }
    for (int k = 0; k < 3 && deco_table_find(j->t, "alignments3D/pose"); k++)
        toy_set(j, "alignments3D/pose", i, k, 0.1 * (double)(i + k));
}

static inline deco_table *toy_table(toy *j, int64_t rows, const char *without)
{
    deco_table *t = NULL;

    toy_ok(deco_table_create(&t, rows, "toy"));
    j->t = t;
    toy_add(t, "uid", 'u', 8, 1, without);
    toy_add(t, "blob/path", 'S', 48, 1, without);
    toy_add(t, "blob/idx", 'u', 4, 1, without);
    toy_add(t, "blob/shape", 'u', 4, 2, without);
    toy_add(t, "blob/psize_A", 'f', 4, 1, without);
    toy_add(t, "blob/sign", 'f', 4, 1, without);
    toy_add(t, "ctf/exp_group_id", 'u', 4, 1, without);
    toy_add(t, "ctf/accel_kv", 'f', 4, 1, without);
    toy_add(t, "ctf/cs_mm", 'f', 4, 1, without);
    toy_add(t, "ctf/amp_contrast", 'f', 4, 1, without);
    toy_add(t, "ctf/df1_A", 'f', 4, 1, without);
    toy_add(t, "ctf/df2_A", 'f', 4, 1, without);
    toy_add(t, "ctf/df_angle_rad", 'f', 4, 1, without);
    toy_add(t, "ctf/phase_shift_rad", 'f', 4, 1, without);
    toy_add(t, "alignments3D/pose", 'f', 4, 3, without);
    toy_add(t, "alignments3D/shift", 'f', 4, 2, without);
    toy_add(t, "alignments3D/psize_A", 'f', 4, 1, without);
    for (int64_t i = 0; i < rows; i++)
        toy_fill_row(j, i);
    return t;
}

/* A new project with job J7, its stacks written and its table in memory. `without`: columns left out, by the beginnings of their names. */
static inline toy toy_begin(int64_t rows, const char *without)
{
    static int number;
    char name[32], folder[700];
    toy j;

    snprintf(name, sizeof name, "project%d", number++);
    snprintf(j.project, sizeof j.project, "%s", scratch(name));
    snprintf(j.job, sizeof j.job, "%s/J7", j.project);
    snprintf(j.cs, sizeof j.cs, "%s/extracted_particles.cs", j.job);
    snprintf(folder, sizeof folder, "%s/stacks", j.job);
    toy_ok(deco_directory_make(folder));
    for (int s = 0; s < TOY_STACKS; s++)
        toy_write_stack(&j, s, TOY_D, TOY_IMAGES, NULL);
    toy_table(&j, rows, without);
    return j;
}

/* Writes the table as `name` in the job directory and lets go of it. */
static inline void toy_write_as(toy *j, const char *name)
{
    char path[800];
    snprintf(path, sizeof path, "%s/%s", j->job, name);
    toy_ok(deco_cs_write(path, j->t));
    deco_table_free(j->t);
    j->t = NULL;
}

static inline void toy_write(toy *j) { toy_write_as(j, deco_path_name(j->cs)); }

static inline void toy_put(const toy *j, const char *name, const char *text)
{
    char path[800];
    snprintf(path, sizeof path, "%s/%s", j->job, name);
    toy_ok(deco_file_put(path, text, strlen(text)));
}

/* Opening `path` must fail with `st` and a message that holds `a` and `b` (each may be NULL). */
static inline void toy_refuses(const char *path, int need, deco_status st, const char *a, const char *b)
{
    deco_particles *p = (deco_particles *)1;

    assert_int_equal(deco_particles_open(&p, path, NULL, need, NULL), st);
    assert_null(p);
    if ((a && !strstr(deco_error(), a)) || (b && !strstr(deco_error(), b)))
        fail_msg("the message lacks \"%s\" or \"%s\": %s", a ? a : "", b ? b : "", deco_error());
}

#endif
