/* All cores prepare one chunk of images while the one before it is written. A chunk, with its sums, is committed at once: after a kill
 * the next process goes on behind the last whole one. */
#include "base/file.h"
#include "particles/cache_parts.h"
#include "particles/reader.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 16, OPEN_STACKS = 2 };

typedef struct build {
    const cache_plan *c;
    cache_env *env;
    prepare *q;
    int32_t *points;
    image_reader **reader; /* [threads] made when first needed */
    uint8_t **pixels;      /* [threads] likewise */
    deco_monitor *m;
    image_sums *sums;         /* [images] */
    unsigned char *record[2]; /* [chunk] records: of the chunk at hand, and of the one before */
    int64_t first, before;    /* first images of the two; before -1: there is none */
} build;

static int64_t chunk_size(const build *b, int64_t first)
{
    int64_t left = b->c->images.count - first;
    return left < b->c->chunk ? left : b->c->chunk;
}

static unsigned char *record_at(const build *b, int64_t first, int64_t i)
{
    return b->record[first / b->c->chunk % 2] + (size_t)i * b->c->layout.bytes;
}

/* ---- a chunk ------------------------------------------------------------------------------------------------------- */

static deco_status write_chunk(const build *b, int64_t first)
{
    deco_status st = DECO_OK;
    cache_txn *t = NULL;
    int64_t n = chunk_size(b, first);

    TRY(cache_txn_begin(&t, b->env));
    for (int64_t i = 0; i < n; i++)
        TRY(cache_txn_put_image(t, first + i, record_at(b, first, i), b->c->layout.bytes));
    TRY(cache_txn_put_sums(t, first, b->sums + first, (size_t)n * sizeof *b->sums));
    st = cache_txn_commit(t);
    t = NULL;
out:
    cache_txn_abandon(t);
    return st;
}

static deco_status make_reader(build *b, int worker)
{
    deco_status st = DECO_OK;

    if (b->reader[worker])
        return DECO_OK;
    if (b->c->layout.encoder)
        TRY(deco_alloc(&b->pixels[worker], DECO_ENCODER_PIXELS, 1, "an encoder image"));
    TRY(image_reader_create(&b->reader[worker], b->c->p, b->q, OPEN_STACKS));
out:
    return st;
}

static deco_status prepare_one(build *b, int64_t number, int worker)
{
    deco_status st = DECO_OK;
    const deco_particles *p = b->c->p;
    int64_t row = b->c->images.row[number];
    const float *values;

    TRY(image_reader_hartley(&values, b->pixels[worker], b->reader[worker], row, true));
    b->sums[number] = image_sums_of(values, p->D);
    record_fill(record_at(b, b->first, number - b->first), &b->c->layout, p->image[row].stack, p->image[row].index, values, b->points,
                b->pixels[worker]);
out:
    return st;
}

/* Task 0 writes the chunk before, the others prepare a tile of this one each. */
static deco_status chunk_task(void *context, int64_t task, int worker)
{
    deco_status st = DECO_OK;
    build *b = context;

    if (task == 0)
        return b->before < 0 ? DECO_OK : write_chunk(b, b->before);
    TRY(make_reader(b, worker));
    int64_t n = chunk_size(b, b->first), from = (task - 1) * TILE, to = from + TILE < n ? from + TILE : n;
    for (int64_t i = from; i < to; i++) {
        if (deco_monitor_stopped(b->m))
            TRY(deco_fail(DECO_E_STOPPED, "stopped while images were prepared; those in %s stay, and the next run goes on from there",
                          b->c->directory));
        TRY(prepare_one(b, b->first + i, worker));
    }
    deco_progress_add(b->m, to - from);
out:
    return st;
}

static deco_status run_chunks(build *b, deco_pool *pool)
{
    deco_status st = DECO_OK;
    int64_t count = b->c->images.count;

    b->before = -1;
    for (; b->first < count; b->first += b->c->chunk) {
        TRY(deco_pool_run(pool, chunk_task, b, 1 + (chunk_size(b, b->first) + TILE - 1) / TILE));
        b->before = b->first;
    }
    if (b->before >= 0)
        TRY(write_chunk(b, b->before));
out:
    return st;
}

/* ---- what a cache says of itself ------------------------------------------------------------------------------------ */

static deco_status about_text(char **out, const cache_plan *c)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddStringToObject(o, "source", c->p->source);
    cJSON_AddNumberToObject(o, "particles", (double)c->p->N);
    cJSON_AddNumberToObject(o, "images", (double)c->images.count);
    cJSON_AddNumberToObject(o, "box", (double)c->p->D);
    cJSON_AddNumberToObject(o, "psize_A", c->p->psize_A);
    cJSON_AddStringToObject(o, "precision", c->layout.float32 ? "float32" : "float16");
    cJSON_AddBoolToObject(o, "encoder", c->layout.encoder);
    cJSON_AddNumberToObject(o, "record_bytes", (double)c->layout.bytes);
    cJSON_AddNumberToObject(o, "chunk", (double)c->chunk);
    cJSON_AddNumberToObject(o, "bytes", c->bytes);
    cJSON_AddStringToObject(o, "made_by", deco_version());
    *out = cJSON_PrintUnformatted(o);
    cJSON_Delete(o);
    return *out ? DECO_OK : deco_fail_memory(1024, "a cache's description");
}

