#include "analysis/nuisance.h"
#include "analysis/nuisance_columns.h"
#include "base/file.h"
#include "base/philox.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* docs/validation.md has these, and the error rates measured with them. */
enum { PERMUTATIONS = 499 };
static const double axis_matters = 0.1, cluster_matters = 0.25;

/* What one column is held against. */
typedef struct held {
    int64_t n, A, K;
    const double *axis;   /* [A,n] ranks less their mean */
    const int32_t *label; /* [n]; -1: in none */
    double *variance;     /* [A] sums of squares */
    int64_t *size;        /* [K] */
} held;

static int64_t kinds(const held *h) { return h->A + h->K; }

/* All effects of a column's classes: axes first, then clusters. `bin` may be permuted. `table` [bins,(A + K + 1)] is scratch. */
static void measure(double *out, const held *h, const deco_binned_column *c, const int32_t *bin, double *table)
{
    int64_t width = h->A + h->K + 1;

    memset(table, 0, (size_t)(c->bins * width) * sizeof *table);
    for (int64_t i = 0; i < h->n; i++) {
        double *t = table + bin[i] * width;
        for (int64_t a = 0; a < h->A; a++)
            t[a] += h->axis[a * h->n + i];
        if (h->label[i] >= 0 && h->label[i] < h->K)
            t[h->A + h->label[i]]++;
        t[width - 1]++;
    }
    for (int64_t a = 0; a < h->A; a++) {
        double between = 0;
        for (int64_t b = 0; b < c->bins; b++)
            between += table[b * width + width - 1] > 0 ? table[b * width + a] * table[b * width + a] / table[b * width + width - 1] : 0;
        out[a] = h->variance[a] > 0 ? between / h->variance[a] : 0;
    }
    for (int64_t k = 0; k < h->K; k++) {
        double in = (double)h->size[k], beside = (double)(h->n - h->size[k]), sum = 0, most = 0, apart = 0;
        for (int64_t b = 0; b < c->bins && in > 0 && beside > 0; b++) {
            double here = table[b * width + h->A + k] / in, there = (table[b * width + width - 1] - table[b * width + h->A + k]) / beside;
            sum += here - there;
            most = fmax(most, fabs(sum));
            apart += fabs(here - there) / 2;
        }
        out[h->A + k] = c->groups ? apart : most;
    }
}

typedef struct permuting {
    const held *h;
    const deco_binned_column *c;
    uint64_t seed;
    int64_t number;   /* of the column */
    double *measured; /* [PERMUTATIONS + 1, kinds]; the first is as it is */
} permuting;

static deco_status measure_one(void *context, int64_t index, int worker)
{
    const permuting *p = context;
    deco_status st = DECO_OK;
    int64_t n = p->h->n, *order = NULL;
    int32_t *bin = NULL;
    double *table = NULL;
    deco_random random = deco_random_at(p->seed, DECO_STREAM_PERMUTE, (uint64_t)(p->number * (PERMUTATIONS + 1) + index));

    TRY(deco_alloc(&order, (size_t)n, sizeof *order, "a permutation"));
    TRY(deco_alloc(&bin, (size_t)n, sizeof *bin, "a permutation"));
    TRY(deco_alloc(&table, (size_t)(p->c->bins * (kinds(p->h) + 1)), sizeof *table, "a permutation"));
    if (index)
        deco_random_permutation(&random, order, n);
    for (int64_t i = 0; i < n; i++)
        bin[i] = p->c->bin[index ? order[i] : i];
    measure(p->measured + index * kinds(p->h), p->h, p->c, bin, table);
out:
    free(order);
    free(bin);
    free(table);
    return st;
}

/* Beyond chance is what lies farther from its mean, in its own deviations, than anything in this column under any permutation. */
static void judge(deco_nuisance_effect *out, const permuting *p)
{
    int64_t n = kinds(p->h);
    double most = 0;

    for (int pass = 0; pass < 2; pass++)
        for (int64_t k = 0; k < n; k++) {
            double sum = 0, squares = 0, mean, deviation, observed = p->measured[k];
            for (int64_t i = 1; i <= PERMUTATIONS; i++) {
                sum += p->measured[i * n + k];
                squares += p->measured[i * n + k] * p->measured[i * n + k];
            }
            mean = sum / PERMUTATIONS;
            deviation = sqrt(fmax(squares / PERMUTATIONS - mean * mean, 1e-24));
            for (int64_t i = 1; i <= PERMUTATIONS && pass == 0; i++)
                most = fmax(most, (p->measured[i * n + k] - mean) / deviation);
            if (pass == 0)
                continue;
            deco_nuisance_effect *e = &out[k];
            bool cluster = k >= p->h->A;
            *e = (deco_nuisance_effect){.column = p->c->name,
                                        .cluster = cluster,
                                        .number = cluster ? k - p->h->A : k,
                                        .observed = observed,
                                        .chance = mean,
                                        .effect = mean < 1 ? fmax(0, (observed - mean) / (1 - mean)) : 0,
                                        .beyond_chance = (observed - mean) / deviation > most};
            e->marked = e->beyond_chance && e->effect >= (cluster ? cluster_matters : axis_matters);
        }
}

/* The rows looked at: all, or evenly spread ones. */
static int64_t spread_rows(int64_t *row, int64_t N)
{
    int64_t n = N < DECO_NUISANCE_ROWS ? N : DECO_NUISANCE_ROWS;

    for (int64_t i = 0; i < n; i++)
        row[i] = i * N / n;
    return n;
}

