/* The row of a key: keys dealt into small buckets by their leading bits, each bucket sorted. 16 bytes a row and 2 for the buckets; as a large bucket
 * is searched by halves, no choice of keys makes it slow, as it could a hash table. */
#include "base/status.h"
#include "formats/table_build.h"
#include "formats/table_rows.h"

#include <stdlib.h>
#include <string.h>

typedef struct keyed_row {
    uint64_t key;
    int64_t row;
} keyed_row;

struct deco_index {
    int64_t n;
    uint64_t least, most; /* of the keys */
    int shift;            /* a key's bucket: (key - least) >> shift */
    int64_t *begin;       /* [buckets + 1] in `row` */
    keyed_row *row;       /* [n] */
};

enum { A_BUCKET = 4, SMALL = 24 };

static int by_key_then_row(const void *a, const void *b)
{
    const keyed_row *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

deco_status table_need_key(const deco_column **out, const deco_table *t, const char *key)
{
    deco_status st = DECO_OK;

    TRY(deco_table_need(out, t, key, 'n', 1));
    if ((*out)->kind != 'u')
        st = deco_fail(DECO_E_FORMAT, "%s: column '%s' must hold unsigned integers (<u8)", t->source, key);
out:
    return st;
}

/* About A_BUCKET keys a bucket, if they are spread evenly, as CryoSPARC's random uids are. */
static int64_t choose_buckets(deco_index *x, const uint64_t *key)
{
    uint64_t span;
    int bits = 0, wanted = 1; /* at least one: a shift by 64 has no meaning */

    x->least = UINT64_MAX;
    for (int64_t i = 0; i < x->n; i++) {
        x->least = key[i] < x->least ? key[i] : x->least;
        x->most = key[i] > x->most ? key[i] : x->most;
    }
    span = x->n ? x->most - x->least : 0;
    while (bits < 64 && span >> bits)
        bits++;
    while (wanted < 40 && x->n >> wanted > A_BUCKET)
        wanted++;
    x->shift = bits > wanted ? bits - wanted : 0;
    return (int64_t)(span >> x->shift) + 1;
}

static void sort_bucket(keyed_row *row, int64_t n)
{
    if (n > SMALL) {
        qsort(row, (size_t)n, sizeof *row, by_key_then_row);
        return;
    }
    for (int64_t i = 1; i < n; i++) { /* rows were dealt in their order, and keep it where keys are equal */
        keyed_row k = row[i];
        int64_t at = i;
        for (; at > 0 && row[at - 1].key > k.key; at--)
            row[at] = row[at - 1];
        row[at] = k;
    }
}

static deco_status fill(deco_index *x, const uint64_t *key, int64_t buckets)
{
    deco_status st = DECO_OK;
    int64_t sum = 0;

    TRY(deco_table_block((unsigned char **)&x->row, ((size_t)x->n + 1) * sizeof *x->row, "an index"));
    TRY(deco_table_block((unsigned char **)&x->begin, ((size_t)buckets + 2) * sizeof *x->begin, "an index"));
    for (int64_t i = 0; i < x->n; i++)
        x->begin[((key[i] - x->least) >> x->shift) + 2]++;
    for (int64_t b = 0; b <= buckets + 1; b++) /* begin[b + 1] is where bucket b begins, and ends up being where it ends */
        x->begin[b] = sum += x->begin[b];
    for (int64_t i = 0; i < x->n; i++)
        x->row[x->begin[((key[i] - x->least) >> x->shift) + 1]++] = (keyed_row){key[i], i};
    for (int64_t b = 0; b < buckets; b++)
        sort_bucket(x->row + x->begin[b], x->begin[b + 1] - x->begin[b]);
out:
    return st;
}

/* Of the keys that stand twice the least, whatever the buckets. */
static deco_status check_twice(const deco_index *x, const deco_table *t, const char *key)
{
    for (int64_t i = 1; i < x->n; i++) {
        const keyed_row *k = &x->row[i];
        if (k[-1].key == k->key)
            return deco_fail(DECO_E_FORMAT, "%s: %s %llu stands twice, in rows %lld and %lld; every particle needs its own", t->source, key,
                             (unsigned long long)k->key, (long long)k[-1].row, (long long)k->row);
    }
    return DECO_OK;
}

deco_status deco_index_create(deco_index **out, const deco_table *t, const char *key)
{
    deco_status st = DECO_OK;
    deco_index *x = NULL;
    const deco_column *c = NULL;
    uint64_t *keys = NULL;

    *out = NULL;
    TRY(table_need_key(&c, t, key));
    TRY(deco_alloc(&x, 1, sizeof *x, key));
    TRY(deco_alloc(&keys, (size_t)t->rows + 1, sizeof *keys, key));
    x->n = t->rows;
    if (c->item == sizeof *keys)
        table_copy_rows((unsigned char *)keys, sizeof *keys, c->data, c->stride, NULL, x->n, sizeof *keys);
    else
        for (int64_t i = 0; i < x->n; i++)
            keys[i] = deco_cell_u64(c, i, 0);
    TRY(fill(x, keys, choose_buckets(x, keys)));
    TRY(check_twice(x, t, key));
    *out = x;
    x = NULL;
out:
    free(keys);
    deco_index_free(x);
    return st;
}

static int64_t row_in(const deco_index *x, int64_t low, int64_t high, uint64_t key)
{
    while (high - low > SMALL) {
        int64_t middle = low + (high - low) / 2;
        if (x->row[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < high && x->row[low].key < key)
        low++;
    return low < x->n && x->row[low].key == key ? x->row[low].row : -1;
}

int64_t deco_index_row(const deco_index *x, uint64_t key)
{
    const int64_t *begin;

    if (!x->n || key < x->least || key > x->most)
        return -1;
    begin = &x->begin[(key - x->least) >> x->shift];
    return row_in(x, begin[0], begin[1], key);
}

/* Three misses of the cache a key: all are asked for ahead, for some keys at a time. */
void deco_index_rows(int64_t *row, const deco_index *x, const deco_column *c, int64_t n)
{
    enum { SOME = 64 };
    uint64_t key[SOME];
    int64_t bucket[SOME];
    const unsigned char *at = c->data;
    bool plain = c->kind == 'u' && c->item == sizeof *key;

    for (int64_t first = 0; first < n; first += SOME) {
        int some = n - first < SOME ? (int)(n - first) : SOME;
        for (int i = 0; i < some; i++, at += c->stride) {
            if (n - first > 2 * SOME)
                __builtin_prefetch(at + SOME * c->stride);
            if (plain)
                memcpy(&key[i], at, sizeof *key);
            else
                key[i] = deco_cell_u64(c, first + i, 0);
            bucket[i] = x->n && key[i] >= x->least && key[i] <= x->most ? (int64_t)((key[i] - x->least) >> x->shift) : -1;
            if (bucket[i] >= 0)
                __builtin_prefetch(&x->begin[bucket[i]]);
        }
        for (int i = 0; i < some; i++)
            if (bucket[i] >= 0)
                __builtin_prefetch(&x->row[x->begin[bucket[i]]]);
        for (int i = 0; i < some; i++)
            row[first + i] = bucket[i] < 0 ? -1 : row_in(x, x->begin[bucket[i]], x->begin[bucket[i] + 1], key[i]);
    }
}

void deco_index_free(deco_index *x)
{
    if (!x)
        return;
    free(x->begin);
    free(x->row);
    free(x);
}
