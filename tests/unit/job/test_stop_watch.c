/* What ends a run from outside: a file that was not there before, the end of max_hours, of a Slurm job. */
#include "base/file.h"
#include "job/stop_watch.h"
#include "support/scratch.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static bool stopped_within(const deco_monitor *m, double seconds)
{
    double end = deco_seconds() + seconds;
    while (!deco_monitor_stopped(m) && deco_seconds() < end)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return deco_monitor_stopped(m);
}

/* Watches for so long at most; `during` is done at its beginning. */
static bool stops(double hours, double checkpoint, double seconds, void (*during)(void))
{
    deco_monitor *m;
    deco_stop_watch *w;

    assert_int_equal(deco_monitor_create(&m, NULL, NULL), DECO_OK);
    assert_int_equal(deco_stop_watch_begin(&w, scratch("STOP"), hours, m), DECO_OK);
    deco_stop_watch_checkpoint(w, checkpoint);
    if (during)
        during();
    bool stopped = stopped_within(m, seconds);
    deco_stop_watch_end(w);
    deco_monitor_free(m);
    return stopped;
}

static void put_file(void) { assert_int_equal(deco_file_put(scratch("STOP"), "", 0), DECO_OK); }

static void put_another(void)
{
    unlink(scratch("STOP"));
    put_file();
}

static void a_file_stops_unless_it_was_there_before(void **state)
{
    (void)state;
    assert_false(stops(0, 0, 0.1, NULL));
    assert_true(stops(0, 0, 10, put_file));
    assert_false(stops(0, 0, 1.3, NULL));
    assert_true(stops(0, 0, 10, put_another));
    assert_int_equal(unlink(scratch("STOP")), 0);
}

static void time_stops_earlier_by_what_a_checkpoint_takes(void **state)
{
    (void)state;
    assert_true(stops(0.3 / 3600, 0, 10, NULL));
    assert_false(stops(1, 0, 0.1, NULL));
    assert_true(stops(1, 1801, 10, NULL));
}

static void a_slurm_job_stops_a_minute_before_its_end(void **state)
{
    char text[32];
    (void)state;
    snprintf(text, sizeof text, "%lld", (long long)time(NULL) + 62);
    setenv("SLURM_JOB_END_TIME", text, 1);
    assert_true(stops(0, 0, 10, NULL));
    snprintf(text, sizeof text, "%lld", (long long)time(NULL) + 3600);
    setenv("SLURM_JOB_END_TIME", text, 1);
    assert_false(stops(0, 0, 0.1, NULL));
    setenv("SLURM_JOB_END_TIME", "Unknown", 1); /* no number is no limit */
    assert_false(stops(0, 0, 0.1, NULL));
    unsetenv("SLURM_JOB_END_TIME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_stops_unless_it_was_there_before),
        cmocka_unit_test(time_stops_earlier_by_what_a_checkpoint_takes),
        cmocka_unit_test(a_slurm_job_stops_a_minute_before_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
