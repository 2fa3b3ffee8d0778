/* Devices, the checks of the wrappers, scratch, timing. */
#include "base/processor.h"
#include "compute/table.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static deco_device *dev;

static int setup(void **state) { return deco_device_create(&dev, "cpu", 2) != DECO_OK; }
static int teardown(void **state)
{
    deco_device_free(dev);
    return 0;
}

static void names_mean_devices(void **state)
{
    deco_device *other = (deco_device *)1;
    assert_string_equal(deco_device_name(dev), "cpu");
    assert_non_null(strstr(deco_device_libraries(dev), "oneDNN "));
    assert_non_null(strstr(deco_device_libraries(dev), ", FFTW 3."));
    assert_int_equal(deco_pool_threads(deco_device_pool(dev)), 2);
    assert_int_equal(deco_device_create(&other, "tpu", 1), DECO_E_ARGUMENT);
    assert_null(other);
    assert_non_null(strstr(deco_error(), "device \"tpu\""));
    assert_int_equal(deco_device_create(&other, "CPU", 1), DECO_OK);
    deco_device_free(other);
    deco_device_free(NULL);
}

/* Which were chosen once stays; a name that is none is refused by each device. */
static void kernels_are_named_and_limited(void **state)
{
    deco_device *other = (deco_device *)1;
    char name[32];
    snprintf(name, sizeof name, "%s kernels, ", deco_processor_name(deco_processor_kind()));
    assert_ptr_equal(strstr(deco_device_libraries(dev), name), deco_device_libraries(dev));
    setenv("CRYODECO_KERNELS", "avx", 1);
    assert_int_equal(deco_device_create(&other, "cpu", 1), DECO_E_ARGUMENT);
    assert_null(other);
    assert_non_null(strstr(deco_error(), "CRYODECO_KERNELS is \"avx\": plain, avx2, avx512 or amx"));
    setenv("CRYODECO_KERNELS", "", 1);
    assert_int_equal(deco_device_create(&other, "cpu", 1), DECO_OK);
    deco_device_free(other);
    unsetenv("CRYODECO_KERNELS");
}

static void memory_is_zeroed_and_on_a_line(void **state)
{
    for (size_t bytes = 0; bytes < 5000; bytes += 777) {
        unsigned char *p = NULL, *host = calloc(bytes + 1, 1);
        assert_int_equal(deco_device_alloc(dev, &p, bytes, "test"), DECO_OK);
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_int_equal(deco_device_download(dev, host, p, bytes), DECO_OK);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(host[i], 0);
        deco_device_release(dev, p);
        free(host);
    }
    void *p = (void *)1;
    assert_int_equal(deco_device_alloc(dev, &p, SIZE_MAX - 1, "too much"), DECO_E_MEMORY);
    assert_null(p);
    assert_non_null(strstr(deco_error(), "too much"));
}

/* Operation, argument, what it is, what it must be. */
static void refused(deco_status st, const char *words)
{
    assert_int_equal(st, DECO_E_ARGUMENT);
    if (!strstr(deco_error(), words))
        fail_msg("\"%s\" does not say \"%s\"", deco_error(), words);
}

static void wrong_shapes_are_named(void **state)
{
    float a[64] = {0}, b[64] = {0};
    double loss;
    deco_hypervolume h = {.L = 33, .pe_dim = 8, .H = 32, .n = 2, .Z = 4, .layer_norm = true};
    refused(deco_linear(dev, deco_f32_2(a, 4, 5), deco_f32_2(b, 4, 3), deco_f32_2(b, 6, 3), deco_none(), DECO_LINEAR),
            "deco_linear: y is f32 [4,5]; it must be f32 [4,6]");
    refused(deco_multiply(dev, deco_f32_1(a, 8), deco_f32_1(b, 8), deco_f64_1(b, 8)), "deco_multiply: c is f64 [8]; it must be f32 [8]");
    refused(deco_multiply(dev, deco_f32_1(a, 8), deco_f32_1(NULL, 8), deco_f32_1(b, 8)), "deco_multiply: x has no memory");
    refused(deco_add(dev, deco_f32_1(a, -1), deco_f32_1(b, -1), deco_f32_1(b, -1)), "x is f32 [-1]");
    refused(deco_shift(dev, deco_f32_2(a, 1, 4), deco_f32_2(a, 1, 4), deco_f32_2(b, 1, 2), deco_f32_2(b, 4, 2)), "cannot work in place");
    refused(deco_adam(dev, deco_f32_1(a, 4), deco_f32_1(a, 4), deco_f32_1(a, 4), deco_f32_1(a, 4), deco_f32_1(b, 4)),
            "hyper is f32 [4]; it must be bytes(48) [1]");
    refused(deco_squared_error(dev, deco_f64_1(&loss, 1), deco_none(), deco_f32_1(a, 0), deco_f32_1(b, 0)), "a mean needs an element");
    refused(deco_hartley_2d(dev, deco_f32_3(a, 1, 4, 3), deco_f32_3(b, 1, 4, 3), false), "must be f32 [1,4,4]");
    refused(deco_hypervolume_values(dev, &h, deco_f32_2(a, 1, 4), deco_none(), deco_f32_1(b, 5), deco_none(), deco_none(), deco_none(),
                                    deco_none()),
            "deco_hypervolume_values: params is f32 [5]; it must be f32 [4033]");
    h.n = -1;
    refused(deco_hypervolume_values(dev, &h, deco_f32_2(a, 1, 4), deco_none(), deco_f32_1(b, 5), deco_none(), deco_none(), deco_none(),
                                    deco_none()),
            "hypervolume_layers is -1");
}

