/* A whole analysis of a toy job: what it leaves, what it never leaves, and the subsets row by row. */
#include "analysis/cluster_count.h"
#include "formats/npy.h"
#include "formats/star.h"
#include "unit/analysis/toy_analysis.h"
#include <dirent.h>

enum { N = 60, Z = 2 };

typedef struct run {
    toy_analysis t;
    int32_t truth[N];
    char directory[800];
} run;

/* Sixty rows with micrographs, half sets, two exposure groups and a column that nobody here knows. */
static void begin(run *r, int threads, int64_t latent)
{
    toy j = toy_begin(N, NULL);
    deco_column *c;

    toy_add(j.t, "location/micrograph_path", 'S', 40, 1, NULL);
    toy_add(j.t, "location/micrograph_shape", 'u', 4, 2, NULL);
    toy_add(j.t, "location/center_x_frac", 'f', 4, 1, NULL);
    toy_add(j.t, "location/center_y_frac", 'f', 4, 1, NULL);
    toy_add(j.t, "alignments3D/split", 'u', 4, 1, NULL);
    toy_ok(deco_table_add(j.t, &c, "somebody/else", 'c', 8, 2, (const int64_t[]){2, 3}));
    for (int64_t i = 0; i < N * 6; i++)
        for (int b = 0; b < 8; b++)
            c->data[i / 6 * (int64_t)c->stride + i % 6 * 8 + b] = (unsigned char)(i * 37 + b); /* NaN payloads too */
    for (int64_t i = 0; i < N; i++) {
        toy_set_text(&j, "location/micrograph_path", i, i % 2 ? ">J3/a micrograph.mrc" : "J3/b.mrc");
        toy_set(&j, "location/micrograph_shape", i, 0, 4000);
        toy_set(&j, "location/micrograph_shape", i, 1, 6000);
        toy_set(&j, "location/center_x_frac", i, 0, 0.25);
        toy_set(&j, "location/center_y_frac", i, 0, 0.5);
        toy_set(&j, "alignments3D/split", i, 0, (double)(i % 2));
        toy_set(&j, "ctf/exp_group_id", i, 0, i % 3 == 2 ? 7 : 4);
    }
    toy_write(&j);
    toy_put(&j, "job.json", "{\"version\": \"v4.7.1\"}");
    toy_analysis_begin(&r->t, &j, N, latent, threads, r->truth);
    snprintf(r->directory, sizeof r->directory, "%s/analysis_4", j.project);
}

static void end(run *r) { toy_analysis_end(&r->t); }

static deco_status analyse(const run *r, bool estimated, const float *R, const float *shift, deco_monitor *m)
{
    deco_analysis_input in = toy_analysis_input(&r->t, estimated);

    in.R = R ? R : in.R;
    in.shift = shift ? shift : in.shift;
    return deco_analysis_write(r->directory, &in, r->t.o, m);
}

static char *file_of(const run *r, const char *name)
{
    static char path[8][1024];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", r->directory, name);
    return path[turn];
}

static char *text_of(const run *r, const char *name)
{
    char *text;
    size_t n;
    toy_ok(deco_file_get(&text, &n, file_of(r, name), 0));
    return text;
}

static deco_npy array_of(const run *r, const char *name)
{
    deco_npy a;
    toy_ok(deco_npy_read(&a, file_of(r, name)));
    return a;
}

