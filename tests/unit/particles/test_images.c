/* Images on their way to training: the survey's scale, the loader's batches, bad pixels. */
#include "toy_job.h"

#include "base/philox.h"
#include "particles/loader.h"

static deco_particles *opened(const char *path)
{
    deco_particles *p = NULL;
    toy_ok(deco_particles_open(&p, path, NULL, DECO_NEED_STACKS, NULL));
    return p;
}

/* Images as they are, without rounding, divided by `std`. */
static const deco_image_stats *exact(double std)
{
    static deco_image_stats s;
    s = (deco_image_stats){.std = std, .float32 = true};
    return &s;
}

static deco_device *device(int threads)
{
    deco_device *dev = NULL;
    toy_ok(deco_device_create(&dev, "cpu", threads));
    return dev;
}

/* METHOD.md 1.1, 1.3, 1.4 straight from their sentences, in double: window, a sum over pixels for every frequency, symmetrised. */
static void plain_lattice(double *out, int D, float (*pixel)(int, int, int), int s, int k)
{
    int L = D + 1;
    double *w = malloc((size_t)(D * D) * sizeof *w);

    for (int y = 0; y < D; y++)
        for (int x = 0; x < D; x++) {
            double u = -1 + 2.0 * x / D, v = -1 + 2.0 * y / D, t = 1 - (sqrt(u * u + v * v) - 0.85) / (0.99 - 0.85);
            w[y * D + x] = pixel(s, k, y * D + x) * (t < 0 ? 0 : t > 1 ? 1 : t);
        }
    for (int ky = 0; ky < L; ky++)
        for (int kx = 0; kx < L; kx++) {
            double sum = 0;
            for (int y = 0; y < D; y++)
                for (int x = 0; x < D; x++) {
                    double a = 6.283185307179586 * ((kx % D - D / 2) * (x - D / 2) + (ky % D - D / 2) * (y - D / 2)) / D;
                    sum += w[y * D + x] * (cos(a) + sin(a)); /* Re - Im of exp(-ia) */
                }
            out[ky * L + kx] = sum;
        }
    free(w);
}

/* A float32 transform of up to 1024 points loses a few 1e-7 of its largest value; ten times that is allowed. */
static void expect_near(double mine, double truth, double scale, const char *what)
{
    if (!(fabs(mine - truth) <= 2e-6 * scale))
        fail_msg("%s: %.9g, should be %.9g (bound %g)", what, mine, truth, 2e-6 * scale);
}

static void survey_is_the_plain_sum(void **state)
{
    toy j = toy_begin(7, NULL);
    double sum = 0, squares = 0, value[81];
    deco_image_stats stats;
    deco_device *dev = device(2);

    (void)state;
    toy_set(&j, "blob/sign", 2, 0, 1);
    toy_write(&j);
    deco_particles *p = opened(j.job);
    for (int i = 0; i < 7; i++) {
        plain_lattice(value, TOY_D, toy_pixel, i % TOY_STACKS, i * 2 % TOY_IMAGES);
        for (int k = 0; k < 81; k++) {
            sum += (i == 2 ? -1 : 1) * value[k];
            squares += value[k] * value[k];
        }
    }
    toy_ok(deco_images_survey(&stats, p, dev, NULL));
    double n = 7 * 81, mean = sum / n, std = sqrt(squares / n - mean * mean);
    expect_near(stats.mean, mean, std, "mean");
    expect_near(stats.std, std, std, "std");
    deco_particles_free(p);
    deco_device_free(dev);
}

/* NumPy in double gives these for tiny. */
static void survey_of_tiny_is_numpys(void **state)
{
    deco_particles *p = opened(data_path("tiny/project/J12"));
    deco_device *dev = device(2);
    deco_image_stats stats;

    (void)state;
    toy_ok(deco_images_survey(&stats, p, dev, NULL));
    expect_near(stats.mean, -1.1888055012716878, 31.70845763002229, "mean");
    expect_near(stats.std, 31.70845763002229, 31.70845763002229, "std");
    deco_device_free(dev);
    deco_particles_free(p);
}

