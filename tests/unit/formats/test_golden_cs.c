/* .cs files written by cryosparc-tools, in both forms, against their columns one by one; and spoilt ones, each refused. */
#include "base/file.h"
#include "formats/cs.h"
#include "formats/npy.h"
#include "support/golden.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static deco_table *read_cs(const char *name)
{
    deco_table *t = NULL;

    if (deco_cs_read(&t, golden_path(name)))
        fail_msg("%s", deco_error());
    return t;
}

static void same_numbers(const deco_table *t, const char *column, const char *file, int64_t rows)
{
    const deco_column *c = deco_table_find(t, column);
    deco_npy a;

    if (!c)
        fail_msg("%s: lacks %s", t->source, column);
    assert_int_equal(deco_npy_read(&a, file), DECO_OK);
    assert_int_equal(a.kind, c->kind);
    assert_int_equal(a.item, c->item);
    assert_int_equal(a.dims, c->dims + 1);
    for (int d = 0; d < c->dims; d++)
        assert_int_equal(a.shape[d + 1], c->shape[d]);
    assert_true(a.shape[0] >= rows);
    for (int64_t i = 0; i < rows; i++)
        if (memcmp(c->data + (size_t)i * c->stride, (char *)a.data + (size_t)i * a.item * (size_t)c->cells, a.item * (size_t)c->cells))
            fail_msg("%s: row %lld of %s differs", t->source, (long long)i, column);
    deco_npy_free(&a);
}

static void same_texts(const deco_table *t, const char *column, const char *file, int64_t rows)
{
    const deco_column *c = NULL;
    char *json = NULL, text[512];
    size_t size;
    cJSON *list;

    assert_int_equal(deco_table_need(&c, t, column, 'S', 1), DECO_OK);
    assert_int_equal(deco_file_get(&json, &size, file, 0), DECO_OK);
    list = cJSON_Parse(json);
    for (int64_t i = 0; i < rows; i++) {
        deco_cell_text(text, sizeof text, c, i);
        assert_string_equal(text, cJSON_GetArrayItem(list, (int)i)->valuestring);
    }
    cJSON_Delete(list);
    free(json);
}

/* Every file of cs/columns is a column: "blob__path.json" is blob/path. Returns how many there are. */
static int check_columns(const deco_table *t, int64_t rows)
{
    char folder[4096], file[8192], column[256];
    DIR *dir;
    int n = 0;

    snprintf(folder, sizeof folder, "%s", golden_path("n_files/cs/columns"));
    dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        char *dot = strrchr(e->d_name, '.'), *under;
        if (e->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", folder, e->d_name);
        snprintf(column, sizeof column, "%.*s", (int)(dot - e->d_name), e->d_name);
        if ((under = strstr(column, "__"))) {
            *under = '/';
            memmove(under + 1, under + 2, strlen(under + 2) + 1);
        }
        (strcmp(dot, ".npy") ? same_texts : same_numbers)(t, column, file, rows);
        n++;
    }
    closedir(dir);
    return n;
}

static void every_column_of_both_forms_is_read(void **state)
{
    static const char *const files[] = {"n_files/cs/npy.cs", "n_files/cs/csdat_lz4.cs", "n_files/cs/csdat_plain.cs"};
    int64_t rows = strtoll(golden_size("cs_rows"), NULL, 10);

    for (size_t i = 0; i < 3; i++) {
        deco_table *t = read_cs(files[i]);
        assert_int_equal(t->rows, rows);
        assert_int_equal(check_columns(t, rows), t->columns);
        deco_table_free(t);
    }
}

static void datasets_of_one_row_and_of_none_are_read(void **state)
{
    static const char *const empty[] = {"n_files/cs/npy_empty.cs", "n_files/cs/csdat_empty.cs"};
    deco_table *t = read_cs("n_files/cs/csdat_one.cs");

    assert_int_equal(t->rows, 1);
    assert_int_equal(check_columns(t, 1), t->columns);
    deco_table_free(t);
    for (size_t i = 0; i < 2; i++) {
        t = read_cs(empty[i]);
        assert_int_equal(t->rows, 0);
        assert_int_equal(check_columns(t, 0), t->columns);
        deco_table_free(t);
    }
}

