/* Preparation and loading, timed on the user's own images and disks. */
#include "particles/bench_images.h"
#include "base/file.h"
#include "base/philox.h"
#include "particles/block_order.h"
#include "particles/file_order.h"
#include "particles/loader.h"
#include "particles/reader.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 192, MOST_IMAGES = 20000, HELD = 256, SEED = 1, OPEN_STACKS = 2 };

bool deco_image_case_possible(const deco_bench_case *c, const deco_options *o)
{
    bool cached = !strcmp(c->name, "loader_warm") || !strcmp(c->name, "loader_cold");
    return o->particles.count && (!cached || o->cache_dir);
}

static deco_status open_input(deco_particles **out, const deco_bench_case *c, deco_monitor *m)
{
    const deco_options *o = c->what;

    *out = NULL;
    if (!deco_image_case_possible(c, o))
        return deco_fail(DECO_E_ARGUMENT, "bench: %s needs an input, as --particles JOB, and what reads a cache --cache_dir DIR", c->name);
    deco_input in = deco_input_of(o);
    return deco_particles_open_input(out, &in, DECO_NEED_STACKS, m);
}

/* ---- preparing ------------------------------------------------------------------------------------------------------ */

typedef struct preparation {
    const deco_particles *p;
    const deco_options *o;
    prepare *q;
    record_layout layout;
    int32_t *points;
    int64_t held;
    float *image; /* [held] of the largest box, as they are in the stacks */
    size_t room;
    float **work; /* [threads] these are made when first needed */
    void **encoder_work;
    unsigned char **record;
} preparation;

static deco_status hold_images(preparation *b)
{
    deco_status st = DECO_OK;
    int64_t box = prepare_largest_box(b->q);
    image_reader *r = NULL;

    b->held = b->p->N < HELD ? b->p->N : HELD;
    b->room = (size_t)(box * box);
    TRY(deco_alloc(&b->image, (size_t)b->held, b->room * sizeof(float), "benchmark"));
    TRY(image_reader_create(&r, b->p, b->q, OPEN_STACKS));
    for (int64_t i = 0; i < b->held; i++)
        TRY(image_reader_raw(b->image + (size_t)i * b->room, r, i));
out:
    image_reader_free(r);
    return st;
}

static deco_status prepare_task(void *context, int64_t i, int worker)
{
    deco_status st = DECO_OK;
    preparation *b = context;
    int64_t row = i % b->held;

    if (!b->record[worker]) {
        TRY(hartley_workspace(&b->work[worker], prepare_largest_box(b->q)));
        TRY(prepare_encoder_workspace(&b->encoder_work[worker], b->q));
        TRY(deco_alloc(&b->record[worker], b->layout.bytes + DECO_ENCODER_PIXELS, 1, "benchmark"));
    }
    const deco_image_ref *image = &b->p->image[row];
    uint8_t *pixels = b->layout.encoder ? b->record[worker] + b->layout.bytes : NULL;
    memcpy(b->work[worker], b->image + (size_t)row * b->room, b->room * sizeof(float));
    prepare_image(b->q, b->p->size_of[image->stack], b->work[worker], pixels, b->encoder_work[worker]);
    record_fill(b->record[worker], &b->layout, image->stack, image->index, b->work[worker], b->points, pixels);
out:
    return st;
}

static deco_status time_preparation(deco_bench_rate *out, preparation *b, const deco_bench_case *c, deco_pool *pool, double seconds,
                                    deco_monitor *m)
{
    deco_status st = DECO_OK;
    double begin = deco_seconds(), now;

    do {
        double start = deco_seconds();
        TRY(deco_pool_run(pool, prepare_task, b, HELD));
        now = deco_seconds();
        out->value = fmax(out->value, HELD / fmax(now - start, 1e-9));
        TRY(deco_bench_stopped(c, m));
    } while (now - begin < seconds);
    snprintf(out->shape, sizeof out->shape, "\"box\": %lld, \"encoder\": %s", (long long)b->p->D, b->layout.encoder ? "true" : "false");
out:
    return st;
}

