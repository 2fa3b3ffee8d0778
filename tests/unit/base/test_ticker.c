/* Something done again and again, until it has enough or is stopped. */
#include "base/ticker.h"

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

typedef struct counter {
    atomic_int ticks;
    int most;
} counter;

static bool count(void *context)
{
    counter *c = context;
    return atomic_fetch_add(&c->ticks, 1) + 1 < c->most;
}

static void wait_for(const atomic_int *n, int ticks)
{
    while (atomic_load(n) < ticks)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void it_ticks_until_it_has_enough(void **state)
{
    counter c = {.most = 3};
    deco_ticker *t = deco_ticker_start(0.001, count, &c);

    (void)state;
    assert_non_null(t);
    wait_for(&c.ticks, 3);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    deco_ticker_stop(t);
    assert_int_equal(atomic_load(&c.ticks), 3);
}

static void stopped_it_is_done_with_at_once(void **state)
{
    counter c = {.most = 1 << 30}, late = {.most = 1};
    deco_ticker *t = deco_ticker_start(0.001, count, &c);

    (void)state;
    wait_for(&c.ticks, 2);
    deco_ticker_stop(t);
    int ticks = atomic_load(&c.ticks);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    assert_int_equal(atomic_load(&c.ticks), ticks);

    deco_ticker_stop(deco_ticker_start(3600, count, &late)); /* waits for no tick that is not under way */
    assert_int_equal(atomic_load(&late.ticks), 0);
    deco_ticker_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ticks_until_it_has_enough),
        cmocka_unit_test(stopped_it_is_done_with_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
