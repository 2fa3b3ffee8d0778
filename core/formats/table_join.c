/* Tables joined on a key. The other's rows are gone through in their own order, which memory likes best, and written to where t's order has them:
 * whole lines of the cache past it, so that nothing is read to be overwritten. */
#include "formats/table_join.h"
#include "base/threads.h"
#include "formats/table_build.h"
#include "formats/table_rows.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { LINE = 64, A_PIECE = 1 << 15 /* rows */, TOUCHED = 1 << 25 /* bytes */ };

deco_status table_join_open(table_join *j, deco_table *t, int64_t rows, const char *key)
{
    deco_status st = DECO_OK;
    const deco_column *c;

    *j = (table_join){.t = t, .key = key, .rows = rows};
    TRY(table_need_key(&c, t, key));
    TRY(deco_index_create(&j->here, t, key));
    TRY(deco_table_block((unsigned char **)&j->row_of, ((size_t)rows + 1) * sizeof *j->row_of, key));
out:
    return st;
}

void table_join_close(table_join *j)
{
    deco_index_free(j->here);
    free(j->row_of);
    *j = (table_join){0};
}

void table_join_find(const table_join *j, const deco_column *c, int64_t first, int64_t n)
{
    deco_index_rows(j->row_of + first, j->here, c, n);
}

deco_status table_join_check(const table_join *j, const deco_table *other)
{
    deco_status st = DECO_OK;
    deco_index *there = NULL;
    bool *taken = NULL;
    int64_t missing = j->t->rows, strangers = 0, first = 0;

    TRY(deco_alloc(&taken, (size_t)j->t->rows + 1, sizeof *taken, j->key));
    for (int64_t i = 0; i < j->rows; i++) {
        int64_t row = j->row_of[i];
        strangers += row < 0 || taken[row]; /* two of the other's rows with one key among them */
        if (row >= 0 && !taken[row])
            missing--;
        if (row >= 0)
            taken[row] = true;
    }
    if (strangers)
        TRY(deco_index_create(&there, other, j->key));
    while (missing && taken[first])
        first++;
    if (missing)
        st = deco_fail(DECO_E_FORMAT,
                       "%s: %lld of the %lld rows of %s are not in it, the first being row %lld, %s %llu; is it of another job?",
                       other->source, (long long)missing, (long long)j->t->rows, j->t->source, (long long)first, j->key,
                       (unsigned long long)deco_cell_u64(deco_table_find(j->t, j->key), first, 0));
out:
    deco_index_free(there);
    free(taken);
    return st;
}

typedef struct touching {
    unsigned char *at;
    size_t bytes;
} touching;

static deco_status touch_piece(void *context, int64_t index, int worker)
{
    const touching *w = context;
    size_t first = (size_t)index * TOUCHED;

    (void)worker;
    deco_table_touch(w->at + first, w->bytes - first < TOUCHED ? w->bytes - first : TOUCHED);
    return DECO_OK;
}

deco_status table_span_room(table_span *s, const deco_table *t)
{
    deco_status st = DECO_OK;
    size_t whole = (s->bytes + LINE - 1) / LINE * LINE, bytes;

    s->stride = 4 * (whole - s->bytes) <= s->bytes ? whole : s->bytes; /* at most a quarter is left unused */
    if (__builtin_mul_overflow(s->stride, (size_t)t->rows, &bytes) || __builtin_add_overflow(bytes, LINE, &bytes))
        return deco_fail_memory(SIZE_MAX, t->source);
    TRY(deco_table_room(&s->block, bytes, t->source));
    s->rows = s->block + (LINE - (uintptr_t)s->block % LINE) % LINE;
    TRY(table_run_pieces(touch_piece, &(touching){s->block, bytes}, (int64_t)((bytes + TOUCHED - 1) / TOUCHED)));
out:
    return st;
}

#ifdef __SSE2__
static void write_lines(unsigned char *to, const unsigned char *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += sizeof(__m128i))
        _mm_stream_si128((void *)(to + i), _mm_loadu_si128((const void *)(from + i)));
}
static void lines_written(void) { _mm_sfence(); }
#else
static void write_lines(unsigned char *to, const unsigned char *from, size_t bytes) { memcpy(to, from, bytes); }
static void lines_written(void) {}
#endif

/* With a size that the compiler knows a copy is a few instructions. */
#define COPY(size) \
    case size: \
        for (; i < n; i++) \
            if (row[i] >= 0) \
                memcpy(s->rows + (size_t)row[i] * s->stride, from + (size_t)i * stride, size); \
        return

