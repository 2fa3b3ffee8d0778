/* Rows of tables: chosen, and joined. */
#include "base/threads.h"
#include "formats/table_build.h"
#include "formats/table_rows.h"

#include <stdlib.h>
#include <string.h>

/* Columns that stand side by side in the rows of one block, as those of an .npy file do, are copied together and stand so again. */
typedef struct run {
    int64_t first, columns;
    size_t bytes;
} run;

static size_t bytes_of(const deco_column *c) { return c->item * (size_t)c->cells; }

static run run_at(const deco_table *from, int64_t first, const deco_table *without)
{
    run r = {first, 1, bytes_of(&from->column[first])};
    const deco_column *begin = &from->column[first];

    for (int64_t i = first + 1; i < from->columns; i++) {
        const deco_column *c = &from->column[i];
        if (c->stride != begin->stride || c->data != begin->data + r.bytes || (without && deco_table_find(without, c->name)))
            break;
        r.columns++;
        r.bytes += bytes_of(c);
    }
    return r;
}

/* With a size that the compiler knows a copy is a few instructions. */
#define COPY(size) \
    case size: \
        for (int64_t i = 0; i < n; i++) \
            memcpy(to + (size_t)i * to_stride, from + (size_t)(row ? row[i] : i) * stride, size); \
        return

void table_copy_rows(unsigned char *to, size_t to_stride, const unsigned char *from, size_t stride, const int64_t *row, int64_t n,
                     size_t bytes)
{
    enum { AHEAD = 12 }; /* rows whose memory is asked for before their turn */

    switch (bytes) {
        COPY(1);
        COPY(2);
        COPY(4);
        COPY(8);
        COPY(12);
        COPY(16);
    default: break;
    }
    for (int64_t i = 0; i < n; i++) {
        if (row && i + AHEAD < n)
            for (size_t b = 0; b < bytes; b += 64)
                __builtin_prefetch(from + (size_t)row[i + AHEAD] * stride + b);
        memcpy(to + (size_t)i * to_stride, from + (size_t)(row ? row[i] : i) * stride, bytes);
    }
}

/* ---- many rows: by a few threads, since getting memory costs as much as filling it ---------------------------------- */

enum { PIECE_BYTES = 1 << 25, PIECE_KEYS = 1 << 17, MOST_THREADS = 4 };

static deco_status run_pieces(deco_task task, void *context, int64_t pieces)
{
    deco_status st = DECO_OK;
    deco_pool *pool = NULL;
    int threads = deco_cores_allowed();

    if (pieces < 2)
        return pieces ? task(context, 0, 0) : DECO_OK;
    TRY(deco_pool_create(&pool, threads < MOST_THREADS ? threads : MOST_THREADS, NULL));
    TRY(deco_pool_run(pool, task, context, pieces));
out:
    deco_pool_free(pool);
    return st;
}

typedef struct gathering {
    unsigned char *to;
    const unsigned char *from;
    size_t stride, bytes; /* of a row there; of one here */
    const int64_t *row;
    int64_t n, piece; /* rows; rows of a piece */
} gathering;

static deco_status gather_piece(void *context, int64_t index, int worker)
{
    const gathering *g = context;
    int64_t first = index * g->piece, n = g->n - first < g->piece ? g->n - first : g->piece;
    unsigned char *to = g->to + (size_t)first * g->bytes;

    (void)worker;
    deco_table_touch(to, (size_t)n * g->bytes);
    table_copy_rows(to, g->bytes, g->from, g->stride, g->row + first, n, g->bytes);
    return DECO_OK;
}

static deco_status gather(gathering *g)
{
    g->piece = g->bytes < PIECE_BYTES ? PIECE_BYTES / (int64_t)(g->bytes ? g->bytes : 1) : 1;
    return run_pieces(gather_piece, g, (g->n + g->piece - 1) / g->piece);
}

typedef struct search {
    int64_t *match;
    const deco_index *there;
    const deco_column *key;
    int64_t n;
} search;

static deco_status search_piece(void *context, int64_t index, int worker)
{
    const search *s = context;
    int64_t first = index * PIECE_KEYS, n = s->n - first < PIECE_KEYS ? s->n - first : PIECE_KEYS;
    deco_column from = *s->key;

    (void)worker;
    from.data += (size_t)first * from.stride;
    deco_index_rows(s->match + first, s->there, &from, n);
    return DECO_OK;
}

/* The rows `row` of a run become columns of `t`, which has none of these names. */
static deco_status add_run(deco_table *t, const deco_table *from, run r, const int64_t *row)
{
    deco_status st = DECO_OK;
    unsigned char *block = NULL;
    const deco_column *c = &from->column[r.first];
    size_t bytes;

    if (__builtin_mul_overflow(r.bytes, (size_t)t->rows, &bytes))
        return deco_fail_memory(SIZE_MAX, t->source);
    TRY(deco_table_room(&block, bytes, c->name));
    st = gather(&(gathering){.to = block, .from = c->data, .stride = c->stride, .bytes = r.bytes, .row = row, .n = t->rows});
    if (st) {
        free(block);
        goto out;
    }
    TRY(deco_table_take_block(t, block));
    if (t->columns + r.columns > t->column_room)
        TRY(deco_table_reserve(t, t->columns + r.columns));
    for (int64_t i = 0; i < r.columns; i++, c++) {
        deco_column *to = &t->column[t->columns];
        *to = *c;
        to->data = block;
        to->stride = r.bytes;
        TRY(deco_table_text(&to->name, c->name));
        t->columns++;
        block += bytes_of(c);
    }
out:
    return st;
}

