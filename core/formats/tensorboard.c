/* A record: length (u64), masked CRC of it, the bytes of an Event, masked CRC of those; all little-endian (TFRecord). Event and Summary are protocol buffers;
 * the numbers of their fields stand beside what is put in. */
#include "formats/tensorboard.h"
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct deco_events {
    char *path;
    int fd;
};

uint32_t deco_crc32c(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint32_t c = 0xffffffff;

    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0x82f63b78 : 0);
    }
    return ~c;
}

/* ---- protocol buffers -------------------------------------------------------------------------------------------- */

/* Bytes that grow; `failed` stays true when memory ran out. */
typedef struct message {
    unsigned char *at;
    size_t n, room;
    bool failed;
} message;

static void put_bytes(message *m, const void *bytes, size_t n)
{
    if (m->n + n > m->room && !m->failed) {
        size_t room = 2 * (m->n + n) + 64;
        unsigned char *more = realloc(m->at, room);
        m->failed = !more;
        m->at = more ? more : m->at;
        m->room = more ? room : m->room;
    }
    if (m->failed)
        return;
    memcpy(m->at + m->n, bytes, n);
    m->n += n;
}

static void put_varint(message *m, uint64_t v)
{
    for (; v > 127; v >>= 7)
        put_bytes(m, &(unsigned char){(unsigned char)(v | 128)}, 1);
    put_bytes(m, &(unsigned char){(unsigned char)v}, 1);
}

static void put_number(message *m, int field, uint64_t v)
{
    put_varint(m, (uint64_t)field << 3);
    put_varint(m, v);
}

static void put_little(message *m, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        put_bytes(m, &(unsigned char){(unsigned char)(v >> 8 * i)}, 1);
}

static void put_double(message *m, int field, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_varint(m, (uint64_t)field << 3 | 1);
    put_little(m, bits, 8);
}

static void put_float(message *m, int field, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_varint(m, (uint64_t)field << 3 | 5);
    put_little(m, bits, 4);
}

static void put_string(message *m, int field, const void *bytes, size_t n)
{
    put_varint(m, (uint64_t)field << 3 | 2);
    put_varint(m, n);
    put_bytes(m, bytes, n);
}

