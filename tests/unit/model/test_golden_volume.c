/* Decoder to density map against the golden numbers (m_volume). METHOD.md section 7. */
#include "unit/model/golden_decoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of the recipe that makes the golden set; its README says so and no file holds it. */
static const double recipe_std = 2.5;

static deco_model *open_golden(deco_device *dev, int64_t radius)
{
    golden_array c = golden_read("m_volume/config.npy");
    deco_hypervolume h = {.L = (int64_t)c.v[0],
                          .pe_dim = (int64_t)c.v[1],
                          .H = (int64_t)c.v[2],
                          .n = (int64_t)c.v[3],
                          .Z = (int64_t)c.v[4],
                          .layer_norm = true};
    deco_model *m;

    golden_free(&c);
    assert_int_equal(deco_model_allocate(&m, dev, &h, 0, DECO_HOLD_DECODER), DECO_OK);
    m->D = h.L - 1;
    m->radius = radius;
    m->std = recipe_std;
    m->psize_A = 1;
    golden_decoder_load(m, "m_volume/weights.safetensors");
    return m;
}

/* The radius of "m_volume/ball_map_r<radius>.npy". */
static int64_t radius_of(const char *name) { return strtoll(strstr(name, "_r") + 2, NULL, 10); }

static void check_radius(deco_device *dev, const char *map_name)
{
    char name[128];
    int64_t radius = radius_of(map_name);
    deco_model *m = open_golden(dev, radius);
    golden_array z = golden_read("m_volume/z.npy");
    int64_t D = m->D, L = D + 1, n = D * D * D;
    float *map = calloc((size_t)n, sizeof *map), *dmap;

    assert_int_equal(deco_volume_decode(map, m, z.f, (size_t)z.count), DECO_OK);
    golden_expect_f(map_name, map, n);

    /* Transformed back, the lattice less its last planes. */
    snprintf(name, sizeof name, "m_volume/ball_hartley_r%lld.npy", (long long)radius);
    golden_array lattice = golden_read(name);
    double *mine = calloc((size_t)lattice.count, sizeof *mine);
    assert_int_equal(lattice.count, L * L * L);
    assert_int_equal(deco_device_alloc(dev, &dmap, (size_t)n * sizeof *map, "map"), DECO_OK);
    assert_int_equal(deco_device_upload(dev, dmap, map, (size_t)n * sizeof *map), DECO_OK);
    assert_int_equal(deco_hartley_3d(dev, deco_f32_3(dmap, D, D, D), deco_f32_3(dmap, D, D, D), false), DECO_OK);
    assert_int_equal(deco_device_download(dev, map, dmap, (size_t)n * sizeof *map), DECO_OK);
    for (int64_t i = 0; i < lattice.count; i++) {
        int64_t x = i % L, y = i / L % L, w = i / L / L;
        mine[i] = x < D && y < D && w < D ? (double)map[(w * D + y) * D + x] : lattice.v[i];
    }
    golden_expect(name, mine, lattice.count);

    free(mine);
    golden_free(&lattice);
    deco_device_release(dev, dmap);
    free(map);
    golden_free(&z);
    deco_model_free(m);
}

static void maps_of_the_ball_are_the_reference_s(void **state)
{
    const char **names;
    deco_device *dev;
    int n = golden_list(&names, "m_volume/ball_map_r", ".npy");

    (void)state;
    assert_true(n > 0);
    assert_int_equal(deco_device_create(&dev, golden_device(), 2), DECO_OK);
    for (int i = 0; i < n; i++)
        check_radius(dev, names[i]);
    deco_device_free(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(maps_of_the_ball_are_the_reference_s)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