static void survey_has_the_same_bits_on_any_number_of_threads(void **state)
{
    deco_particles *p = opened(data_path("tiny/project/J12"));
    deco_image_stats first = {0}, again;

    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        deco_device *dev = device(threads);
        toy_ok(deco_images_survey(threads == 1 ? &first : &again, p, dev, NULL));
        if (threads > 1)
            assert_true(first.mean == again.mean && first.std == again.std);
        deco_device_free(dev);
    }
    deco_particles_free(p);
}

/* All of a pass, one batch after another, into [n,P]. */
static void load(float *out, int64_t *rows, deco_loader *l, const int64_t *order, int64_t n, int64_t P)
{
    deco_batch b;
    double waited = 0;
    int64_t got = 0;

    toy_ok(deco_loader_start(l, order, n));
    for (;;) {
        toy_ok(deco_loader_next(l, &b, &waited));
        if (!b.B)
            break;
        assert_true(got + b.B <= n);
        memcpy(out + got * P, b.images, (size_t)(b.B * P) * sizeof *out);
        memcpy(rows + got, b.row, (size_t)b.B * sizeof *rows);
        got += b.B;
    }
    assert_int_equal(got, n);
    assert_true(waited >= 0);
}

/* Rows shuffled and repeated over three stacks, with both contrasts: each image is its own, at every point of the mask. */
static void shuffled_repeated_rows_load_their_own_images(void **state)
{
    enum { N = 23 };
    toy j = toy_begin(N, NULL);
    deco_device *dev = device(2);
    deco_mask *mask = NULL;
    deco_loader *l = NULL;
    int64_t order[N], rows[N];
    double value[81], most = 0;
    char path[64];
    int place[N][2];

    (void)state;
    deco_random r = deco_random_at(5, DECO_STREAM_ORDER, 0);
    for (int i = 0; i < N; i++) {
        place[i][0] = (int)deco_random_below(&r, TOY_STACKS);
        place[i][1] = (int)deco_random_below(&r, TOY_IMAGES);
        snprintf(path, sizeof path, "J7/stacks/s%d.mrc", place[i][0]);
        toy_set_text(&j, "blob/path", i, path);
        toy_set(&j, "blob/idx", i, 0, place[i][1]);
        toy_set(&j, "blob/sign", i, 0, i % 3 ? -1 : 1);
    }
    toy_write(&j);
    deco_particles *p = opened(j.job);
    toy_ok(deco_mask_create(&mask, TOY_D + 1, TOY_D / 2));
    deco_random_permutation(&r, order, N);
    toy_ok(deco_loader_create(&l, p, mask, exact(2.5), dev, 4, 2));
    float *images = calloc((size_t)(N * mask->P), sizeof *images);
    load(images, rows, l, order, N, mask->P);
    assert_memory_equal(rows, order, sizeof rows);
    for (int i = 0; i < N; i++) {
        int row = (int)order[i];
        plain_lattice(value, TOY_D, toy_pixel, place[row][0], place[row][1]);
        for (int k = 0; k < 81; k++)
            most = fmax(most, fabs(value[k]));
        for (int64_t k = 0; k < mask->P; k++)
            expect_near(images[i * mask->P + k], (row % 3 ? 1 : -1) * value[mask->index[k]] / 2.5, most, "image");
    }
    free(images);
    deco_loader_free(l);
    deco_mask_free(mask);
    deco_particles_free(p);
    deco_device_free(dev);
}

/* Whatever the batch, the number of threads and how far it reads ahead: the same bits as one row at a time. */
static void batches_have_the_same_bits_as_single_rows(void **state)
{
    static const struct {
        int threads, ahead;
        int64_t batch;
    } cases[] = {{1, 1, 1}, {1, 1, 7}, {3, 2, 64}, {16, 5, 3}, {4, 1, 1000}};
    enum { N = 150 };
    deco_particles *p = opened(data_path("tiny/project/J12"));
    deco_mask *mask = NULL;
    int64_t order[N], rows[N];

    (void)state;
    toy_ok(deco_mask_create(&mask, 33, 16));
    for (int i = 0; i < N; i++)
        order[i] = (i * 377) % 1000;
    size_t bytes = (size_t)(N * mask->P) * sizeof(float);
    float *first = malloc(bytes), *again = malloc(bytes);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        deco_device *dev = device(cases[c].threads);
        deco_loader *l = NULL;
        toy_ok(deco_loader_create(&l, p, mask, exact(31.7), dev, cases[c].batch, cases[c].ahead));
        for (int pass = 0; pass < 2; pass++) {
            load(c || pass ? again : first, rows, l, order, N, mask->P);
            assert_memory_equal(rows, order, sizeof rows);
            if (c || pass)
                assert_memory_equal(first, again, bytes);
        }
        deco_loader_free(l);
        deco_device_free(dev);
    }
    free(first);
    free(again);
    deco_mask_free(mask);
    deco_particles_free(p);
}

