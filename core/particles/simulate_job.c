/* The job's datasets, with the columns that CryoSPARC 4.7 writes: the job's own file and its passthrough, rows in different orders. */
#include "base/file.h"
#include "base/philox.h"
#include "formats/cs.h"
#include "particles/simulate_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t sim_stack_first(const sim_settings *s, int64_t stack) { return stack * s->N / s->stacks; }

deco_status sim_stack_path(char *out, size_t size, int64_t stack)
{
    int n = snprintf(out, size, SIM_JOB "/restack/batch_%05lld_restacked.mrc", (long long)stack);
    return n > 0 && (size_t)n < size ? DECO_OK : deco_fail(DECO_E_ARGUMENT, "stack %lld: its name is too long", (long long)stack);
}

/* A column's kind and size, as NumPy would say: "<f4". The rest starts at zero. */
typedef struct column_spec {
    const char *name;
    char kind;
    size_t item;
    int64_t cells; /* 0: a scalar */
} column_spec;

static const column_spec blob_columns[] = {{"uid", 'u', 8, 0},        {"blob/path", 'S', 64, 0},   {"blob/idx", 'u', 4, 0},
                                           {"blob/shape", 'u', 4, 2}, {"blob/psize_A", 'f', 4, 0}, {"blob/sign", 'f', 4, 0}};

static const column_spec passthrough_columns[] = {{"uid", 'u', 8, 0},
                                                  {"ctf/type", 'S', 6, 0},
                                                  {"ctf/exp_group_id", 'u', 4, 0},
                                                  {"ctf/accel_kv", 'f', 4, 0},
                                                  {"ctf/cs_mm", 'f', 4, 0},
                                                  {"ctf/amp_contrast", 'f', 4, 0},
                                                  {"ctf/df1_A", 'f', 4, 0},
                                                  {"ctf/df2_A", 'f', 4, 0},
                                                  {"ctf/df_angle_rad", 'f', 4, 0},
                                                  {"ctf/phase_shift_rad", 'f', 4, 0},
                                                  {"ctf/scale", 'f', 4, 0},
                                                  {"ctf/scale_const", 'f', 4, 0},
                                                  {"ctf/shift_A", 'f', 4, 2},
                                                  {"ctf/tilt_A", 'f', 4, 2},
                                                  {"ctf/trefoil_A", 'f', 4, 2},
                                                  {"ctf/tetra_A", 'f', 4, 4},
                                                  {"ctf/anisomag", 'f', 4, 4},
                                                  {"ctf/bfactor", 'f', 4, 0},
                                                  {"location/micrograph_uid", 'u', 8, 0},
                                                  {"location/exp_group_id", 'u', 4, 0},
                                                  {"location/micrograph_path", 'S', 64, 0},
                                                  {"location/micrograph_shape", 'u', 4, 2},
                                                  {"location/micrograph_psize_A", 'f', 4, 0},
                                                  {"location/center_x_frac", 'f', 4, 0},
                                                  {"location/center_y_frac", 'f', 4, 0}};

static const column_spec pose_columns[] = {
    {"alignments3D/split", 'u', 4, 0},           {"alignments3D/shift", 'f', 4, 2},     {"alignments3D/pose", 'f', 4, 3},
    {"alignments3D/psize_A", 'f', 4, 0},         {"alignments3D/error", 'f', 4, 0},     {"alignments3D/error_min", 'f', 4, 0},
    {"alignments3D/resid_pow", 'f', 4, 0},       {"alignments3D/slice_pow", 'f', 4, 0}, {"alignments3D/image_pow", 'f', 4, 0},
    {"alignments3D/cross_cor", 'f', 4, 0},       {"alignments3D/alpha", 'f', 4, 0},     {"alignments3D/alpha_min", 'f', 4, 0},
    {"alignments3D/weight", 'f', 4, 0},          {"alignments3D/pose_ess", 'f', 4, 0},  {"alignments3D/shift_ess", 'f', 4, 0},
    {"alignments3D/class_posterior", 'f', 4, 0}, {"alignments3D/class", 'u', 4, 0},     {"alignments3D/class_ess", 'f', 4, 0}};

static deco_status add_columns(deco_table *t, const column_spec *spec, size_t count)
{
    deco_status st = DECO_OK;
    for (size_t i = 0; i < count && !st; i++)
        st = deco_table_add(t, NULL, spec[i].name, spec[i].kind, spec[i].item, spec[i].cells > 0, spec[i].cells ? &spec[i].cells : NULL);
    return st;
}
#define ADD_COLUMNS(t, spec) add_columns((t), (spec), sizeof(spec) / sizeof *(spec))

/* The column to write into. Every name is in the lists above. */
static deco_column *column(deco_table *t, const char *name) { return (deco_column *)deco_table_find(t, name); }
static void set_real(deco_table *t, const char *name, int64_t row, int64_t cell, double v)
{
    deco_cell_set_real(column(t, name), row, cell, v);
}
static void set_u64(deco_table *t, const char *name, int64_t row, uint64_t v) { deco_cell_set_u64(column(t, name), row, 0, v); }

