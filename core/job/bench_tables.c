#include "job/bench_tables.h"
#include "formats/cs.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Of the wall's clock, and of the processor. */
typedef struct moment {
    double wall, cpu;
} moment;

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static moment now(void) { return (moment){seconds_of(CLOCK_MONOTONIC), seconds_of(CLOCK_PROCESS_CPUTIME_ID)}; }

static moment since(moment begin)
{
    moment end = now();
    return (moment){end.wall - begin.wall, end.cpu - begin.cpu};
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

static deco_status read_once(moment *took, int64_t *rows, const char *path)
{
    deco_status st = DECO_OK;
    deco_table *t = NULL;
    deco_index *x = NULL;
    moment begin = now();
    volatile uint64_t sum;

    TRY(deco_cs_read(&t, path));
    TRY(deco_index_create(&x, t, "uid"));
    sum = look_at(t);
    (void)sum;
    *took = since(begin);
    *rows = t->rows;
out:
    deco_index_free(x);
    deco_table_free(t);
    return st;
}

static deco_status join_once(moment *took, int64_t *rows, const deco_table *own, const deco_table *other)
{
    deco_status st = DECO_OK;
    deco_table *t = NULL;
    moment begin;

    TRY(deco_table_view(&t, own));
    begin = now();
    TRY(deco_table_join(t, other, "uid"));
    *took = since(begin);
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
    moment begin, took, best = {HUGE_VAL, 0};
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
            TRY(join_once(&took, &rows, own, other));
        else
            TRY(read_once(&took, &rows, o->particles.items[0]));
        best = took.wall < best.wall ? took : best;
    } while (since(begin).wall < seconds_each);
    out->value = (double)rows / best.wall;
    out->unit = "rows/s";
    snprintf(out->shape, sizeof out->shape, "\"rows\": %lld, \"cpu_s\": %.4f", (long long)rows, best.cpu);
out:
    deco_table_free(own);
    deco_table_free(other);
    return st;
}

const deco_bench_case deco_table_cases[DECO_TABLE_CASES] = {{"dataset_read", run_case, NULL}, {"table_join", run_case, NULL}};
