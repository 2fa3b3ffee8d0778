#include "particles/read_ahead.h"
#include "base/threads.h"
#include "particles/block_order.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNIT  ((size_t)1 << 20) /* of the file, asked for together: as few seeks as dd's */
#define PIECE ((size_t)1 << 17) /* the most that any kernel reads for one piece of advice: it drops the rest without a word */
#define SLACK ((size_t)1 << 16) /* images do not lie quite evenly: pages of the tree stand between them */

enum { ON_THE_WAY = 32 }; /* units asked for and not waited for: enough for a fast disk, and others' reads do not wait long behind them */
enum { IMAGES_AHEAD = 256 }; /* where each image is asked for: 15 MB at 128 px */
enum { AT_A_TIME = 32 };     /* images whose turn is told to the thread */

struct read_ahead {
    const deco_cache *cache;
    cache_reader *reader;
    int64_t rows, block;
    uintptr_t begin; /* where the images lie in memory */
    size_t bytes;
    int64_t units;
    bool *asked; /* [units] in this pass */
    int64_t way[ON_THE_WAY], sent;
    bool by_unit; /* else image by image */

    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t wake, idle;
    const int64_t *order;
    int64_t n, next, reached, ahead;
    bool busy, stopping, closing;
};

static bool going_on(read_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    bool on = !a->stopping && !a->closing;
    pthread_mutex_unlock(&a->lock);
    return on;
}

static size_t unit_bytes(const read_ahead *a, int64_t unit)
{
    size_t left = a->bytes - (size_t)unit * UNIT;
    return left < UNIT ? left : UNIT;
}

/* Waits until it is there, and maps its pages into this process at once. */
static void await_unit(const read_ahead *a, int64_t unit)
{
#ifdef MADV_POPULATE_READ
    madvise((void *)(a->begin + (size_t)unit * UNIT), unit_bytes(a, unit),
            MADV_POPULATE_READ); /* Linux 5.14; without it the disk's queue holds us up */
#else
    (void)a;
    (void)unit;
#endif
}

static void ask_unit(read_ahead *a, int64_t unit)
{
    int64_t *place = &a->way[a->sent % ON_THE_WAY];

    if (a->sent >= ON_THE_WAY)
        await_unit(a, *place);
    for (size_t at = 0, all = unit_bytes(a, unit); at < all; at += PIECE)
        madvise((void *)(a->begin + (size_t)unit * UNIT + at), all - at < PIECE ? all - at : PIECE, MADV_WILLNEED);
    *place = unit;
    a->sent++;
}

/* Of an image, or its block of the order: where it must lie, by its number. */
static void ask_units(read_ahead *a, int64_t row)
{
    int64_t number = deco_cache_number(a->cache, row), block = a->block ? a->block : 1, first = number / block * block;
    int64_t count = deco_cache_images(a->cache), end = first + block < count ? first + block : count;
    double image = (double)a->bytes / (double)count;
    size_t from = (size_t)(image * (double)first), to = (size_t)(image * (double)end) + SLACK;

    from = from > SLACK ? from - SLACK : 0;
    to = to < a->bytes ? to : a->bytes;
    for (int64_t u = (int64_t)(from / UNIT); u < a->units && (size_t)u * UNIT < to && going_on(a); u++)
        if (!a->asked[u]) {
            a->asked[u] = true;
            ask_unit(a, u);
        }
}

static void *read_ahead_main(void *argument)
{
    read_ahead *a = argument;

    pthread_mutex_lock(&a->lock);
    while (!a->closing) {
        if (a->stopping || a->next >= a->n || a->next >= a->reached + a->ahead) {
            a->busy = false;
            pthread_cond_signal(&a->idle);
            pthread_cond_wait(&a->wake, &a->lock);
            continue;
        }
        a->busy = true;
        int64_t row = a->order[a->next++];
        bool by_unit = a->by_unit;
        pthread_mutex_unlock(&a->lock);
        if (by_unit)
            ask_units(a, row);
        else
            cache_reader_expect(a->reader, row);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static deco_status find_images(read_ahead *a)
{
    deco_status st = DECO_OK;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;

    TRY(cache_reader_stretch(&a->begin, &a->bytes, a->reader));
    a->bytes += a->begin & page;
    a->begin &= ~page;
    a->units = (int64_t)((a->bytes + UNIT - 1) / UNIT);
    TRY(deco_alloc(&a->asked, (size_t)a->units + 1, sizeof *a->asked, "cache"));
out:
    return st;
}

deco_status read_ahead_create(read_ahead **out, const deco_cache *c, int64_t rows, int64_t block)
{
    deco_status st = DECO_OK;
    read_ahead *a = NULL;

    *out = NULL;
    TRY(deco_alloc(&a, 1, sizeof *a, "cache"));
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->wake, NULL);
    pthread_cond_init(&a->idle, NULL);
    a->cache = c, a->rows = rows, a->block = block;
    TRY(cache_reader_create(&a->reader, c));
    TRY(find_images(a));
    TRY(deco_thread_start(&a->thread, read_ahead_main, a, "a thread to read ahead"));
    a->started = true;
    *out = a;
    a = NULL;
out:
    read_ahead_free(a);
    return st;
}

void read_ahead_free(read_ahead *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->closing = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
    if (a->started)
        pthread_join(a->thread, NULL);
    pthread_cond_destroy(&a->wake);
    pthread_cond_destroy(&a->idle);
    pthread_mutex_destroy(&a->lock);
    cache_reader_free(a->reader);
    free(a->asked);
    free(a);
}

/* Asking for all that lies between costs memory: where the images do not fit there, only an order by blocks needs it soon. */
static bool whole_units(const read_ahead *a, int64_t n)
{
    return n >= a->rows / 2 && (a->block || !deco_block_for(deco_cache_images(a->cache), (double)deco_cache_layout(a->cache)->bytes));
}

void read_ahead_start(read_ahead *a, const int64_t *order, int64_t n)
{
    read_ahead_stop(a);
    pthread_mutex_lock(&a->lock);
    memset(a->asked, 0, (size_t)a->units * sizeof *a->asked);
    a->sent = 0;
    a->by_unit = whole_units(a, n);
    a->ahead = !a->by_unit ? IMAGES_AHEAD : a->block ? DECO_BLOCKS_MIXED * a->block : n;
    a->order = order, a->n = n, a->next = a->reached = 0;
    a->stopping = false;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

void read_ahead_stop(read_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    a->stopping = true;
    while (a->busy)
        pthread_cond_wait(&a->idle, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

void read_ahead_reached(read_ahead *a, int64_t place)
{
    if (place % AT_A_TIME)
        return;
    pthread_mutex_lock(&a->lock);
    a->reached = place;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}
