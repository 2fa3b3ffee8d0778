/* The decoder forward and backward, and its encoding, against the golden numbers: through the operation table as a model runs it,
 * fused where that serves the shape, and composed of primitives. METHOD.md section 3. */
#include "base/file.h"
#include "compute/composed.h"
#include "compute/cpu/rows.h"
#include "formats/safetensors.h"
#include "support/golden.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One configuration's folder and what stands in it. */
typedef struct config {
    char folder[96];
    deco_hypervolume h;
    int64_t B, P, count;
    float *params, *freqs, *x, *z, *dout;
} config;

static char *file_in(const config *c, const char *name)
{
    static char path[4][160];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", c->folder, name);
    return path[turn];
}

static float *floats_of(const char *file)
{
    golden_array a = golden_read(file);
    float *f = malloc((size_t)a.count * sizeof *f);
    assert_non_null(f);
    memcpy(f, a.f, (size_t)a.count * sizeof *f);
    golden_free(&a);
    return f;
}

static const deco_tensor *tensor_of(const deco_tensors *t, const char *name, int64_t count)
{
    const deco_tensor *x = deco_safetensors_find(t, name);
    if (!x || x->count != count)
        fail_msg("%s: no tensor %s of %lld numbers", t->path, name, (long long)count);
    return x;
}

static void read_weights(config *c)
{
    deco_tensors *t;
    c->count = deco_hypervolume_parameters(&c->h);
    c->params = calloc((size_t)c->count, sizeof *c->params);
    c->freqs = calloc((size_t)(9 * c->h.pe_dim), sizeof *c->freqs);
    assert_int_equal(deco_safetensors_read(&t, golden_path(file_in(c, "weights.safetensors"))), DECO_OK);
    assert_int_equal(t->count, deco_hypervolume_tensors(&c->h) + 1); /* no name is left over */
    for (int64_t i = 0; i < deco_hypervolume_tensors(&c->h); i++) {
        deco_parameter p = deco_hypervolume_tensor(&c->h, i);
        assert_int_equal(deco_tensor_floats(c->params + p.offset, tensor_of(t, p.name, p.count), t->path), DECO_OK);
    }
    assert_int_equal(deco_tensor_floats(c->freqs, tensor_of(t, "rand_freqs", 9 * c->h.pe_dim), t->path), DECO_OK);
    deco_safetensors_free(t);
}

static config open_config(const char *config_file)
{
    config c = {0};
    golden_array a = golden_read(config_file);
    assert_int_equal(a.count, 8);
    snprintf(c.folder, sizeof c.folder, "%.*s", (int)(strrchr(config_file, '/') - config_file), config_file);
    c.h = (deco_hypervolume){(int64_t)a.v[0], (int64_t)a.v[1], (int64_t)a.v[2], (int64_t)a.v[3], (int64_t)a.v[4], a.v[7] != 0};
    c.B = (int64_t)a.v[5], c.P = (int64_t)a.v[6];
    golden_free(&a);
    read_weights(&c);
    c.x = floats_of(file_in(&c, "x.npy"));
    c.z = c.h.Z ? floats_of(file_in(&c, "z.npy")) : NULL;
    c.dout = floats_of(file_in(&c, "cot.npy"));
    return c;
}

static void close_config(config *c)
{
    free(c->params);
    free(c->freqs);
    free(c->x);
    free(c->z);
    free(c->dout);
}

/* The manifest's number for grad_weights, "1e-05·max of each tensor". */
static double weights_tolerance(const config *c)
{
    char *text;
    size_t size;
    assert_int_equal(deco_file_get(&text, &size, golden_path("manifest.json"), 0), DECO_OK);
    cJSON *all = cJSON_ParseWithLength(text, size);
    cJSON *file = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(all, "files"), file_in(c, "grad_weights.safetensors"));
    cJSON *words = cJSON_GetObjectItemCaseSensitive(file, "tolerance");
    assert_true(cJSON_IsString(words));
    double tolerance = strtod(words->valuestring, NULL);
    cJSON_Delete(all);
    free(text);
    assert_true(tolerance > 0 && tolerance < 1e-3);
    return tolerance;
}

static void expect_weights(const config *c, const float *mine)
{
    double tolerance = weights_tolerance(c);
    deco_tensors *t;
    assert_int_equal(deco_safetensors_read(&t, golden_path(file_in(c, "grad_weights.safetensors"))), DECO_OK);
    assert_int_equal(t->count, deco_hypervolume_tensors(&c->h));
    for (int64_t i = 0; i < t->count; i++) {
        deco_parameter p = deco_hypervolume_tensor(&c->h, i);
        const deco_tensor *x = tensor_of(t, p.name, p.count);
        double *golden = calloc((size_t)p.count, sizeof *golden), *ours = calloc((size_t)p.count, sizeof *ours);
        float *narrow = calloc((size_t)p.count, sizeof *narrow);
        char what[256];
        assert_int_equal(deco_tensor_floats(narrow, x, t->path), DECO_OK);
        for (int64_t j = 0; j < p.count; j++) {
            golden[j] = narrow[j];
            ours[j] = mine[p.offset + j];
        }
        if (!strcmp(x->dtype, "F64"))
            memcpy(golden, x->data, (size_t)p.count * sizeof *golden);
        snprintf(what, sizeof what, "%s %s", file_in(c, "grad_weights.safetensors"), p.name);
        golden_compare(what, ours, golden, p.count, 0, tolerance);
        free(golden);
        free(ours);
        free(narrow);
    }
    deco_safetensors_free(t);
}

