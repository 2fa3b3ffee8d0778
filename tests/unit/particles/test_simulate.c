/* Whole simulated sets: what they hold, that the numbers are those asked for, and that nothing is left of one that failed. */
#include "particles/simulate.h"
#include "formats/mrc.h"
#include "formats/npy.h"
#include "formulas/rotation.h"
#include "particles/particles.h"
#include "support/scratch.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <cmocka.h>

/* Two chains of a few atoms in an L: the first class has both, the second one. */
static const char *structure(void)
{
    static char text[4096];
    size_t n = 0;
    for (int i = 0; i < 24; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "ATOM  %5d  CA  ALA %c%4d    %8.3f%8.3f%8.3f\n", i + 1, i < 12 ? 'A' : 'B', i + 1,
                              i < 12 ? 2.0 * i - 12 : 0.0, i < 12 ? 3.0 * (i % 3) : 2.0 * i - 24, 1.5 * (i % 5));
    return scratch_put("l.pdb", text, n);
}

static const char *chain_a(void)
{
    static char source[1100];
    snprintf(source, sizeof source, "%s:A", structure());
    return source;
}

#define BOTH "--from", structure(), "--from", chain_a()

/* Options of a command line that ends with NULL. */
static deco_options *options(const char *outdir, ...)
{
    deco_options *o;
    char *argv[40] = {"--outdir", (char *)scratch(outdir), "--box", "24", "--psize_A", "4"};
    int argc = 6;
    va_list list;
    va_start(list, outdir);
    while ((argv[argc] = va_arg(list, char *)))
        argc++;
    va_end(list);
    assert_int_equal(deco_options_create(&o), DECO_OK);
    if (deco_options_parse(o, "simulate", argc, argv))
        fail_msg("%s", deco_error());
    return o;
}

static void simulate(deco_options *o)
{
    if (deco_simulate(NULL, o, NULL))
        fail_msg("%s", deco_error());
    deco_options_free(o);
}

static const char *under(const char *set, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", set, name);
    return scratch(path);
}

static deco_table *truth_of(const char *set)
{
    deco_table *t;
    if (deco_npy_read_table(&t, under(set, "truth/particles.npy")))
        fail_msg("%s", deco_error());
    return t;
}

static cJSON *truth_json(const char *set)
{
    size_t n;
    unsigned char *text = scratch_get(&n, under(set, "truth/truth.json"));
    cJSON *j = cJSON_ParseWithLength((const char *)text, n);
    free(text);
    assert_non_null(j);
    return j;
}

static double number(const cJSON *j, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(j, key);
    assert_true(cJSON_IsNumber(item));
    return item->valuedouble;
}

static void job_opens_with_the_poses_of_the_truth(void **state)
{
    deco_particles *p;
    deco_index *row_of;
    double shift = 0;
    (void)state;

    simulate(options("whole", BOTH, "--n_particles", "150", "--psize_align_A", "1.6", "--n_stacks", "3", "--views_fraction", "0.4",
                     "--shift_sigma_px", "2", "--shift_max_px", "2.5", NULL));
    deco_table *truth = truth_of("whole");
    if (deco_particles_open(&p, under("whole", "project/J1"), NULL, DECO_NEED_POSES | DECO_NEED_SHIFTS | DECO_NEED_STACKS, NULL))
        fail_msg("%s", deco_error());
    assert_int_equal(p->N, 150);
    assert_int_equal(p->D, 24);
    assert_int_equal(p->stacks, 3);
    assert_float_equal(p->psize_A, 4, 1e-6);
    assert_int_equal(deco_index_create(&row_of, truth, "uid"), DECO_OK);
    const deco_column *R = deco_table_find(truth, "R"), *t = deco_table_find(truth, "shift_px"), *pose = deco_table_find(truth, "pose");
    for (int64_t i = 0; i < p->N; i++) {
        int64_t row = deco_index_row(row_of, deco_particles_uid(p, i));
        double v[3], turned[9];
        assert_true(row >= 0);
        for (int c = 0; c < 3; c++)
            v[c] = deco_cell_real(pose, row, c);
        deco_rotation_from_axis_angle(turned, v);
        for (int c = 0; c < 9; c++) { /* both are f32 of the same number */
            assert_float_equal(p->R[9 * i + c], deco_cell_real(R, row, c), 1e-6);
            assert_float_equal(turned[c], deco_cell_real(R, row, c), 1e-6);
        }
        for (int c = 0; c < 2; c++)
            assert_float_equal(p->shift[2 * i + c], deco_cell_real(t, row, c), 1e-5);
        shift = fmax(shift, hypot(p->shift[2 * i], p->shift[2 * i + 1]));
        assert_float_equal(p->sign[i], 1, 0); /* blob/sign -1 */
        if (row)
            assert_true(deco_cell_u64(deco_table_find(truth, "uid"), row, 0) > deco_cell_u64(deco_table_find(truth, "uid"), row - 1, 0));
    }
    assert_true(shift > 2 && shift <= 2.5 + 1e-6); /* drawn with σ 2: the limit is what is seen */
    deco_index_free(row_of);
    deco_particles_free(p);
    deco_table_free(truth);
}