static void pass_not_finished_is_dropped(void **state)
{
    deco_particles *p = opened(data_path("tiny/project/J12"));
    deco_device *dev = device(2);
    deco_mask *mask = NULL;
    deco_loader *l = NULL;
    deco_batch b;
    double waited = 0;
    int64_t *order = malloc(1000 * sizeof *order), last[2] = {17, 3}, rows[2];
    float out[2 * 796];

    (void)state;
    for (int i = 0; i < 1000; i++)
        order[i] = i;
    toy_ok(deco_mask_create(&mask, 33, 16));
    toy_ok(deco_loader_create(&l, p, mask, exact(31.7), dev, 8, 3));
    toy_ok(deco_loader_start(l, order, 1000));
    toy_ok(deco_loader_next(l, &b, &waited));
    assert_int_equal(b.B, 8);
    toy_ok(deco_loader_start(l, last, 2));
    free(order); /* the dropped pass must not look at it any more */
    assert_int_equal(mask->P, 796);
    toy_ok(deco_loader_next(l, &b, &waited));
    assert_int_equal(b.B, 2);
    assert_int_equal(b.row[0], 17);
    assert_int_equal(b.row[1], 3);
    toy_ok(deco_loader_next(l, &b, &waited));
    assert_int_equal(b.B, 0);
    toy_ok(deco_loader_next(l, &b, &waited)); /* and stays at its end */
    assert_int_equal(b.B, 0);
    load(out, rows, l, last, 2, mask->P);
    assert_int_equal(deco_loader_start(l, (int64_t[]){1000}, 1), DECO_E_ARGUMENT);
    deco_loader_start(l, last, 2);
    deco_loader_free(l); /* in the middle of a pass */
    deco_mask_free(mask);
    deco_device_free(dev);
    deco_particles_free(p);
}

/* ---- bad pixels ---- */

static int bad_image;
static float bad_value;
static void one_bad_pixel(int image, float *pixels)
{
    if (image == bad_image)
        pixels[3 * TOY_D + 5] = bad_value;
}

static void constant_image(int image, float *pixels)
{
    for (int i = 0; image == bad_image && i < TOY_D * TOY_D; i++)
        pixels[i] = 7;
}

/* Row 4 is image 3 of stack 1: the survey must say so, whatever the number of threads. */
static void survey_refuses(void (*change)(int, float *), const char *words)
{
    toy j = toy_begin(6, NULL);

    toy_write(&j);
    bad_image = 3;
    toy_write_stack(&j, 1, TOY_D, TOY_IMAGES, change);
    deco_particles *p = opened(j.job);
    for (int threads = 1; threads < 4; threads += 2) {
        deco_device *dev = device(threads);
        deco_image_stats stats;
        assert_int_equal(deco_images_survey(&stats, p, dev, NULL), DECO_E_FORMAT);
        if (!strstr(deco_error(), "s1.mrc: image 3 (row 4 of ") || !strstr(deco_error(), words))
            fail_msg("%s", deco_error());
        deco_device_free(dev);
    }
    deco_particles_free(p);
}

static void nan_pixels(void **state)
{
    (void)state;
    bad_value = NAN;
    survey_refuses(one_bad_pixel, "pixel (5, 3) is nan");
}

static void infinite_pixels(void **state)
{
    (void)state;
    bad_value = -INFINITY;
    survey_refuses(one_bad_pixel, "pixel (5, 3) is -inf");
}

static void constant_images(void **state)
{
    (void)state;
    survey_refuses(constant_image, "is constant: all its pixels are 7");
}

