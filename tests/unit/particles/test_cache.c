/* The cache: the same bits as from the stacks, in the bytes that are promised, and never another image. */
#include "toy_job.h"

#include "base/philox.h"
#include "particles/block_order.h"
#include "particles/cache_env.h"
#include "particles/loader.h"
#include "particles/network.h"
#include "particles/record.h"

#include <sys/stat.h>

static deco_device *device(int threads)
{
    deco_device *dev = NULL;
    toy_ok(deco_device_create(&dev, "cpu", threads));
    return dev;
}

static deco_particles *opened(const char *path)
{
    deco_particles *p = NULL;
    toy_ok(deco_particles_open(&p, path, NULL, DECO_NEED_STACKS, NULL));
    return p;
}

/* ---- records ---- */

enum { D = 24 };

static const float *noise(double scale)
{
    static float h[D * D];
    deco_random r = deco_random_at(3, DECO_STREAM_SAMPLE, 0);

    for (int i = 0; i < D * D; i++)
        h[i] = (float)(scale * deco_random_normal(&r));
    return h;
}

static double one_record(bool float32, const float *h, double scale)
{
    record_layout l = record_layout_of(D, float32, false);
    unsigned char *record = malloc(l.bytes);
    float *back = malloc((size_t)l.P * sizeof *back);
    int32_t *points = NULL;
    double worst = 0;

    toy_ok(record_points(&points, D));
    record_fill(record, &l, 3, 7, h, points, NULL);
    assert_true(record_is_of(record, 3, 7) && !record_is_of(record, 3, 8) && !record_is_of(record, 2, 7));
    assert_true(record_is_sound(record, &l));
    record_values(back, record, &l, scale, NULL, l.P);
    for (int64_t i = 0; i < l.P; i++)
        worst = fmax(worst, fabs((double)back[i] / (scale * (double)h[points[i]]) - 1));
    free(points);
    free(back);
    free(record);
    return worst;
}

/* Half a unit in the last place of 11 bits, whatever the scale: the promise that nothing overflows. */
static void float16_keeps_eleven_bits_at_any_scale(void **state)
{
    const double scales[] = {1e-35, 1e-10, 1, 70000, 1e10, 1e33};

    (void)state;
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        double worst = one_record(false, noise(scales[i]), 1 / scales[i]);
        assert_true(worst <= 0x1p-11 * 1.001 && worst > 0);
    }
}

/* One wave a million times as strong as everything else. */
static void float16_keeps_what_lies_beside_a_strong_wave(void **state)
{
    static float h[D * D];

    (void)state;
    memcpy(h, noise(1), sizeof h);
    h[D / 2 * D + D / 2 + 3] = 1e6F;
    assert_true(one_record(false, h, 1) <= 0x1p-9); /* values below 2^-14 of what the scale leaves lose bits */
}

static void float32_keeps_all_bits(void **state)
{
    (void)state;
    assert_true(one_record(true, noise(1e20), 1) == 0);
}