/* All files of two sets, byte for byte. */
static void expect_same(const char *a, const char *b)
{
    static const char *const files[] = {"project/J1/restacked_particles.cs",
                                        "project/J1/J1_passthrough_particles.cs",
                                        "project/J1/job.json",
                                        "project/J1/restack/batch_00000_restacked.mrc",
                                        "project/J1/restack/batch_00003_restacked.mrc",
                                        "truth/particles.npy",
                                        "truth/truth.json",
                                        "truth/maps/class_0.mrc",
                                        "truth/maps/class_1.mrc"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t n, m;
        unsigned char *x = scratch_get(&n, under(a, files[i])), *y = scratch_get(&m, under(b, files[i]));
        if (n != m || memcmp(x, y, n))
            fail_msg("%s differs", files[i]);
        free(x);
        free(y);
    }
}

static void same_seed_gives_the_same_bytes_on_any_number_of_threads(void **state)
{
    (void)state;
    simulate(options("one", BOTH, "--n_particles", "60", "--noise", "coloured", "--threads", "1", "--seed", "5", NULL));
    simulate(options("three", BOTH, "--n_particles", "60", "--noise", "coloured", "--threads", "3", "--seed", "5", NULL));
    expect_same("one", "three");
    simulate(options("other", BOTH, "--n_particles", "60", "--noise", "coloured", "--threads", "1", "--seed", "6", NULL));
    deco_table *a = truth_of("one"), *b = truth_of("other");
    assert_true(deco_cell_u64(deco_table_find(a, "uid"), 0, 0) != deco_cell_u64(deco_table_find(b, "uid"), 0, 0));
    deco_table_free(a);
    deco_table_free(b);
}

/* Stack 0 of a set made with one stack. */
static float *images_of(const char *set, int64_t *n)
{
    deco_mrc *m;
    float *v;
    if (deco_mrc_open(&m, under(set, "project/J1/restack/batch_00000_restacked.mrc")))
        fail_msg("%s", deco_error());
    *n = m->nz * m->nx * m->ny;
    v = malloc((size_t)*n * sizeof *v);
    assert_non_null(v);
    assert_int_equal(deco_mrc_read(m, v, 0, m->nz), DECO_OK);
    deco_mrc_close(m);
    return v;
}

/* Two sets of one seed at different ratios have the same noise, so their difference is the signal, times the difference of gains. */
static void signal_stands_at_the_stated_ratio_to_the_noise(void **state)
{
    enum { D = 24, N = 80 };
    int64_t n;
    double variance = 0, noise = 0, white = 0;
    (void)state;
    simulate(options("weak", BOTH, "--n_particles", "80", "--snr", "0.25", "--n_stacks", "1", "--float16", "False", "--mask_radius_px", "9",
                     NULL));
    simulate(options("strong", BOTH, "--n_particles", "80", "--snr", "2.25", "--n_stacks", "1", "--float16", "False", "--mask_radius_px",
                     "9", NULL));
    float *a = images_of("weak", &n), *b = images_of("strong", &n);
    assert_int_equal(n, N * D * D);
    for (int i = 0; i < N; i++) { /* gains go with sqrt(snr): 0.5 and 1.5, so weak's signal is half the difference */
        double sum = 0, squares = 0;
        int inside = 0;
        for (int p = 0; p < D * D; p++) {
            int x = p % D - D / 2, y = p / D - D / 2;
            double signal = 0.5 * (b[i * D * D + p] - a[i * D * D + p]);
            white += pow(a[i * D * D + p] - signal, 2) / n;
            if (x * x + y * y <= 81)
                sum += signal, squares += signal * signal, inside++;
        }
        variance += (squares / inside - pow(sum / inside, 2)) / N;
    }
    deco_table *t = truth_of("weak");
    for (int64_t i = 0; i < N; i++)
        noise += pow(deco_cell_real(deco_table_find(t, "noise_sigma"), i, 0), 2) / N;
    assert_float_equal(variance / noise, 0.25, 1e-4); /* all 80 set the gain; images are f32 */
    assert_float_equal(white / noise, 1, 0.03);       /* 46,080 samples: 0.7 % */
    cJSON *j = truth_json("weak");
    assert_float_equal(number(j, "snr_measured"), 0.25, 1e-4);
    cJSON_Delete(j);
    deco_table_free(t);
    free(a);
    free(b);
}