static void every_file_of_the_format_page_is_there(void **state)
{
    static const char *const files[] = {"z_pca.npy",
                                        "rotation.npy",
                                        "shift.npy",
                                        "hand.json",
                                        "pca_mean.npy",
                                        "pca_components.npy",
                                        "pca_variance.npy",
                                        "umap.npy",
                                        "pca.png",
                                        "pca.svg",
                                        "pca_hexbin.png",
                                        "pca_marginals.png",
                                        "umap.png",
                                        "umap_hexbin.png",
                                        "umap_hexbin.svg",
                                        "umap_marginals.png",
                                        "pc1_10/vol_000.mrc",
                                        "pc1_10/vol_009.mrc",
                                        "pc1_10/z_values.txt",
                                        "pc1_10/pca_traversal.png",
                                        "pc1_10/umap_traversal.png",
                                        "pc1_10/vol_009.png",
                                        "pc2_10/vol_000.mrc",
                                        "pc2_10/vol_009.mrc",
                                        "pc2_10/z_values.txt",
                                        "pc2_10/pca_traversal.png",
                                        "clustering2/vol_000.mrc",
                                        "clustering2/vol_001.mrc",
                                        "clustering2/labels.npy",
                                        "clustering2/probability.npy",
                                        "clustering2/centers.txt",
                                        "clustering2/centers_ind.txt",
                                        "clustering2/z_pca.png",
                                        "clustering2/z_pca.svg",
                                        "clustering2/umap_clusters.png",
                                        "clustering2/umap_hex.png",
                                        "clustering2/dendrogram.png",
                                        "clustering2/vol_001.png",
                                        "clustering2/clustering_cs_star/cluster_0.cs",
                                        "clustering2/clustering_cs_star/cluster_0.csg",
                                        "clustering2/clustering_cs_star/cluster_0.star",
                                        "clustering2/clustering_cs_star/cluster_1.cs"};
    run r;
    deco_mrc *map;

    begin(&r, 2, Z);
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!deco_path_exists(file_of(&r, files[i])))
            fail_msg("%s is missing", files[i]);
    assert_false(deco_path_exists(file_of(&r, "pc1_10/vol_010.mrc")) || deco_path_exists(file_of(&r, "clustering2/vol_002.mrc")));
    toy_ok(deco_mrc_open(&map, file_of(&r, "clustering2/vol_000.mrc")));
    assert_true(map->nx == TOY_D && map->nz == TOY_D && fabs(map->psize_A - 3) < 1e-6);
    deco_mrc_close(map);
    end(&r);
}

static void labels_centres_and_maps_belong_together(void **state)
{
    run r;
    float map[TOY_D * TOY_D * TOY_D], decoded[TOY_D * TOY_D * TOY_D];

    begin(&r, 2, Z);
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    deco_npy label = array_of(&r, "clustering2/labels.npy"), probability = array_of(&r, "clustering2/probability.npy");
    assert_true(label.kind == 'i' && label.item == 4 && label.dims == 1 && label.count == N);
    assert_true(probability.kind == 'f' && probability.dims == 2 && probability.shape[0] == N && probability.shape[1] == 2);
    assert_true(adjusted_rand(label.data, r.truth, N) == 1);
    char *rows = text_of(&r, "clustering2/centers_ind.txt"), *centres = text_of(&r, "clustering2/centers.txt"), *at = rows, *z = centres;
    for (int k = 0; k < 2; k++) {
        long row = strtol(at, &at, 10);
        assert_in_range(row, 0, N - 1);
        assert_int_equal(((const int32_t *)label.data)[row], k);
        for (int i = 0; i < Z; i++)
            assert_true(strtof(z, &z) == r.t.z[row * Z + i]); /* nine digits give the very float */
        char name[64];
        deco_mrc *m;
        snprintf(name, sizeof name, "clustering2/vol_00%d.mrc", k);
        toy_ok(deco_mrc_open(&m, file_of(&r, name)));
        toy_ok(deco_mrc_read(m, map, 0, TOY_D));
        toy_ok(deco_model_decode(decoded, r.t.model, r.t.model->D, r.t.z + row * Z));
        assert_memory_equal(map, decoded, sizeof map);
        deco_mrc_close(m);
    }
    free(rows);
    free(centres);
    deco_npy_free(&label);
    deco_npy_free(&probability);
    end(&r);
}

/* Row `i` of a column, compared byte by byte. */
static void expect_cell(const deco_column *mine, int64_t i, const deco_column *theirs, int64_t row)
{
    if (mine->kind != theirs->kind || mine->item != theirs->item || mine->dims != theirs->dims || mine->cells != theirs->cells)
        fail_msg("column %s changed its type", theirs->name);
    if (memcmp(mine->data + i * (int64_t)mine->stride, theirs->data + row * (int64_t)theirs->stride, mine->item * (size_t)mine->cells))
        fail_msg("column %s differs in row %lld of the input", theirs->name, (long long)row);
}