static void any_changed_bit_is_seen(void **state)
{
    record_layout l = record_layout_of(D, false, false);
    unsigned char *record = malloc(l.bytes);
    int32_t *points = NULL;

    (void)state;
    toy_ok(record_points(&points, D));
    record_fill(record, &l, 0, 0, noise(1), points, NULL);
    for (size_t bit = 0; bit < 8 * l.bytes; bit++) {
        record[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_false(record_is_sound(record, &l));
        record[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_true(record_is_sound(record, &l));
    free(points);
    free(record);
}

/* The bounds at 128 px; with pages of 4 KiB. */
static void bytes_a_particle(void **state)
{
    double with = cache_env_bytes(1000000, record_layout_of(128, false, true).bytes) / 1e6;
    double without = cache_env_bytes(1000000, record_layout_of(128, false, false).bytes) / 1e6;

    (void)state;
    print_message("128 px: %.0f bytes a particle with the encoder's pixels, %.0f without\n", with, without);
    if (sysconf(_SC_PAGESIZE) != 4096)
        skip();
    assert_true(with <= 58000 && without <= 29000);
}

/* ---- loading ---- */

static void load(float *out, uint8_t *pixels, const deco_particles *p, const deco_mask *mask, const deco_image_stats *images,
                 const int64_t *order, int64_t n)
{
    deco_device *dev = device(3);
    deco_loader *l = NULL;
    deco_batch b;
    double waited = 0;
    int64_t got = 0;

    toy_ok(deco_loader_create(&l, p, mask, images, dev, 7, 2));
    toy_ok(deco_loader_start(l, order, n));
    for (;;) {
        toy_ok(deco_loader_next(l, &b, &waited));
        if (!b.B)
            break;
        assert_memory_equal(b.row, order + got, (size_t)b.B * sizeof *order);
        memcpy(out + got * mask->P, b.images, (size_t)(b.B * mask->P) * sizeof *out);
        assert_true(!b.pixels == !images->encoder);
        if (pixels)
            memcpy(pixels + got * DECO_ENCODER_PIXELS, b.pixels, (size_t)b.B * DECO_ENCODER_PIXELS);
        got += b.B;
    }
    assert_int_equal(got, n);
    deco_loader_free(l);
    deco_device_free(dev);
}

static void same_from_cache_and_stacks(const deco_particles *p, const char *root, bool float32, bool encoder)
{
    enum { N = 60 };
    deco_device *dev = device(2);
    deco_image_stats stacks = {0}, cached = {.float32 = float32, .encoder = encoder};
    int64_t order[N];
    uint8_t *pixels = encoder ? malloc((size_t)2 * N * DECO_ENCODER_PIXELS) : NULL;

    toy_ok(deco_images_survey(&stacks, p, dev, NULL));
    stacks.float32 = float32, stacks.encoder = encoder;
    toy_ok(deco_cache_open(&cached.cache, p, root, float32, encoder, dev, NULL));
    deco_cache_scale(&cached.mean, &cached.std, cached.cache);
    assert_true(cached.mean == stacks.mean && cached.std == stacks.std);
    for (int i = 0; i < N; i++)
        order[i] = (i * 377 + 5) % p->N;
    for (int64_t radius = p->D / 2; radius > 1; radius -= 3) {
        deco_mask *mask = NULL;
        toy_ok(deco_mask_create(&mask, p->D + 1, radius));
        size_t count = (size_t)(N * mask->P);
        float *a = malloc(2 * count * sizeof *a);
        load(a, pixels, p, mask, &stacks, order, N);
        load(a + count, pixels ? pixels + (size_t)N * DECO_ENCODER_PIXELS : NULL, p, mask, &cached, order, N);
        assert_memory_equal(a, a + count, count * sizeof *a);
        if (pixels)
            assert_memory_equal(pixels, pixels + (size_t)N * DECO_ENCODER_PIXELS, (size_t)N * DECO_ENCODER_PIXELS);
        free(a);
        deco_mask_free(mask);
    }
    free(pixels);
    deco_images_close(&cached);
    deco_device_free(dev);
}

static void cache_and_stacks_give_the_same_bits(void **state)
{
    deco_particles *p = opened(data_path("tiny/project/J12"));

    (void)state;
    for (int form = 3; form >= 0; form--)
        same_from_cache_and_stacks(p, scratch("same"), form & 1, form & 2);
    deco_particles_free(p);
}

/* Whole passes, by which megabytes are asked for ahead, with blocks and without; and one that is dropped for another on the way. */
static void what_is_asked_for_ahead_does_not_show(void **state)
{
    deco_particles *p = opened(data_path("tiny/project/J12"));
    deco_device *dev = device(2);
    deco_image_stats cached = {.std = 1};
    deco_mask *mask = NULL;
    deco_random r = deco_random_at(1, DECO_STREAM_ORDER, 0);
    int64_t *order = malloc((size_t)p->N * sizeof *order), *rows = malloc((size_t)p->N * sizeof *rows);

    (void)state;
    toy_ok(deco_mask_create(&mask, p->D + 1, 5));
    toy_ok(deco_cache_open(&cached.cache, p, scratch("same"), false, false, dev, NULL));
    size_t count = (size_t)(p->N * mask->P);
    float *a = malloc(2 * count * sizeof *a);
    for (int64_t i = 0; i < p->N; i++)
        rows[i] = i;
    for (int64_t block = 0; block <= 300; block += 100) {
        cached.block = block;
        load(a, NULL, p, mask, &cached, rows, p->N);
        deco_block_order(order, rows, p->N, block, &r);
        load(a + count, NULL, p, mask, &cached, order, p->N);
        for (int64_t i = 0; i < p->N; i++)
            assert_memory_equal(a + count + i * mask->P, a + order[i] * mask->P, (size_t)mask->P * sizeof *a);
        deco_loader *l = NULL;
        deco_batch b;
        double waited = 0;
        toy_ok(deco_loader_create(&l, p, mask, &cached, dev, 7, 2));
        for (int pass = 0; pass < 3; pass++) {
            int64_t *own = malloc((size_t)p->N * sizeof *own); /* gone with its pass */
            memcpy(own, order, (size_t)p->N * sizeof *own);
            toy_ok(deco_loader_start(l, own, pass == 2 ? 20 : p->N));
            for (int i = 0; i < 3; i++) {
                toy_ok(deco_loader_next(l, &b, &waited));
                assert_memory_equal(b.images, a + own[7 * i] * mask->P, (size_t)mask->P * sizeof *a);
            }
            toy_ok(deco_loader_start(l, rows, 0));
            free(own);
        }
        deco_loader_free(l);
    }
    free(a);
    free(order);
    free(rows);
    deco_mask_free(mask);
    deco_images_close(&cached);
    deco_device_free(dev);
    deco_particles_free(p);
}

/* Several rows of one image (symmetry expansion), both contrasts, three stacks: one record an image. */
static void rows_share_the_record_of_their_image(void **state)
{
    enum { N = 40 };
    toy j = toy_begin(N, NULL);
    char path[64];
    deco_device *dev = device(1);
    deco_cache *c = NULL;
    struct stat file;

    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(path, sizeof path, "J7/stacks/s%d.mrc", i % 2);
        toy_set_text(&j, "blob/path", i, path);
        toy_set(&j, "blob/idx", i, 0, i % 3);
        toy_set(&j, "blob/sign", i, 0, i % 5 ? -1 : 1);
    }
    toy_write(&j);
    deco_particles *p = opened(j.job);
    same_from_cache_and_stacks(p, scratch("shared"), false, true);
    toy_ok(deco_cache_open(&c, p, scratch("shared"), false, true, dev, NULL));
    char data[700];
    snprintf(data, sizeof data, "%s/data.mdb", deco_cache_directory(c));
    assert_int_equal(stat(data, &file), 0);
    assert_true((double)file.st_size <= cache_env_bytes(6, deco_cache_layout(c)->bytes));
    deco_cache_close(c);
    deco_particles_free(p);
    deco_device_free(dev);
}

static int64_t file_time(const char *directory)
{
    char data[700];
    struct stat s;

    snprintf(data, sizeof data, "%s/data.mdb", directory);
    assert_int_equal(stat(data, &s), 0);
    return (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
}

/* A whole cache is not written to again; one with the encoder's pixels serves a run without; another precision is another cache. */
static void whole_caches_are_reused(void **state)
{
    deco_particles *p = opened(data_path("tiny/project/J12"));
    deco_device *dev = device(2);
    deco_cache *first = NULL, *again = NULL;

    (void)state;
    toy_ok(deco_cache_open(&first, p, scratch("reuse"), false, true, dev, NULL));
    int64_t when = file_time(deco_cache_directory(first));
    for (int encoder = 0; encoder < 2; encoder++) { /* while the first is open, as in another process */
        toy_ok(deco_cache_open(&again, p, scratch("reuse"), false, encoder, dev, NULL));
        assert_string_equal(deco_cache_directory(first), deco_cache_directory(again));
        assert_int_equal(file_time(deco_cache_directory(again)), when);
        deco_cache_close(again);
    }
    toy_ok(deco_cache_open(&again, p, scratch("reuse"), true, true, dev, NULL));
    assert_string_not_equal(deco_cache_directory(first), deco_cache_directory(again));
    deco_cache_close(again);
    deco_cache_close(first);
    deco_particles_free(p);
    deco_device_free(dev);
}

static void spoil_image_3(int image, float *pixels)
{
    if (image == 3)
        pixels[3 * TOY_D + 5] = NAN;
}

/* A pixel that cannot be used: the survey's message, and nothing stays that a later run would take for a cache. */
static void bad_pixels_are_refused_and_named(void **state)
{
    toy j = toy_begin(6, NULL);
    deco_device *dev = device(2);
    deco_cache *c = NULL;

    (void)state;
    toy_write(&j);
    for (int i = 0; i < TOY_STACKS; i++)
        toy_write_stack(&j, i, TOY_D, TOY_IMAGES, i == 1 ? spoil_image_3 : NULL);
    deco_particles *p = opened(j.job);
    assert_int_equal(deco_cache_open(&c, p, scratch("bad"), false, false, dev, NULL), DECO_E_FORMAT);
    assert_null(c);
    if (!strstr(deco_error(), "s1.mrc: image 3 (row 4 of "))
        fail_msg("%s", deco_error());
    toy_write_stack(&j, 1, TOY_D, TOY_IMAGES, NULL);
    toy_ok(deco_cache_open(&c, p, scratch("bad"), false, false, dev, NULL));
    deco_cache_close(c);
    deco_particles_free(p);
    deco_device_free(dev);
}

static void network_file_systems_have_names(void **state)
{
    (void)state;
    assert_string_equal(network_file_system_name(0x6969), "NFS");
    assert_string_equal(network_file_system_name(0xFE534D42), "SMB");
    assert_string_equal(network_file_system_name((unsigned long)(int)0xFF534D42), "CIFS"); /* where f_type is a signed int */
    assert_null(network_file_system_name(0xEF53));                                         /* ext4 */
    assert_null(network_file_system_name(0x58465342));                                     /* XFS */
    assert_null(network_file_system("/proc"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float16_keeps_eleven_bits_at_any_scale),
        cmocka_unit_test(float16_keeps_what_lies_beside_a_strong_wave),
        cmocka_unit_test(float32_keeps_all_bits),
        cmocka_unit_test(any_changed_bit_is_seen),
        cmocka_unit_test(bytes_a_particle),
        cmocka_unit_test(cache_and_stacks_give_the_same_bits),
        cmocka_unit_test(what_is_asked_for_ahead_does_not_show),
        cmocka_unit_test(rows_share_the_record_of_their_image),
        cmocka_unit_test(whole_caches_are_reused),
        cmocka_unit_test(bad_pixels_are_refused_and_named),
        cmocka_unit_test(network_file_systems_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
