/* Result groups: what CryoSPARC's import reads from the YAML. */
#include "base/file.h"
#include "formats/csg.h"
#include "support/golden.h"
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <yaml.h>

#include <cmocka.h>

static deco_table *table_with(int64_t rows, const char *const *names)
{
    deco_table *t = NULL;

    assert_int_equal(deco_table_create(&t, rows, "rows"), DECO_OK);
    for (; *names; names++)
        assert_int_equal(deco_table_add(t, NULL, *names, 'f', 4, 0, NULL), DECO_OK);
    return t;
}

static void load(yaml_document_t *d, const char *path)
{
    yaml_parser_t parser;
    FILE *f = fopen(path, "rb");

    assert_non_null(f);
    assert_true(yaml_parser_initialize(&parser));
    yaml_parser_set_input_file(&parser, f);
    assert_true(yaml_parser_load(&parser, d));
    yaml_parser_delete(&parser);
    fclose(f);
}

/* The value at "results/ctf/type"; NULL when there is none. */
static const char *at(yaml_document_t *d, const char *keys)
{
    yaml_node_t *node = yaml_document_get_root_node(d);

    for (const char *key = keys; *key;) {
        size_t n = strcspn(key, "/");
        yaml_node_pair_t *pair;
        assert_int_equal(node->type, YAML_MAPPING_NODE);
        for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
            yaml_node_t *k = yaml_document_get_node(d, pair->key);
            if (k->data.scalar.length == n && !memcmp(k->data.scalar.value, key, n))
                break;
        }
        if (pair == node->data.mapping.pairs.top)
            return NULL;
        node = yaml_document_get_node(d, pair->value);
        key += n + (key[n] == '/');
    }
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : "";
}

static void the_group_says_what_the_golden_one_says(void **state)
{
    static const char *const names[] = {"uid", "location/x", "blob/path", "blob/idx", "ctf/df1_A", "alignments3D/pose", "ctf/df2_A", NULL};
    static const char *const same[] = {"created",
                                       "group/description",
                                       "group/name",
                                       "group/title",
                                       "group/type",
                                       "version",
                                       "results/blob/metafile",
                                       "results/blob/num_items",
                                       "results/blob/type",
                                       "results/ctf/type",
                                       "results/alignments3D/type",
                                       "results/location/metafile",
                                       "results/uid"};
    deco_table *t = table_with(strtoll(golden_size("cs_rows"), NULL, 10), names);
    yaml_document_t mine, golden;

    load(&golden, golden_path("n_files/csg/cluster_0.csg"));
    assert_int_equal(deco_csg_write(scratch("group.csg"), t, t->rows, "cluster_0.cs", "cluster_0", at(&golden, "group/title"),
                                    at(&golden, "group/description"), at(&golden, "created"), "v4.7.1"),
                     DECO_OK);
    load(&mine, scratch("group.csg"));
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const char *a = at(&mine, same[i]), *b = at(&golden, same[i]);
        if (!a != !b || (a && strcmp(a, b)))
            fail_msg("%s is '%s'; golden '%s'", same[i], a ? a : "(none)", b ? b : "(none)");
    }
    yaml_document_delete(&mine);
    yaml_document_delete(&golden);
    deco_table_free(t);
}

static void slots_that_share_a_content_have_its_type(void **state)
{
    static const char *const names[] = {
        "uid", "alignments_class_0/pose", "alignments_class3D_12/pose", "components_mode_3/value", "sym_expand/idx", NULL};
    deco_table *t = table_with(3, names);
    yaml_document_t d;

    assert_int_equal(deco_csg_write(scratch("group.csg"), t, t->rows, "x.cs", "x", "x", "x", "2026-01-31 12:00:00.000000", "v4.7.1"),
                     DECO_OK);
    load(&d, scratch("group.csg"));
    assert_string_equal(at(&d, "results/alignments_class_0/type"), "particle.alignments3D");
    assert_string_equal(at(&d, "results/alignments_class3D_12/type"), "particle.alignments3D");
    assert_string_equal(at(&d, "results/components_mode_3/type"), "particle.components");
    assert_string_equal(at(&d, "results/sym_expand/type"), "particle.sym_expand");
    yaml_document_delete(&d);
    deco_table_free(t);
}

static void words_that_look_like_yaml_stay_words(void **state)
{
    static const char *const names[] = {"uid", "blob/path", NULL};
    static const char hostile[] = "null: [\"it's\" # größe\n- 粒子";
    deco_table *t = table_with(1, names);
    yaml_document_t d;

    assert_int_equal(deco_csg_write(scratch("group.csg"), t, t->rows, "a: b.cs", "true", hostile, "", "2026-01-31 12:00:00.000000", "4"),
                     DECO_OK);
    load(&d, scratch("group.csg"));
    assert_string_equal(at(&d, "group/title"), hostile);
    assert_string_equal(at(&d, "group/name"), "true");
    assert_string_equal(at(&d, "results/blob/metafile"), ">a: b.cs");
    yaml_document_delete(&d);
    deco_table_free(t);
}

/* A .cs file alone, exported to a user's own folder, has no job.json that would say it. */
static void an_unknown_version_is_a_version_that_reads_it(void **state)
{
    static const char *const names[] = {"uid", "blob/path", NULL};
    deco_table *t = table_with(1, names);
    yaml_document_t d;

    assert_int_equal(deco_csg_write(scratch("group.csg"), t, t->rows, "x.cs", "x", "x", "x", "2026-01-31 12:00:00.000000", NULL), DECO_OK);
    load(&d, scratch("group.csg"));
    assert_string_equal(at(&d, "version"), "v4.7.1");
    yaml_document_delete(&d);
    deco_table_free(t);
}

static void a_name_that_is_no_utf8_leaves_no_file(void **state)
{
    static const char *const names[] = {"uid", "bl\xff/path", NULL};
    deco_table *t = table_with(1, names);

    unlink(scratch("group.csg"));
    assert_int_equal(deco_csg_write(scratch("group.csg"), t, t->rows, "x.cs", "x", "x", "x", "2026-01-31 12:00:00.000000", "v4.7.1"),
                     DECO_E_ARGUMENT);
    assert_false(deco_path_exists(scratch("group.csg")));
    deco_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_group_says_what_the_golden_one_says), cmocka_unit_test(slots_that_share_a_content_have_its_type),
        cmocka_unit_test(words_that_look_like_yaml_stay_words),    cmocka_unit_test(an_unknown_version_is_a_version_that_reads_it),
        cmocka_unit_test(a_name_that_is_no_utf8_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
