/* One run of one operation, checked on every device present:
 *
 *   - each output against what a double-precision reference expects (reference.h), largest and mean error printed;
 *   - nothing written beside an output, every element of it written, no input changed;
 *   - the same bits with 1, 2 and 3 threads, and when two threads call the operation at once.
 *
 * A case is a line of sizes; a function makes a trial of it: trial_in and trial_out in the order of the operation's arrays. */
#ifndef DECO_CONFORMANCE_TRIAL_H
#define DECO_CONFORMANCE_TRIAL_H

#include "base/philox.h"
#include "compute/ops.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Half an ulp of 1 in f32: what one rounding costs, relative to the result. Bounds are told in these, of the output's largest value. */
#define ROUNDING 5.9604644775390625e-8

enum { TRIAL_ARGUMENTS = 12, TRIAL_GUARD = 64, TRIAL_REPEATS = 2, TRIAL_SMALL = 1 << 18 };

typedef struct trial_argument {
    const char *name;
    deco_array shape;
    void *host;       /* inputs, and what an output starts from; NULL: an output that is only written */
    double *expected; /* outputs; NaN: not known (gradients are sampled) */
    double bound;     /* of the error over the largest expected value; 0: equal numbers */
} trial_argument;

typedef struct trial {
    char title[128];
    deco_status (*call)(deco_device *dev, const deco_array *a, const void *extra);
    const void *extra;
    trial_argument arg[TRIAL_ARGUMENTS];
    int args;
    deco_random random;
} trial;

/* ---- making one ------------------------------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4))) static inline trial trial_begin(deco_status (*call)(deco_device *, const deco_array *, const void *),
                                                                      const void *extra, const char *title, ...)
{
    static uint64_t count;
    trial t = {.call = call, .extra = extra, .random = deco_random_at(7, DECO_STREAM_SAMPLE, count++)};
    va_list ap;
    va_start(ap, title);
    vsnprintf(t.title, sizeof t.title, title, ap);
    va_end(ap);
    return t;
}

static inline size_t trial_bytes(deco_array x)
{
    size_t n = x.item;
    for (int i = 0; i < x.dims; i++)
        n *= (size_t)x.shape[i];
    return n;
}

static inline int64_t trial_count(deco_array x) { return (int64_t)(trial_bytes(x) / x.item); }

static inline trial_argument *trial_add(trial *t, const char *name, deco_array shape)
{
    assert_true(t->args < TRIAL_ARGUMENTS);
    trial_argument *a = &t->arg[t->args++];
    *a = (trial_argument){.name = name, .shape = shape};
    return a;
}

/* An input; f32 starts as N(0, scale²), anything else as zeros. Returns its memory on the host. */
static inline void *trial_in(trial *t, const char *name, deco_array shape, double scale)
{
    trial_argument *a = trial_add(t, name, shape);
    a->host = calloc(trial_bytes(shape) + 1, 1);
    assert_non_null(a->host);
    for (int64_t i = 0; shape.dtype == DECO_F32 && i < trial_count(shape); i++)
        ((float *)a->host)[i] = (float)(scale * deco_random_normal(&t->random));
    return a->host;
}

/* An output; returns the place for what is expected. */
static inline double *trial_out(trial *t, const char *name, deco_array shape, double bound)
{
    trial_argument *a = trial_add(t, name, shape);
    a->expected = calloc((size_t)trial_count(shape) + 1, sizeof *a->expected);
    a->bound = bound;
    assert_non_null(a->expected);
    return a->expected;
}

/* An input that becomes an output. */
static inline double *trial_inout(trial *t, const char *name, deco_array shape, double scale, double bound, float **start)
{
    *start = trial_in(t, name, shape, scale);
    t->args--;
    double *expected = trial_out(t, name, shape, bound);
    t->arg[t->args - 1].host = *start;
    return expected;
}

static inline void trial_none(trial *t) { trial_add(t, "none", deco_none()); }

/* ---- running it ------------------------------------------------------------------------------------------------- */

/* The arguments in a device's memory, each between two guards. */
typedef struct trial_memory {
    unsigned char *block[TRIAL_ARGUMENTS];
    deco_array a[TRIAL_ARGUMENTS];
} trial_memory;

static inline void trial_upload(trial_memory *m, const trial *t, deco_device *dev)
{
    memset(m, 0, sizeof *m);
    for (int i = 0; i < t->args; i++) {
        const trial_argument *a = &t->arg[i];
        size_t bytes = trial_bytes(a->shape), all = bytes + 2 * TRIAL_GUARD;
        m->a[i] = a->shape;
        if (!a->host && !a->expected)
            continue;
        unsigned char *host = malloc(all);
        assert_non_null(host);
        memset(host, 0xA5, all);
        memset(host + TRIAL_GUARD, 0xFF, bytes); /* NaN: what is not written shows */
        if (a->host)
            memcpy(host + TRIAL_GUARD, a->host, bytes);
        assert_int_equal(deco_device_alloc(dev, &m->block[i], all, "trial"), DECO_OK);
        assert_int_equal(deco_device_upload(dev, m->block[i], host, all), DECO_OK);
        m->a[i].data = m->block[i] + TRIAL_GUARD;
        free(host);
    }
}

