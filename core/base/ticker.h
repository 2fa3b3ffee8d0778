/* Something small done again and again, on a thread of its own. */
#ifndef DECO_BASE_TICKER_H
#define DECO_BASE_TICKER_H

#include <stdbool.h>

typedef struct deco_ticker deco_ticker;

/* Calls tick(context) every `seconds`, the first time when so many are over, until it returns false. Signals are left to the other threads.
 * NULL: no thread or no memory. */
deco_ticker *deco_ticker_start(double seconds, bool (*tick)(void *context), void *context);

/* Waits for a tick under way. Takes NULL. */
void deco_ticker_stop(deco_ticker *t);

#endif
