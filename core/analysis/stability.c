#include "analysis/stability.h"
#include "analysis/sample.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* docs/validation.md: of the rows in each refit; the shallowest gap, and how much deeper than chance gives. */
static const double part = 0.8, gap_least = 0.3, gap_beyond = 0.1;

void deco_stability_free(deco_stability *s)
{
    free(s->jaccard);
    free(s->gap);
    free(s->group);
    *s = (deco_stability){0};
}

static int64_t highest(const int32_t *a, int64_t n)
{
    int64_t most = 0;
    for (int64_t i = 0; i < n; i++)
        most = a[i] > most ? a[i] : most;
    return most;
}

static double pairs(double n) { return n * (n - 1) / 2; }

deco_status deco_adjusted_rand(double *out, const int32_t *a, const int32_t *b, int64_t n)
{
    deco_status st = DECO_OK;
    int64_t A = highest(a, n) + 1, B = highest(b, n) + 1;
    double *table = NULL, both = 0, in_a = 0, in_b = 0, all = 0, *row = NULL, *column = NULL;

    TRY(deco_alloc(&table, (size_t)(A * B), sizeof *table, "a table of labels"));
    TRY(deco_alloc(&row, (size_t)A, sizeof *row, "a table of labels"));
    TRY(deco_alloc(&column, (size_t)B, sizeof *column, "a table of labels"));
    for (int64_t i = 0; i < n; i++)
        if (a[i] >= 0 && b[i] >= 0) {
            table[a[i] * B + b[i]]++;
            row[a[i]]++;
            column[b[i]]++;
            all++;
        }
    for (int64_t i = 0; i < A * B; i++)
        both += pairs(table[i]);
    for (int64_t i = 0; i < A; i++)
        in_a += pairs(row[i]);
    for (int64_t i = 0; i < B; i++)
        in_b += pairs(column[i]);
    double chance = all > 1 ? in_a * in_b / pairs(all) : 0, most = (in_a + in_b) / 2;
    *out = most > chance ? (both - chance) / (most - chance) : 1; /* one cluster in both, or every row its own: the same */
out:
    free(table);
    free(row);
    free(column);
    return st;
}

/* Adds to jaccard [K] each cluster's best match among a refit's. */
static deco_status add_jaccard(double *jaccard, const int32_t *label, int64_t K, const int32_t *refit, int64_t M, int64_t n)
{
    deco_status st = DECO_OK;
    double *both = NULL, *own = NULL, *theirs = NULL;

    TRY(deco_alloc(&both, (size_t)(K * M), sizeof *both, "a table of labels"));
    TRY(deco_alloc(&own, (size_t)K, sizeof *own, "a table of labels"));
    TRY(deco_alloc(&theirs, (size_t)M, sizeof *theirs, "a table of labels"));
    for (int64_t i = 0; i < n; i++) {
        if (label[i] >= 0 && refit[i] >= 0)
            both[label[i] * M + refit[i]]++;
        if (label[i] >= 0)
            own[label[i]]++;
        if (refit[i] >= 0)
            theirs[refit[i]]++;
    }
    for (int64_t k = 0; k < K; k++) {
        double best = 0;
        for (int64_t j = 0; j < M; j++)
            best = both[k * M + j] > 0 ? fmax(best, both[k * M + j] / (own[k] + theirs[j] - both[k * M + j])) : best;
        jaccard[k] += best / DECO_REFITS;
    }
out:
    free(both);
    free(own);
    free(theirs);
    return st;
}

typedef struct look {
    const deco_stability_input *in;
    int64_t n;      /* rows looked at */
    float *x;       /* [n,Z] */
    int32_t *label; /* [n] */
    deco_stability *out;
} look;

static deco_status take_rows(look *l)
{
    deco_status st = DECO_OK;
    const deco_stability_input *in = l->in;

    l->n = in->N < DECO_REFIT_ROWS ? in->N : DECO_REFIT_ROWS;
    TRY(deco_alloc(&l->x, (size_t)(l->n * in->Z), sizeof *l->x, "rows to cluster"));
    TRY(deco_alloc(&l->label, (size_t)l->n, sizeof *l->label, "labels"));
    for (int64_t i = 0; i < l->n; i++) {
        int64_t row = i * in->N / l->n;
        memcpy(l->x + i * in->Z, in->x + row * in->Z, (size_t)in->Z * sizeof *l->x);
        l->label[i] = in->label[row];
    }
out:
    return st;
}