static inline void trial_release(trial_memory *m, const trial *t, deco_device *dev)
{
    for (int i = 0; i < t->args; i++)
        deco_device_release(dev, m->block[i]);
}

/* The result of argument i with its guards looked at; free it. */
static inline unsigned char *trial_download(const trial_memory *m, const trial *t, deco_device *dev, int i)
{
    size_t bytes = trial_bytes(t->arg[i].shape);
    unsigned char *host = malloc(bytes + 2 * TRIAL_GUARD);
    assert_non_null(host);
    assert_int_equal(deco_device_download(dev, host, m->block[i], bytes + 2 * TRIAL_GUARD), DECO_OK);
    for (size_t g = 0; g < TRIAL_GUARD; g++)
        if (host[g] != 0xA5 || host[TRIAL_GUARD + bytes + g] != 0xA5)
            fail_msg("%s: %s was written beside", t->title, t->arg[i].name);
    memmove(host, host + TRIAL_GUARD, bytes);
    return host;
}

static inline double trial_value(const void *data, deco_dtype type, int64_t i)
{
    switch (type) {
    case DECO_F32: return ((const float *)data)[i];
    case DECO_F64: return ((const double *)data)[i];
    default: return ((const unsigned char *)data)[i];
    }
}

static inline void trial_compare(const trial *t, const trial_argument *a, const void *mine)
{
    int64_t n = trial_count(a->shape), known = 0, worst = 0;
    double largest = 0, max = -1, sum = 0;
    for (int64_t i = 0; i < n; i++)
        if (!isnan(a->expected[i]))
            largest = fmax(largest, fabs(a->expected[i]));
    for (int64_t i = 0; i < n; i++) {
        if (isnan(a->expected[i]))
            continue;
        double error = fabs(trial_value(mine, a->shape.dtype, i) - a->expected[i]);
        sum += error, known++;
        if (!(error <= max))
            max = error, worst = i;
    }
    double unit = largest > 0 ? largest : 1, bound = a->bound * unit;
    printf("  %-44s %-8s max %8.2e  mean %8.2e  bound %8.2e  (%lld of %lld)\n", t->title, a->name, known ? max / unit : 0,
           known ? sum / (double)known / unit : 0, a->bound, (long long)known, (long long)n);
    if (n && !(max <= bound))
        fail_msg("%s: %s[%lld] is %.9g, expected %.9g; %.1f times the bound of %.3g", t->title, a->name, (long long)worst,
                 trial_value(mine, a->shape.dtype, worst), a->expected[worst], max / bound, bound);
}

/* The bits of all arguments after the call, one behind the other; also checks guards and inputs. Free it. */
static inline unsigned char *trial_once(const trial *t, deco_device *dev, bool compare, size_t *size)
{
    trial_memory m;
    size_t at = 0;
    unsigned char *all = NULL;
    trial_upload(&m, t, dev);
    if (t->call(dev, m.a, t->extra))
        fail_msg("%s: %s", t->title, deco_error());
    assert_int_equal(deco_device_wait(dev), DECO_OK);
    for (int i = 0; i < t->args; i++) {
        const trial_argument *a = &t->arg[i];
        if (!m.block[i])
            continue;
        unsigned char *mine = trial_download(&m, t, dev, i);
        size_t bytes = trial_bytes(a->shape);
        if (!a->expected && memcmp(mine, a->host, bytes))
            fail_msg("%s: its input %s was changed", t->title, a->name);
        if (a->expected && compare)
            trial_compare(t, a, mine);
        all = realloc(all, at + bytes + 1);
        assert_non_null(all);
        memcpy(all + at, mine, bytes);
        at += bytes;
        free(mine);
    }
    trial_release(&m, t, dev);
    *size = at;
    return all;
}

typedef struct trial_thread {
    const trial *t;
    deco_device *dev;
    trial_memory m[TRIAL_REPEATS];
    deco_status status;
} trial_thread;

static inline void *trial_repeat(void *context)
{
    trial_thread *th = context;
    for (int r = 0; r < TRIAL_REPEATS && !th->status; r++)
        th->status = th->t->call(th->dev, th->m[r].a, th->t->extra);
    return NULL;
}

