/* Partitions against one another, and latents against classes. */
#include "analysis/neighbours.h"
#include "analysis/score.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 100000, NEAREST = 20 };

/* How many rows have class i and cluster j. */
typedef struct contingency {
    int64_t *table, *row, *column;  /* [rows,columns], their sums */
    int32_t *class_of, *cluster_of; /* [rows], [columns]: names, rising */
    int64_t rows, columns, n;
} contingency;

static void contingency_free(contingency *c)
{
    free(c->table);
    free(c->row);
    free(c->column);
    free(c->class_of);
    free(c->cluster_of);
}

static int by_number(const void *a, const void *b)
{
    int32_t p = *(const int32_t *)a, q = *(const int32_t *)b;
    return p < q ? -1 : p > q;
}

/* The distinct labels of rows that have a cluster, rising. */
static deco_status names_of(int32_t **out, int64_t *count, const int32_t *label, const int32_t *found, int64_t N)
{
    deco_status st = deco_alloc(out, (size_t)N + 1, sizeof **out, "labels");
    int64_t n = 0, kept = 0;

    for (int64_t i = 0; !st && i < N; i++)
        if (found[i] >= 0)
            (*out)[n++] = label[i];
    if (!st)
        qsort(*out, (size_t)n, sizeof **out, by_number);
    for (int64_t i = 0; i < n; i++)
        if (!kept || (*out)[kept - 1] != (*out)[i])
            (*out)[kept++] = (*out)[i];
    *count = kept;
    return st;
}

static int64_t place_of(const int32_t *names, int64_t count, int32_t label)
{
    return (const int32_t *)bsearch(&label, names, (size_t)count, sizeof *names, by_number) - names;
}

static deco_status count_pairs(contingency *c, const int32_t *truth, const int32_t *found, int64_t N)
{
    deco_status st = DECO_OK;

    TRY(names_of(&c->class_of, &c->rows, truth, found, N));
    TRY(names_of(&c->cluster_of, &c->columns, found, found, N));
    if (c->rows > MOST_CLASSES || c->columns > MOST_CLASSES || c->rows * c->columns > (int64_t)MOST_CLASSES * 1000)
        TRY(deco_fail(DECO_E_ARGUMENT, "%lld classes and %lld clusters are too many to be compared; are these labels?", (long long)c->rows,
                      (long long)c->columns));
    TRY(deco_alloc(&c->table, (size_t)(c->rows * c->columns) + 1, sizeof *c->table, "a table of labels"));
    TRY(deco_alloc(&c->row, (size_t)c->rows + 1, sizeof *c->row, "a table of labels"));
    TRY(deco_alloc(&c->column, (size_t)c->columns + 1, sizeof *c->column, "a table of labels"));
    for (int64_t i = 0; i < N; i++) {
        if (found[i] < 0)
            continue;
        int64_t a = place_of(c->class_of, c->rows, truth[i]), b = place_of(c->cluster_of, c->columns, found[i]);
        c->table[a * c->columns + b]++;
        c->row[a]++;
        c->column[b]++;
        c->n++;
    }
out:
    return st;
}

static double pairs_of(const int64_t *count, int64_t n)
{
    double s = 0;

    for (int64_t i = 0; i < n; i++)
        s += (double)count[i] * ((double)count[i] - 1) / 2;
    return s;
}

static double adjusted_rand(const contingency *c)
{
    double both = pairs_of(c->table, c->rows * c->columns), a = pairs_of(c->row, c->rows), b = pairs_of(c->column, c->columns);
    double all = (double)c->n * ((double)c->n - 1) / 2, expected = all > 0 ? a * b / all : 0, top = (a + b) / 2;

    return top != expected ? (both - expected) / (top - expected) : 1;
}

static double entropy(const int64_t *count, int64_t n, int64_t total)
{
    double s = 0;

    for (int64_t i = 0; i < n; i++)
        if (count[i])
            s -= (double)count[i] / (double)total * log((double)count[i] / (double)total);
    return s;
}

