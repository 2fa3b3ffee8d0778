/* Poses of an earlier job: R = exp(v)ᵀ, shifts in the pixels in use. METHOD.md section 5. */
#include "formulas/rotation.h"
#include "particles/build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const deco_column *column_of(const deco_table *t, const char *prefix, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "%s/%s", prefix, name);
    return deco_table_find(t, full);
}

const char *particles_pose_prefix(const deco_table *t)
{
    static const char *const prefixes[] = {"alignments3D",       "alignments_class_0", "alignments_class_1", "alignments_class_2",
                                           "alignments_class_3", "alignments_class_4", "alignments_class_5", "alignments_class_6",
                                           "alignments_class_7", "alignments_class_8", "alignments_class_9"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (column_of(t, prefixes[i], "pose"))
            return prefixes[i];
    return NULL;
}

/* "blob/{path,idx}, ctf/{…}" would be the whole header of a refinement: the prefixes, and all columns of the alignments. */
static void columns_that_exist(char *out, size_t size, const deco_table *t)
{
    size_t used = 0;
    char last[128] = "";

    *out = 0;
    for (int64_t i = 0; i < t->columns && used + 140 < size; i++) {
        const char *name = t->column[i].name;
        bool whole = !strncmp(name, "alignments", 10) || !strchr(name, '/');
        int n = (int)(whole ? strlen(name) : strcspn(name, "/"));
        if (n > 100 || (!whole && !strncmp(last, name, (size_t)n) && !last[n]))
            continue;
        snprintf(last, sizeof last, "%.*s", n, name);
        used += (size_t)snprintf(out + used, size - used, "%s%s%s", used ? ", " : "", last, whole ? "" : "/…");
    }
}

static deco_status absent(const deco_particles *p, const char *what)
{
    char columns[3000];
    columns_that_exist(columns, sizeof columns, p->rows);
    return deco_fail(DECO_E_FORMAT,
                     "%s: known poses were asked for, but there is no %s (nor one of alignments_class_<n>). Its columns are %s. Name a "
                     "refinement or ab initio job, or do without use_gt_poses and use_gt_trans",
                     p->cs_path, what, columns);
}

static deco_status read_rotations(deco_particles *p, const deco_column *pose)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&p->R, (size_t)p->N, 9 * sizeof *p->R, "rotations"));
    for (int64_t i = 0; i < p->N; i++) {
        double v[3], R[9];
        for (int k = 0; k < 3; k++)
            v[k] = deco_cell_real(pose, i, k);
        if (!(fabs(v[0]) < 1e4 && fabs(v[1]) < 1e4 && fabs(v[2]) < 1e4))
            TRY(deco_fail(DECO_E_FORMAT,
                          "%s: row %lld: %s is (%g, %g, %g); an axis-angle vector in radians is needed. Leave this particle out, or "
                          "refine again",
                          p->cs_path, file_row(p, i), pose->name, v[0], v[1], v[2]));
        deco_rotation_from_axis_angle(R, v);
        for (int k = 0; k < 9; k++)
            p->R[9 * i + k] = (float)R[k];
    }
out:
    return st;
}

/* Shifts count in pixels of the alignment's own box: `psize`, or where the input does not say, the stacks'. They become pixels of D. */
static deco_status read_shifts(deco_particles *p, const deco_column *shift, const deco_column *psize)
{
    deco_status st = DECO_OK;
    const deco_column *used = deco_table_find(p->rows, "blob/psize_A");

    TRY(deco_alloc(&p->shift, (size_t)p->N, 2 * sizeof *p->shift, "shifts"));
    for (int64_t i = 0; i < p->N; i++) {
        double here = deco_cell_real(used, i, 0), A = psize ? deco_cell_real(psize, i, 0) : here, x = deco_cell_real(shift, i, 0),
               y = deco_cell_real(shift, i, 1);
        if (!(A > 0 && A < 1e6)) /* only the column's own: the images' has been checked */
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %lld: %s is %g; a pixel size in Å must be above 0", p->cs_path, file_row(p, i),
                          psize->name, A));
        if (!(fabs(x) < 1e6 && fabs(y) < 1e6))
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %lld: %s is (%g, %g); two numbers of pixels are needed", p->cs_path, file_row(p, i),
                          shift->name, x, y));
        here *= deco_particles_shift_unit(p, i);
        p->shift[2 * i] = (float)(x * A / here);
        p->shift[2 * i + 1] = (float)(y * A / here);
    }
out:
    return st;
}

/* A column that must be right when it is asked for; otherwise what is wrong with it is said, and it counts as absent. */
static deco_status usable(const deco_column **c, int64_t cells, const deco_table *t)
{
    const char *name = *c ? (*c)->name : NULL;
    return name ? deco_table_need(c, t, name, 'n', cells) : DECO_OK;
}

static deco_status read_both(deco_particles *p, const char *prefix, int need, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const deco_column *pose = column_of(p->rows, prefix, "pose"), *shift = column_of(p->rows, prefix, "shift");
    const deco_column *psize = column_of(p->rows, prefix, "psize_A");
    char name[64];

    TRY(usable(&pose, 3, p->rows));
    TRY(usable(&shift, 2, p->rows));
    TRY(usable(&psize, 1, p->rows));
    if (!shift && (need & DECO_NEED_SHIFTS)) {
        snprintf(name, sizeof name, "%s/shift", prefix);
        TRY(absent(p, name));
    }
    TRY(read_rotations(p, pose));
    if (!shift)
        goto out;
    if (!psize)
        deco_info(m, "%s: has no %s/psize_A; the shifts are taken as pixels of the images", p->cs_path, prefix);
    TRY(read_shifts(p, shift, psize));
out:
    return st;
}

deco_status particles_read_poses(deco_particles *p, int need, deco_monitor *m)
{
    const char *prefix = particles_pose_prefix(p->rows);
    bool asked = need & (DECO_NEED_POSES | DECO_NEED_SHIFTS);

    if (!prefix)
        return asked ? absent(p, "alignments3D/pose") : DECO_OK;
    deco_status st = read_both(p, prefix, need, m);
    if (!st) {
        p->poses = prefix;
        if (deco_table_find(p->rows, "alignments_class_1/pose") && strcmp(prefix, "alignments3D") != 0)
            deco_warn(m, "%s: has poses for several maps (alignments_class_0, _1 ...); those of %s are used", p->cs_path, prefix);
        return DECO_OK;
    }
    if (asked || st != DECO_E_FORMAT)
        return st;
    deco_warn(m, "%s; poses are not asked for, so the particles are used without them", deco_error());
    free(p->R);
    free(p->shift);
    p->R = p->shift = NULL;
    return DECO_OK;
}
