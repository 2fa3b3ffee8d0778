#include "base/ticker.h"
#include "base/threads.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct deco_ticker {
    double seconds;
    bool (*tick)(void *context);
    void *context;
    pthread_t thread;
    pthread_mutex_t mutex; /* of ending */
    pthread_cond_t wake;
    bool ending;
};

static struct timespec from_now(double seconds)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += (time_t)seconds;
    t.tv_nsec += (long)(1e9 * fmod(seconds, 1));
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static void *ticker_main(void *argument)
{
    deco_ticker *t = argument;
    bool more = true;

    pthread_mutex_lock(&t->mutex);
    while (more && !t->ending) {
        struct timespec until = from_now(t->seconds);
        int rc = 0;
        while (!t->ending && !rc)
            rc = pthread_cond_timedwait(&t->wake, &t->mutex, &until);
        if (t->ending)
            break;
        pthread_mutex_unlock(&t->mutex); /* a tick may take its time */
        more = t->tick(t->context);
        pthread_mutex_lock(&t->mutex);
    }
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

static void release(deco_ticker *t)
{
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->mutex);
    free(t);
}

deco_ticker *deco_ticker_start(double seconds, bool (*tick)(void *context), void *context)
{
    deco_ticker *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->seconds = seconds, t->tick = tick, t->context = context;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->wake, NULL);
    if (!deco_thread_start(&t->thread, ticker_main, t, "a ticker"))
        return t;
    release(t);
    return NULL;
}

void deco_ticker_stop(deco_ticker *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->mutex);
    t->ending = true;
    pthread_cond_signal(&t->wake);
    pthread_mutex_unlock(&t->mutex);
    pthread_join(t->thread, NULL);
    release(t);
}
