/* Batches read ahead by threads of the loader's own.
 *
 * Batches stand in a ring of slots. A thread takes the next image of the pass, whatever its batch, as long as that batch's slot is free;
 * so the order of rows, and every value, is the same with any number of threads. All that threads share is behind one lock. */
#include "particles/loader.h"
#include "base/monitor.h"
#include "base/threads.h"
#include "particles/read_ahead.h"
#include "particles/reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FEWEST_THREADS = 2, MOST_THREADS = 8 };
enum { OPEN_STACKS = 24 }; /* a thread: well under the 1024 files that a process may usually open */

typedef struct slot {
    float *images;   /* [batch,P] */
    uint8_t *pixels; /* [batch,DECO_ENCODER_PIXELS]; NULL without an encoder */
    int64_t *row;    /* [batch] */
    int64_t done;    /* images finished, well or badly */
    int64_t bad;     /* lowest place in the batch that failed; batch: none */
    deco_status status;
    char *message;
} slot;

typedef struct reader_thread {
    pthread_t thread;
    struct deco_loader *loader;
    image_reader *reader;  /* of the stacks ... */
    unsigned char *record; /* ... whose images become records on the way, */
    cache_reader *cached;  /* or of the cache */
} reader_thread;

struct deco_loader {
    const deco_particles *p;
    deco_image_stats images;
    prepare *q;           /* NULL with a cache */
    int32_t *points;      /* of records in the D×D transform; NULL with a cache */
    record_layout layout; /* of records as they are read */
    int32_t *places;      /* [P] of the mask among a record's values; NULL: all of them */
    int64_t P, batch;
    int slots, threads;
    slot *ring;
    reader_thread *thread;
    read_ahead *disk; /* NULL without a cache */

    pthread_mutex_t lock; /* everything below, and the slots */
    pthread_cond_t work, ready;
    const int64_t *order;
    int64_t n, next; /* images of the pass; the next to be taken */
    int64_t given;   /* batches the caller is through with */
    bool lent;       /* batch `given` is in the caller's hands */
    int busy;        /* threads reading now */
    bool closing;
};

static int threads_for(int pool_threads)
{
    int n = pool_threads / 2;
    return n < FEWEST_THREADS ? FEWEST_THREADS : n > MOST_THREADS ? MOST_THREADS : n;
}

size_t deco_loader_bytes(int64_t box, int64_t P, int64_t batch, int ahead, int threads, bool encoder)
{
    size_t image = (size_t)P * sizeof(float) + (encoder ? DECO_ENCODER_PIXELS : 0) + sizeof(int64_t);
    size_t record = (size_t)(box * box) * sizeof(float);
    return (size_t)(ahead + 1) * (size_t)batch * image +
           (size_t)threads_for(threads) * (image_reader_bytes(box, OPEN_STACKS, encoder) + record) +
           (size_t)(P + 2 * box * box) * sizeof(float); /* places, points, window */
}

/* ---- the threads ------------------------------------------------------------------------------------------------- */

static deco_status load_row(float *out, uint8_t *pixels, reader_thread *t, int64_t row)
{
    deco_status st = DECO_OK;
    const deco_loader *l = t->loader;
    const deco_image_ref *image = &l->p->image[row];
    const unsigned char *record = t->record;
    const float *transform;

    if (t->cached) {
        TRY(cache_reader_record(&record, t->cached, row));
        if (pixels)
            memcpy(pixels, record_pixels(record, &l->layout), DECO_ENCODER_PIXELS);
    } else {
        TRY(image_reader_hartley(&transform, pixels, t->reader, row, false));
        record_fill(t->record, &l->layout, image->stack, image->index, transform, l->points, NULL);
    }
    record_values(out, record, &l->layout, (double)l->p->sign[row] / l->images.std, l->places, l->P);
out:
    return st;
}

static int64_t batch_size(const deco_loader *l, int64_t b) { return l->n - b * l->batch < l->batch ? l->n - b * l->batch : l->batch; }

