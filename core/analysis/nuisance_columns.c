#include "analysis/nuisance_columns.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct ranked {
    double value;
    int64_t at;
} ranked;

static int by_value(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

deco_status deco_ranks(double *out, const double *x, int64_t n)
{
    deco_status st = DECO_OK;
    ranked *r = NULL;

    TRY(deco_alloc(&r, (size_t)n, sizeof *r, "ranks"));
    for (int64_t i = 0; i < n; i++)
        r[i] = (ranked){x[i], i};
    qsort(r, (size_t)n, sizeof *r, by_value);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && r[j].value == r[i].value; j++)
            ;
        for (int64_t k = i; k < j; k++)
            out[r[k].at] = (double)(i + j - 1) / 2;
    }
out:
    free(r);
    return st;
}

/* What is looked at, row by row; NAN where a row has none. */
typedef struct source {
    const deco_particles *p;
    const float *shift;
} source;

static double cell(const source *s, const char *name, int64_t row, int64_t k)
{
    const deco_column *c = deco_table_find(s->p->rows, name);
    return c && c->kind != 'S' && c->kind != 'c' && k < c->cells ? deco_cell_real(c, row, k) : NAN;
}

static double defocus(const source *s, int64_t i) { return 0.5 * ((double)s->p->ctf[i].defocus_u_A + s->p->ctf[i].defocus_v_A); }
static double astigmatism(const source *s, int64_t i) { return fabs((double)s->p->ctf[i].defocus_u_A - s->p->ctf[i].defocus_v_A); }
static double phase_shift(const source *s, int64_t i) { return s->p->ctf[i].phase_rad; }
static double scale_3d(const source *s, int64_t i) { return cell(s, "alignments3D/alpha", i, 0); }
static double scale_ctf(const source *s, int64_t i) { return cell(s, "ctf/scale", i, 0); }
static double place_x(const source *s, int64_t i) { return cell(s, "location/center_x_frac", i, 0); }
static double place_y(const source *s, int64_t i) { return cell(s, "location/center_y_frac", i, 0); }
static double place_radius(const source *s, int64_t i) { return hypot(place_x(s, i) - 0.5, place_y(s, i) - 0.5); }
static double shift_length(const source *s, int64_t i)
{
    return s->shift ? hypot((double)s->shift[2 * i], (double)s->shift[2 * i + 1]) : NAN;
}
static double exposure(const source *s, int64_t i) { return cell(s, "ctf/exp_group_id", i, 0); }

static const struct {
    const char *name;
    bool groups;
    double (*of)(const source *s, int64_t row);
} columns[] = {{"defocus", false, defocus},
               {"astigmatism", false, astigmatism},
               {"phase shift", false, phase_shift},
               {"image scale (alignments3D/alpha)", false, scale_3d},
               {"image scale (ctf/scale)", false, scale_ctf},
               {"position in the micrograph, x", false, place_x},
               {"position in the micrograph, y", false, place_y},
               {"distance from the micrograph's centre", false, place_radius},
               {"shift length", false, shift_length},
               {"exposure group", true, exposure}};

/* Groups in the order of their numbers; numbers by quantile, equal ones together. False: all are alike, some are none, or nearly every row is a group of its own. */
static deco_status put_in_bins(deco_binned_column *c, bool *varies, const double *x, int64_t n)
{
    deco_status st = DECO_OK;
    ranked *r = NULL;
    double *rank = NULL;

    *varies = false;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return DECO_OK;
    TRY(deco_alloc(&r, (size_t)n, sizeof *r, "ranks"));
    TRY(deco_alloc(&rank, (size_t)n, sizeof *rank, "ranks"));
    TRY(deco_alloc(&c->bin, (size_t)n, sizeof *c->bin, "classes"));
    for (int64_t i = 0; i < n; i++)
        r[i] = (ranked){x[i], i};
    qsort(r, (size_t)n, sizeof *r, by_value);
    TRY(deco_ranks(rank, x, n));
    c->bins = c->groups ? 0 : DECO_NUISANCE_BINS;
    for (int64_t i = 0; i < n; i++) {
        if (!c->groups) {
            int64_t bin = (int64_t)((rank[i] + 0.5) * DECO_NUISANCE_BINS / (double)n);
            c->bin[i] = (int32_t)(bin < DECO_NUISANCE_BINS ? bin : DECO_NUISANCE_BINS - 1);
            continue;
        }
        c->bins += i == 0 || r[i].value != r[i - 1].value;
        c->bin[r[i].at] = (int32_t)(c->bins - 1);
    }
    *varies = r[0].value < r[n - 1].value && (!c->groups || c->bins <= n / 5);
out:
    free(r);
    free(rank);
    return st;
}

deco_status deco_nuisance_columns(deco_binned_column out[DECO_NUISANCE_COLUMNS], int *count, const deco_particles *p, const float *shift,
                                  const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    source s = {p, shift};
    double *x = NULL;

    *count = 0;
    TRY(deco_alloc(&x, (size_t)n, sizeof *x, "a column"));
    for (size_t k = 0; k < sizeof columns / sizeof *columns && n > 0; k++) {
        bool varies = false;
        deco_binned_column c = {columns[k].name, columns[k].groups, 0, NULL};
        for (int64_t i = 0; i < n; i++)
            x[i] = columns[k].of(&s, row[i]);
        st = put_in_bins(&c, &varies, x, n);
        if (st || !varies)
            free(c.bin);
        else
            out[(*count)++] = c;
        TRY(st);
    }
out:
    free(x);
    return st;
}