static void subsets_keep_every_column_and_uid_in_the_inputs_order(void **state)
{
    run r;
    int64_t seen = 0;

    begin(&r, 2, Z);
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    deco_npy label = array_of(&r, "clustering2/labels.npy");
    for (int k = 0; k < 2; k++) {
        char name[80];
        deco_table *t;
        int64_t row = -1;
        snprintf(name, sizeof name, "clustering2/clustering_cs_star/cluster_%d.cs", k);
        toy_ok(deco_cs_read(&t, file_of(&r, name)));
        assert_int_equal(t->columns, r.t.p->rows->columns);
        for (int64_t i = 0; i < t->rows; i++) {
            do
                row++;
            while (((const int32_t *)label.data)[row] != k);
            for (int64_t c = 0; c < t->columns; c++) {
                assert_string_equal(t->column[c].name, r.t.p->rows->column[c].name);
                expect_cell(&t->column[c], i, &r.t.p->rows->column[c], row);
            }
        }
        seen += t->rows;
        deco_table_free(t);
    }
    assert_int_equal(seen, N);
    deco_npy_free(&label);
    end(&r);
}

static void a_group_says_what_it_holds(void **state)
{
    run r;

    begin(&r, 2, Z);
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    char *text = text_of(&r, "clustering2/clustering_cs_star/cluster_1.csg");
    assert_non_null(strstr(text, "Cluster 1 (30 particles)"));
    assert_non_null(strstr(text, ">cluster_1.cs"));
    assert_non_null(strstr(text, "v4.7.1"));
    assert_non_null(strstr(text, "of analysis_4"));
    free(text);
    end(&r);
}

/* Column of `name` in the particles' loop, row i, as text. */
static const char *star_cell(const deco_star *s, const char *name, int64_t i)
{
    int64_t column;
    for (int64_t l = 0; l < s->loops; l++)
        if (!strcmp(s->loop[l].block, "particles"))
            for (column = 0; column < s->loop[l].columns; column++)
                if (!strcmp(s->loop[l].name[column], name))
                    return s->loop[l].cell[i * s->loop[l].columns + column];
    fail_msg("no column %s", name);
    return NULL;
}

static double star_number(const deco_star *s, const char *name, int64_t i) { return strtod(star_cell(s, name, i), NULL); }

static void star_rows_are_the_clusters_rows(void **state)
{
    run r;
    deco_star *s;
    int64_t column, row = 0;

    begin(&r, 2, Z);
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    deco_npy label = array_of(&r, "clustering2/labels.npy");
    toy_ok(deco_star_read(&s, file_of(&r, "clustering2/clustering_cs_star/cluster_1.star")));
    const deco_star_loop *optics = deco_star_find(s, "rlnVoltage", &column);
    assert_non_null(optics);
    assert_int_equal(optics->rows, 2); /* both exposure groups of the set, whatever the subset */
    while (((const int32_t *)label.data)[row] != 1)
        row++;
    char image[64];
    double R[9], angles[3];
    for (int k = 0; k < 9; k++)
        R[k] = r.t.p->R[row * 9 + k];
    deco_star_angles(angles, R);
    snprintf(image, sizeof image, "%06d@J7/stacks/s%d.mrc", (int)(row * 2 % TOY_IMAGES) + 1, (int)(row % TOY_STACKS));
    assert_string_equal(star_cell(s, "rlnImageName", 0), image);
    assert_string_equal(star_cell(s, "rlnMicrographName", 0), row % 2 ? "J3/a micrograph.mrc" : "J3/b.mrc");
    assert_true(star_number(s, "rlnCoordinateX", 0) == 1500 && star_number(s, "rlnCoordinateY", 0) == 2000); /* shape is (height, width) */
    assert_int_equal(star_number(s, "rlnOpticsGroup", 0), row % 3 == 2 ? 2 : 1);
    assert_int_equal(star_number(s, "rlnClassNumber", 0), 2);
    assert_int_equal(star_number(s, "rlnRandomSubset", 0), row % 2 + 1);
    assert_true(fabs(star_number(s, "rlnAngleRot", 0) - angles[0]) < 1e-4 && fabs(star_number(s, "rlnAngleTilt", 0) - angles[1]) < 1e-4);
    assert_true(fabs(star_number(s, "rlnOriginXAngst", 0) - r.t.p->shift[row * 2] * 3) < 1e-4); /* pixels of box times 3 Å */
    assert_true(fabs(star_number(s, "rlnDefocusAngle", 0) - 0.5 * 180 / M_PI) < 1e-4);
    deco_star_free(s);
    deco_npy_free(&label);
    end(&r);
}