/* Under the lock. */
static void finish_image(deco_loader *l, slot *s, int64_t place, deco_status st)
{
    if (st && place < s->bad) {
        s->bad = place;
        s->status = st;
        free(s->message);
        s->message = strdup(deco_error());
    }
    s->done++;
    l->busy--;
    pthread_cond_signal(&l->ready);
}

static void *thread_main(void *argument)
{
    reader_thread *t = argument;
    deco_loader *l = t->loader;

    pthread_mutex_lock(&l->lock);
    while (!l->closing) {
        if (l->next >= l->n || l->next / l->batch >= l->given + l->slots) {
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        int64_t at = l->next, place = at % l->batch, row = l->order[at];
        slot *s = &l->ring[l->next / l->batch % l->slots];
        l->next++;
        l->busy++;
        s->row[place] = row;
        pthread_mutex_unlock(&l->lock);
        if (l->disk)
            read_ahead_reached(l->disk, at);
        deco_status st = load_row(s->images + place * l->P, s->pixels ? s->pixels + place * DECO_ENCODER_PIXELS : NULL, t, row);
        pthread_mutex_lock(&l->lock);
        finish_image(l, s, place, st);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* ---- made and freed ---------------------------------------------------------------------------------------------- */

static void clear_slot(slot *s, int64_t batch)
{
    s->done = 0;
    s->bad = batch;
    s->status = DECO_OK;
    free(s->message);
    s->message = NULL;
}

static deco_status make_ring(deco_loader *l)
{
    deco_status st = DECO_OK;
    size_t values;

    if (__builtin_mul_overflow((size_t)l->batch, (size_t)l->P, &values))
        return deco_fail_memory(SIZE_MAX, "batches");
    TRY(deco_alloc(&l->ring, (size_t)l->slots, sizeof *l->ring, "batches"));
    for (int i = 0; i < l->slots; i++) {
        TRY(deco_alloc(&l->ring[i].images, values, sizeof(float), "batches"));
        TRY(deco_alloc(&l->ring[i].row, (size_t)l->batch, sizeof(int64_t), "batches"));
        if (l->images.encoder)
            TRY(deco_alloc(&l->ring[i].pixels, (size_t)l->batch, DECO_ENCODER_PIXELS, "batches"));
        clear_slot(&l->ring[i], l->batch);
    }
out:
    return st;
}

static deco_status make_reader(reader_thread *t, deco_loader *l)
{
    deco_status st = DECO_OK;

    t->loader = l;
    if (l->images.cache)
        return cache_reader_create(&t->cached, l->images.cache);
    TRY(deco_alloc(&t->record, l->layout.bytes, 1, "an image"));
    TRY(image_reader_create(&t->reader, l->p, l->q, OPEN_STACKS));
out:
    return st;
}

static void free_reader(reader_thread *t)
{
    image_reader_free(t->reader);
    cache_reader_free(t->cached);
    free(t->record);
}

static deco_status start_threads(deco_loader *l, int wanted)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&l->thread, (size_t)wanted, sizeof *l->thread, "image readers"));
    for (int i = 0; i < wanted; i++) {
        st = make_reader(&l->thread[i], l);
        if (!st)
            st = deco_thread_start(&l->thread[i].thread, thread_main, &l->thread[i], "a thread to read images");
        if (st) {
            free_reader(&l->thread[i]);
            goto out;
        }
        l->threads++;
    }
out:
    return st;
}

/* What turns images into records and records into values. */
static deco_status make_codec(deco_loader *l, const deco_mask *mask)
{
    deco_status st = DECO_OK;

    TRY(record_places(&l->places, mask));
    if (l->images.cache) {
        l->layout = *deco_cache_layout(l->images.cache);
        return read_ahead_create(&l->disk, l->images.cache, l->p->N, l->images.block);
    }
    l->layout = record_layout_of(l->p->D, l->images.float32, false);
    TRY(record_points(&l->points, l->p->D));
    TRY(prepare_create(&l->q, l->p, l->images.encoder));
out:
    return st;
}