static void survey_stops_when_asked(void **state)
{
    deco_particles *p = opened(data_path("tiny/project/J12"));
    deco_device *dev = device(2);
    deco_monitor *m = NULL;
    deco_image_stats stats;

    (void)state;
    toy_ok(deco_monitor_create(&m, NULL, NULL));
    deco_monitor_stop(m);
    assert_int_equal(deco_images_survey(&stats, p, dev, m), DECO_E_STOPPED);
    deco_monitor_free(m);
    deco_device_free(dev);
    deco_particles_free(p);
}

/* Files that go bad while a job runs: the error comes with the batch that needs the image, and the next pass is a new start. */
static void loader_errors_surface_at_next(void **state)
{
    toy j = toy_begin(9, NULL);
    deco_device *dev = device(3);
    deco_mask *mask = NULL;
    deco_loader *l = NULL;
    deco_batch b;
    double waited = 0;
    int64_t order[6] = {0, 3, 6, 1, 4, 7}; /* stack 0 three times, then stack 1 */

    (void)state;
    toy_write(&j);
    deco_particles *p = opened(j.job);
    toy_ok(deco_mask_create(&mask, TOY_D + 1, TOY_D / 2));
    toy_ok(deco_loader_create(&l, p, mask, exact(1), dev, 3, 2));
    unlink(toy_stack_path(&j, 1));
    for (int pass = 0; pass < 2; pass++) {
        toy_ok(deco_loader_start(l, order, 6));
        toy_ok(deco_loader_next(l, &b, &waited));
        assert_int_equal(b.B, 3);
        assert_int_equal(deco_loader_next(l, &b, &waited), DECO_E_FILE);
        assert_non_null(strstr(deco_error(), "s1.mrc"));
        assert_int_equal(b.B, 0);
    }
    toy_write_stack(&j, 1, TOY_D + 2, TOY_IMAGES, NULL);
    toy_ok(deco_loader_start(l, order + 3, 3));
    assert_int_equal(deco_loader_next(l, &b, &waited), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "do not change the input"));
    deco_loader_free(l);
    deco_mask_free(mask);
    deco_particles_free(p);
    deco_device_free(dev);
}

/* More stacks than are kept open at a time. */
static void many_stacks(void **state)
{
    enum { MANY = 90 };
    toy j = toy_begin(MANY, NULL);
    deco_device *dev = device(2);
    deco_mask *mask = NULL;
    deco_loader *l = NULL;
    int64_t order[2 * MANY], rows[2 * MANY];
    deco_image_stats stats;
    char name[64];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        toy_write_stack(&j, i, TOY_D, 1, NULL);
        snprintf(name, sizeof name, "J7/stacks/s%d.mrc", i);
        toy_set_text(&j, "blob/path", i, name);
        toy_set(&j, "blob/idx", i, 0, 0);
        order[i] = i, order[MANY + i] = MANY - 1 - i;
    }
    toy_write(&j);
    deco_particles *p = opened(j.job);
    toy_ok(deco_images_survey(&stats, p, dev, NULL));
    toy_ok(deco_mask_create(&mask, TOY_D + 1, TOY_D / 2));
    toy_ok(deco_loader_create(&l, p, mask, exact(1), dev, 16, 2));
    float *out = malloc((size_t)(2 * MANY * mask->P) * sizeof *out);
    load(out, rows, l, order, 2 * MANY, mask->P);
    for (int i = 0; i < MANY; i++)
        assert_memory_equal(out + i * mask->P, out + (2 * MANY - 1 - i) * mask->P, (size_t)mask->P * sizeof *out);
    free(out);
    deco_loader_free(l);
    deco_mask_free(mask);
    deco_particles_free(p);
    deco_device_free(dev);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survey_is_the_plain_sum),
        cmocka_unit_test(survey_of_tiny_is_numpys),
        cmocka_unit_test(survey_has_the_same_bits_on_any_number_of_threads),
        cmocka_unit_test(shuffled_repeated_rows_load_their_own_images),
        cmocka_unit_test(batches_have_the_same_bits_as_single_rows),
        cmocka_unit_test(pass_not_finished_is_dropped),
        cmocka_unit_test(nan_pixels),
        cmocka_unit_test(infinite_pixels),
        cmocka_unit_test(constant_images),
        cmocka_unit_test(survey_stops_when_asked),
        cmocka_unit_test(loader_errors_surface_at_next),
        cmocka_unit_test(many_stacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