static deco_status bench_prepare(deco_bench_rate *out, const deco_bench_case *c, deco_device *dev, double seconds, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_pool *pool = deco_device_pool(dev);
    int threads = deco_pool_threads(pool);
    deco_particles *p = NULL;
    preparation b = {.o = c->what};

    *out = (deco_bench_rate){.unit = "images/s"};
    TRY(open_input(&p, c, m));
    b.p = p;
    b.layout = record_layout_of(p->D, !strcmp(b.o->image_precision, "float32"), b.o->use_conf_encoder);
    TRY(record_points(&b.points, p->D));
    TRY(prepare_create(&b.q, p, b.layout.encoder));
    TRY(hold_images(&b));
    TRY(deco_alloc(&b.work, (size_t)threads, sizeof *b.work, "benchmark"));
    TRY(deco_alloc(&b.encoder_work, (size_t)threads, sizeof *b.encoder_work, "benchmark"));
    TRY(deco_alloc(&b.record, (size_t)threads, sizeof *b.record, "benchmark"));
    TRY(time_preparation(out, &b, c, pool, seconds, m));
out:
    for (int i = 0; b.record && i < threads; i++) {
        free(b.work[i]);
        free(b.encoder_work[i]);
        free(b.record[i]);
    }
    free(b.work);
    free(b.encoder_work);
    free(b.record);
    free(b.image);
    free(b.points);
    prepare_free(b.q);
    deco_particles_free(p);
    return st;
}

/* ---- loading -------------------------------------------------------------------------------------------------------- */

/* Rows of the first `n` images in their files, in an order as an epoch's. */
static deco_status draw_rows(int64_t **order, int64_t *n, const deco_particles *p, const deco_options *o)
{
    deco_status st = DECO_OK;
    int64_t *files = NULL;
    deco_random r = deco_random_at(SEED, DECO_STREAM_ORDER, 0);

    *n = p->N < MOST_IMAGES ? p->N : MOST_IMAGES;
    TRY(file_order_rows(&files, p));
    TRY(deco_alloc(order, (size_t)*n, sizeof **order, "benchmark"));
    deco_block_order(*order, files, *n, o->shuffle_block, &r);
    for (int64_t i = 0; i < *n && !o->shuffle_block; i++) /* without blocks it is the numbers' */
        (*order)[i] = files[(*order)[i]];
out:
    free(files);
    return st;
}

typedef struct pass {
    const deco_particles *p;
    const deco_options *o;
    const deco_mask *mask;
    const int64_t *order;
    int64_t n;
} pass;

/* Seconds of one pass, a batch after another, nothing done with them. */
static deco_status time_pass(double *seconds, const pass *a, const deco_image_stats *images, deco_device *dev)
{
    deco_status st = DECO_OK;
    deco_loader *l = NULL;
    deco_batch b;
    double waited = 0, start;

    TRY(deco_loader_create(&l, a->p, a->mask, images, dev, BATCH, (int)a->o->prefetch));
    start = deco_seconds();
    TRY(deco_loader_start(l, a->order, a->n));
    do
        TRY(deco_loader_next(l, &b, &waited));
    while (b.B);
    *seconds = deco_seconds() - start;
out:
    deco_loader_free(l);
    return st;
}

/* Takes a file's pages out of memory; those of a mapping stay, so the cache must not be open. */
static deco_status forget_pages(const char *path)
{
    int fd;
    uint64_t size;
    deco_status st = deco_file_open(&fd, &size, path);

    if (st)
        return st;
    fsync(fd); /* pages not yet written would stay */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return DECO_OK;
}

/* Seconds of reading a file that is not in memory from front to back, a megabyte at a time: what dd does. */
static deco_status time_file(double *seconds, double *bytes, const char *path)
{
    deco_status st = DECO_OK;
    enum { PIECE = 1 << 20 };
    char *piece = NULL;
    int fd = -1;
    uint64_t size;
    ssize_t n;

    TRY(forget_pages(path));
    TRY(deco_alloc(&piece, PIECE, 1, "benchmark"));
    TRY(deco_file_open(&fd, &size, path));
    double start = deco_seconds();
    while ((n = read(fd, piece, PIECE)) > 0)
        *bytes += (double)n;
    if (n < 0)
        st = deco_fail_errno(DECO_E_FILE, "%s", path);
    *seconds = deco_seconds() - start;
out:
    if (fd >= 0)
        close(fd);
    free(piece);
    return st;
}

