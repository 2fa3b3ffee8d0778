/* Stops a monitor from another thread after a while. */
#ifndef DECO_TESTS_STOPPER_H
#define DECO_TESTS_STOPPER_H

#include "base/monitor.h"

#include <time.h>

typedef struct stopper {
    deco_monitor *mon;
    double seconds;
} stopper;

static inline void *stop_later(void *context)
{
    stopper *s = context;
    struct timespec t = {(time_t)s->seconds, (long)(1e9 * (s->seconds - (double)(time_t)s->seconds))};
    nanosleep(&t, NULL);
    deco_monitor_stop(s->mon);
    return NULL;
}

#endif
