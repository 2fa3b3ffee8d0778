/* Messages and allocation. */
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void first_message_is_empty_not_null(void **state) { assert_string_equal(deco_error(), ""); }

static void fail_returns_its_status_and_keeps_the_message(void **state)
{
    assert_int_equal(deco_fail(DECO_E_FORMAT, "%s: row %d", "a.cs", 7), DECO_E_FORMAT);
    assert_string_equal(deco_error(), "a.cs: row 7");
}

static void errno_is_put_into_words(void **state)
{
    errno = ENOSPC;
    assert_int_equal(deco_fail_errno(DECO_E_FILE, "x: cannot be written"), DECO_E_FILE);
    assert_string_equal(deco_error(), "x: cannot be written: No space left on device");
}

static void context_goes_in_front(void **state)
{
    deco_fail(DECO_E_FORMAT, "row 7");
    assert_int_equal(deco_fail_context(DECO_E_FORMAT, "%s", "a.cs"), DECO_E_FORMAT);
    assert_string_equal(deco_error(), "a.cs: row 7");
}

static void a_message_may_quote_the_one_before(void **state)
{
    deco_fail(DECO_E_FILE, "first");
    deco_fail(DECO_E_FILE, "second after %s", deco_error());
    assert_string_equal(deco_error(), "second after first");
}

/* Two bytes a letter: whichever byte the limit falls on, no half letter may stay. */
static void a_long_message_is_cut_between_characters(void **state)
{
    char text[2 * DECO_MESSAGE_SIZE + 2];

    for (int odd = 0; odd < 2; odd++) {
        memset(text, 'x', (size_t)odd);
        for (size_t i = (size_t)odd; i + 2 < sizeof text; i += 2)
            memcpy(text + i, "Å", 3);
        deco_fail(DECO_E_FILE, "%s", text);
        size_t n = strlen(deco_error());
        assert_true(n < DECO_MESSAGE_SIZE && n > DECO_MESSAGE_SIZE - 8);
        assert_string_equal(deco_error() + n - 3, "...");
        assert_memory_equal(deco_error() + n - 5, "Å", 2);
        deco_fail_context(DECO_E_FILE, "again"); /* a full message takes words in front */
        assert_memory_equal(deco_error(), "again: ", 7);
        assert_true(strlen(deco_error()) < DECO_MESSAGE_SIZE);
    }
}

static void *fail_elsewhere(void *unused)
{
    deco_fail(DECO_E_FILE, "of the other thread");
    return NULL;
}

static void a_message_is_its_threads_own(void **state)
{
    pthread_t other;

    deco_fail(DECO_E_FILE, "mine");
    assert_int_equal(pthread_create(&other, NULL, fail_elsewhere, NULL), 0);
    pthread_join(other, NULL);
    assert_string_equal(deco_error(), "mine");
}

static void allocation_is_zeroed_and_checked_for_overflow(void **state)
{
    double *p = NULL;

    assert_int_equal(deco_alloc(&p, 100, sizeof *p, "latents"), DECO_OK);
    for (int i = 0; i < 100; i++)
        assert_true(p[i] == 0);
    free(p);
    assert_int_equal(deco_alloc(&p, 0, sizeof *p, "nothing"), DECO_OK);
    assert_non_null(p);
    free(p);
    assert_int_equal(deco_alloc(&p, SIZE_MAX / 4, 8, "latents"), DECO_E_MEMORY);
    assert_null(p);
    assert_non_null(strstr(deco_error(), "latents"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_message_is_empty_not_null), /* first: nothing has failed yet */
        cmocka_unit_test(fail_returns_its_status_and_keeps_the_message),
        cmocka_unit_test(errno_is_put_into_words),
        cmocka_unit_test(context_goes_in_front),
        cmocka_unit_test(a_message_may_quote_the_one_before),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(a_message_is_its_threads_own),
        cmocka_unit_test(allocation_is_zeroed_and_checked_for_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