/* Ranks of each axis over the rows, about their mean. */
static deco_status rank_axes(double *axis, double *variance, const deco_nuisance_input *in, const int64_t *row, int64_t n, int64_t A)
{
    deco_status st = DECO_OK;
    double *x = NULL;

    TRY(deco_alloc(&x, (size_t)n, sizeof *x, "an axis"));
    for (int64_t a = 0; a < A; a++) {
        for (int64_t i = 0; i < n; i++)
            x[i] = in->axes[row[i] * in->A + a];
        TRY(deco_ranks(axis + a * n, x, n));
        for (int64_t i = 0; i < n; i++) {
            axis[a * n + i] -= (double)(n - 1) / 2;
            variance[a] += axis[a * n + i] * axis[a * n + i];
        }
    }
out:
    free(x);
    return st;
}

deco_status deco_nuisance_find(deco_nuisance *out, const deco_nuisance_input *in, deco_pool *pool)
{
    deco_status st = DECO_OK;
    int64_t N = in->particles->N, *row = NULL;
    held h = {.A = !in->axes ? 0 : in->A < DECO_NUISANCE_AXES ? in->A : DECO_NUISANCE_AXES, .K = in->K > 1 ? in->K : 0};
    deco_binned_column column[DECO_NUISANCE_COLUMNS] = {{0}};
    deco_nuisance found = {0};
    double *axis = NULL;
    int32_t *label = NULL;
    permuting p = {.h = &h, .seed = in->seed};
    int count = 0;

    *out = (deco_nuisance){0};
    TRY(deco_alloc(&row, (size_t)N, sizeof *row, "rows"));
    h.n = found.rows = spread_rows(row, N);
    TRY(deco_alloc(&axis, (size_t)(h.A * h.n) + 1, sizeof *axis, "axes"));
    TRY(deco_alloc(&label, (size_t)h.n, sizeof *label, "labels"));
    TRY(deco_alloc(&h.variance, (size_t)h.A + 1, sizeof *h.variance, "axes"));
    TRY(deco_alloc(&h.size, (size_t)h.K + 1, sizeof *h.size, "clusters"));
    TRY(rank_axes(axis, h.variance, in, row, h.n, h.A));
    for (int64_t i = 0; i < h.n; i++) {
        label[i] = in->label ? in->label[row[i]] : -1;
        if (label[i] >= 0 && label[i] < h.K)
            h.size[label[i]]++;
    }
    h.axis = axis;
    h.label = label;
    TRY(deco_nuisance_columns(column, &count, in->particles, in->shift, row, h.n));
    TRY(deco_alloc(&found.effect, (size_t)(count * kinds(&h)) + 1, sizeof *found.effect, "associations"));
    TRY(deco_alloc(&p.measured, (size_t)((PERMUTATIONS + 1) * kinds(&h)) + 1, sizeof *p.measured, "associations"));
    for (int c = 0; c < count && kinds(&h) > 0; c++) {
        p.c = &column[c];
        p.number = c;
        TRY(deco_pool_run(pool, measure_one, &p, PERMUTATIONS + 1));
        judge(found.effect + found.count, &p);
        found.count += kinds(&h);
    }
    *out = found;
    found = (deco_nuisance){0};
out:
    for (int c = 0; c < DECO_NUISANCE_COLUMNS; c++)
        free(column[c].bin);
    deco_nuisance_free(&found);
    free(row);
    free(axis);
    free(label);
    free(h.variance);
    free(h.size);
    free(p.measured);
    return st;
}

void deco_nuisance_free(deco_nuisance *n)
{
    free(n->effect);
    *n = (deco_nuisance){0};
}

const deco_nuisance_effect *deco_nuisance_of_cluster(const deco_nuisance *n, int64_t k)
{
    const deco_nuisance_effect *best = NULL;

    for (int64_t i = 0; i < n->count; i++)
        if (n->effect[i].cluster && n->effect[i].number == k && n->effect[i].marked && (!best || n->effect[i].effect > best->effect))
            best = &n->effect[i];
    return best;
}

static deco_status write_table(const deco_nuisance *n, const char *path)
{
    deco_status st = DECO_OK;
    deco_file *f = NULL;

    TRY(deco_file_create(&f, path));
    TRY(deco_file_print(f, "column,of,number,observed,by_chance,effect,beyond_chance,marked\n"));
    for (int64_t i = 0; i < n->count; i++) {
        const deco_nuisance_effect *e = &n->effect[i];
        TRY(deco_file_print(f, "\"%s\",%s,%lld,%.6f,%.6f,%.6f,%d,%d\n", e->column, e->cluster ? "cluster" : "axis", (long long)e->number,
                            e->observed, e->chance, e->effect, e->beyond_chance, e->marked));
    }
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    return st;
}

deco_status deco_nuisance_tell(const deco_nuisance *n, const char *directory, deco_words *w)
{
    deco_status st = DECO_OK;
    int64_t marked = 0;
    char *path = deco_path_join(directory, "nuisance.csv");

    if (!path)
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    TRY(write_table(n, path));
    for (int64_t i = 0; i < n->count; i++) {
        const deco_nuisance_effect *e = &n->effect[i];
        if (!e->marked)
            continue;
        marked++;
        if (e->cluster)
            TRY(deco_words_add(w, true,
                               "cluster %lld goes with the %s (effect %.2f, by chance %.2f): it may be that, and no state of the molecule",
                               (long long)e->number, e->column, e->effect, e->chance));
        else
            TRY(deco_words_add(w, true, "PC%lld of the latents goes with the %s (%.0f %% of its ranked variance)", (long long)e->number + 1,
                               e->column, 100 * e->effect));
    }
    if (!marked && n->count)
        TRY(deco_words_add(
            w, false,
            "no latent axis and no cluster goes with defocus, exposure group, image scale, place in the micrograph or shift, as far as the "
            "input has these (nuisance.csv)"));
out:
    free(path);
    return st;
}
