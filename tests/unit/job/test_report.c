/* The report of a large set: how large the page is, and that a sample is said. With CRYODECO_LONG=1 a million particles; CRYODECO_REPORT_TO keeps the page, to be
 * looked at in a browser. */
#include "job/report.h"
#include "base/philox.h"
#include "formats/npy.h"
#include "unit/particles/toy_job.h"

enum { Z = 4, CLUSTERS = 8, FRAMES = 10 };

static int64_t particles(void)
{
    const char *l = getenv("CRYODECO_LONG");
    return l && !strcmp(l, "1") ? 1200000 : 20000;
}

static char *in_folder(const char *folder, const char *name)
{
    static char path[4][1200];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void write_arrays(const char *folder, int64_t N)
{
    float *x = calloc((size_t)(N * Z), sizeof *x);
    int32_t *label = calloc((size_t)N, sizeof *label);
    deco_random r = deco_random_at(1, DECO_STREAM_SAMPLE, 0);

    for (int64_t i = 0; i < N; i++) {
        label[i] = (int32_t)(i % CLUSTERS);
        for (int j = 0; j < Z; j++)
            x[i * Z + j] = (float)deco_random_normal(&r) + (float)(label[i] * (j + 1) % 5) * 3;
    }
    toy_ok(deco_npy_write(in_folder(folder, "z_pca.npy"), "<f4", 2, (const int64_t[]){N, Z}, x));
    toy_ok(deco_npy_write(in_folder(folder, "umap.npy"), "<f4", 2, (const int64_t[]){N, 2}, x));
    toy_ok(deco_npy_write(in_folder(folder, "clustering8/labels.npy"), "<i4", 1, &N, label));
    free(x);
    free(label);
}

/* A noisy ball, like a map that fills most of its box. */
static void write_maps(const char *folder, const char *where, int count, int64_t D)
{
    float *map = calloc((size_t)(D * D * D), sizeof *map);
    char name[64];

    for (int k = 0; k < count; k++) {
        deco_random r = deco_random_at((uint64_t)k, DECO_STREAM_SAMPLE, 1);
        for (int64_t i = 0; i < D * D * D; i++) {
            double x = (double)(i % D - D / 2), y = (double)(i / D % D - D / 2), z = (double)(i / D / D - D / 2),
                   d = sqrt(x * x + y * y + z * z);
            map[i] = (float)((d < 0.3 * (double)D ? 1 + 0.3 * sin(x / 3 + k) * cos(y / 3) : 0) + 0.04 * deco_random_normal(&r));
        }
        snprintf(name, sizeof name, "%s/vol_%03d.mrc", where, k);
        toy_ok(deco_mrc_write_volume(in_folder(folder, name), map, D, D, D, 1, "made"));
    }
    free(map);
}

static void a_page_of_a_large_set_is_bounded_and_says_what_it_draws(void **state)
{
    int64_t N = particles(), D = N > DECO_REPORT_POINTS ? 128 : 32;
    char folder[700];
    deco_particles p = {.N = N};
    deco_options *o = NULL;
    char *page = NULL;
    size_t size;
    const char *run = "{\"version\": 1, \"run\": \"0123456789abcdef\", \"analysis\": \"analysis_9\", \"n\": 1}";

    snprintf(folder, sizeof folder, "%s", scratch("analysis_9"));
    toy_ok(deco_directory_make(in_folder(folder, "clustering8")));
    toy_ok(deco_directory_make(in_folder(folder, "pc1_10")));
    toy_ok(deco_file_put(in_folder(folder, "run.json"), run, strlen(run)));
    write_arrays(folder, N);
    write_maps(folder, "clustering8", CLUSTERS, D);
    write_maps(folder, "pc1_10", FRAMES, D);
    p.ctf = calloc((size_t)N, sizeof *p.ctf);
    toy_ok(deco_options_create(&o));
    toy_ok(deco_options_set(o, "k_num", "8"));
    toy_ok(deco_report_write(folder, folder, "analysis_0", &p, NULL, o, NULL));
    toy_ok(deco_file_get(&page, &size, in_folder(folder, "report.html"), 0));
    print_message("%lld particles, %d maps of %lld px, %d frames: %.1f MB\n", (long long)N, CLUSTERS, (long long)D, FRAMES,
                  (double)size / 1e6);
    assert_true(size < 60000000); /* the bound of a page that a browser still opens at once, and that goes by mail or a share */
    assert_int_equal(strstr(page, "evenly spread; a lasso") != NULL, N > DECO_REPORT_POINTS);
    assert_non_null(strstr(page, "\"run\":\"0123456789abcdef\""));
    if (getenv("CRYODECO_REPORT_TO"))
        toy_ok(deco_file_put(getenv("CRYODECO_REPORT_TO"), page, size));
    free(page);
    free(p.ctf);
    deco_options_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_of_a_large_set_is_bounded_and_says_what_it_draws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
