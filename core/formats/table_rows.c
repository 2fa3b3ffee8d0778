/* Rows of tables: copied, and chosen. */
#include "base/threads.h"
#include "formats/table_build.h"
#include "formats/table_rows.h"

#include <stdlib.h>
#include <string.h>

static size_t bytes_of(const deco_column *c) { return c->item * (size_t)c->cells; }

table_run table_run_at(const deco_table *from, int64_t first, const deco_table *without)
{
    table_run r = {first, 1, bytes_of(&from->column[first])};
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

enum { PIECE_BYTES = 1 << 25 };

deco_status table_run_pieces(deco_task task, void *context, int64_t pieces)
{
    deco_status st = DECO_OK;
    deco_pool *pool = NULL;
    int threads = deco_cores_allowed();

    if (pieces < 2)
        return pieces ? task(context, 0, 0) : DECO_OK;
    TRY(deco_pool_create(&pool, threads < TABLE_THREADS ? threads : TABLE_THREADS, NULL));
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
    return table_run_pieces(gather_piece, g, (g->n + g->piece - 1) / g->piece);
}

deco_status table_add_run(deco_table *t, const deco_table *from, table_run r, void *block, unsigned char *rows, size_t stride)
{
    deco_status st = DECO_OK;
    const deco_column *c = &from->column[r.first];

    TRY(deco_table_take_block(t, block));
    if (t->columns + r.columns > t->column_room)
        TRY(deco_table_reserve(t, t->columns + r.columns));
    for (int64_t i = 0; i < r.columns; i++, c++) {
        deco_column *to = &t->column[t->columns];
        *to = *c;
        to->data = rows;
        to->stride = stride;
        TRY(deco_table_text(&to->name, c->name));
        t->columns++;
        rows += bytes_of(c);
    }
out:
    return st;
}

/* The rows `row` of a run become columns of `t`, which has none of these names. */
static deco_status choose_run(deco_table *t, const deco_table *from, table_run r, const int64_t *row)
{
    deco_status st = DECO_OK;
    unsigned char *block = NULL;
    const deco_column *c = &from->column[r.first];
    size_t bytes;

    if (__builtin_mul_overflow(r.bytes, (size_t)t->rows, &bytes))
        return deco_fail_memory(SIZE_MAX, t->source);
    TRY(deco_table_room(&block, bytes, c->name));
    TRY(gather(&(gathering){.to = block, .from = c->data, .stride = c->stride, .bytes = r.bytes, .row = row, .n = t->rows}));
    st = table_add_run(t, from, r, block, block, r.bytes);
    block = NULL;
out:
    free(block);
    return st;
}

deco_status deco_table_select(deco_table **out, const deco_table *t, const int64_t *row, int64_t n)
{
    deco_status st = DECO_OK;
    deco_table *chosen = NULL;
    table_run r;

    *out = NULL;
    for (int64_t i = 0; i < n; i++)
        if (row[i] < 0 || row[i] >= t->rows)
            return deco_fail(DECO_E_ARGUMENT, "%s: row %lld was asked for; it has %lld rows", t->source, (long long)row[i],
                             (long long)t->rows);
    TRY(deco_table_create(&chosen, n, t->source));
    TRY(deco_table_reserve(chosen, t->columns));
    for (int64_t i = 0; i < t->columns; i += r.columns)
        TRY(choose_run(chosen, t, r = table_run_at(t, i, NULL), row));
    *out = chosen;
    chosen = NULL;
out:
    deco_table_free(chosen);
    return st;
}

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
