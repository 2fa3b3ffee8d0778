/* Poses of an earlier job: R = exp(v)ᵀ, shifts in the pixels in use. METHOD.md section 5. */
#include "base/file.h"
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

/* The number of "<prefix><number>/pose"; -1 where the name is another. */
static int64_t numbered(const char *name, const char *prefix)
{
    size_t n = strlen(prefix), digits = strncmp(name, prefix, n) ? 0 : strspn(name + n, "0123456789");
    return digits && digits < 10 && !strcmp(name + n + digits, "/pose") ? strtoll(name + n, NULL, 10) : -1;
}

static int64_t lowest(const deco_table *t, const char *prefix)
{
    int64_t found = -1;

    for (int64_t i = 0; i < t->columns; i++) {
        int64_t k = numbered(t->column[i].name, prefix);
        found = k >= 0 && (found < 0 || k < found) ? k : found;
    }
    return found;
}

deco_status particles_pose_prefix(char **out, const deco_table *t)
{
    static const char *const prefixes[] = {"alignments_class_", "alignments_class3D_"};

    *out = NULL;
    if (column_of(t, "alignments3D", "pose")) {
        *out = strdup("alignments3D");
        return *out ? DECO_OK : deco_fail_memory(16, "a column's name");
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        int64_t k = lowest(t, prefixes[i]);
        if (k < 0)
            continue;
        *out = deco_format("%s%lld", prefixes[i], (long long)k);
        return *out ? DECO_OK : deco_fail_memory(32, "a column's name");
    }
    return DECO_OK;
}

/* How many maps the set has poses for, beside alignments3D. */
static int64_t pose_sets(const deco_table *t)
{
    int64_t n = 0;

    for (int64_t i = 0; i < t->columns; i++)
        n += numbered(t->column[i].name, "alignments_class_") >= 0 || numbered(t->column[i].name, "alignments_class3D_") >= 0;
    return n;
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
                     p->source, what, columns);
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
                          file_path(p, i), file_row(p, i), pose->name, v[0], v[1], v[2]));
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
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %lld: %s is %g; a pixel size in Å must be above 0", file_path(p, i), file_row(p, i),
                          psize->name, A));
        if (!(fabs(x) < 1e6 && fabs(y) < 1e6))
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %lld: %s is (%g, %g); two numbers of pixels are needed", file_path(p, i), file_row(p, i),
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
        deco_info(m, "%s: has no %s/psize_A; the shifts are taken as pixels of the images", p->source, prefix);
    TRY(read_shifts(p, shift, psize));
out:
    return st;
}

deco_status particles_read_poses(deco_particles *p, int need, deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *prefix = NULL;
    bool asked = need & (DECO_NEED_POSES | DECO_NEED_SHIFTS);

    TRY(particles_pose_prefix(&prefix, p->rows));
    if (!prefix) {
        st = asked ? absent(p, "alignments3D/pose") : DECO_OK;
        goto out;
    }
    st = read_both(p, prefix, need, m);
    if (!st) {
        p->poses = prefix;
        if (pose_sets(p->rows) > 1 && strcmp(prefix, "alignments3D") != 0)
            deco_warn(m, "%s: has poses for %lld maps (alignments_class_0, _1 ...); those of %s are used", p->source,
                      (long long)pose_sets(p->rows), prefix);
        prefix = NULL;
        goto out;
    }
    if (asked || st != DECO_E_FORMAT)
        goto out;
    deco_warn(m, "%s; poses are not asked for, so the particles are used without them", deco_error());
    free(p->R);
    free(p->shift);
    p->R = p->shift = NULL;
    st = DECO_OK;
out:
    free(prefix);
    return st;
}