/* The mutual information that two such labellings have by chance (Vinh, Epps and Bailey, 2010). */
static double expected_information(const contingency *c)
{
    double n = (double)c->n, s = 0;

    for (int64_t i = 0; i < c->rows; i++)
        for (int64_t j = 0; j < c->columns; j++) {
            double a = (double)c->row[i], b = (double)c->column[j];
            double fixed = lgamma(a + 1) + lgamma(b + 1) + lgamma(n - a + 1) + lgamma(n - b + 1) - lgamma(n + 1);
            for (int64_t both = (int64_t)fmax(1, a + b - n); both <= (int64_t)fmin(a, b); both++) {
                double k = (double)both, p = exp(fixed - lgamma(k + 1) - lgamma(a - k + 1) - lgamma(b - k + 1) - lgamma(n - a - b + k + 1));
                s += k / n * log(n * k / (a * b)) * p;
            }
        }
    return s;
}

static void information(deco_label_score *out, const contingency *c)
{
    double mutual = 0, n = (double)c->n, mean = (entropy(c->row, c->rows, c->n) + entropy(c->column, c->columns, c->n)) / 2, chance;

    for (int64_t i = 0; i < c->rows; i++)
        for (int64_t j = 0; j < c->columns; j++) {
            double both = (double)c->table[i * c->columns + j];
            if (both > 0)
                mutual += both / n * log(n * both / ((double)c->row[i] * (double)c->column[j]));
        }
    out->nmi = mean > 0 ? mutual / mean : 1;
    chance = expected_information(c);
    out->ami = fabs(mean - chance) > 1e-15 ? (mutual - chance) / (mean - chance) : 1;
}

/* Kuhn's Hungarian method with potentials, by Jonker and Volgenant's shortest paths. */
deco_status deco_assign(int64_t *column_row, const double *gain, int64_t n, int64_t m)
{
    deco_status st = DECO_OK;
    double *u = NULL, *v = NULL, *dist = NULL;
    int64_t *match = NULL, *way = NULL;
    bool *used = NULL;

    TRY(deco_alloc(&u, (size_t)n + 1, sizeof *u, "an assignment"));
    TRY(deco_alloc(&v, (size_t)m + 1, sizeof *v, "an assignment"));
    TRY(deco_alloc(&dist, (size_t)m + 1, sizeof *dist, "an assignment"));
    TRY(deco_alloc(&match, (size_t)m + 1, sizeof *match, "an assignment"));
    TRY(deco_alloc(&way, (size_t)m + 1, sizeof *way, "an assignment"));
    TRY(deco_alloc(&used, (size_t)m + 1, sizeof *used, "an assignment"));
    for (int64_t i = 1; i <= n; i++) { /* rows and columns count from 1; column 0 holds the row that looks for its place */
        int64_t at = 0;
        match[0] = i;
        for (int64_t j = 0; j <= m; j++) {
            dist[j] = INFINITY;
            used[j] = false;
        }
        do {
            int64_t row = match[at], next = 0;
            double least = INFINITY;
            used[at] = true;
            for (int64_t j = 1; j <= m; j++) {
                double d = -gain[(row - 1) * m + j - 1] - u[row] - v[j];
                if (used[j])
                    continue;
                if (d < dist[j]) {
                    dist[j] = d;
                    way[j] = at;
                }
                if (dist[j] < least) {
                    least = dist[j];
                    next = j;
                }
            }
            for (int64_t j = 0; j <= m; j++) {
                if (used[j]) {
                    u[match[j]] += least;
                    v[j] -= least;
                } else {
                    dist[j] -= least;
                }
            }
            at = next;
        } while (match[at]);
        for (; at; at = way[at])
            match[at] = match[way[at]];
    }
    for (int64_t j = 1; j <= m; j++)
        column_row[j - 1] = match[j] - 1;
out:
    free(u);
    free(v);
    free(dist);
    free(match);
    free(way);
    free(used);
    return st;
}