static void coloured_noise_has_its_variance_and_more_at_low_frequency(void **state)
{
    enum { D = 24, N = 60 };
    int64_t n;
    double all = 0, block = 0;
    (void)state;
    simulate(options("ice", "--from", structure(), "--n_particles", "60", "--snr", "1e-6", "--noise", "coloured", "--n_stacks", "1",
                     "--float16", "False", NULL));
    float *v = images_of("ice", &n);
    for (int64_t i = 0; i < n; i++)
        all += v[i] * (double)v[i] / (double)n;
    for (int64_t i = 0; i < N * D; i++)
        for (int x = 0; x < D; x += 4) { /* means of four neighbours: 1/4 of the variance were it white */
            double m = (v[i * D + x] + v[i * D + x + 1] + v[i * D + x + 2] + v[i * D + x + 3]) / 4.0;
            block += m * m / (N * D * D / 4.0);
        }
    assert_float_equal(all, 1, 0.15); /* micrographs' σ is 1 ± 0.05 */
    assert_true(block > 0.28 * all);  /* 0.31 by the spectrum */
    free(v);
}

static void motion_runs_from_one_end_to_the_other(void **state)
{
    enum { D = 24 };
    char moved[4096];
    static float v[D * D * D];
    double middle[4];
    size_t n;
    (void)state;

    unsigned char *text = scratch_get(&n, structure()); /* the same atoms, 8 Å to the side in x */
    memcpy(moved, text, n);
    free(text);
    for (char *line = moved; line < moved + n; line = strchr(line, '\n') + 1) {
        char x[9] = {0};
        memcpy(x, line + 30, 8);
        double shifted = atof(x) + 8;
        snprintf(x, sizeof x, "%8.3f", shifted);
        memcpy(line + 30, x, 8);
    }
    simulate(options("motion", "--from", structure(), "--from", scratch_put("moved.pdb", moved, n), "--motion", "True", "--n_conformations",
                     "4", "--n_particles", "200", "--resolution_A", "24", NULL));
    for (int k = 0; k < 4; k++) {
        char name[64];
        deco_mrc *m;
        double sum = 0, x = 0;
        snprintf(name, sizeof name, "truth/maps/conf_%02d.mrc", k);
        assert_int_equal(deco_mrc_open(&m, under("motion", name)), DECO_OK);
        assert_int_equal(deco_mrc_read(m, v, 0, D), DECO_OK);
        deco_mrc_close(m);
        for (int i = 0; i < D * D * D; i++)
            sum += v[i], x += v[i] * (i % D - D / 2);
        middle[k] = 4 * x / sum;
    }
    for (int k = 0; k < 4; k++) /* at (k + 1/2)/4 of the way from -4 to 4 Å */
        assert_float_equal(middle[k], -4 + 8 * (k + 0.5) / 4, 0.01);
    cJSON *j = truth_json("motion");
    assert_string_equal(cJSON_GetObjectItem(j, "kind")->valuestring, "continuous");
    assert_float_equal(number(cJSON_GetArrayItem(cJSON_GetObjectItem(j, "maps"), 3), "t"), 0.875, 1e-12);
    cJSON_Delete(j);
    deco_table *t = truth_of("motion");
    double low = 1, high = 0;
    for (int64_t i = 0; i < 200; i++) {
        low = fmin(low, deco_cell_real(deco_table_find(t, "t"), i, 0));
        high = fmax(high, deco_cell_real(deco_table_find(t, "t"), i, 0));
    }
    assert_true(low >= 0 && low < 0.05 && high > 0.95 && high <= 1);
    deco_table_free(t);
}

