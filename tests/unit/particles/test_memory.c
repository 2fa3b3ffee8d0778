/* Memory grows by less than 1 kB a particle: the rows themselves, twice while they are joined, and a hundred bytes. Measured on 10⁴ and 10⁵ rows
 * made from those of tiny, each in a process of its own. */
#include "toy_job.h"

#include "particles/loader.h"

#if defined(__has_feature)
#define SANITIZER_FEATURE (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZER_FEATURE 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || SANITIZER_FEATURE
enum { SANITIZED = 1 }; /* whose own memory would be measured */
#else
enum { SANITIZED = 0 };
#endif

static const char *program;

/* Peak resident memory of this process in kB. */
static long peak_kB(void)
{
    char line[256];
    long kB = -1;
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof line, f))
        sscanf(line, "VmHWM: %ld", &kB);
    if (f)
        fclose(f);
    return kB;
}

/* The other process: all that a run does with its particles before and while it trains. Prints its peak. */
static int measure(const char *path)
{
    deco_particles *p = NULL;
    deco_device *dev = NULL;
    deco_mask *mask = NULL;
    deco_loader *l = NULL;
    deco_image_stats stats;
    deco_batch b;
    double waited = 0;
    int64_t order[256];
    deco_status st = DECO_OK;

    TRY(deco_particles_open(&p, path, data_path("tiny/project"), TOY_ALL, NULL));
    TRY(deco_device_create(&dev, "cpu", 1));
    TRY(deco_images_survey(&stats, p, dev, NULL));
    TRY(deco_mask_create(&mask, p->D + 1, p->D / 2));
    TRY(deco_loader_create(&l, p, mask, &stats, dev, 64, 2));
    for (int i = 0; i < 256; i++)
        order[i] = p->N - 1 - i;
    TRY(deco_loader_start(l, order, 256));
    do
        TRY(deco_loader_next(l, &b, &waited));
    while (b.B);
    printf("%ld\n", peak_kB());
out:
    if (st)
        fprintf(stderr, "%s\n", deco_error());
    deco_loader_free(l);
    deco_mask_free(mask);
    deco_device_free(dev);
    deco_particles_free(p);
    return st != DECO_OK;
}

/* `n` rows of a file of tiny, over and over, with uids of their own. */
static void write_rows(const char *from, const char *to, int64_t n)
{
    deco_table *t = NULL, *many = NULL;
    int64_t *row = malloc((size_t)n * sizeof *row);

    toy_ok(deco_cs_read(&t, from));
    for (int64_t i = 0; i < n; i++)
        row[i] = i % t->rows;
    toy_ok(deco_table_select(&many, t, row, n));
    deco_column *uid = (deco_column *)deco_table_find(many, "uid");
    for (int64_t i = 0; i < n; i++)
        deco_cell_set_u64(uid, i, 0, deco_cell_u64(uid, i, 0) + (uint64_t)(i / t->rows));
    toy_ok(deco_cs_write(to, many));
    deco_table_free(many);
    deco_table_free(t);
    free(row);
}

static long peak_of(int64_t n)
{
    char folder[600], path[700], command[2000];
    long kB = -1;

    snprintf(folder, sizeof folder, "%s/J12", scratch(n > 10000 ? "large" : "small"));
    toy_ok(deco_directory_make(folder));
    snprintf(path, sizeof path, "%s/downsampled_particles.cs", folder);
    write_rows(data_path("tiny/project/J12/downsampled_particles.cs"), path, n);
    snprintf(path, sizeof path, "%s/J12_passthrough_particles.cs", folder);
    write_rows(data_path("tiny/project/J12/J12_passthrough_particles.cs"), path, n);
    snprintf(command, sizeof command, "'%s' '%s'", program, folder);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &kB), 1);
    assert_int_equal(pclose(f), 0);
    return kB;
}

static void less_than_a_kilobyte_a_particle(void **state)
{
    long small = peak_of(10000), large = peak_of(100000);
    double each = (double)(large - small) * 1024 / 90000;

    (void)state;
    print_message("%ld kB for 10,000 rows, %ld kB for 100,000: %.0f bytes a particle\n", small, large, each);
    if (!SANITIZED)
        assert_true(each <= 1000);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(less_than_a_kilobyte_a_particle),
    };
    if (argc > 1)
        return measure(argv[1]);
    program = argv[0];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