deco_status deco_table_select(deco_table **out, const deco_table *t, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    deco_table *chosen = NULL;
    run r;

    *out = NULL;
    for (int64_t i = 0; i < n; i++)
        if (row[i] < 0 || row[i] >= t->rows)
            return deco_fail(DECO_E_ARGUMENT, "%s: row %lld was asked for; it has %lld rows", t->source, (long long)row[i],
                             (long long)t->rows);
    TRY(deco_table_create(&chosen, n, t->source));
    TRY(deco_table_reserve(chosen, t->columns));
    for (int64_t i = 0; i < t->columns; i += r.columns)
        TRY(add_run(chosen, t, r = run_at(t, i, NULL), row));
    *out = chosen;
    chosen = NULL;
out:
    deco_table_free(chosen);
    return st;
}

/* What two tables cannot be joined for, in words. A key that `t` has twice counts before those that `other` lacks. */
static deco_status refuse(const deco_table *t, const deco_table *other, const char *key, const deco_column *c, int64_t missing,
                          int64_t first)
{
    deco_status st = DECO_OK;
    deco_index *here = NULL;

    TRY(deco_index_create(&here, t, key));
    if (missing)
        st = deco_fail(DECO_E_FORMAT,
                       "%s: %lld of the %lld rows of %s are not in it, the first being row %lld, %s %llu; is it of another job?",
                       other->source, (long long)missing, (long long)t->rows, t->source, (long long)first, key,
                       (unsigned long long)deco_cell_u64(c, first, 0));
out:
    deco_index_free(here);
    return st;
}

deco_status table_match_rows(int64_t *match, const deco_table *t, const deco_table *other, const char *key)
{
    deco_status st = DECO_OK;
    const deco_column *c = NULL;
    deco_index *there = NULL;
    bool *taken = NULL, twice = false;
    int64_t missing = 0, first = -1;

    TRY(table_need_key(&c, t, key));
    TRY(deco_index_create(&there, other, key));
    TRY(deco_alloc(&taken, (size_t)other->rows + 1, sizeof *taken, key));
    TRY(run_pieces(search_piece, &(search){match, there, c, t->rows}, (t->rows + PIECE_KEYS - 1) / PIECE_KEYS));
    for (int64_t i = 0; i < t->rows; i++) {
        if (match[i] < 0 && !missing++)
            first = i;
        if (match[i] >= 0) { /* a row that two want: their key stands twice in t */
            twice = twice || taken[match[i]];
            taken[match[i]] = true;
        }
    }
    if (missing || twice)
        TRY(refuse(t, other, key, c, missing, first));
out:
    free(taken);
    deco_index_free(there);
    return st;
}

/* A column that has a block for itself gives it back. */
static void let_go(deco_table *t, deco_column *c)
{
    for (int64_t i = 0; i < t->block_count && c->stride == bytes_of(c); i++)
        if (t->blocks[i] == c->data) {
            free(t->blocks[i]);
            t->blocks[i] = NULL;
            c->data = NULL;
        }
}

static deco_status join(deco_table *t, const deco_table *other, const char *key, deco_table *taking)
{
    deco_status st = DECO_OK;
    int64_t *match = NULL, columns = t->columns;
    run r;

    TRY(deco_alloc(&match, t->rows ? (size_t)t->rows : 1, sizeof *match, key));
    TRY(table_match_rows(match, t, other, key));
    for (int64_t i = 0; i < other->columns; i += r.columns) {
        r.columns = 1;
        if (!deco_table_find(t, other->column[i].name))
            TRY(add_run(t, other, r = run_at(other, i, t), match));
        for (int64_t k = 0; k < r.columns && taking; k++)
            let_go(taking, &taking->column[i + k]);
    }
out:
    if (st) /* as it was: the columns' memory goes with the table */
        while (t->columns > columns)
            free(t->column[--t->columns].name);
    free(match);
    return st;
}

deco_status deco_table_join(deco_table *t, const deco_table *other, const char *key) { return join(t, other, key, NULL); }

deco_status table_join_taking(deco_table *t, deco_table *other, const char *key) { return join(t, other, key, other); }

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

deco_status deco_table_check_names(const deco_table *t)
{
    deco_status st = DECO_OK;
    char **name = NULL;

    TRY(deco_alloc(&name, t->columns ? (size_t)t->columns : 1, sizeof *name, t->source));
    for (int64_t i = 0; i < t->columns; i++)
        name[i] = t->column[i].name;
    qsort(name, (size_t)t->columns, sizeof *name, by_name);
    for (int64_t i = 1; i < t->columns; i++)
        if (!strcmp(name[i - 1], name[i])) {
            st = deco_fail(DECO_E_FORMAT, "%s: column '%s' stands twice in its header", t->source, name[i]);
            goto out;
        }
out:
    free(name);
    return st;
}
