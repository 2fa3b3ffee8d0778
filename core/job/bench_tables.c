#include "job/bench_tables.h"
#include "formats/cs.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Every cell is looked at, as a program that uses the columns would: some rows of all columns at a time. */
static uint64_t look_at(const deco_table *t)
{
    enum { SOME = 64 };
    uint64_t sum = 0;

    for (int64_t first = 0; first < t->rows; first += SOME) {
        int64_t end = first + SOME < t->rows ? first + SOME : t->rows;
        for (int64_t c = 0; c < t->columns; c++) {
            const deco_column *column = &t->column[c];
            size_t bytes = column->item * (size_t)column->cells;
            for (int64_t i = first; i < end && bytes; i++)
                sum += column->data[(size_t)i * column->stride] + column->data[(size_t)i * column->stride + bytes - 1];
        }
    }
    return sum;
}

static deco_status read_once(double *seconds, int64_t *rows, const char *path)
{
    deco_status st = DECO_OK;
    deco_table *t = NULL;
    deco_index *x = NULL;
    double begin = now();
    volatile uint64_t sum;

    TRY(deco_cs_read(&t, path));
    TRY(deco_index_create(&x, t, "uid"));
    sum = look_at(t);
    (void)sum;
    *seconds = now() - begin;
    *rows = t->rows;
out:
    deco_index_free(x);
    deco_table_free(t);
    return st;
}

static deco_status join_once(double *seconds, int64_t *rows, const deco_table *own, const deco_table *other)
{
    deco_status st = DECO_OK;
    deco_table *t = NULL;
    double begin;

    TRY(deco_table_view(&t, own));
    begin = now();
    TRY(deco_table_join(t, other, "uid"));
    *seconds = now() - begin;
    *rows = t->rows;
out:
    deco_table_free(t);
    return st;
}

static deco_status run_case(deco_bench_rate *out, const deco_bench_case *c, deco_device *dev, double seconds_each, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const deco_options *o = c->what;
    deco_table *own = NULL, *other = NULL;
    double best = 0, begin, seconds;
    int64_t rows = 0;
    bool joins = !strcmp(c->name, deco_table_cases[1].name);

    if (o->particles.count <= joins)
        TRY(deco_fail(DECO_E_ARGUMENT, "case %s reads %s: name %s with --particles", c->name, joins ? "two datasets" : "a dataset",
                      joins ? "both" : "it"));
    if (joins) {
        TRY(deco_cs_read(&own, o->particles.items[0]));
        TRY(deco_cs_read(&other, o->particles.items[1]));
    }
    begin = now();
    do {
        TRY(deco_bench_stopped(c, m));
        if (joins)
            TRY(join_once(&seconds, &rows, own, other));
        else
            TRY(read_once(&seconds, &rows, o->particles.items[0]));
        best = (double)rows / seconds > best ? (double)rows / seconds : best;
    } while (now() - begin < seconds_each);
    out->value = best;
    out->unit = "rows/s";
    snprintf(out->shape, sizeof out->shape, "\"rows\": %lld", (long long)rows);
out:
    deco_table_free(own);
    deco_table_free(other);
    return st;
}

const deco_bench_case deco_table_cases[DECO_TABLE_CASES] = {{"dataset_read", run_case, NULL}, {"table_join", run_case, NULL}};
