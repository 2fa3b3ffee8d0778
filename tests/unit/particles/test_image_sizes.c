/* Images of other boxes than the training box: cropped in Hartley space, cut or padded first where they show more or less of the sample, and
 * everything that counts in pixels goes with them. */
#include "toy_job.h"

#include "particles/prepare.h"
#include "particles/reader.h"
#include "support/golden.h"

static deco_particles *opened(const toy *j, int64_t box, deco_monitor *m)
{
    deco_particles *p = NULL;
    toy_ok(deco_particles_open_input(&p, &(deco_input){.path = (const char *[]){j->job}, .paths = 1, .box = box}, TOY_ALL, m));
    return p;
}

static void refused(const toy *j, int64_t box, const char *a, const char *b)
{
    deco_particles *p = (deco_particles *)1;

    assert_int_equal(deco_particles_open_input(&p, &(deco_input){.path = (const char *[]){j->job}, .paths = 1, .box = box}, TOY_ALL, NULL),
                     DECO_E_FORMAT);
    assert_null(p);
    if (!strstr(deco_error(), a) || !strstr(deco_error(), b))
        fail_msg("the message lacks \"%s\" or \"%s\": %s", a, b, deco_error());
}

/* Stack `s` becomes one of that box, and so do the rows that point into it. */
static void resize(toy *j, int s, int box, double psize_A)
{
    toy_write_stack(j, s, box, TOY_IMAGES, NULL);
    for (int64_t i = s; i < j->t->rows; i += TOY_STACKS) {
        toy_set(j, "blob/shape", i, 0, box);
        toy_set(j, "blob/shape", i, 1, box);
        toy_set(j, "blob/psize_A", i, 0, psize_A);
    }
}

/* METHOD.md 1.1 to 1.3 from their sentences, in double: the image [box] about its middle in [cut], the window there, and a sum over pixels
 * for each of the D×D frequencies in the middle. */
static void plain_transform(double *out, int s, int k, int box, int cut, int D)
{
    double *w = malloc((size_t)(cut * cut) * sizeof *w), border = 0;
    int off = cut / 2 - box / 2;

    for (int i = 0; i < box * box; i++)
        if (i / box == 0 || i / box == box - 1 || i % box == 0 || i % box == box - 1)
            border += toy_pixel(s, k, i) / (4.0 * (box - 1));
    for (int y = 0; y < cut; y++)
        for (int x = 0; x < cut; x++) {
            double u = -1 + 2.0 * x / cut, v = -1 + 2.0 * y / cut, t = 1 - (sqrt(u * u + v * v) - 0.85) / (0.99 - 0.85);
            int ox = x - off, oy = y - off;
            bool inside = ox >= 0 && ox < box && oy >= 0 && oy < box;
            w[y * cut + x] = (inside ? (double)toy_pixel(s, k, oy * box + ox) : border) * (t < 0 ? 0 : t > 1 ? 1 : t);
        }
    for (int ky = -D / 2; ky < D / 2; ky++)
        for (int kx = -D / 2; kx < D / 2; kx++) {
            double sum = 0;
            for (int y = 0; y < cut; y++)
                for (int x = 0; x < cut; x++) {
                    double a = 6.283185307179586 * (kx * (x - cut / 2) + ky * (y - cut / 2)) / cut;
                    sum += w[y * cut + x] * (cos(a) + sin(a));
                }
            out[(ky + D / 2) * D + kx + D / 2] = sum;
        }
    free(w);
}

/* A float32 transform of up to 400 points loses a few 1e-7 of its largest value; ten times that is allowed. */
static void expect_row(const deco_particles *p, const prepare *q, int64_t row, int box, int cut, double scale)
{
    int64_t D = p->D;
    double *truth = malloc((size_t)(D * D) * sizeof *truth), most = 0;
    image_reader *r = NULL;
    const float *mine;

    plain_transform(truth, (int)(row % TOY_STACKS), (int)(row * 2 % TOY_IMAGES), box, cut, (int)D);
    toy_ok(image_reader_create(&r, p, q, 2));
    toy_ok(image_reader_hartley(&mine, NULL, r, row, true));
    for (int64_t i = 0; i < D * D; i++)
        most = fmax(most, fabs(truth[i] * scale));
    for (int64_t i = 0; i < D * D; i++)
        if (!(fabs((double)mine[i] - truth[i] * scale) <= 2e-6 * most))
            fail_msg("row %lld, point %lld: %.9g, should be %.9g", (long long)row, (long long)i, (double)mine[i], truth[i] * scale);
    image_reader_free(r);
    free(truth);
}