static void calls_are_counted_and_timed(void **state)
{
    float a[8] = {0};
    double seconds, more;
    int64_t calls, again;
    int at = -1;
    const char *name;
    for (int i = 0; (name = deco_op_timing(dev, i, &seconds, &calls)); i++)
        if (!strcmp(name, "multiply"))
            at = i;
    assert_true(at >= 0);
    deco_op_timing(dev, at, &seconds, &calls);
    assert_int_equal(deco_multiply(dev, deco_f32_1(a, 8), deco_f32_1(a, 8), deco_f32_1(a, 8)), DECO_OK);
    deco_op_timing(dev, at, &more, &again);
    assert_int_equal(again, calls + 1);
    assert_true(more > seconds);
}

/* "Inside a training step nothing is allocated": a second call finds the first one's scratch. */
static void scratch_is_kept_and_lent_again(void **state)
{
    enum { D = 24 };
    float *x = calloc(D * D * D, sizeof *x);
    deco_array v = deco_f32_3(x, D, D, D);
    void *a, *b, *c;
    assert_int_equal(deco_hartley_3d(dev, v, v, false), DECO_OK);
    assert_int_equal(deco_squared_error(dev, deco_f64_1(x, 1), deco_none(), v, v), DECO_OK);
    size_t before = deco_device_scratch_bytes(dev);
    assert_true(before > 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(deco_squared_error(dev, deco_f64_1(x, 1), deco_none(), v, v), DECO_OK);
    assert_true(deco_device_scratch_bytes(dev) == before);

    assert_int_equal(deco_scratch_take(dev, &a, 1000, "a"), DECO_OK);
    assert_int_equal(deco_scratch_take(dev, &b, 1000, "b"), DECO_OK);
    assert_ptr_not_equal(a, b);
    deco_scratch_give(dev, a);
    assert_int_equal(deco_scratch_take(dev, &c, 900, "c"), DECO_OK);
    assert_ptr_equal(a, c);
    deco_scratch_give(dev, b);
    deco_scratch_give(dev, c);
    deco_scratch_give(dev, NULL);
    free(x);
}

/* Plans of new sizes, made by two devices from two threads: FFTW's planner is one for the process. */
static void *transform_sizes(void *context)
{
    deco_status *st = context;
    deco_device *own = NULL;
    float *x = calloc(40 * 40, sizeof *x);
    *st = deco_device_create(&own, "cpu", 1);
    for (int64_t D = 1; D <= 40 && !*st; D++)
        *st = deco_hartley_2d(own, deco_f32_3(x, 1, D, D), deco_f32_3(x, 1, D, D), false);
    deco_device_free(own);
    free(x);
    return NULL;
}

static void two_devices_plan_at_once(void **state)
{
    pthread_t id[2];
    deco_status st[2] = {DECO_E_DEVICE, DECO_E_DEVICE};
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&id[i], NULL, transform_sizes, &st[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(id[i], NULL), 0);
        assert_int_equal(st[i], DECO_OK);
    }
}

/* Names and shapes follow one another without a gap, and an image's flops are those of the published sizes. */
static void parameters_fill_the_flat_vector(void **state)
{
    const deco_hypervolume shapes[] = {
        {129, 64, 256, 3, 128, true}, {33, 8, 52, 2, 4, true}, {33, 8, 52, 2, 4, false}, {33, 8, 32, 0, 0, true}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t at = 0;
        for (int64_t k = 0; k < deco_hypervolume_tensors(&shapes[i]); k++) {
            deco_parameter p = deco_hypervolume_tensor(&shapes[i], k);
            assert_int_equal(p.offset, at);
            assert_int_equal(p.count, p.shape[0] * p.shape[1]);
            at += p.count;
        }
        assert_int_equal(at, deco_hypervolume_parameters(&shapes[i]));
    }
    assert_int_equal(deco_hypervolume_parameters(&shapes[0]), 331009);
    assert_string_equal(deco_hypervolume_tensor(&shapes[0], 9).name, "decoder.main_layers.5.layers.0.bias");
    assert_string_equal(deco_hypervolume_tensor(&shapes[1], 4).name, "decoder.main_layers.0.layers.3.weight");
    assert_int_equal((int)(deco_hypervolume_flop(&shapes[0], false) / 1000), 590); /* docs: 590 and 1573 kFLOP a point */
    assert_int_equal((int)(deco_hypervolume_flop(&shapes[0], true) / 1000), 1574);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_mean_devices),
        cmocka_unit_test(kernels_are_named_and_limited),
        cmocka_unit_test(memory_is_zeroed_and_on_a_line),
        cmocka_unit_test(wrong_shapes_are_named),
        cmocka_unit_test(calls_are_counted_and_timed),
        cmocka_unit_test(scratch_is_kept_and_lent_again),
        cmocka_unit_test(two_devices_plan_at_once),
        cmocka_unit_test(parameters_fill_the_flat_vector),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