static deco_status fill_blob(deco_table *t, int64_t row, int64_t i, const sim_particle *p, const sim_settings *s)
{
    char path[64];
    int64_t stack = i * s->stacks / s->N; /* right, or one below where the division was not whole */
    while (sim_stack_first(s, stack + 1) <= i)
        stack++;
    deco_status st = sim_stack_path(path, sizeof path, stack);
    if (st)
        return st;
    set_u64(t, "uid", row, p->uid);
    deco_cell_set_text(column(t, "blob/path"), row, path);
    set_u64(t, "blob/idx", row, (uint64_t)(i - sim_stack_first(s, stack)));
    for (int c = 0; c < 2; c++)
        deco_cell_set_u64(column(t, "blob/shape"), row, c, (uint64_t)s->D);
    set_real(t, "blob/psize_A", row, 0, s->psize_A);
    set_real(t, "blob/sign", row, 0, -1); /* dark on light */
    return DECO_OK;
}

static void fill_ctf(deco_table *t, int64_t row, const sim_particle *p, const sim_micrograph *m, const sim_settings *s)
{
    deco_cell_set_text(column(t, "ctf/type"), row, "spline");
    set_u64(t, "ctf/exp_group_id", row, (uint64_t)m->group);
    set_real(t, "ctf/accel_kv", row, 0, s->o->accel_kV);
    set_real(t, "ctf/cs_mm", row, 0, s->o->cs_mm);
    set_real(t, "ctf/amp_contrast", row, 0, p->ctf.amp_contrast);
    set_real(t, "ctf/df1_A", row, 0, p->ctf.defocus_u_A);
    set_real(t, "ctf/df2_A", row, 0, p->ctf.defocus_v_A);
    set_real(t, "ctf/df_angle_rad", row, 0, p->ctf.astig_rad);
    set_real(t, "ctf/scale", row, 0, 1);
}

static void fill_location(deco_table *t, int64_t row, const sim_particle *p, const sim_micrograph *m)
{
    static const uint64_t height_width[2] = {4092, 5760}; /* a K3 camera's, at 1.1 Å */
    char path[64];
    snprintf(path, sizeof path, "J0/motioncorrected/%021llu_%05lld.mrc", (unsigned long long)m->uid, (long long)p->micrograph);
    set_u64(t, "location/micrograph_uid", row, m->uid);
    set_u64(t, "location/exp_group_id", row, (uint64_t)m->group);
    deco_cell_set_text(column(t, "location/micrograph_path"), row, path);
    for (int c = 0; c < 2; c++)
        deco_cell_set_u64(column(t, "location/micrograph_shape"), row, c, height_width[c]);
    set_real(t, "location/micrograph_psize_A", row, 0, 1.1);
    set_real(t, "location/center_x_frac", row, 0, p->centre_frac[0]);
    set_real(t, "location/center_y_frac", row, 0, p->centre_frac[1]);
}

static void fill_pose(deco_table *t, int64_t row, const sim_particle *p, const sim_settings *s)
{
    set_u64(t, "alignments3D/split", row, (uint64_t)p->split);
    for (int c = 0; c < 2; c++)
        set_real(t, "alignments3D/shift", row, c, p->shift[c] * s->psize_A / s->psize_align_A);
    for (int c = 0; c < 3; c++)
        set_real(t, "alignments3D/pose", row, c, p->pose[c]);
    set_real(t, "alignments3D/psize_A", row, 0, s->psize_align_A);
    set_real(t, "alignments3D/alpha", row, 0, p->contrast);
    set_real(t, "alignments3D/class_posterior", row, 0, 1);
    set_real(t, "alignments3D/class_ess", row, 0, 1);
}

/* Rows of a file in an order of its own: a permutation numbered past those of the particles. */
static deco_status shuffled(int64_t **out, const sim_settings *s, uint64_t number)
{
    deco_random r = deco_random_at(s->seed, DECO_STREAM_ORDER, number);
    deco_status st = deco_alloc(out, (size_t)s->N, sizeof **out, "order of rows");
    if (!st)
        deco_random_permutation(&r, *out, s->N);
    return st;
}

static deco_status write_table(const char *root, const char *name, const deco_table *t)
{
    char *path = deco_path_join(root, name);
    deco_status st = path ? deco_cs_write(path, t) : deco_fail_memory(strlen(root), "path");
    free(path);
    return st;
}

deco_status sim_job_write(const char *root, const sim_settings *s, const sim_particle *particle, const sim_micrograph *micrograph)
{
    deco_status st = DECO_OK;
    deco_table *own = NULL, *passed = NULL;
    int64_t *order = NULL, *other = NULL;

    TRY(shuffled(&order, s, 0));
    TRY(shuffled(&other, s, 1));
    TRY(deco_table_create(&own, s->N, "restacked_particles.cs"));
    TRY(deco_table_create(&passed, s->N, "passthrough"));
    TRY(ADD_COLUMNS(own, blob_columns));
    TRY(ADD_COLUMNS(passed, passthrough_columns));
    if (s->o->with_poses)
        TRY(ADD_COLUMNS(passed, pose_columns));
    for (int64_t row = 0; row < s->N; row++) {
        const sim_particle *p = &particle[other[row]];
        TRY(fill_blob(own, row, order[row], &particle[order[row]], s));
        set_u64(passed, "uid", row, p->uid);
        fill_ctf(passed, row, p, &micrograph[p->micrograph], s);
        fill_location(passed, row, p, &micrograph[p->micrograph]);
        if (s->o->with_poses)
            fill_pose(passed, row, p, s);
    }
    TRY(write_table(root, "project/" SIM_JOB "/restacked_particles.cs", own));
    TRY(write_table(root, "project/" SIM_JOB "/" SIM_JOB "_passthrough_particles.cs", passed));
out:
    deco_table_free(own);
    deco_table_free(passed);
    free(order);
    free(other);
    return st;
}