static deco_status stopped(const look *l)
{
    return deco_monitor_stopped(l->in->m)
               ? deco_fail(DECO_E_STOPPED, "stopped during the analysis; `cryodeco analyze` makes it from the last checkpoint")
               : DECO_OK;
}

/* One clustering of a random part of the rows. */
static deco_status refit(look *l, int64_t number)
{
    deco_status st = DECO_OK;
    const deco_stability_input *in = l->in;
    int64_t n = (int64_t)(part * (double)l->n), *order = NULL;
    deco_random random = deco_random_at(in->seed, DECO_STREAM_RESAMPLE, (uint64_t)number);
    deco_clustering c = {0};
    float *x = NULL;
    int32_t *label = NULL;
    double ari;

    TRY(stopped(l));
    TRY(deco_alloc(&order, (size_t)l->n, sizeof *order, "rows to cluster"));
    TRY(deco_alloc(&x, (size_t)(n * in->Z), sizeof *x, "rows to cluster"));
    TRY(deco_alloc(&label, (size_t)n, sizeof *label, "labels"));
    deco_random_permutation(&random, order, l->n);
    for (int64_t i = 0; i < n; i++) {
        memcpy(x + i * in->Z, l->x + order[i] * in->Z, (size_t)in->Z * sizeof *x);
        label[i] = l->label[order[i]];
    }
    TRY(deco_clustering_find(&c, x, NULL, n, in->Z, in->o, in->seed + (uint64_t)number + 1, in->pool, NULL));
    TRY(deco_adjusted_rand(&ari, label, c.found.label, n));
    l->out->ari += ari / DECO_REFITS;
    l->out->ari_least = fmin(l->out->ari_least, ari);
    TRY(add_jaccard(l->out->jaccard, label, in->K, c.found.label, c.found.K, n));
out:
    free(order);
    free(x);
    free(label);
    deco_clustering_free(&c);
    return st;
}

/* root [Z,Z]: lower triangle with root·rootᵀ the covariance of the rows (Cholesky; a little is added to its diagonal). */
static deco_status covariance_root(double *root, double *mean, const float *x, int64_t n, int64_t Z)
{
    deco_status st = DECO_OK;
    double *C = NULL, trace = 0;

    TRY(deco_alloc(&C, (size_t)(Z * Z), sizeof *C, "a covariance"));
    for (int64_t i = 0; i < n * Z; i++)
        mean[i % Z] += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < Z; j++)
            for (int64_t k = 0; k <= j; k++)
                C[j * Z + k] += (x[i * Z + j] - mean[j]) * (x[i * Z + k] - mean[k]) / (double)n;
    for (int64_t j = 0; j < Z; j++)
        trace += C[j * Z + j];
    for (int64_t j = 0; j < Z; j++)
        for (int64_t k = 0; k <= j; k++) {
            double s = C[j * Z + k] + (j == k ? 1e-9 * trace + 1e-30 : 0);
            for (int64_t i = 0; i < k; i++)
                s -= root[j * Z + i] * root[k * Z + i];
            root[j * Z + k] = j == k ? sqrt(fmax(s, 1e-30)) : s / root[k * Z + k];
        }
out:
    free(C);
    return st;
}

/* The shallowest depth at which not all clusters are joined by smaller gaps: the largest edge of the minimum spanning tree. Two ends of a long cloud have a gap
 * between them where its middle is, and are joined through that. */
static deco_status parting_gap(double *out, const double *gap, int64_t K)
{
    deco_status st = DECO_OK;
    double *nearest = NULL;

    *out = 0;
    TRY(deco_alloc(&nearest, (size_t)K, sizeof *nearest, "gaps"));
    for (int64_t k = 0; k < K; k++)
        nearest[k] = gap[k];
    nearest[0] = -1; /* in the tree */
    for (int64_t step = 1; step < K; step++) {
        int64_t next = -1;
        for (int64_t k = 0; k < K; k++)
            if (nearest[k] >= 0 && (next < 0 || nearest[k] < nearest[next]))
                next = k;
        *out = fmax(*out, nearest[next]);
        nearest[next] = -1;
        for (int64_t k = 0; k < K; k++)
            nearest[k] = fmin(nearest[k], gap[next * K + k]);
    }
out:
    free(nearest);
    return st;
}