deco_status deco_loader_create(deco_loader **out, const deco_particles *p, const deco_mask *mask, const deco_image_stats *images,
                               deco_device *dev, int64_t batch, int ahead)
{
    deco_status st = DECO_OK;
    deco_loader *l = NULL;

    *out = NULL;
    if (batch < 1 || ahead < 1 || !(images->std > 0) || mask->L != p->D + 1)
        return deco_fail(DECO_E_ARGUMENT, "loader: batch %lld, ahead %d, std %g and a mask of L = %lld for box %lld do not go together",
                         (long long)batch, ahead, images->std, (long long)mask->L, (long long)p->D);
    TRY(deco_alloc(&l, 1, sizeof *l, "loader"));
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->ready, NULL);
    l->p = p;
    l->images = *images;
    l->P = mask->P;
    l->batch = batch;
    l->slots = ahead + 1; /* one is in the caller's hands */
    TRY(make_codec(l, mask));
    TRY(make_ring(l));
    TRY(start_threads(l, threads_for(deco_pool_threads(deco_device_pool(dev)))));
    *out = l;
    l = NULL;
out:
    deco_loader_free(l);
    return st;
}

void deco_loader_free(deco_loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->threads; i++) {
        pthread_join(l->thread[i].thread, NULL);
        free_reader(&l->thread[i]);
    }
    for (int i = 0; l->ring && i < l->slots; i++) {
        free(l->ring[i].images);
        free(l->ring[i].pixels);
        free(l->ring[i].row);
        free(l->ring[i].message);
    }
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->ready);
    pthread_mutex_destroy(&l->lock);
    free(l->ring);
    free(l->thread);
    read_ahead_free(l->disk);
    free(l->points);
    free(l->places);
    prepare_free(l->q);
    free(l);
}

/* ---- a pass ------------------------------------------------------------------------------------------------------ */

deco_status deco_loader_start(deco_loader *l, const int64_t *order, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (order[i] < 0 || order[i] >= l->p->N)
            return deco_fail(DECO_E_ARGUMENT, "loader: row %lld of %lld was asked for", (long long)order[i], (long long)l->p->N);
    pthread_mutex_lock(&l->lock);
    l->n = 0; /* nothing more of the pass before */
    while (l->busy)
        pthread_cond_wait(&l->ready, &l->lock);
    for (int i = 0; i < l->slots; i++)
        clear_slot(&l->ring[i], l->batch);
    if (l->disk)
        read_ahead_start(l->disk, order, n);
    l->order = order;
    l->n = n;
    l->next = l->given = 0;
    l->lent = false;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    return DECO_OK;
}

/* Under the lock: the caller is through with the batch it had. */
static void take_back(deco_loader *l)
{
    if (!l->lent)
        return;
    clear_slot(&l->ring[l->given % l->slots], l->batch);
    l->given++;
    l->lent = false;
    pthread_cond_broadcast(&l->work);
}

/* All that was wanted of the disk has come, or will not be wanted any more: the caller may free its order. */
static void end_asking(deco_loader *l)
{
    if (l->disk)
        read_ahead_stop(l->disk);
}

deco_status deco_loader_next(deco_loader *l, deco_batch *out, double *waited)
{
    deco_status st = DECO_OK;
    double start = deco_seconds();
    slot *s;

    *out = (deco_batch){0};
    pthread_mutex_lock(&l->lock);
    take_back(l);
    if (l->given * l->batch >= l->n)
        goto out;
    s = &l->ring[l->given % l->slots];
    while (s->done < batch_size(l, l->given))
        pthread_cond_wait(&l->ready, &l->lock);
    if (s->status) {
        deco_error_set(s->message ? s->message : "an image could not be read");
        st = s->status;
        l->n = 0; /* the pass ends here */
        end_asking(l);
        goto out;
    }
    if ((l->given + 1) * l->batch >= l->n)
        end_asking(l);
    *out = (deco_batch){batch_size(l, l->given), s->row, s->images, s->pixels};
    l->lent = true;
out:
    pthread_mutex_unlock(&l->lock);
    *waited += deco_seconds() - start;
    return st;
}
