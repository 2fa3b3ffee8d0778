/* Devices of another library, with the emulated one in its place: which names mean what, and that every failure of a call is told and leaks
 * nothing. The loader finds it by LD_LIBRARY_PATH. */
#include "compute/bf16_check.h"
#include "compute/table.h"
#include "compute/vit.h"

#include "emulation/stub.h"
#include "support/scratch.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

static stub_state *stub;
static stub_state fresh;

static int setup(void **state)
{
    void *handle = dlopen("libcryodeco_cuda.so", RTLD_NOW); /* found as the program finds it */
    stub_state *(*get)(void) = NULL;
    void *symbol = handle ? dlsym(handle, "deco_stub") : NULL;
    if (!symbol) {
        fprintf(stderr, "%s\n", handle ? "not the emulated library" : dlerror());
        return 1;
    }
    memcpy(&get, &symbol, sizeof get);
    stub = get();
    fresh = *stub;
    return 0;
}

static int as_new(void **state)
{
    long calls = stub->calls;
    *stub = fresh;
    stub->calls = calls;
    deco_pci_devices = deco_device_files = "/nowhere";
    return 0;
}

static void refused(const char *name, deco_status status, const char *words)
{
    deco_device *dev = (deco_device *)1;
    assert_int_equal(deco_device_create(&dev, name, 1), status);
    assert_null(dev);
    if (!strstr(deco_error(), words))
        fail_msg("\"%s\" does not say \"%s\"", deco_error(), words);
    if (status == DECO_E_DEVICE && !strstr(deco_error(), "--device cpu"))
        fail_msg("\"%s\" does not say the way out", deco_error());
    assert_int_equal(stub->alive, 0);
}

static void is_named(const char *name, const char *device)
{
    deco_device *dev = NULL;
    if (deco_device_create(&dev, name, 2))
        fail_msg("%s: %s", name, deco_error());
    assert_string_equal(deco_device_name(dev), device);
    assert_int_equal(deco_pool_threads(deco_device_pool(dev)), 2);
    deco_device_free(dev);
    assert_int_equal(stub->alive, 0);
}

static void names_mean_cards(void **state)
{
    is_named("cuda", "cuda:0");
    is_named("CUDA:2", "cuda:2");
    refused("cuda:3", DECO_E_DEVICE, "device \"cuda:3\": there are 3, counted from 0");
    refused("cuda:x", DECO_E_ARGUMENT, "no such device");
    refused("cudas", DECO_E_ARGUMENT, "no such device");
    refused("cuda:", DECO_E_ARGUMENT, "no such device");
    stub->cards = 0;
    refused("cuda", DECO_E_DEVICE, "this process sees no NVIDIA card");
}

/* A machine's list of devices: a graphics card of `vendor`, and its sound chip. */
static void list_devices(const char *folder, const char *vendor)
{
    static const char *const device[] = {"0000:01:00.0", "0000:01:00.1"}, *const class[] = {"0x030000\n", "0x040300\n"};
    char path[4096];
    assert_int_equal(mkdir(folder, 0777), 0);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, device[i]);
        assert_int_equal(mkdir(path, 0777), 0);
        for (int what = 0; what < 2; what++) {
            snprintf(path, sizeof path, "%s/%s/%s", folder, device[i], what ? "class" : "vendor");
            FILE *f = fopen(path, "w");
            assert_non_null(f);
            fputs(what ? class[i] : vendor, f);
            fclose(f);
        }
    }
}

static const char *file_in(const char *folder, const char *name)
{
    char path[4096];
    assert_int_equal(mkdir(folder, 0777), 0);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    return folder;
}