static void estimated_poses_take_the_place_of_the_inputs(void **state)
{
    run r;
    float R[N * 9] = {0}, shift[N * 2];
    deco_table *t;

    begin(&r, 2, Z);
    for (int i = 0; i < N; i++) { /* by -90° about z: exp(v)ᵀ of v = (0, 0, π/2) */
        R[9 * i + 1] = 1;
        R[9 * i + 3] = -1;
        R[9 * i + 8] = 1;
        shift[2 * i] = (float)i;
        shift[2 * i + 1] = -0.5f;
    }
    toy_ok(analyse(&r, true, R, shift, NULL));
    toy_ok(deco_cs_read(&t, file_of(&r, "clustering2/clustering_cs_star/cluster_0.cs")));
    assert_int_equal(t->columns, r.t.p->rows->columns);
    assert_true(fabs(deco_cell_real(deco_table_find(t, "alignments3D/pose"), 3, 2) - M_PI / 2) < 1e-6);
    assert_true(deco_cell_real(deco_table_find(t, "alignments3D/shift"), 0, 1) == -0.5);
    assert_true(deco_cell_real(deco_table_find(t, "alignments3D/psize_A"), 0, 0) == 3);
    assert_non_null(deco_table_find(t, "alignments3D/split")); /* or gold-standard refinement breaks */
    deco_table_free(t);
    end(&r);
}

/* Everything but the .csg files, which hold the time. */
static void expect_same_files(const char *a, const char *b)
{
    struct dirent **entry;
    int n = scandir(a, &entry, NULL, alphasort);

    assert_true(n > 2);
    for (int i = 0; i < n; i++) {
        char one[1200], two[1200];
        const char *name = entry[i]->d_name;
        snprintf(one, sizeof one, "%s/%s", a, name);
        snprintf(two, sizeof two, "%s/%s", b, name);
        if (name[0] != '.' && deco_path_is_directory(one)) {
            expect_same_files(one, two);
        } else if (name[0] != '.' && !strstr(name, ".csg")) {
            size_t m, k;
            unsigned char *x = scratch_get(&m, one), *y = scratch_get(&k, two);
            if (m != k || memcmp(x, y, m))
                fail_msg("%s differs from %s", one, two);
            free(x);
            free(y);
        }
        free(entry[i]);
    }
    free(entry);
}

static void any_number_of_threads_leaves_the_same_files(void **state)
{
    run one, other;

    begin(&one, 1, Z);
    toy_ok(analyse(&one, false, NULL, NULL, NULL));
    for (int threads = 2; threads <= 3; threads++) {
        begin(&other, threads, Z);
        toy_ok(analyse(&other, false, NULL, NULL, NULL));
        expect_same_files(one.directory, other.directory);
        end(&other);
    }
    end(&one);
}

static void another_k_num_adds_its_clustering(void **state)
{
    run r;

    begin(&r, 2, Z);
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    toy_ok(deco_options_set(r.t.o, "k_num", "5"));
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    assert_true(deco_path_exists(file_of(&r, "clustering2/labels.npy")) && deco_path_exists(file_of(&r, "clustering5/labels.npy")));
    end(&r);
}

static void the_number_of_clusters_is_found_and_kept(void **state)
{
    run r;
    char *directory = NULL;
    int64_t K = 0;

    begin(&r, 2, Z);
    toy_ok(deco_options_set(r.t.o, "k_num", "auto"));
    toy_ok(deco_clustering_directory(&directory, &K, r.directory, r.t.o));
    assert_true(directory == NULL && K == 0);
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    toy_ok(deco_clustering_directory(&directory, &K, r.directory, r.t.o));
    assert_true(K > 1); /* how many, test_cluster_count asks */
    char *name = deco_format("clustering%lld/summary.txt", (long long)K), *summary = text_of(&r, name);
    assert_int_equal(strncmp(deco_path_name(directory), name, strlen(deco_path_name(directory))), 0);
    assert_non_null(strstr(summary, "k_num auto: "));
    assert_int_equal(r.t.o->k_num, 0); /* the caller's options are as they were */
    free(name);
    free(summary);
    free(directory);
    end(&r);
}