/* Two threads, each with memory of its own, at once: the same bits as alone. */
static inline void trial_at_once(const trial *t, deco_device *dev, const unsigned char *alone)
{
    trial_thread th[2] = {{.t = t, .dev = dev}, {.t = t, .dev = dev}};
    pthread_t id[2];
    for (int k = 0; k < 2; k++)
        for (int r = 0; r < TRIAL_REPEATS; r++)
            trial_upload(&th[k].m[r], t, dev);
    for (int k = 0; k < 2; k++)
        assert_int_equal(pthread_create(&id[k], NULL, trial_repeat, &th[k]), 0);
    for (int k = 0; k < 2; k++)
        assert_int_equal(pthread_join(id[k], NULL), 0);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(th[k].status, DECO_OK);
        for (int r = 0; r < TRIAL_REPEATS; r++) {
            size_t at = 0;
            for (int i = 0; i < t->args; i++) {
                if (!th[k].m[r].block[i])
                    continue;
                unsigned char *mine = trial_download(&th[k].m[r], t, dev, i);
                size_t bytes = trial_bytes(t->arg[i].shape);
                if (memcmp(mine, alone + at, bytes))
                    fail_msg("%s: %s is another when two threads call at once", t->title, t->arg[i].name);
                at += bytes;
                free(mine);
            }
            trial_release(&th[k].m[r], t, dev);
        }
    }
}

/* Inside a call: a device's memory, looked at and copied from the host. */
static inline bool trial_same(deco_device *dev, const void *a, const void *b, size_t bytes)
{
    unsigned char *host = malloc(2 * bytes + 1);
    bool same = host && !deco_device_download(dev, host, a, bytes) && !deco_device_download(dev, host + bytes, b, bytes) &&
                !memcmp(host, host + bytes, bytes);
    free(host);
    return same;
}

static inline deco_status trial_copy(deco_device *dev, void *to, const void *from, size_t bytes)
{
    unsigned char *host = malloc(bytes + 1);
    deco_status st = host ? deco_device_download(dev, host, from, bytes) : DECO_E_MEMORY;
    if (!st)
        st = deco_device_upload(dev, to, host, bytes);
    free(host);
    return st;
}

/* ---- devices ---------------------------------------------------------------------------------------------------- */

/* The CPU with 1, 2 and 3 threads, which must agree bit for bit; up to three cards where there are any, and those of one model must agree as
 * well. The emulated ones (tests/emulation) differ in the order in which they run threads and blocks. With CRYODECO_NEEDS_CARD set, cards alone
 * are tried: the first device is still a CPU, whose memory a test can read. */
static deco_device *trial_device[6];
static int trial_devices, trial_first;

static inline bool trial_is_cpu(int d) { return !strcmp(deco_device_name(trial_device[d]), "cpu"); }

static inline int trial_setup(void **state)
{
    trial_first = getenv("CRYODECO_NEEDS_CARD") ? 1 : 0;
    for (int threads = 1; threads <= (trial_first ? 1 : 3); threads++)
        assert_int_equal(deco_device_create(&trial_device[trial_devices++], "cpu", threads), DECO_OK);
    for (int card = 0; card < 3; card++) {
        char name[16];
        snprintf(name, sizeof name, "cuda:%d", card);
        if (deco_device_create(&trial_device[trial_devices], name, 1))
            break;
        trial_devices++;
    }
    if (trial_devices == trial_first)
        fail_msg("no card to test: %s", deco_error());
    return 0;
}

static inline int trial_teardown(void **state)
{
    while (trial_devices)
        deco_device_free(trial_device[--trial_devices]);
    return 0;
}

/* Devices that must give the same bits. */
static inline bool trial_alike(int d, int e)
{
    return !strcmp(deco_device_libraries(trial_device[d]), deco_device_libraries(trial_device[e]));
}

static inline void trial_end(trial *t)
{
    unsigned char *first = NULL;
    int of = 0; /* the device that `first` is of */
    size_t size = 0;
    for (int d = trial_first; d < trial_devices; d++) {
        bool alike = first && trial_alike(d, of);
        unsigned char *mine = trial_once(t, trial_device[d], !alike, &size);
        if (alike && memcmp(first, mine, size))
            fail_msg("%s: other bits on %s %d than on the first", t->title, deco_device_name(trial_device[d]), d - of);
        if (d > 0 && (trial_is_cpu(d) || (!alike && size < TRIAL_SMALL)))
            trial_at_once(t, trial_device[d], mine);
        if (alike) {
            free(mine);
            continue;
        }
        free(first);
        first = mine;
        of = d;
    }
    free(first);
    for (int i = 0; i < t->args; i++) {
        free(t->arg[i].host);
        free(t->arg[i].expected);
    }
}

/* Outputs are expected to be what the first device, a CPU, makes of the inputs by `as`. */
static inline void trial_expect(trial *t, deco_status (*as)(deco_device *, const deco_array *, const void *))
{
    trial_memory m;
    trial_upload(&m, t, trial_device[0]);
    assert_int_equal(as(trial_device[0], m.a, t->extra), DECO_OK);
    for (int i = 0; i < t->args; i++) {
        if (!t->arg[i].expected)
            continue;
        unsigned char *mine = trial_download(&m, t, trial_device[0], i);
        for (int64_t k = 0; k < trial_count(t->arg[i].shape); k++)
            t->arg[i].expected[k] = trial_value(mine, t->arg[i].shape.dtype, k);
        free(mine);
    }
    trial_release(&m, t, trial_device[0]);
}

#endif