/* The reference's whole pipeline: a stack of 64 px trained at 32. */
static void golden_pipeline(void **state)
{
    golden_array in = golden_read("a_images/pipeline_in.npy"), out = golden_read("a_images/pipeline_hartley.npy");
    int64_t images = in.shape[0], box = in.shape[1], L = out.shape[1], D = L - 1;
    toy j = toy_begin(images, NULL);
    float *all = malloc((size_t)out.count * sizeof *all);
    deco_mrc_writer *w = NULL;
    image_reader *r = NULL;
    prepare *q = NULL;

    (void)state;
    toy_ok(deco_mrc_stack_create(&w, toy_stack_path(&j, 0), box, box, images, 3.0, 2));
    for (int64_t i = 0; i < images; i++) {
        toy_ok(deco_mrc_stack_append(w, in.f + i * box * box));
        toy_set_text(&j, "blob/path", i, "J7/stacks/s0.mrc");
        toy_set(&j, "blob/idx", i, 0, (double)i);
        for (int k = 0; k < 2; k++)
            toy_set(&j, "blob/shape", i, k, (double)box);
    }
    toy_ok(deco_mrc_stack_commit(w));
    toy_write(&j);
    deco_particles *p = opened(&j, D, NULL);
    toy_ok(prepare_create(&q, p, false));
    toy_ok(image_reader_create(&r, p, q, 2));
    for (int64_t i = 0; i < images; i++) {
        const float *h;
        toy_ok(image_reader_hartley(&h, NULL, r, i, true));
        for (int64_t k = 0; k < L * L; k++)
            all[i * L * L + k] = h[k / L % D * D + k % L % D];
    }
    golden_expect_f("a_images/pipeline_hartley.npy", all, out.count);
    image_reader_free(r);
    prepare_free(q);
    deco_particles_free(p);
    golden_free(&in);
    golden_free(&out);
    free(all);
}

/* 20 px of 3 Å at 12: the middle of the transform, 5 Å; the CTF and the shifts (in pixels of 1.5 Å in the file) count in those. */
static void one_larger_box(void **state)
{
    toy j = toy_begin(6, NULL);
    prepare *q = NULL;

    (void)state;
    for (int s = 0; s < TOY_STACKS; s++)
        resize(&j, s, 20, 3);
    toy_write(&j);
    deco_particles *p = opened(&j, 12, NULL);
    assert_int_equal(p->D, 12);
    assert_true(fabs(p->psize_A - 5) < 1e-12);
    toy_ok(prepare_create(&q, p, false));
    for (int64_t i = 0; i < 6; i++) {
        expect_row(p, q, i, 20, 20, 1);
        assert_true(fabs((double)p->ctf[i].psize_A - 5) < 1e-6);
        assert_true(fabs((double)p->shift[2 * i] - (double)i * 1.5 / 5) < 1e-6);
        assert_true(fabs((double)p->shift[2 * i] * deco_particles_shift_unit(p, i) - (double)i * 1.5 / 3) < 1e-6);
    }
    prepare_free(q);
    deco_particles_free(p);
    refused(&j, 22, "20 px, fewer than box, 22", "--box 20");
}

static void remember(void *user, deco_level level, const char *line)
{
    char *log = user;

    (void)level;
    strncat(log, line, 1999 - strlen(log));
}

static void larger_than_128_becomes_128(void **state)
{
    toy j = toy_begin(1, NULL);
    char log[2000] = "";
    deco_monitor *m = NULL;

    (void)state;
    resize(&j, 0, 130, 3);
    toy_write(&j);
    toy_ok(deco_monitor_create(&m, remember, log));
    deco_particles *p = opened(&j, 0, m);
    assert_int_equal(p->D, 128);
    assert_true(fabs(p->psize_A - 3 * 130.0 / 128) < 1e-12);
    assert_non_null(strstr(log, "images of 130 px, 3 Å, are brought to 128 px, 3.0469 Å"));
    deco_particles_free(p);
    p = opened(&j, 130, NULL); /* who asks for all of it gets it */
    assert_int_equal(p->D, 130);
    assert_true(p->psize_A == 3);
    deco_particles_free(p);
    deco_monitor_free(m);
}