static void auto_takes_a_card_where_something_speaks_of_one(void **state)
{
    const char *nvidia = scratch("there"), *driver = file_in(scratch("driver"), "nvidiactl"), *windows = file_in(scratch("windows"), "dxg");
    list_devices(nvidia, "0x10de\n");

    is_named("auto", "cpu");
    deco_pci_devices = nvidia;
    is_named("auto", "cuda:0");
    stub->cards = 0; /* hidden from this process */
    is_named("auto", "cpu");

    as_new(state);
    deco_device_files = driver;
    is_named("auto", "cuda:0");
    stub->driver = 12040;
    refused("auto", DECO_E_DEVICE, "device \"auto\": there is an NVIDIA card: the driver serves CUDA 12.4");
    deco_device_files = windows; /* whose card may be of another make */
    is_named("auto", "cpu");
    stub->driver = 13000;
    is_named("auto", "cuda:0");
}

static void a_card_that_cannot_be_used_is_no_silent_cpu(void **state)
{
    const char *nvidia = scratch("nvidia"), *other = scratch("other");
    list_devices(nvidia, "0x10de\n");
    list_devices(other, "0x1002\n");

    stub->driver = 12040;
    deco_pci_devices = nvidia;
    refused("cuda", DECO_E_DEVICE, "the driver serves CUDA 12.4, and this build needs 13.0 (driver 580 or newer): update the driver");
    refused("auto", DECO_E_DEVICE, "device \"auto\": there is an NVIDIA card: the driver serves CUDA 12.4");
    stub->driver = 0;
    refused("auto", DECO_E_DEVICE, "no driver of NVIDIA's was found; CUDA 13 needs one");
    deco_pci_devices = other; /* the library is installed, a card is not */
    is_named("auto", "cpu");

    as_new(state);
    deco_pci_devices = nvidia;
    stub->major = 6, stub->minor = 1;
    refused("auto", DECO_E_DEVICE, "emulated card has compute capability 6.1, and this build has kernels for 7.5 and newer");
    stub->major = 9;
    stub->has_kernels = false;
    refused("cuda:1", DECO_E_DEVICE, "compute capability 9.1");
    as_new(state);
    stub->memory = 1 << 20;
    refused("cuda", DECO_E_MEMORY, "cudaMalloc");
}

/* ---- failures ------------------------------------------------------------------------------------------------------------------- */

static deco_status copy_in(deco_device *dev, float **out, int64_t n, const char *what)
{
    deco_status st = DECO_OK;
    float *host = NULL;
    TRY(deco_alloc(&host, (size_t)n, sizeof *host, what));
    for (int64_t i = 0; i < n; i++)
        host[i] = (float)(i % 7) - 3;
    TRY(deco_device_alloc(dev, out, (size_t)n * sizeof *host, what));
    TRY(deco_device_upload(dev, *out, host, (size_t)n * sizeof *host));
out:
    free(host);
    return st;
}

/* The fused blocks: a half of the encoder and the decoder's loss, as small as they come. held: what the caller gives back. */
static deco_status work_in_bf16(deco_device *dev, float *held[3])
{
    enum { T = 2, C = 8, P = 3 };
    static const deco_hypervolume h = {.L = 9, .pe_dim = 1, .H = 128, .layer_norm = true};
    deco_status st = DECO_OK;
    int64_t mlp = deco_vit_mlp_parameters(C), n = deco_hypervolume_parameters(&h);

    deco_device_use_bf16(dev, true);
    TRY(copy_in(dev, &held[0], mlp, "parameters of a half"));
    TRY(copy_in(dev, &held[1], 2 * n, "parameters of a decoder"));
    TRY(copy_in(dev, &held[2], 64, "points"));
    float *half = held[0], *params = held[1], *small = held[2];
    deco_array x = deco_f32_3(params, 1, T, C), row = deco_f32_2(small, 1, P);
    TRY(deco_vit_mlp(dev, x, deco_none(), x, deco_f32_2(small, 2, C), deco_f32_1(half, mlp)));
    TRY(deco_slice_loss(dev, &h, deco_array_of(small + 60, DECO_F64, 1, 1, 1, 1, 1), deco_f32_1(params + n, n), deco_none(), deco_none(),
                        deco_none(), deco_f32_1(params, n), deco_f32_2(small, 3, 3), deco_f32_2(small + 12, P, 2),
                        deco_f32_3(small + 20, 1, 3, 3), deco_none(), row, row));
out:
    return st;
}