static void long_headers_and_unicode_names_are_read(void **state)
{
    deco_table *t = read_cs("n_files/cs/npy_version2.npy");
    const deco_column *c;
    char name[64];

    for (int64_t k = 0; k < t->columns; k++) {
        c = &t->column[k];
        assert_true(deco_cell_real(c, 0, 0) == -deco_cell_real(c, t->rows - 1, 0));
    }
    assert_true(t->columns >= 1500);
    deco_table_free(t);
    t = read_cs("n_files/cs/npy_version3.npy");
    snprintf(name, sizeof name, "%s", "größe/粒子");
    assert_int_equal(deco_table_need(&c, t, name, 'n', 1), DECO_OK);
    assert_true(deco_cell_real(c, 0, 0) == 1.5 && deco_cell_real(c, 1, 0) == -2);
    assert_int_equal(deco_table_need(&c, t, "uid", 'n', 1), DECO_OK);
    assert_true(deco_cell_u64(c, 0, 0) == 7 && deco_cell_u64(c, 1, 0) == 8);
    deco_table_free(t);
}

static void passthrough_in_another_order_is_joined_on_uid(void **state)
{
    deco_table *all = read_cs("n_files/cs/J42_extracted_particles.cs"), *other = read_cs("n_files/cs/J42_passthrough_particles.cs"),
               *t = NULL;
    const deco_column *uid = NULL, *df1 = NULL;
    deco_index *there = NULL;
    golden_array expected = golden_read("n_files/cs/joined_df1.npy");
    int64_t row[1024], n = 0;

    /* two particles are in the first file only: a join of all its rows must say so */
    assert_int_equal(deco_table_join(all, other, "uid"), DECO_E_FORMAT);
    assert_non_null(strstr(deco_error(), "2 of the "));
    assert_null(deco_table_find(all, "ctf/df1_A"));

    assert_int_equal(deco_index_create(&there, other, "uid"), DECO_OK);
    assert_int_equal(deco_table_need(&uid, all, "uid", 'n', 1), DECO_OK);
    assert_true(all->rows <= 1024);
    for (int64_t i = 0; i < all->rows; i++)
        if (deco_index_row(there, deco_cell_u64(uid, i, 0)) >= 0)
            row[n++] = i;
    assert_int_equal(deco_table_select(&t, all, row, n), DECO_OK);
    assert_int_equal(deco_table_join(t, other, "uid"), DECO_OK);
    same_numbers(t, "uid", golden_path("n_files/cs/joined_uid.npy"), n);
    assert_int_equal(deco_table_need(&df1, t, "ctf/df1_A", 'n', 1), DECO_OK);
    assert_int_equal(expected.count, n);
    for (int64_t i = 0; i < n; i++)
        assert_true(deco_cell_real(df1, i, 0) == expected.v[i]);
    golden_free(&expected);
    deco_index_free(there);
    deco_table_free(t);
    deco_table_free(other);
    deco_table_free(all);
}