/* 16 px of 3 Å and 8 px of 6 Å show the same: only transforms are cropped, and of noise of one standard deviation transforms of fewer pixels
 * have less. */
static void same_field_of_view(void **state)
{
    toy j = toy_begin(7, NULL);
    prepare *q = NULL;

    (void)state;
    resize(&j, 0, 16, 3);
    resize(&j, 1, 8, 6);
    resize(&j, 2, 16, 3);
    toy_write(&j);
    refused(&j, 0, "row 1: the box is 8 px", "--box N");
    deco_particles *p = opened(&j, 8, NULL);
    assert_int_equal(p->sizes, 2);
    assert_true(fabs(p->psize_A - 6) < 1e-12);
    toy_ok(prepare_create(&q, p, false));
    for (int64_t i = 0; i < 7; i++) {
        bool small = i % 3 == 1;
        expect_row(p, q, i, small ? 8 : 16, small ? 8 : 16, small ? 2 : 1);
        assert_true(fabs((double)p->ctf[i].psize_A - 6) < 1e-6);
        assert_true(fabs((double)p->shift[2 * i] - (double)i * 1.5 / 6) < 1e-6);
    }
    prepare_free(q);
    deco_particles_free(p);
}

/* The commonest field of view counts; what shows more is cut, what shows less is padded with what surrounds it. */
static void other_fields_of_view(void **state)
{
    toy j = toy_begin(8, NULL); /* rows 0 3 6, 1 4 7, 2 5 */
    prepare *q = NULL;

    (void)state;
    resize(&j, 0, 16, 3);
    resize(&j, 1, 16, 3);
    resize(&j, 2, 12, 3);
    toy_write(&j);
    deco_particles *p = opened(&j, 10, NULL);
    toy_ok(prepare_create(&q, p, false));
    expect_row(p, q, 0, 16, 16, 1);
    expect_row(p, q, 2, 12, 16, 1);
    prepare_free(q);
    deco_particles_free(p);

    j = toy_begin(5, NULL); /* rows 0 3, 1 4, 2 */
    resize(&j, 0, 12, 3);
    resize(&j, 1, 12, 3);
    resize(&j, 2, 18, 2.5);
    toy_write(&j);
    p = opened(&j, 10, NULL);
    /* 12 px of 3 Å are 36 Å, 14.4 px of 2.5 Å. 10 px, 30 Å, are 12 px of 2.5 Å: the nearest field that is even in both */
    assert_true(fabs(p->psize_A - 3) < 1e-12);
    toy_ok(prepare_create(&q, p, false));
    expect_row(p, q, 0, 12, 10, 1);
    expect_row(p, q, 2, 18, 12, 10.0 / 12);
    assert_true(fabs((double)p->ctf[2].psize_A - 3) < 1e-6);
    prepare_free(q);
    deco_particles_free(p);
    refused(&j, 12, "cannot be brought to a box of 12 px", "smaller --box");
}

static void one_stack_has_one_size(void **state)
{
    toy j = toy_begin(6, NULL);

    (void)state;
    toy_set(&j, "blob/psize_A", 4, 0, 3.1);
    toy_write(&j);
    refused(&j, 0, "row 4: blob/psize_A is 3.1", "row 0 is 3 Å");
    refused(&j, 8, "row 4: its image has 8 px of 3.1 Å", "J7/stacks/s1.mrc");
}

/* Any even number, primes times two among them. */
static void odd_halves(void **state)
{
    static const int boxes[] = {10, 14, 22, 26};

    (void)state;
    for (size_t k = 0; k < sizeof boxes / sizeof *boxes; k++) {
        toy j = toy_begin(1, NULL);
        prepare *q = NULL;
        resize(&j, 0, boxes[k], 3);
        toy_write(&j);
        deco_particles *p = opened(&j, 10, NULL);
        toy_ok(prepare_create(&q, p, false));
        expect_row(p, q, 0, boxes[k], boxes[k], 1);
        prepare_free(q);
        deco_particles_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_pipeline),    cmocka_unit_test(one_larger_box),       cmocka_unit_test(larger_than_128_becomes_128),
        cmocka_unit_test(same_field_of_view), cmocka_unit_test(other_fields_of_view), cmocka_unit_test(one_stack_has_one_size),
        cmocka_unit_test(odd_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