static long given_back_from; /* number of the last call before work() takes everything down */

/* Memory, kernels, products, transforms, copies: one of each way to the library. */
static deco_status work(float out[16])
{
    enum { M = 9, W = 5, D = 6 };
    deco_status st = DECO_OK;
    deco_device *dev = NULL;
    float *x = NULL, *w = NULL, *y = NULL, *image = NULL, *held[3] = {NULL, NULL, NULL};
    double *loss = NULL;

    TRY(deco_device_create(&dev, "cuda:1", 1));
    TRY(copy_in(dev, &x, M * W, "x"));
    TRY(copy_in(dev, &w, W * W, "w"));
    TRY(copy_in(dev, &y, M * W, "y"));
    TRY(copy_in(dev, &image, D * D, "image"));
    TRY(deco_device_alloc(dev, &loss, sizeof *loss, "loss"));
    deco_array xs = deco_f32_2(x, M, W), ws = deco_f32_2(w, W, W), ys = deco_f32_2(y, M, W), images = deco_f32_3(image, 1, D, D);
    TRY(deco_clear(dev, ys));
    TRY(deco_linear(dev, ys, xs, ws, deco_f32_1(w, W), DECO_RELU));
    TRY(deco_linear_backward(dev, xs, ws, deco_none(), ys, xs, ws));
    TRY(deco_hartley_2d(dev, images, images, false));
    TRY(deco_squared_error(dev, deco_f64_1(loss, 1), xs, xs, ys));
    TRY(deco_layer_norm_backward(dev, xs, deco_f32_1(w, W), deco_none(), ys, xs, deco_f32_2(image, M, 2), deco_f32_1(y, W)));
    TRY(work_in_bf16(dev, held));
    TRY(deco_device_wait(dev));
    TRY(deco_device_download(dev, out, image, 16 * sizeof *out));
out:
    given_back_from = stub->calls;
    if (dev) {
        deco_device_release(dev, x);
        deco_device_release(dev, w);
        deco_device_release(dev, y);
        deco_device_release(dev, image);
        deco_device_release(dev, loss);
        for (int i = 0; i < 3; i++)
            deco_device_release(dev, held[i]);
    }
    deco_device_free(dev);
    return st;
}

static void every_failing_call_is_told_and_leaks_nothing(void **state)
{
    float good[16], again[16];
    long before = stub->calls;
    assert_int_equal(work(good), DECO_OK);
    assert_int_equal(stub->alive, 0);
    long calls = stub->calls - before;
    assert_in_range(calls, 60, 2000);
    for (long n = 1; n <= calls; n++) {
        stub->fail_at = stub->calls + n;
        stub->failed = NULL;
        deco_status st = work(again);
        assert_int_equal(stub->alive, 0);
        if (!stub->failed)
            fail_msg("call %ld of %ld was not reached", n, calls);
        bool kernel = !strcmp(stub->failed, "kernel");
        if (!st && stub->fail_at <= given_back_from) /* giving back cannot fail */
            fail_msg("call %ld, %s, failed and nobody said so", n, stub->failed);
        if (st && st != DECO_E_DEVICE && st != DECO_E_MEMORY)
            fail_msg("call %ld, %s: status %d", n, stub->failed, (int)st);
        if (st && !strstr(deco_error(), kernel ? "_kernel" : stub->failed) && st != DECO_E_MEMORY)
            fail_msg("call %ld, %s: \"%s\" does not name it", n, stub->failed, deco_error());
    }
    stub->fail_at = 0;
    assert_int_equal(work(again), DECO_OK);
    assert_memory_equal(good, again, sizeof good);
}

