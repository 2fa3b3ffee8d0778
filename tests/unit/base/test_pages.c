/* Memory in large pages: aligned, as long as was asked for, and never a failure where there are none. */
#include "base/pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void blocks_of_any_size_are_aligned_and_whole(void **state)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 1, (5 << 20) + 7};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char *p = deco_pages(sizes[i]);
        size_t whole = deco_pages_size(sizes[i]);
        assert_non_null(p);
        assert_true(whole >= sizes[i] && whole - sizes[i] < (sizes[i] < 1 << 20 ? 65 : 2 << 20));
        assert_true((uintptr_t)p % (sizes[i] < 1 << 20 ? 64 : 2 << 20) == 0);
        memset(p, 1, whole);
        free(p);
    }
}

static void sizes_beyond_memory_give_nothing(void **state)
{
    assert_null(deco_pages(SIZE_MAX));
    assert_null(deco_pages(SIZE_MAX - 64));
    assert_null(deco_pages(SIZE_MAX / 2 + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_any_size_are_aligned_and_whole),
        cmocka_unit_test(sizes_beyond_memory_give_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