static void classes_come_in_their_shares(void **state)
{
    int counts[2] = {0, 0};
    (void)state;
    simulate(options("shares", BOTH, "--class_weights", "3,1", "--n_particles", "400", "--with_poses", "False", NULL));
    deco_table *t = truth_of("shares");
    for (int64_t i = 0; i < 400; i++)
        counts[(int)deco_cell_real(deco_table_find(t, "label"), i, 0)]++;
    assert_true(abs(counts[0] - 300) < 35); /* σ is 8.7 */
    assert_int_equal(counts[0] + counts[1], 400);
    deco_table_free(t);
    deco_particles *p;
    assert_int_equal(deco_particles_open(&p, under("shares", "project/J1"), NULL, DECO_NEED_POSES, NULL), DECO_E_FORMAT); /* none written */
}

static int entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += !strncmp(e->d_name, "refused", 7);
    closedir(d);
    return n;
}

static void expect_refused(deco_options *o, deco_status status, const char *words)
{
    char *summary;
    assert_int_equal(deco_simulate(&summary, o, NULL), status);
    assert_null(summary);
    if (!strstr(deco_error(), words))
        fail_msg("message: %s", deco_error());
    assert_int_equal(entries(scratch("")), 0);
    deco_options_free(o);
}

static void what_cannot_be_is_refused_and_leaves_nothing(void **state)
{
    deco_options *o;
    (void)state;
    expect_refused(options("refused", NULL), DECO_E_ARGUMENT, "--from names nothing");
    expect_refused(options("refused", "--from", structure(), "--box", "25", NULL), DECO_E_ARGUMENT, "box is 25; it must be even");
    expect_refused(options("refused", "--from", structure(), "--box", "8", NULL), DECO_E_ARGUMENT, "does not fit");
    expect_refused(options("refused", "--from", structure(), "--motion", "True", NULL), DECO_E_ARGUMENT, "--from names 1");
    expect_refused(options("refused", BOTH, "--motion", "True", NULL), DECO_E_ARGUMENT, "has 24 atoms and");
    expect_refused(options("refused", BOTH, "--class_weights", "1", NULL), DECO_E_ARGUMENT, "class_weights has 1 numbers");
    expect_refused(options("refused", BOTH, "--class_weights", "0,0", NULL), DECO_E_ARGUMENT, "all 0");
    expect_refused(options("refused", "--from", structure(), "--resolution_A", "7", NULL), DECO_E_ARGUMENT, "hold nothing finer than 8");
    expect_refused(options("refused", "--from", structure(), "--mask_radius_px", "13", NULL), DECO_E_ARGUMENT, "mask_radius_px is 13");
    expect_refused(options("refused", "--from", structure(), "--defocus_min_A", "30000", NULL), DECO_E_ARGUMENT, "above defocus_max_A");
    expect_refused(options("refused", "--from", scratch("none.pdb"), NULL), DECO_E_FILE, "none.pdb");
    expect_refused(options("refused", "--from", structure(), "--from", scratch("x.mrc"), NULL), DECO_E_ARGUMENT,
                   "mixes maps and structures");
    float blank[512] = {0};
    assert_int_equal(deco_mrc_write_volume(scratch("blank.mrc"), blank, 8, 8, 8, 4, "blank"), DECO_OK);
    expect_refused(options("refused", "--from", scratch("blank.mrc"), NULL), DECO_E_FORMAT, "without contrast");

    assert_int_equal(mkdir(scratch("taken"), 0777), 0);
    scratch_put("taken/file", "x", 1);
    o = options("taken", "--from", structure(), NULL);
    assert_int_equal(deco_simulate(NULL, o, NULL), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "already and not empty"));
    deco_options_free(o);
}

static void stopping_leaves_nothing(void **state)
{
    deco_monitor *m;
    deco_options *o = options("refused", "--from", structure(), NULL);
    (void)state;
    assert_int_equal(deco_monitor_create(&m, NULL, NULL), DECO_OK);
    deco_monitor_stop(m);
    assert_int_equal(deco_simulate(NULL, o, m), DECO_E_STOPPED);
    assert_int_equal(entries(scratch("")), 0);
    deco_monitor_free(m);
    deco_options_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job_opens_with_the_poses_of_the_truth),
        cmocka_unit_test(same_seed_gives_the_same_bytes_on_any_number_of_threads),
        cmocka_unit_test(signal_stands_at_the_stated_ratio_to_the_noise),
        cmocka_unit_test(coloured_noise_has_its_variance_and_more_at_low_frequency),
        cmocka_unit_test(motion_runs_from_one_end_to_the_other),
        cmocka_unit_test(classes_come_in_their_shares),
        cmocka_unit_test(what_cannot_be_is_refused_and_leaves_nothing),
        cmocka_unit_test(stopping_leaves_nothing),
    };
    return cmocka_run_group_tests_name("simulate", tests, NULL, NULL);
}