static deco_status bench_cold(deco_bench_rate *out, const pass *a, deco_image_stats *images, const char *root, deco_device *dev,
                              deco_monitor *m)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(deco_cache_directory(images->cache), "data.mdb");
    double file_seconds = 0, bytes = 0, seconds = 0;
    bool encoder = deco_cache_layout(images->cache)->encoder;

    deco_images_close(images);
    if (!path)
        TRY(deco_fail_memory(64, "a file's name"));
    TRY(time_file(&file_seconds, &bytes, path));
    TRY(deco_cache_open(&images->cache, a->p, root, images->float32, encoder, dev,
                        m)); /* which reads sums and tables: part of the tree is warm */
    TRY(forget_pages(path));
    TRY(time_pass(&seconds, a, images, dev));
    out->value = (double)a->n / seconds;
    size_t pages = (deco_cache_layout(images->cache)->bytes + 16 + 4095) / 4096;
    double record = 4096.0 * (double)pages;
    snprintf(out->shape, sizeof out->shape, "\"box\": %lld, \"images\": %lld, \"MB_s\": %.1f, \"file_MB_s\": %.1f", (long long)a->p->D,
             (long long)a->n, out->value * record / 1e6, bytes / file_seconds / 1e6);
out:
    free(path);
    return st;
}

static deco_status bench_warm(deco_bench_rate *out, const pass *a, const deco_image_stats *images, const deco_bench_case *c,
                              deco_device *dev, double seconds, deco_monitor *m)
{
    deco_status st = DECO_OK;
    double begin, one;

    TRY(time_pass(&one, a, images, dev)); /* into memory */
    begin = deco_seconds();
    do {
        TRY(time_pass(&one, a, images, dev));
        out->value = fmax(out->value, (double)a->n / one);
        TRY(deco_bench_stopped(c, m));
    } while (deco_seconds() - begin < seconds);
    snprintf(out->shape, sizeof out->shape, "\"box\": %lld, \"images\": %lld, \"encoder\": %s", (long long)a->p->D, (long long)a->n,
             images->encoder ? "true" : "false");
out:
    return st;
}

static deco_status bench_loader(deco_bench_rate *out, const deco_bench_case *c, deco_device *dev, double seconds, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const deco_options *o = c->what;
    deco_particles *p = NULL;
    deco_mask *mask = NULL;
    int64_t *order = NULL;
    pass a = {.o = o};
    deco_image_stats images = {
        .std = 1, .float32 = !strcmp(o->image_precision, "float32"), .encoder = o->use_conf_encoder, .block = o->shuffle_block};

    *out = (deco_bench_rate){.unit = "images/s"};
    TRY(open_input(&p, c, m));
    TRY(deco_mask_create(&mask, p->D + 1, p->D / 2));
    TRY(draw_rows(&order, &a.n, p, o));
    a.p = p, a.mask = mask, a.order = order;
    if (strcmp(c->name, "loader_stacks") != 0)
        TRY(deco_cache_open(&images.cache, p, o->cache_dir, images.float32, images.encoder, dev, m));
    if (!strcmp(c->name, "loader_cold"))
        TRY(bench_cold(out, &a, &images, o->cache_dir, dev, m));
    else
        TRY(bench_warm(out, &a, &images, c, dev, seconds, m));
out:
    deco_images_close(&images);
    free(order);
    deco_mask_free(mask);
    deco_particles_free(p);
    return st;
}

const deco_bench_case deco_image_cases[DECO_IMAGE_CASES] = {
    {"prepare", bench_prepare, NULL},
    {"loader_stacks", bench_loader, NULL},
    {"loader_warm", bench_loader, NULL},
    {"loader_cold", bench_loader, NULL},
};
