/* Random numbers: the published vectors, and that they depend on seed, stream and position alone. */
#include "base/philox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

/* Known answers of the authors' Random123 distribution (kat_vectors, philox4x32 10). */
static void matches_the_published_vectors(void **state)
{
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        uint32_t out[4];
        deco_philox(out, kat[i].counter, kat[i].key);
        assert_memory_equal(out, kat[i].answer, sizeof out);
    }
}

static void seed_stream_and_sub_each_give_other_numbers(void **state)
{
    deco_random r[] = {deco_random_at(1, DECO_STREAM_ORDER, 0),
                       deco_random_at(2, DECO_STREAM_ORDER, 0),
                       deco_random_at(1, DECO_STREAM_NOISE, 0),
                       deco_random_at(1, DECO_STREAM_ORDER, 1),
                       deco_random_at(1, DECO_STREAM_ORDER, (uint64_t)1 << 32),
                       deco_random_at((uint64_t)1 << 32 | 1, DECO_STREAM_ORDER, 0)};
    enum { N = sizeof r / sizeof *r };
    uint32_t first[N];

    for (int i = 0; i < N; i++) {
        first[i] = deco_random_u32(&r[i]);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(first[i], first[j]);
    }
    deco_random again = deco_random_at(1, DECO_STREAM_ORDER, 0);
    assert_int_equal(deco_random_u32(&again), first[0]);
}

static void a_block_in_the_middle_can_be_had_alone(void **state)
{
    deco_random all = deco_random_at(5, DECO_STREAM_NOISE, 3), part = all;
    uint32_t numbers[40];

    for (int i = 0; i < 40; i++)
        numbers[i] = deco_random_u32(&all);
    part.index = 5;
    for (int i = 20; i < 40; i++)
        assert_int_equal(deco_random_u32(&part), numbers[i]);
}

/* n = 3·2^62: a plain remainder would give the first third of the numbers twice as often. 5 standard deviations. */
static void below_is_without_bias(void **state)
{
    deco_random r = deco_random_at(7, DECO_STREAM_SAMPLE, 0);
    const uint64_t n = (uint64_t)3 << 62;
    int low = 0, draws = 30000;

    for (int i = 0; i < draws; i++) {
        uint64_t x = deco_random_below(&r, n);
        assert_true(x < n);
        low += x < n / 3;
    }
    assert_true(fabs(low - draws / 3.0) < 5 * sqrt(draws * 2.0 / 9));
    assert_int_equal(deco_random_below(&r, 1), 0);
}

/* Means and variances within 5 standard errors of 200,000 draws. */
static void uniform_and_normal_have_their_moments(void **state)
{
    deco_random r = deco_random_at(11, DECO_STREAM_SAMPLE, 0);
    double n = 200000, u = 0, u2 = 0, g = 0, g2 = 0, g4 = 0;

    for (int i = 0; i < (int)n; i++) {
        double x = deco_random_uniform(&r), y = deco_random_normal(&r);
        assert_true(x >= 0 && x < 1);
        assert_true(isfinite(y));
        u += x / n, u2 += x * x / n;
        g += y / n, g2 += y * y / n, g4 += y * y * y * y / n;
    }
    assert_true(fabs(u - 0.5) < 5 * sqrt(1 / 12.0 / n));
    assert_true(fabs(u2 - 1 / 3.0) < 5 * sqrt(4 / 45.0 / n));
    assert_true(fabs(g) < 5 * sqrt(1 / n));
    assert_true(fabs(g2 - 1) < 5 * sqrt(2 / n));
    assert_true(fabs(g4 - 3) < 5 * sqrt(96 / n));
}

static void a_permutation_holds_every_number_once(void **state)
{
    deco_random r = deco_random_at(3, DECO_STREAM_ORDER, 0);
    int64_t order[1000];
    char seen[1000] = {0};
    int at_home = 0;

    deco_random_permutation(&r, order, 1000);
    for (int i = 0; i < 1000; i++) {
        assert_true(order[i] >= 0 && order[i] < 1000 && !seen[order[i]]);
        seen[order[i]] = 1;
        at_home += order[i] == i;
    }
    assert_true(at_home < 10); /* 1 is expected; 10 has a chance of 1e-7 */
    deco_random_permutation(&r, order, 1);
    assert_int_equal(order[0], 0);
}

/* All 6 orders of 3 come equally often: within 5 standard deviations of 6,000 draws. */
static void permutations_are_uniform(void **state)
{
    deco_random r = deco_random_at(4, DECO_STREAM_ORDER, 0);
    int count[27] = {0};

    for (int i = 0; i < 6000; i++) {
        int64_t p[3];
        deco_random_permutation(&r, p, 3);
        count[9 * p[0] + 3 * p[1] + p[2]]++;
    }
    static const int orders[] = {5, 7, 11, 15, 19, 21};
    for (int i = 0; i < 6; i++)
        assert_true(fabs(count[orders[i]] - 1000.0) < 5 * sqrt(6000 * 5 / 36.0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_published_vectors),
        cmocka_unit_test(seed_stream_and_sub_each_give_other_numbers),
        cmocka_unit_test(a_block_in_the_middle_can_be_had_alone),
        cmocka_unit_test(below_is_without_bias),
        cmocka_unit_test(uniform_and_normal_have_their_moments),
        cmocka_unit_test(a_permutation_holds_every_number_once),
        cmocka_unit_test(permutations_are_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
