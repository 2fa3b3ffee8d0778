#include "analysis/subset_star.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct group_key {
    int32_t source; /* the input: its exposure groups are its own */
    uint64_t exposure;
    double kV, cs_mm, amp_contrast;
    int32_t size; /* of the images: a group has one box and one pixel size */
    int64_t row;
} group_key;

static int by_number(double a, double b) { return (a > b) - (a < b); }

static int by_group(const void *a, const void *b)
{
    const group_key *x = a, *y = b;
    int d = (x->source > y->source) - (x->source < y->source);

    d = d ? d : (x->exposure > y->exposure) - (x->exposure < y->exposure);
    d = d ? d : by_number(x->kV, y->kV);
    d = d ? d : by_number(x->cs_mm, y->cs_mm);
    d = d ? d : by_number(x->amp_contrast, y->amp_contrast);
    return d ? d : (x->size > y->size) - (x->size < y->size);
}

static deco_status read_keys(group_key *key, const deco_particles *p)
{
    deco_status st = DECO_OK;
    const deco_column *kV, *cs, *w, *exposure = deco_table_find(p->rows, "ctf/exp_group_id");

    TRY(deco_table_need(&kV, p->rows, "ctf/accel_kv", 'n', 1));
    TRY(deco_table_need(&cs, p->rows, "ctf/cs_mm", 'n', 1));
    TRY(deco_table_need(&w, p->rows, "ctf/amp_contrast", 'n', 1));
    for (int64_t i = 0; i < p->N; i++)
        key[i] = (group_key){deco_particles_source_number(p, i),
                             exposure ? deco_cell_u64(exposure, i, 0) : 0,
                             deco_cell_real(kV, i, 0),
                             deco_cell_real(cs, i, 0),
                             deco_cell_real(w, i, 0),
                             p->size_of[p->image[i].stack],
                             i};
out:
    return st;
}

deco_status deco_star_groups_find(deco_star_groups *out, const deco_particles *p)
{
    deco_status st = DECO_OK;
    deco_star_groups g = {0};
    group_key *key = NULL;

    *out = g;
    TRY(deco_alloc(&key, (size_t)p->N, sizeof *key, "optics groups"));
    TRY(deco_alloc(&g.of_row, (size_t)p->N, sizeof *g.of_row, "optics groups"));
    TRY(read_keys(key, p));
    qsort(key, (size_t)p->N, sizeof *key, by_group);
    for (int64_t i = 0; i < p->N; i++) {
        g.count += i == 0 || by_group(key + i - 1, key + i) != 0;
        g.of_row[key[i].row] = (int32_t)(g.count - 1);
    }
    TRY(deco_alloc(&g.optics, (size_t)g.count, sizeof *g.optics, "optics groups"));
    for (int64_t i = 0; i < p->N; i++) {
        const deco_image_size *size = &p->size[key[i].size];
        g.optics[g.of_row[key[i].row]] = (deco_star_optics){key[i].kV, key[i].cs_mm, key[i].amp_contrast, size->psize_A, size->box};
    }
    *out = g;
    g = (deco_star_groups){0};
out:
    free(key);
    deco_star_groups_free(&g);
    return st;
}

void deco_star_groups_free(deco_star_groups *g)
{
    free(g->optics);
    free(g->of_row);
    *g = (deco_star_groups){0};
}

/* The columns a STAR row is made of; NULL where the set has none. */
typedef struct star_source {
    const deco_particles *p;
    const deco_star_groups *groups;
    const int64_t *row;
    const int32_t *label;
    const float *R, *shift;
    const deco_column *path, *index, *df1, *df2, *angle, *phase, *micrograph, *x, *y, *shape, *split;
    char *image_text, *micrograph_text; /* the row's, [text_size] */
    size_t text_size;
} star_source;

static double real_or_zero(const deco_column *c, int64_t row) { return c ? deco_cell_real(c, row, 0) : 0; }

/* A path of the .cs, without the '>' that marks an exported one. */
static const char *path_text(char *out, size_t size, const deco_column *c, int64_t row)
{
    deco_cell_text(out, size, c, row);
    return out[0] == '>' ? out + 1 : out;
}

