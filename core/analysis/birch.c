/* Birch: rows go one by one down a tree of groups into the nearest that stays small enough. METHOD.md section 7. */
#include "analysis/clustering_kinds.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Groups under one node; the largest radius of a group at first (rows have length 1), and groups that Ward's merging takes on. */
enum { BRANCHES = 50, MOST_GROUPS = 4000 };
static const double first_radius = 0.3, wider = 1.3;

typedef struct node node;

/* Rows as their number, sum and sum of squares; what they are sums of, in a node above the leaves. */
typedef struct entry {
    double n, squares, *sum; /* sum [Z] */
    node *below;
} entry;

struct node {
    int entries;
    bool leaf;
    entry entry[BRANCHES + 1];
};

static void node_free(node *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->entries; i++) {
        node_free(t->entry[i].below);
        free(t->entry[i].sum);
    }
    free(t);
}

static double centre_distance(const entry *a, const entry *b, int64_t Z)
{
    double s = 0;

    for (int64_t j = 0; j < Z; j++) {
        double d = a->sum[j] / a->n - b->sum[j] / b->n;
        s += d * d;
    }
    return s;
}

static void add_to(entry *to, const entry *e, int64_t Z)
{
    to->n += e->n;
    to->squares += e->squares;
    for (int64_t j = 0; j < Z; j++)
        to->sum[j] += e->sum[j];
}

/* Root mean square distance from the centre if e came in, squared. */
static double radius2_with(const entry *a, const entry *e, int64_t Z)
{
    double n = a->n + e->n, s = 0;

    for (int64_t j = 0; j < Z; j++) {
        double c = (a->sum[j] + e->sum[j]) / n;
        s += c * c;
    }
    return (a->squares + e->squares) / n - s;
}

static deco_status entry_copy(entry *to, const entry *from, int64_t Z)
{
    deco_status st = DECO_OK;
    double *sum = NULL;

    TRY(deco_alloc(&sum, (size_t)Z, sizeof *sum, "a group of latents"));
    memcpy(sum, from->sum, (size_t)Z * sizeof *sum);
    *to = (entry){from->n, from->squares, sum, from->below};
out:
    return st;
}

/* The two farthest apart of a node that is too full go into two nodes, each with those that are nearer to it. `right` is new. */
static deco_status split(node *left, node **right, int64_t Z)
{
    deco_status st = DECO_OK;
    node *b = NULL;
    int p = 0, q = 1, all = left->entries, kept = 0;
    bool goes[BRANCHES + 1];
    double most = -1;

    TRY(deco_alloc(&b, 1, sizeof *b, "a tree of latents"));
    b->leaf = left->leaf;
    for (int i = 0; i < all; i++)
        for (int j = i + 1; j < all; j++) {
            double d = centre_distance(&left->entry[i], &left->entry[j], Z);
            if (d > most) {
                most = d;
                p = i;
                q = j;
            }
        }
    for (int i = 0; i < all; i++)
        goes[i] = i == q ||
                  (i != p && centre_distance(&left->entry[i], &left->entry[q], Z) < centre_distance(&left->entry[i], &left->entry[p], Z));
    for (int i = 0; i < all; i++) {
        if (goes[i])
            b->entry[b->entries++] = left->entry[i];
        else
            left->entry[kept++] = left->entry[i];
    }
    left->entries = kept;
    *right = b;
out:
    return st;
}

/* What a node holds, as one entry. */
static deco_status sum_up(entry *out, node *t, int64_t Z)
{
    deco_status st = entry_copy(out, &t->entry[0], Z);

    for (int i = 1; !st && i < t->entries; i++)
        add_to(out, &t->entry[i], Z);
    out->below = t;
    return st;
}

/* e (of one row) into t; a node that became too full leaves its other half in *half. */
static deco_status insert(node *t, node **half, const entry *e, double radius2, int64_t Z)
{
    deco_status st = DECO_OK;
    node *below = NULL;
    int at = 0;
    double least = INFINITY;

    *half = NULL;
    for (int i = 0; i < t->entries; i++) {
        double d = centre_distance(&t->entry[i], e, Z);
        if (d < least) {
            least = d;
            at = i;
        }
    }
    if (t->leaf) {
        if (t->entries && radius2_with(&t->entry[at], e, Z) <= radius2) {
            add_to(&t->entry[at], e, Z);
            return DECO_OK;
        }
        TRY(entry_copy(&t->entry[t->entries], e, Z));
        t->entries++;
    } else {
        TRY(insert(t->entry[at].below, &below, e, radius2, Z));
        if (!below) {
            add_to(&t->entry[at], e, Z);
            return DECO_OK;
        }
        node *first = t->entry[at].below;
        free(t->entry[at].sum);
        t->entry[at].sum = NULL;
        TRY(sum_up(&t->entry[at], first, Z));
        TRY(sum_up(&t->entry[t->entries], below, Z));
        t->entries++;
        below = NULL;
    }
    if (t->entries > BRANCHES)
        TRY(split(t, half, Z));
out:
    node_free(below);
    return st;
}

