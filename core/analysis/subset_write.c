/* One subset as .cs, .csg and .star. */
#include "analysis/subset_write.h"
#include "analysis/subset_paths.h"
#include "base/file.h"
#include "formats/cs.h"
#include "formats/csg.h"
#include "formulas/rotation.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* alignments3D/pose, shift and psize_A become those of the run; shifts in pixels of the stacks, whatever box was trained on. */
static deco_status put_poses(deco_table *t, const deco_subset_input *in)
{
    deco_status st = DECO_OK;
    deco_column *pose, *shift, *psize;

    TRY(deco_table_add(t, &pose, "alignments3D/pose", 'f', 4, 1, (const int64_t[]){3}));
    for (int64_t i = 0; i < t->rows; i++) {
        double R[9], v[3];
        for (int k = 0; k < 9; k++)
            R[k] = in->R[i * 9 + k];
        deco_axis_angle_from_rotation(v, R);
        for (int k = 0; k < 3; k++)
            deco_cell_set_real(pose, i, k, v[k]);
    }
    TRY(deco_table_add(t, &shift, "alignments3D/shift", 'f', 4, 1, (const int64_t[]){2}));
    for (int64_t i = 0; i < t->rows; i++)
        for (int k = 0; k < 2; k++)
            deco_cell_set_real(shift, i, k, in->shift[i * 2 + k] * deco_particles_shift_unit(in->particles, i));
    TRY(deco_table_add(t, &psize, "alignments3D/psize_A", 'f', 4, 0, NULL));
    for (int64_t i = 0; i < t->rows; i++)
        deco_cell_set_real(psize, i, 0, deco_particles_size(in->particles, i)->psize_A);
out:
    return st;
}

static void time_now(char out[40])
{
    struct timespec now;
    struct tm t;
    size_t n;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &t);
    n = strftime(out, 30, "%Y-%m-%d %H:%M:%S", &t);
    snprintf(out + n, 40 - n, ".%06ld", now.tv_nsec / 1000);
}

deco_status deco_subset_source_open(deco_subset_source *out, const deco_subset_input *in, int forms)
{
    deco_status st = DECO_OK;
    deco_subset_source s = {.in = *in, .forms = forms};

    *out = s;
    time_now(s.created);
    TRY(deco_table_view(&s.columns, in->particles->rows));
    TRY(deco_subset_paths(s.columns, in->particles));
    if (in->poses_estimated)
        TRY(put_poses(s.columns, in));
    if (!in->poses_estimated) { /* the input's bits, not what became of them in the model */
        s.in.R = in->particles->R;
        s.in.shift = in->particles->shift;
    }
    if (forms & DECO_SUBSET_STAR)
        TRY(deco_star_groups_find(&s.groups, in->particles));
    *out = s;
    s = (deco_subset_source){0};
out:
    deco_subset_source_close(&s);
    return st;
}

void deco_subset_source_close(deco_subset_source *s)
{
    deco_table_free(s->columns);
    deco_star_groups_free(&s->groups);
    *s = (deco_subset_source){0};
}

deco_status deco_subset_write(const char *stem, const deco_subset_source *source, const deco_subset *s)
{
    deco_status st = DECO_OK;
    const deco_particles *p = source->in.particles;
    char *cs = deco_format("%s.cs", stem), *csg = deco_format("%s.csg", stem), *star = deco_format("%s.star", stem);

    if (!cs || !csg || !star)
        TRY(deco_fail_memory(strlen(stem), "a file's name"));
    if (source->forms & DECO_SUBSET_CS)
        TRY(deco_cs_write_rows(cs, source->columns, s->row, s->n));
    if (source->forms & DECO_SUBSET_CSG)
        TRY(deco_csg_write(csg, source->columns, s->n, deco_path_name(cs), s->name, s->title, s->description, source->created, p->version));
    if (source->forms & DECO_SUBSET_STAR)
        TRY(deco_subset_star_write(star, p, source->columns, source->in.R, source->in.shift, &source->groups, s->label, s->row, s->n));
out:
    free(cs);
    free(csg);
    free(star);
    return st;
}