static deco_status star_row(void *context, int64_t i, deco_star_particle *out)
{
    const star_source *s = context;
    int64_t row = s->row[i];
    double psize = deco_particles_size(s->p, row)->psize_A * deco_particles_shift_unit(s->p, row);

    *out = (deco_star_particle){.image_path = path_text(s->image_text, s->text_size, s->path, row),
                                .image_index = (int64_t)deco_cell_real(s->index, row, 0),
                                .optics_group = s->groups->of_row[row],
                                .defocus_u_A = deco_cell_real(s->df1, row, 0),
                                .defocus_v_A = deco_cell_real(s->df2, row, 0),
                                .astig_deg = deco_cell_real(s->angle, row, 0) * 180 / M_PI,
                                .phase_shift_deg = real_or_zero(s->phase, row) * 180 / M_PI,
                                .class_number = s->label ? s->label[row] : 0};
    if (s->micrograph)
        out->micrograph = path_text(s->micrograph_text, s->text_size, s->micrograph, row);
    if (s->x) { /* the shape is (height, width) */
        out->coordinate_x =
            s->shape ? round(deco_cell_real(s->x, row, 0) * deco_cell_real(s->shape, row, 1)) : deco_cell_real(s->x, row, 0);
        out->coordinate_y =
            s->shape ? round(deco_cell_real(s->y, row, 0) * deco_cell_real(s->shape, row, 0)) : deco_cell_real(s->y, row, 0);
    }
    if (s->R) {
        for (int k = 0; k < 9; k++)
            out->R[k] = s->R[row * 9 + k];
        out->origin_x_A = s->shift[row * 2] * psize;
        out->origin_y_A = s->shift[row * 2 + 1] * psize;
    }
    if (s->split)
        out->half_set = (int64_t)deco_cell_real(s->split, row, 0);
    return DECO_OK;
}

static deco_status find_columns(star_source *s, const deco_table *t)
{
    deco_status st = DECO_OK;

    TRY(deco_table_need(&s->path, t, "blob/path", 'S', 1));
    TRY(deco_table_need(&s->index, t, "blob/idx", 'n', 1));
    TRY(deco_table_need(&s->df1, t, "ctf/df1_A", 'n', 1));
    TRY(deco_table_need(&s->df2, t, "ctf/df2_A", 'n', 1));
    TRY(deco_table_need(&s->angle, t, "ctf/df_angle_rad", 'n', 1));
    s->phase = deco_table_find(t, "ctf/phase_shift_rad");
    s->split = deco_table_find(t, "alignments3D/split");
    s->micrograph = deco_table_find(t, "location/micrograph_path");
    s->x = deco_table_find(t, "location/center_x_frac");
    s->y = deco_table_find(t, "location/center_y_frac");
    s->shape = deco_table_find(t, "location/micrograph_shape");
    if (s->micrograph && s->micrograph->kind != 'S')
        s->micrograph = NULL;
    if (!s->x || !s->y || !s->shape || s->shape->cells < 2) {
        s->x = deco_table_find(t, "star/rlnCoordinateX"); /* pixels already */
        s->y = deco_table_find(t, "star/rlnCoordinateY");
        s->shape = NULL;
        if (!s->x || !s->y || s->x->kind == 'S' || s->y->kind == 'S')
            s->x = NULL;
    }
    s->text_size = 1 + (s->micrograph && s->micrograph->item > s->path->item ? s->micrograph->item : s->path->item);
out:
    return st;
}

deco_status deco_subset_star_write(const char *path, const deco_particles *p, const deco_table *t, const float *R, const float *shift,
                                   const deco_star_groups *groups, const int32_t *label, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    star_source s = {.p = p, .groups = groups, .row = row, .label = label, .R = R, .shift = shift};
    int known = label ? DECO_STAR_CLASS : 0;

    if (!s.R || !s.shift)
        s.R = s.shift = NULL;
    TRY(find_columns(&s, t));
    TRY(deco_alloc(&s.image_text, s.text_size, 1, "a path"));
    TRY(deco_alloc(&s.micrograph_text, s.text_size, 1, "a path"));
    known |= (s.micrograph ? DECO_STAR_MICROGRAPH : 0) | (s.x ? DECO_STAR_COORDINATES : 0) | (s.R ? DECO_STAR_POSES : 0) |
             (s.split ? DECO_STAR_HALF : 0);
    TRY(deco_star_write(path, groups->optics, groups->count, n, known, star_row, &s));
out:
    free(s.image_text);
    free(s.micrograph_text);
    return st;
}