static void put_message(message *m, int field, const message *inner)
{
    put_string(m, field, inner->at, inner->n);
    m->failed = m->failed || inner->failed;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static uint32_t masked(uint32_t crc) { return (crc >> 15 | crc << 17) + 0xa282ead8; }

/* In one write, so that a kill leaves no half record but by the disk's hand. */
static deco_status write_record(deco_events *e, const message *event)
{
    deco_status st = DECO_OK;
    message record = {0};

    put_little(&record, event->n, 8);
    put_little(&record, masked(deco_crc32c(record.at, record.failed ? 0 : 8)), 4);
    put_bytes(&record, event->at, event->n);
    put_little(&record, masked(deco_crc32c(event->at, event->n)), 4);
    if (record.failed || event->failed)
        TRY(deco_fail_memory(event->n, e->path));
    for (size_t done = 0; done < record.n;) {
        ssize_t k = write(e->fd, record.at + done, record.n - done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            TRY(deco_fail_errno(DECO_E_FILE, "%s: cannot be written", e->path));
        done += (size_t)k;
    }
out:
    free(record.at);
    return st;
}

/* Event: wall_time 1, step 2, and `what` under its number. */
static deco_status write_event(deco_events *e, int64_t step, int field, const void *bytes, size_t n)
{
    struct timespec now;
    message event = {0};
    deco_status st;

    clock_gettime(CLOCK_REALTIME, &now);
    put_double(&event, 1, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
    put_number(&event, 2, (uint64_t)step);
    put_string(&event, field, bytes, n);
    st = write_record(e, &event);
    free(event.at);
    return st;
}

/* Summary 5 of one Value 1: tag 1, and `inner` under its number. */
static deco_status write_value(deco_events *e, const char *tag, int64_t step, message *inner)
{
    message value = {0}, summary = {0};
    deco_status st;

    put_string(&value, 1, tag, strlen(tag));
    put_bytes(&value, inner->at, inner->n);
    value.failed = value.failed || inner->failed;
    put_message(&summary, 1, &value);
    st = summary.failed ? deco_fail_memory(inner->n, e->path) : write_event(e, step, 5, summary.at, summary.n);
    free(value.at);
    free(summary.at);
    return st;
}

deco_status deco_events_create(deco_events **out, const char *directory, int64_t first)
{
    static const char version[] = "brain.Event:2"; /* file_version 3 */
    deco_status st = DECO_OK;
    deco_events *e = NULL;
    message start = {0};
    char host[65] = "";

    *out = NULL;
    TRY(deco_alloc(&e, 1, sizeof *e, "an event file"));
    e->fd = -1;
    gethostname(host, sizeof host - 1);
    TRY(deco_directory_make(directory));
    if (!(e->path = deco_format("%s/events.out.tfevents.%lld.%s.%ld", directory, (long long)time(NULL), host, (long)getpid())))
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    if ((e->fd = open(e->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0)
        TRY(deco_fail_errno(DECO_E_FILE, "%s: cannot be written", e->path));
    TRY(write_event(e, 0, 3, version, sizeof version - 1));
    put_number(&start, 1, 1); /* SessionLog 7: status START; readers then leave out what older files have from this step on */
    TRY(start.failed ? deco_fail_memory(16, e->path) : write_event(e, first, 7, start.at, start.n));
    *out = e;
    e = NULL;
out:
    free(start.at);
    deco_events_free(e);
    return st;
}

void deco_events_free(deco_events *e)
{
    if (!e)
        return;
    if (e->fd >= 0)
        close(e->fd);
    free(e->path);
    free(e);
}

deco_status deco_events_scalar(deco_events *e, const char *tag, int64_t step, double value)
{
    message inner = {0};
    deco_status st;

    put_float(&inner, 2, (float)value); /* simple_value */
    st = write_value(e, tag, step, &inner);
    free(inner.at);
    return st;
}

static uint32_t big_endian(const unsigned char *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

deco_status deco_events_png(deco_events *e, const char *tag, int64_t step, const void *bytes, size_t n)
{
    enum { WIDTH_AT = 16, HEIGHT_AT = 20, HEAD = 24, RGB = 3 }; /* of a PNG's first chunk */
    message image = {0}, inner = {0};
    deco_status st;

    if (n < HEAD)
        return deco_fail(DECO_E_FORMAT, "%s: is no PNG", tag);
    put_number(&image, 1, big_endian((const unsigned char *)bytes + HEIGHT_AT));
    put_number(&image, 2, big_endian((const unsigned char *)bytes + WIDTH_AT));
    put_number(&image, 3, RGB);
    put_string(&image, 4, bytes, n);
    put_message(&inner, 4, &image);
    st = write_value(e, tag, step, &inner);
    free(image.at);
    free(inner.at);
    return st;
}

deco_status deco_events_histogram(deco_events *e, const char *tag, int64_t step, const float *x, int64_t n)
{
    double low = INFINITY, high = -INFINITY, sum = 0, squares = 0, count[DECO_EVENT_BINS] = {0};
    int64_t counted = 0;
    message histogram = {0}, limits = {0}, counts = {0}, inner = {0};
    deco_status st = DECO_OK;

    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
        sum += x[i];
        squares += (double)x[i] * x[i];
        counted++;
    }
    if (!counted)
        return DECO_OK;
    for (int64_t i = 0; i < n; i++) {
        int bin = high > low ? (int)((x[i] - low) / (high - low) * DECO_EVENT_BINS) : 0;
        if (isfinite(x[i]))
            count[bin < DECO_EVENT_BINS ? bin : DECO_EVENT_BINS - 1]++;
    }
    for (int i = 0; i < DECO_EVENT_BINS; i++) {
        double limit = low + (high > low ? high - low : 1) * (i + 1) / DECO_EVENT_BINS;
        uint64_t bits;
        memcpy(&bits, &limit, sizeof bits);
        put_little(&limits, bits, 8);
        memcpy(&bits, &count[i], sizeof bits);
        put_little(&counts, bits, 8);
    }
    put_double(&histogram, 1, low);
    put_double(&histogram, 2, high);
    put_double(&histogram, 3, (double)counted);
    put_double(&histogram, 4, sum);
    put_double(&histogram, 5, squares);
    put_message(&histogram, 6, &limits); /* packed doubles */
    put_message(&histogram, 7, &counts);
    put_message(&inner, 5, &histogram);
    st = write_value(e, tag, step, &inner);
    free(histogram.at);
    free(limits.at);
    free(counts.at);
    free(inner.at);
    return st;
}