void table_span_place(const table_span *s, const table_join *j, int64_t first, int64_t n, const unsigned char *from, size_t stride,
                      size_t readable)
{
    const int64_t *row = j->row_of + first;
    int64_t i = 0;

    switch (s->bytes) {
        COPY(1);
        COPY(2);
        COPY(4);
        COPY(8);
        COPY(12);
        COPY(16);
    default: break;
    }
    if (s->stride % LINE == 0 && s->stride) { /* what follows a row goes to where nobody looks */
        for (; i < n && (size_t)i * stride + s->stride <= readable; i++)
            if (row[i] >= 0)
                write_lines(s->rows + (size_t)row[i] * s->stride, from + (size_t)i * stride, s->stride);
        lines_written();
    }
    for (; i < n; i++)
        if (row[i] >= 0)
            memcpy(s->rows + (size_t)row[i] * s->stride, from + (size_t)i * stride, s->bytes);
}

static int64_t pieces_of(const table_join *j) { return (j->rows + A_PIECE - 1) / A_PIECE; }

/* ---- a table that is in memory --------------------------------------------------------------------------------------- */

typedef struct passing {
    const table_join *j;
    const deco_column *key;  /* NULL: the rows' places are found already */
    const table_span *s;     /* NULL: they are only found */
    const deco_column *from; /* the span's first column */
} passing;

/* Some rows at a time: finding has brought their beginnings into the cache. */
static deco_status pass_piece(void *context, int64_t index, int worker)
{
    enum { SOME = 256 };
    const passing *p = context;
    int64_t end = (index + 1) * A_PIECE < p->j->rows ? (index + 1) * A_PIECE : p->j->rows;

    (void)worker;
    for (int64_t first = index * A_PIECE; first < end; first += SOME) {
        int64_t n = end - first < SOME ? end - first : SOME;
        if (p->key) {
            deco_column key = *p->key;
            key.data += (size_t)first * key.stride;
            table_join_find(p->j, &key, first, n);
        }
        if (p->s)
            table_span_place(p->s, p->j, first, n, p->from->data + (size_t)first * p->from->stride, p->from->stride,
                             (size_t)(p->j->rows - first - 1) * p->from->stride + p->s->bytes);
    }
    return DECO_OK;
}

/* A run's columns are placed and become t's. With `key`, its rows' places are found on the way. */
static deco_status add_run(const table_join *j, const deco_table *other, table_run r, const deco_column *key)
{
    deco_status st = DECO_OK;
    table_span s = {.bytes = r.bytes};

    TRY(table_span_room(&s, j->t));
    TRY(table_run_pieces(pass_piece, &(passing){j, key, &s, &other->column[r.first]}, pieces_of(j)));
    if (key)
        TRY(table_join_check(j, other));
    st = table_add_run(j->t, other, r, s.block, s.rows, s.stride);
    s.block = NULL;
out:
    free(s.block);
    return st;
}

/* A column that has a block for itself gives it back. */
static void let_go(deco_table *t, deco_column *c)
{
    for (int64_t i = 0; i < t->block_count && c->stride == c->item * (size_t)c->cells; i++)
        if (t->blocks[i] == c->data) {
            free(t->blocks[i]);
            t->blocks[i] = NULL;
            c->data = NULL;
        }
}

static deco_status join(deco_table *t, const deco_table *other, const char *key, deco_table *taking)
{
    deco_status st = DECO_OK;
    table_join j = {0};
    const deco_column *key_to_find = NULL;
    int64_t columns = t->columns;
    table_run r;

    TRY(table_join_open(&j, t, other->rows, key));
    TRY(table_need_key(&key_to_find, other, key));
    for (int64_t i = 0; i < other->columns; i += r.columns) {
        r.columns = 1;
        if (!deco_table_find(t, other->column[i].name)) {
            TRY(add_run(&j, other, r = table_run_at(other, i, t), key_to_find));
            key_to_find = NULL;
        }
        for (int64_t k = 0; k < r.columns && taking && !key_to_find; k++) /* the key is needed until then */
            let_go(taking, &taking->column[i + k]);
    }
    if (key_to_find) { /* no column was lacking: the keys are to fit all the same */
        TRY(table_run_pieces(pass_piece, &(passing){&j, key_to_find, NULL, NULL}, pieces_of(&j)));
        TRY(table_join_check(&j, other));
    }
out:
    if (st) /* as it was: the columns' memory goes with the table */
        while (t->columns > columns)
            free(t->column[--t->columns].name);
    table_join_close(&j);
    return st;
}

deco_status deco_table_join(deco_table *t, const deco_table *other, const char *key) { return join(t, other, key, NULL); }

deco_status table_join_taking(deco_table *t, deco_table *other, const char *key) { return join(t, other, key, other); }