/* A CSDAT file's columns stand each for itself, and are let go of one by one as they are joined. */
static void a_file_by_columns_is_joined_as_its_rows_are(void **state)
{
    deco_table *whole = read_cs("n_files/cs/csdat_lz4.cs"), *turned = NULL, *t = NULL;
    deco_column *uid = NULL;
    int64_t *row = calloc((size_t)whole->rows, sizeof *row);

    for (int64_t i = 0; i < whole->rows; i++)
        row[i] = whole->rows - 1 - i;
    assert_int_equal(deco_table_select(&turned, whole, row, whole->rows), DECO_OK);
    assert_int_equal(deco_table_create(&t, whole->rows, "turned"), DECO_OK);
    assert_int_equal(deco_table_add(t, &uid, "uid", 'u', 8, 0, NULL), DECO_OK);
    for (int64_t i = 0; i < t->rows; i++)
        deco_cell_set_u64(uid, i, 0, deco_cell_u64(deco_table_find(turned, "uid"), i, 0));
    if (deco_cs_join(t, golden_path("n_files/cs/csdat_lz4.cs"), "uid"))
        fail_msg("%s", deco_error());
    assert_int_equal(t->columns, whole->columns);
    for (int64_t k = 0; k < whole->columns; k++) {
        const deco_column *a = &turned->column[k], *b = deco_table_find(t, a->name);
        assert_non_null(b);
        for (int64_t i = 0; i < t->rows; i++)
            assert_memory_equal(a->data + (size_t)i * a->stride, b->data + (size_t)i * b->stride, a->item * (size_t)a->cells);
    }
    free(row);
    deco_table_free(t);
    deco_table_free(turned);
    deco_table_free(whole);
}

static void spoilt_files_are_refused_by_name(void **state)
{
    char folder[4096], file[8192];
    DIR *dir;
    int n = 0;

    snprintf(folder, sizeof folder, "%s", golden_path("n_files/bad"));
    dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        deco_table *t = NULL;
        deco_npy a = {0};
        const char *end = strrchr(e->d_name, '.');
        bool npy = !strcmp(end, ".npy");
        deco_status st;
        if (!npy && strcmp(end, ".cs"))
            continue;
        snprintf(file, sizeof file, "%s/%s", folder, e->d_name);
        st = npy ? deco_npy_read(&a, file) : deco_cs_read(&t, file);
        if (strstr(e->d_name, "lz4_spoilt")) { /* a spoilt block may still unpack, to other values */
            deco_table_free(t);
            continue;
        }
        if (st != DECO_E_FORMAT)
            fail_msg("%s: gave status %d", e->d_name, st);
        if (!strstr(deco_error(), e->d_name))
            fail_msg("%s: is not named in '%s'", e->d_name, deco_error());
        n++;
    }
    closedir(dir);
    assert_true(n >= 7);
}

/* Files by CryoSPARC itself and by cryosparc-tools, too large to keep here: checked where CRYODECO_SHARED says they are. */
static void files_of_real_programs_are_read(void **state)
{
    static const struct {
        const char *name;
        int64_t rows, columns;
    } files[] = {{"4k_dataset.cs", 0, 106},
                 {"cryosparc_J2_particles_exported.cs", -1, -1},
                 {"cryosparc_P12_J24_001_particles.cs", 2019, -1},
                 {"empiar_10076_7.cs", 7, -1},
                 {"tiny_joined.csdat.cs", 1000, -1},
                 {"zero_rows.csdat.cs", 0, -1},
                 {"empty.csdat.cs", 0, 1}};
    const char *shared = getenv("CRYODECO_SHARED");
    char path[4096];

    if (!shared)
        skip();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        deco_table *t = NULL;
        snprintf(path, sizeof path, "%s/data/formats/%s", shared, files[i].name);
        if (deco_cs_read(&t, path))
            fail_msg("%s", deco_error());
        assert_non_null(deco_table_find(t, "uid"));
        if (files[i].rows >= 0)
            assert_int_equal(t->rows, files[i].rows);
        if (files[i].columns >= 0)
            assert_int_equal(t->columns, files[i].columns);
        deco_table_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_column_of_both_forms_is_read),
        cmocka_unit_test(datasets_of_one_row_and_of_none_are_read),
        cmocka_unit_test(long_headers_and_unicode_names_are_read),
        cmocka_unit_test(passthrough_in_another_order_is_joined_on_uid),
        cmocka_unit_test(a_file_by_columns_is_joined_as_its_rows_are),
        cmocka_unit_test(spoilt_files_are_refused_by_name),
        cmocka_unit_test(files_of_real_programs_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