/* What gaps the method finds in one Gaussian cloud that has none. */
static deco_status gap_of_a_cloud(double *most, look *l, const double *root, const double *mean, int64_t number)
{
    deco_status st = DECO_OK;
    const deco_stability_input *in = l->in;
    int64_t Z = in->Z;
    deco_random random = deco_random_at(in->seed, DECO_STREAM_RESAMPLE, (uint64_t)(DECO_REFITS + number));
    deco_clustering c = {0};
    float *x = NULL;
    double *gap = NULL, *g = NULL, parting;

    TRY(stopped(l));
    TRY(deco_alloc(&x, (size_t)(l->n * Z), sizeof *x, "rows to cluster"));
    TRY(deco_alloc(&g, (size_t)Z, sizeof *g, "a row"));
    for (int64_t i = 0; i < l->n; i++) {
        for (int64_t j = 0; j < Z; j++)
            g[j] = deco_random_normal(&random);
        for (int64_t j = 0; j < Z; j++) {
            double v = mean[j];
            for (int64_t k = 0; k <= j; k++)
                v += root[j * Z + k] * g[k];
            x[i * Z + j] = (float)v;
        }
    }
    TRY(deco_clustering_find(&c, x, NULL, l->n, Z, in->o, in->seed + (uint64_t)number + 1, in->pool, NULL));
    TRY(deco_alloc(&gap, (size_t)(c.found.K * c.found.K), sizeof *gap, "gaps"));
    TRY(deco_gaps(gap, x, c.found.label, l->n, Z, c.found.K));
    TRY(parting_gap(&parting, gap, c.found.K));
    *most = fmax(*most, parting);
out:
    free(x);
    free(g);
    free(gap);
    deco_clustering_free(&c);
    return st;
}

/* Clusters without a gap between them are one group, and so on. */
static void join_groups(deco_stability *s)
{
    int64_t K = s->K;
    double least = fmax(gap_least, s->gap_by_chance + gap_beyond);
    bool changed = true;

    for (int64_t k = 0; k < K; k++)
        s->group[k] = (int32_t)k;
    while (changed) {
        changed = false;
        for (int64_t a = 0; a < K; a++)
            for (int64_t b = 0; b < K; b++)
                if (a != b && s->gap[a * K + b] < fmin(least, 0.98) && s->group[b] > s->group[a]) {
                    s->group[b] = s->group[a];
                    changed = true;
                }
    }
    s->groups = 0;
    for (int64_t k = 0; k < K; k++) { /* the first of a group has its own number */
        if (s->group[k] == k)
            s->group[k] = (int32_t)s->groups++;
        else
            s->group[k] = s->group[s->group[k]];
    }
}

deco_status deco_stability_find(deco_stability *out, const deco_stability_input *in)
{
    deco_status st = DECO_OK;
    deco_stability s = {.K = in->K, .ari_least = 1};
    look l = {.in = in, .out = &s};
    double *root = NULL, *mean = NULL;

    *out = (deco_stability){0};
    TRY(deco_alloc(&s.jaccard, (size_t)in->K, sizeof *s.jaccard, "stability"));
    TRY(deco_alloc(&s.gap, (size_t)(in->K * in->K), sizeof *s.gap, "stability"));
    TRY(deco_alloc(&s.group, (size_t)in->K, sizeof *s.group, "stability"));
    TRY(deco_alloc(&root, (size_t)(in->Z * in->Z), sizeof *root, "a covariance"));
    TRY(deco_alloc(&mean, (size_t)in->Z, sizeof *mean, "a covariance"));
    TRY(take_rows(&l));
    s.rows = l.n;
    if (in->gaps_only || part * (double)l.n < (double)in->o->k_num) /* not asked for, or too few to refit */
        s.ari = s.ari_least = NAN;
    for (int64_t i = 0; i < DECO_REFITS && isfinite(s.ari); i++)
        TRY(refit(&l, i));
    TRY(deco_gaps(s.gap, l.x, l.label, l.n, in->Z, in->K));
    TRY(parting_gap(&s.parting_gap, s.gap, in->K));
    TRY(covariance_root(root, mean, l.x, l.n, in->Z));
    join_groups(&s);
    for (int64_t i = 0; i < DECO_NULLS && in->K > 1 && (!in->gaps_only || s.groups == in->K); i++)
        TRY(gap_of_a_cloud(&s.gap_by_chance, &l, root, mean, i));
    join_groups(&s);
    *out = s;
    s = (deco_stability){0};
out:
    deco_stability_free(&s);
    free(l.x);
    free(l.label);
    free(root);
    free(mean);
    return st;
}