static void gather(double *centres, double *count, int64_t *groups, const node *t, int64_t Z)
{
    for (int i = 0; i < t->entries; i++) {
        const entry *e = &t->entry[i];
        if (!t->leaf) {
            gather(centres, count, groups, e->below, Z);
            continue;
        }
        if (centres) {
            for (int64_t j = 0; j < Z; j++)
                centres[*groups * Z + j] = e->sum[j] / e->n;
            count[*groups] = e->n;
        }
        ++*groups;
    }
}

/* The tree over all rows; it stops growing when it has more than `most` groups. */
static deco_status grow(node **out, int64_t *groups, const deco_to_cluster *t, double radius, int64_t most)
{
    deco_status st = DECO_OK;
    node *root = NULL, *half = NULL, *top = NULL;
    double *x = NULL;

    *groups = 0;
    TRY(deco_alloc(&root, 1, sizeof *root, "a tree of latents"));
    TRY(deco_alloc(&x, (size_t)t->Z, sizeof *x, "a latent"));
    root->leaf = true;
    for (int64_t i = 0; i < t->N; i++) {
        entry e = {1, 0, x, NULL};
        for (int64_t j = 0; j < t->Z; j++) {
            x[j] = t->x[i * t->Z + j];
            e.squares += x[j] * x[j];
        }
        TRY(insert(root, &half, &e, radius * radius, t->Z));
        if (half) {
            TRY(deco_alloc(&top, 1, sizeof *top, "a tree of latents"));
            TRY(sum_up(&top->entry[0], root, t->Z));
            top->entries = 1;
            root = top;
            top = NULL;
            TRY(sum_up(&root->entry[1], half, t->Z));
            root->entries = 2;
            half = NULL;
        }
        if (i % 1024 == 1023 || i == t->N - 1) {
            *groups = 0;
            gather(NULL, NULL, groups, root, t->Z);
            if (*groups > most)
                break;
        }
    }
    *out = root;
    root = NULL;
out:
    free(x);
    node_free(top);
    node_free(half);
    node_free(root);
    return st;
}

/* A tree of at least K groups, if the rows have so many, and at most MOST_GROUPS. */
static deco_status grow_fitting(node **out, int64_t *groups, const deco_to_cluster *t)
{
    deco_status st = DECO_OK;
    double radius = first_radius;
    int64_t most = t->K > MOST_GROUPS ? t->K : MOST_GROUPS;

    TRY(grow(out, groups, t, radius, most));
    for (; *groups > most; radius *= wider) {
        node_free(*out);
        *out = NULL;
        TRY(grow(out, groups, t, radius * wider, most));
    }
    for (int halved = 0; *groups < t->K && halved < 20; halved++) {
        node_free(*out);
        *out = NULL;
        radius /= 2;
        TRY(grow(out, groups, t, radius, INT64_MAX));
    }
out:
    return st;
}

deco_status deco_birch_find(deco_clusters *out, const deco_to_cluster *t)
{
    deco_status st = DECO_OK;
    node *tree = NULL;
    double *centres = NULL, *merged = NULL, *count = NULL;
    int32_t *group = NULL, *label = NULL;
    int64_t groups = 0, filled = 0, K;

    TRY(grow_fitting(&tree, &groups, t));
    K = groups < t->K ? groups : t->K;
    TRY(deco_alloc(&centres, (size_t)(groups * t->Z), sizeof *centres, "groups of latents"));
    TRY(deco_alloc(&merged, (size_t)(groups * t->Z), sizeof *merged, "groups of latents"));
    TRY(deco_alloc(&count, (size_t)groups, sizeof *count, "groups of latents"));
    TRY(deco_alloc(&group, (size_t)groups, sizeof *group, "groups of latents"));
    TRY(deco_alloc(&label, (size_t)t->N, sizeof *label, "cluster labels"));
    gather(centres, count, &filled, tree, t->Z);
    memcpy(merged, centres, (size_t)(groups * t->Z) * sizeof *merged);
    TRY(deco_ward_merge(group, merged, count, groups, K, t->Z));
    deco_info(t->m, "Birch: %lld groups are merged to %lld", (long long)groups, (long long)K);
    TRY(deco_nearest_places(label, centres, groups, t));
    for (int64_t i = 0; i < t->N; i++)
        label[i] = group[label[i]];
    TRY(deco_clusters_soften(out, label, t, K));
out:
    node_free(tree);
    free(centres);
    free(merged);
    free(count);
    free(group);
    free(label);
    return st;
}