static deco_status name_clusters(deco_label_score *out, const contingency *c, int64_t N)
{
    deco_status st = DECO_OK;
    bool turned = c->rows > c->columns;
    int64_t n = turned ? c->columns : c->rows, m = turned ? c->rows : c->columns, *partner = NULL;
    double *gain = NULL, right = 0, common = 0;

    TRY(deco_alloc(&gain, (size_t)(n * m) + 1, sizeof *gain, "an assignment"));
    TRY(deco_alloc(&partner, (size_t)m + 1, sizeof *partner, "an assignment"));
    TRY(deco_alloc(&out->cluster, (size_t)n + 1, sizeof *out->cluster, "an assignment"));
    TRY(deco_alloc(&out->named, (size_t)n + 1, sizeof *out->named, "an assignment"));
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++)
            gain[i * m + j] = (double)c->table[turned ? j * c->columns + i : i * c->columns + j];
    TRY(deco_assign(partner, gain, n, m));
    for (int64_t j = 0; j < m; j++) {
        if (partner[j] < 0)
            continue;
        out->named[out->pairs] = c->class_of[turned ? j : partner[j]];
        out->cluster[out->pairs++] = c->cluster_of[turned ? partner[j] : j];
        right += gain[partner[j] * m + j];
    }
    for (int64_t j = 0; j < c->columns; j++) {
        int64_t most = 0;
        for (int64_t i = 0; i < c->rows; i++)
            most = c->table[i * c->columns + j] > most ? c->table[i * c->columns + j] : most;
        common += (double)most;
    }
    out->accuracy = right / (double)N;
    out->purity = common / (double)N;
out:
    free(gain);
    free(partner);
    return st;
}

deco_status deco_labels_score(deco_label_score *out, const int32_t *truth, const int32_t *found, int64_t N)
{
    deco_status st = DECO_OK;
    contingency c = {0};

    *out = (deco_label_score){0};
    TRY(count_pairs(&c, truth, found, N));
    out->clusters = c.columns;
    out->unassigned = N - c.n;
    if (!c.n)
        goto out;
    out->ari = adjusted_rand(&c);
    information(out, &c);
    TRY(name_clusters(out, &c, N));
out:
    contingency_free(&c);
    return st;
}

void deco_label_score_free(deco_label_score *s)
{
    free(s->cluster);
    free(s->named);
    *s = (deco_label_score){0};
}

typedef struct moments {
    int64_t n;
    double mean, squares; /* of deviations */
} moments;

static void add_value(moments *m, double x) /* Welford's */
{
    double d = x - m->mean;
    m->n++;
    m->mean += d / (double)m->n;
    m->squares += d * (x - m->mean);
}

deco_status deco_coordinates_score(double *explained, int64_t *clusters, const double *truth, const int32_t *found, int64_t N)
{
    deco_status st = DECO_OK;
    moments all = {0}, *of = NULL;
    int32_t most = -1;
    double within = 0;

    *explained = NAN;
    *clusters = 0;
    for (int64_t i = 0; i < N; i++)
        most = found[i] > most ? found[i] : most;
    if (most >= MOST_CLASSES)
        return deco_fail(DECO_E_ARGUMENT, "labels go up to %d; at most %d clusters are scored", (int)most, MOST_CLASSES);
    TRY(deco_alloc(&of, (size_t)most + 2, sizeof *of, "clusters"));
    for (int64_t i = 0; i < N; i++)
        if (found[i] >= 0) {
            add_value(&of[found[i]], truth[i]);
            add_value(&all, truth[i]);
        }
    for (int32_t k = 0; k <= most; k++) {
        within += of[k].squares;
        *clusters += of[k].n > 0;
    }
    if (all.squares > 0)
        *explained = 1 - within / all.squares;
out:
    free(of);
    return st;
}

deco_status deco_latents_score(double *purity, double *chance, const float *z, const int32_t *truth, int64_t N, int64_t Z, deco_pool *pool)
{
    deco_status st = DECO_OK;
    deco_neighbours n = {0};
    contingency c = {0};
    int64_t same = 0;

    TRY(count_pairs(&c, truth, truth, N));
    TRY(deco_neighbours_find(&n, z, N, Z, NEAREST + 1, 1, pool, NULL));
    for (int64_t i = 0; i < N; i++)
        for (int k = 1; k < n.k; k++)
            same += truth[n.row[i * n.k + k]] == truth[i];
    *purity = n.k > 1 ? (double)same / ((double)N * (n.k - 1)) : 1;
    *chance = 0;
    for (int64_t i = 0; i < c.rows; i++)
        *chance += (double)c.row[i] / (double)N * ((double)c.row[i] / (double)N);
out:
    deco_neighbours_free(&n);
    contingency_free(&c);
    return st;
}