static deco_status stack_names(char **out, size_t *bytes, const cache_plan *c)
{
    deco_status st = DECO_OK;
    FILE *f = open_memstream(out, bytes);

    if (!f)
        return deco_fail_memory(0, "names of stacks");
    for (int64_t s = 0; s < c->p->stacks; s++)
        fwrite(c->p->stack[s], 1, strlen(c->p->stack[s]) + 1, f);
    if (fclose(f))
        st = deco_fail_memory(*bytes, "names of stacks");
    return st;
}

static deco_status describe(build *b)
{
    deco_status st = DECO_OK;
    cache_txn *t = NULL;
    char *text = NULL, *names = NULL;
    size_t bytes = 0;

    TRY(about_text(&text, b->c));
    TRY(stack_names(&names, &bytes, b->c));
    TRY(cache_txn_begin(&t, b->env));
    TRY(cache_txn_put_text(t, CACHE_ABOUT, text, strlen(text) + 1));
    TRY(cache_txn_put_text(t, CACHE_NAMES, names, bytes));
    TRY(cache_txn_put_text(t, CACHE_STAMPS, b->c->stamps, (size_t)b->c->p->stacks * sizeof *b->c->stamps));
    st = cache_txn_commit(t);
    t = NULL;
out:
    cache_txn_abandon(t);
    free(text);
    free(names);
    return st;
}

static deco_status finish(build *b)
{
    deco_status st = DECO_OK;
    cache_txn *t = NULL;
    cache_end end = {b->c->images.count, record_digest(b->sums, (size_t)b->c->images.count * sizeof *b->sums)};

    TRY(cache_plan_check_stamps(b->c));
    TRY(cache_txn_begin(&t, b->env));
    TRY(cache_txn_put_text(t, CACHE_DONE, &end, sizeof end));
    st = cache_txn_commit(t);
    t = NULL;
out:
    cache_txn_abandon(t);
    return st;
}

deco_status cache_read_sums(image_sums **out, int64_t *images, bool *whole, const cache_env *e, int64_t chunk, int64_t count)
{
    deco_status st = DECO_OK;
    cache_view *v = NULL;
    image_sums *sums = NULL;
    const void *some;
    size_t bytes;

    *out = NULL;
    *images = 0;
    *whole = false;
    TRY(deco_alloc(&sums, (size_t)count, sizeof *sums, "image sums"));
    TRY(cache_view_create(&v, e));
    for (int64_t first = 0; first < count; first += chunk) {
        int64_t n = count - first < chunk ? count - first : chunk;
        TRY(cache_view_sums(&some, &bytes, v, first));
        if (!some)
            break;
        if (bytes != (size_t)n * sizeof *sums)
            TRY(deco_fail(DECO_E_FORMAT, "the sums of image %lld have %zu bytes, not %zu", (long long)first, bytes,
                          (size_t)n * sizeof *sums));
        memcpy(sums + first, some, bytes);
        *images = first + n;
    }
    const char *done;
    TRY(cache_view_text(&done, &bytes, v, CACHE_DONE));
    if (done) {
        cache_end end = {0};
        if (bytes == sizeof end)
            memcpy(&end, done, sizeof end);
        if (*images != count || end.images != count || end.sums != record_digest(sums, (size_t)count * sizeof *sums))
            TRY(deco_fail(DECO_E_FORMAT, "its last record does not fit the others"));
        *whole = true;
    }
    *out = sums;
    sums = NULL;
out:
    cache_view_free(v);
    free(sums);
    return st;
}

/* ---- all of it -------------------------------------------------------------------------------------------------------- */

static deco_status get_ready(build *b, int threads)
{
    deco_status st = DECO_OK;
    const cache_plan *c = b->c;

    TRY(prepare_create(&b->q, c->p, c->layout.encoder));
    TRY(record_points(&b->points, c->p->D));
    TRY(deco_alloc(&b->reader, (size_t)threads, sizeof(image_reader *), "image readers"));
    TRY(deco_alloc(&b->pixels, (size_t)threads, sizeof(uint8_t *), "encoder images"));
    for (int i = 0; i < 2; i++)
        TRY(deco_alloc(&b->record[i], (size_t)c->chunk, c->layout.bytes, "prepared images"));
out:
    return st;
}

deco_status cache_build(bool *damaged, const cache_plan *c, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_pool *pool = deco_device_pool(dev);
    int threads = deco_pool_threads(pool);
    build b = {.c = c, .m = m};
    bool whole;

    *damaged = false;
    st = cache_env_open_to_write(&b.env, c->directory, c->bytes);
    if (!st)
        st = cache_read_sums(&b.sums, &b.first, &whole, b.env, c->chunk, c->images.count);
    *damaged = st == DECO_E_FORMAT;
    if (st)
        goto out;
    if (b.first)
        deco_info(m, "%s: %lld of %lld images are there already; going on", c->directory, (long long)b.first, (long long)c->images.count);
    else
        TRY(describe(&b));
    TRY(get_ready(&b, threads));
    deco_progress_begin(m, "preparing images", c->images.count, "images");
    deco_progress_add(m, b.first);
    st = run_chunks(&b, pool);
    deco_progress_end(m);
    if (!st)
        st = finish(&b);
out:
    for (int i = 0; b.reader && b.pixels && i < threads; i++) {
        image_reader_free(b.reader[i]);
        free(b.pixels[i]);
    }
    free(b.reader);
    free(b.pixels);
    free(b.record[0]);
    free(b.record[1]);
    free(b.points);
    free(b.sums);
    prepare_free(b.q);
    cache_env_close(b.env);
    return st;
}
