/* Batches read ahead by threads of the loader's own.
 *
 * Batches stand in a ring of slots. A thread takes the next image of the pass, whatever its batch, as long as that batch's slot is free;
 * so the order of rows, and every value, is the same with any number of threads. All that threads share is behind one lock. */
#include "particles/loader.h"
#include "base/monitor.h"
#include "particles/reader.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { FEWEST_THREADS = 2, MOST_THREADS = 8 };
enum { OPEN_STACKS = 24 }; /* a thread: well under the 1024 files that a process may usually open */

typedef struct slot {
    float *images; /* [batch,P] */
    int64_t *row;  /* [batch] */
    int64_t done;  /* images finished, well or badly */
    int64_t bad;   /* lowest place in the batch that failed; batch: none */
    deco_status status;
    char *message;
} slot;

typedef struct reader_thread {
    pthread_t thread;
    struct deco_loader *loader;
    image_reader *reader;
} reader_thread;

struct deco_loader {
    const deco_particles *p;
    prepare *q;
    int32_t *gather; /* [P] points of the mask in the D×D transform */
    int64_t P, batch;
    double std;
    int slots, threads;
    slot *ring;
    reader_thread *thread;

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

size_t deco_loader_bytes(int64_t box, int64_t P, int64_t batch, int ahead, int threads)
{
    size_t slot_bytes = (size_t)batch * ((size_t)P * sizeof(float) + sizeof(int64_t));
    return (size_t)(ahead + 1) * slot_bytes + (size_t)threads_for(threads) * image_reader_bytes(box, OPEN_STACKS) +
           (size_t)P * sizeof(int32_t) + (size_t)(box * box) * sizeof(float);
}

/* ---- the threads ------------------------------------------------------------------------------------------------- */

static deco_status load_row(float *out, reader_thread *t, int64_t row)
{
    deco_status st = DECO_OK;
    const deco_loader *l = t->loader;
    const float *hartley;
    float scale = (float)(l->p->sign[row] / l->std);

    TRY(image_reader_hartley(&hartley, t->reader, row, false));
    for (int64_t i = 0; i < l->P; i++)
        out[i] = scale * hartley[l->gather[i]];
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
        int64_t place = l->next % l->batch, row = l->order[l->next];
        slot *s = &l->ring[l->next / l->batch % l->slots];
        l->next++;
        l->busy++;
        s->row[place] = row;
        pthread_mutex_unlock(&l->lock);
        deco_status st = load_row(s->images + place * l->P, t, row);
        pthread_mutex_lock(&l->lock);
        finish_image(l, s, place, st);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* Every signal but faults is left to the host's threads. */
static deco_status start_thread(reader_thread *t)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t all, before;

    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int failed = pthread_create(&t->thread, NULL, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        errno = failed;
        return deco_fail_errno(DECO_E_MEMORY, "a thread to read images cannot be started");
    }
    return DECO_OK;
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
        clear_slot(&l->ring[i], l->batch);
    }
out:
    return st;
}

/* A point of the L×L lattice in the D×D transform: the last row and column repeat the first. */
static deco_status make_gather(deco_loader *l, const deco_mask *mask)
{
    deco_status st = DECO_OK;
    int64_t D = l->p->D;

    TRY(deco_alloc(&l->gather, (size_t)mask->P, sizeof *l->gather, "mask"));
    for (int64_t i = 0; i < mask->P; i++)
        l->gather[i] = (int32_t)(mask->index[i] / mask->L % D * D + mask->index[i] % mask->L % D);
out:
    return st;
}

static deco_status start_threads(deco_loader *l, int wanted)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&l->thread, (size_t)wanted, sizeof *l->thread, "image readers"));
    for (int i = 0; i < wanted; i++) {
        l->thread[i].loader = l;
        st = image_reader_create(&l->thread[i].reader, l->p, l->q, OPEN_STACKS);
        if (!st)
            st = start_thread(&l->thread[i]);
        if (st) {
            image_reader_free(l->thread[i].reader);
            goto out;
        }
        l->threads++;
    }
out:
    return st;
}

deco_status deco_loader_create(deco_loader **out, const deco_particles *p, const deco_mask *mask, double std, deco_device *dev,
                               int64_t batch, int ahead)
{
    deco_status st = DECO_OK;
    deco_loader *l = NULL;

    *out = NULL;
    if (batch < 1 || ahead < 1 || !(std > 0) || mask->L != p->D + 1)
        return deco_fail(DECO_E_ARGUMENT, "loader: batch %lld, ahead %d, std %g and a mask of L = %lld for box %lld do not go together",
                         (long long)batch, ahead, std, (long long)mask->L, (long long)p->D);
    TRY(deco_alloc(&l, 1, sizeof *l, "loader"));
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->ready, NULL);
    l->p = p;
    l->P = mask->P;
    l->batch = batch;
    l->std = std;
    l->slots = ahead + 1; /* one is in the caller's hands */
    TRY(prepare_create(&l->q, p));
    TRY(make_gather(l, mask));
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
        image_reader_free(l->thread[i].reader);
    }
    for (int i = 0; l->ring && i < l->slots; i++) {
        free(l->ring[i].images);
        free(l->ring[i].row);
        free(l->ring[i].message);
    }
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->ready);
    pthread_mutex_destroy(&l->lock);
    free(l->ring);
    free(l->thread);
    free(l->gather);
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
        goto out;
    }
    *out = (deco_batch){batch_size(l, l->given), s->row, s->images};
    l->lent = true;
out:
    pthread_mutex_unlock(&l->lock);
    *waited += deco_seconds() - start;
    return st;
}