static void bf16_is_near_float32_where_it_is(void **state)
{
    deco_device *dev = NULL;
    double decoder = 1, encoder = 1;
    assert_int_equal(deco_device_create(&dev, "cuda:0", 1), DECO_OK);
    assert_int_equal(deco_bf16_check(&decoder, &encoder, dev), DECO_OK);
    assert_false(deco_device_bf16(dev)); /* as it was */
    assert_true(decoder > 1e-5 && decoder < 0.03 && encoder > 1e-5 && encoder < 0.03);
    deco_device_free(dev);

    stub->major = 7; /* Turing has none */
    stub->minor = 5;
    assert_int_equal(deco_device_create(&dev, "cuda:0", 1), DECO_OK);
    assert_int_equal(deco_bf16_check(&decoder, &encoder, dev), DECO_OK);
    assert_true(decoder == 0 && encoder == 0);
    deco_device_free(dev);
    stub->major = 9, stub->minor = 0;
}

static void memory_of_a_card_runs_out(void **state)
{
    deco_device *dev = NULL;
    void *p = (void *)1;
    assert_int_equal(deco_device_create(&dev, "cuda", 1), DECO_OK);
    assert_int_equal(deco_device_alloc(dev, &p, (size_t)3 << 30, "particles"), DECO_E_MEMORY);
    assert_null(p);
    assert_non_null(strstr(deco_error(), "particles: no memory on cuda:0 for 3221225472 bytes; "));
    assert_int_equal(deco_device_alloc(dev, &p, 0, "nothing"), DECO_OK);
    deco_device_release(dev, p);
    deco_device_free(dev);
    assert_int_equal(stub->alive, 0);
}

/* Kernels cannot fail; what they meet is told by the next call that waits, once. */
static void a_row_beyond_the_table_is_told_at_the_next_wait(void **state)
{
    deco_device *dev = NULL;
    float *table = NULL, *out = NULL;
    int64_t *row = NULL, host_row[3] = {1, 4, 0};
    float host[6];
    assert_int_equal(deco_device_create(&dev, "cuda:1", 1), DECO_OK);
    assert_int_equal(copy_in(dev, &table, 8, "table"), DECO_OK);
    assert_int_equal(copy_in(dev, &out, 6, "out"), DECO_OK);
    assert_int_equal(deco_device_alloc(dev, &row, sizeof host_row, "rows"), DECO_OK);
    assert_int_equal(deco_device_upload(dev, row, host_row, sizeof host_row), DECO_OK);
    deco_array rows = deco_i64_1(row, 3), y = deco_f32_2(out, 3, 2), t = deco_f32_2(table, 4, 2);
    assert_int_equal(deco_rows_gather(dev, y, t, rows), DECO_OK);
    assert_int_equal(deco_device_download(dev, host, out, sizeof host), DECO_E_ARGUMENT);
    assert_string_equal(deco_error(), "row[1] is 4; the table has rows 0 to 3");
    assert_int_equal(deco_device_download(dev, host, out, sizeof host), DECO_OK);
    assert_true(host[0] == -1 && host[4] == -3);
    assert_int_equal(deco_rows_put(dev, t, y, rows), DECO_OK);
    assert_int_equal(deco_device_wait(dev), DECO_E_ARGUMENT);
    assert_int_equal(deco_device_wait(dev), DECO_OK);
    deco_device_release(dev, table);
    deco_device_release(dev, out);
    deco_device_release(dev, row);
    deco_device_free(dev);
    assert_int_equal(stub->alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(names_mean_cards, as_new),
        cmocka_unit_test_setup(auto_takes_a_card_where_something_speaks_of_one, as_new),
        cmocka_unit_test_setup(a_card_that_cannot_be_used_is_no_silent_cpu, as_new),
        cmocka_unit_test_setup(every_failing_call_is_told_and_leaks_nothing, as_new),
        cmocka_unit_test_setup(bf16_is_near_float32_where_it_is, as_new),
        cmocka_unit_test_setup(memory_of_a_card_runs_out, as_new),
        cmocka_unit_test_setup(a_row_beyond_the_table_is_told_at_the_next_wait, as_new),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