/* Names in the directory that would hold the analysis. */
static int names_beside(const run *r)
{
    char *parent = deco_path_directory(r->directory);
    struct dirent **entry;
    int n = scandir(parent, &entry, NULL, NULL), kept = n;
    while (n-- > 0)
        free(entry[n]);
    free(entry);
    free(parent);
    return kept;
}

static void a_failed_analysis_leaves_nothing_and_the_old_one_whole(void **state)
{
    run r;
    deco_monitor *stopped;

    begin(&r, 2, Z);
    int before = names_beside(&r);
    r.t.z[7 * Z + 1] = NAN;
    assert_int_equal(analyse(&r, false, NULL, NULL, NULL), DECO_E_DIVERGED);
    assert_non_null(strstr(deco_error(), "row 7"));
    r.t.z[7 * Z + 1] = 0;
    toy_ok(deco_monitor_create(&stopped, NULL, NULL));
    deco_monitor_stop(stopped);
    assert_int_equal(analyse(&r, false, NULL, NULL, stopped), DECO_E_STOPPED);
    assert_int_equal(names_beside(&r), before);
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    char *old = text_of(&r, "clustering2/centers.txt");
    for (int i = 0; i < N * Z; i++)
        r.t.z[i] += 1;
    assert_int_equal(analyse(&r, false, NULL, NULL, stopped), DECO_E_STOPPED);
    char *still = text_of(&r, "clustering2/centers.txt");
    assert_string_equal(old, still);
    assert_int_equal(names_beside(&r), before + 1);
    free(old);
    free(still);
    deco_monitor_free(stopped);
    end(&r);
}

static void more_clusters_than_particles_are_refused_before_anything_is_written(void **state)
{
    run r;

    begin(&r, 2, Z);
    int before = names_beside(&r);
    toy_ok(deco_options_set(r.t.o, "k_num", "61"));
    assert_int_equal(analyse(&r, false, NULL, NULL, NULL), DECO_E_ARGUMENT);
    assert_non_null(strstr(deco_error(), "k_num is 61"));
    assert_int_equal(names_beside(&r), before);
    end(&r);
}

static void one_state_gives_one_map_and_one_dimension_one_walk(void **state)
{
    run r;

    begin(&r, 2, 0);
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    assert_true(deco_path_exists(file_of(&r, "vol_000.mrc")));
    assert_false(deco_path_exists(file_of(&r, "clustering2")));
    end(&r);
    begin(&r, 2, 1);
    toy_ok(analyse(&r, false, NULL, NULL, NULL));
    assert_true(deco_path_exists(file_of(&r, "pc1_10/pca_traversal.png")) && deco_path_exists(file_of(&r, "clustering2/z_pca.png")));
    assert_false(deco_path_exists(file_of(&r, "pc2_10")));
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_of_the_format_page_is_there),
        cmocka_unit_test(labels_centres_and_maps_belong_together),
        cmocka_unit_test(subsets_keep_every_column_and_uid_in_the_inputs_order),
        cmocka_unit_test(a_group_says_what_it_holds),
        cmocka_unit_test(star_rows_are_the_clusters_rows),
        cmocka_unit_test(estimated_poses_take_the_place_of_the_inputs),
        cmocka_unit_test(any_number_of_threads_leaves_the_same_files),
        cmocka_unit_test(another_k_num_adds_its_clustering),
        cmocka_unit_test(the_number_of_clusters_is_found_and_kept),
        cmocka_unit_test(a_failed_analysis_leaves_nothing_and_the_old_one_whole),
        cmocka_unit_test(more_clusters_than_particles_are_refused_before_anything_is_written),
        cmocka_unit_test(one_state_gives_one_map_and_one_dimension_one_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