/* One way to work the blocks out. */
typedef struct way {
    deco_status (*values)(deco_device *, const deco_hypervolume *, deco_array, deco_array, deco_array, deco_array, deco_array, deco_array,
                          deco_array);
    deco_status (*backward)(deco_device *, const deco_hypervolume *, deco_array, deco_array, deco_array, deco_array, deco_array, deco_array,
                            deco_array, deco_array, deco_array, deco_array);
    size_t (*saved_bytes)(deco_device *, const deco_hypervolume *, int64_t, int64_t);
} way;

static const way by_table = {deco_hypervolume_values, deco_hypervolume_backward, deco_hypervolume_saved_bytes};
static const way composed = {composed_hypervolume_values, composed_hypervolume_backward, composed_hypervolume_saved_bytes};

static void check_config(deco_device *dev, const config *c, const way *w)
{
    const deco_hypervolume *h = &c->h;
    int64_t n = c->B * c->P, saved_bytes = (int64_t)w->saved_bytes(dev, h, c->B, c->P);
    float *out = calloc((size_t)n, sizeof *out), *dx = calloc((size_t)(3 * n), sizeof *dx);
    float *dz = calloc((size_t)(c->B * h->Z + 1), sizeof *dz), *dparams = calloc((size_t)c->count, sizeof *dparams);
    void *block;
    assert_int_equal(deco_device_alloc(dev, &block, (size_t)saved_bytes, "saved"), DECO_OK);
    deco_array saved = deco_array_of(block, DECO_U8, 1, saved_bytes, 1, 1, 1), params = deco_f32_1(c->params, c->count);
    deco_array freqs = deco_f32_2(c->freqs, 3 * h->pe_dim, 3), x = deco_f32_3(c->x, c->B, c->P, 3);
    deco_array z = h->Z ? deco_f32_2(c->z, c->B, h->Z) : deco_none(), to_z = h->Z ? deco_f32_2(dz, c->B, h->Z) : deco_none();

    assert_int_equal(w->values(dev, h, deco_f32_2(out, c->B, c->P), saved, params, freqs, x, deco_none(), z), DECO_OK);
    golden_expect_f(file_in(c, "out.npy"), out, n);
    assert_int_equal(w->backward(dev, h, deco_f32_1(dparams, c->count), to_z, deco_f32_3(dx, c->B, c->P, 3),
                                 deco_f32_2(c->dout, c->B, c->P), saved, params, freqs, x, deco_none(), z),
                     DECO_OK);
    golden_expect_f(file_in(c, "grad_x.npy"), dx, 3 * n);
    if (h->Z)
        golden_expect_f(file_in(c, "grad_z.npy"), dz, c->B * h->Z);
    expect_weights(c, dparams);
    deco_device_release(dev, block);
    free(out);
    free(dx);
    free(dz);
    free(dparams);
}

static void check_encoding(deco_device *dev, const config *c)
{
    int64_t n = c->B * c->P, F = 6 * c->h.pe_dim;
    float *pe = calloc((size_t)(n * F), sizeof *pe);
    deco_array x = deco_f32_2(c->x, n, 3), freqs = deco_f32_2(c->freqs, F / 2, 3);
    assert_int_equal(deco_positional_encoding(dev, deco_f32_2(pe, n, F), x, freqs, c->h.L), DECO_OK);
    golden_expect_f(file_in(c, "encoding.npy"), pe, n * F);
    free(pe);
}

/* The fused path's own sine and cosine. */
static void check_row_encoding(const config *c)
{
    int64_t n = c->B * c->P, F = 3 * c->h.pe_dim, stride = (F + CPU_ROWS_WIDTH - 1) / CPU_ROWS_WIDTH * CPU_ROWS_WIDTH;
    float *pe = calloc((size_t)(2 * n * F), sizeof *pe), *scaled = calloc((size_t)(3 * stride), sizeof *scaled);
    for (int64_t j = 0; j < F; j++)
        for (int a = 0; a < 3; a++)
            scaled[a * stride + j] = c->freqs[3 * j + a] * (float)(c->h.L / 2);
    cpu_frequencies f = {scaled, F, stride, 1};
    cpu_rows_best()->encode(pe, c->x, n, &f);
    golden_expect_f(file_in(c, "encoding.npy"), pe, 2 * n * F);
    free(pe);
    free(scaled);
}

static void each_config(void (*check)(deco_device *, const config *))
{
    const char **names;
    deco_device *dev;
    int n = golden_list(&names, "g_decoder/", "/config.npy");
    assert_true(n > 0);
    assert_int_equal(deco_device_create(&dev, "cpu", 2), DECO_OK);
    for (int i = 0; i < n; i++) {
        config c = open_config(names[i]);
        check(dev, &c);
        close_config(&c);
    }
    deco_device_free(dev);
}

static void check_by_table(deco_device *dev, const config *c) { check_config(dev, c, &by_table); }
static void check_composed(deco_device *dev, const config *c) { check_config(dev, c, &composed); }

static void check_encodings(deco_device *dev, const config *c)
{
    if (!golden_has(file_in(c, "encoding.npy")))
        return;
    check_encoding(dev, c);
    check_row_encoding(c);
}

static void the_cpu_s_decoder_is_the_reference_s(void **state) { each_config(check_by_table); }
static void the_composed_decoder_is_the_reference_s(void **state) { each_config(check_composed); }
static void encodings_are_the_reference_s(void **state) { each_config(check_encodings); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings_are_the_reference_s),
        cmocka_unit_test(the_cpu_s_decoder_is_the_reference_s),
        cmocka_unit_test(the_composed_decoder_is_the_reference_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
