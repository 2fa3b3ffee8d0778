/* Which atoms of PDB and mmCIF files count, and what is said of broken ones. */
#include "particles/simulate_parts.h"
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static sim_atoms read_ok(const char *source)
{
    sim_atoms a;
    if (sim_structure_read(&a, source))
        fail_msg("%s", deco_error());
    return a;
}

static void expect_refused(const char *source, deco_status status, const char *words)
{
    sim_atoms a;
    assert_int_equal(sim_structure_read(&a, source), status);
    assert_int_equal(a.count, 0);
    assert_null(a.x);
    if (!strstr(deco_error(), words))
        fail_msg("%s: %s", source, deco_error());
}

static const char *put(const char *name, const char *text) { return scratch_put(name, text, strlen(text)); }

static const char pdb[] = "HEADER    TEST\n"
                          "MODEL        1\n"
                          "ATOM      1  N   ALA A   1      11.000  22.000  33.000  1.00 10.00           N\n"
                          "ATOM      2  CA  ALA A   1      -1.500   2.250   0.125  1.00 10.00\n" /* no element: from the name */
                          "ATOM      3  CB AALA A   1       1.000   1.000   1.000  0.60 10.00           C\n"
                          "ATOM      4  CB BALA A   1       9.000   9.000   9.000  0.40 10.00           C\n" /* second alternative */
                          "ATOM      5  HA  ALA A   1       1.000   1.000   1.000  1.00 10.00           H\n"
                          "ATOM      6 HG11 VAL A   2       1.000   1.000   1.000\n"                         /* hydrogen, not mercury */
                          "ATOM      7  CB BVAL A   2       2.000   2.000   2.000  0.40 10.00           C\n" /* the first of its residue */
                          "HETATM    8  O   HOH A   3       1.000   1.000   1.000  1.00 10.00           O\n"
                          "HETATM    9 CA    CA B   4       3.000   3.000   3.000  1.00 10.00          CA\n" /* calcium */
                          "ATOM     10  CA  GLY B   5       4.000   4.000   4.000\r\n"
                          "ENDMDL\n"
                          "ATOM     11  CA  GLY B   5       5.000   5.000   5.000  1.00 10.00           C\n";

static void pdb_atoms_that_count_are_kept(void **state)
{
    static const float weight[] = {7, 6, 6, 6, 20, 6};
    (void)state;
    sim_atoms a = read_ok(put("a.pdb", pdb));
    assert_int_equal(a.count, 6);
    for (int i = 0; i < 6; i++)
        assert_float_equal(a.weight[i], weight[i], 0);
    assert_float_equal(a.x[0], 11, 0);
    assert_float_equal(a.x[3], -1.5, 0);
    assert_float_equal(a.x[5], 0.125, 0);
    assert_float_equal(a.x[6], 1, 0);
    assert_float_equal(a.x[9], 2, 0);
    sim_atoms_free(&a);
}

static void chains_after_a_colon_are_taken_alone(void **state)
{
    char source[1100];
    (void)state;
    snprintf(source, sizeof source, "%s:B", put("a.pdb", pdb));
    sim_atoms a = read_ok(source);
    assert_int_equal(a.count, 2);
    sim_atoms_free(&a);
    snprintf(source, sizeof source, "%s:AB", scratch("a.pdb"));
    a = read_ok(source);
    assert_int_equal(a.count, 6);
    sim_atoms_free(&a);
    snprintf(source, sizeof source, "%s:C", scratch("a.pdb"));
    expect_refused(source, DECO_E_ARGUMENT, "none of the chains 'C' has atoms; the file's are: A B");
}

#define COLUMNS \
    "loop_\n_atom_site.type_symbol\n_atom_site.label_alt_id\n_atom_site.label_comp_id\n_atom_site.label_asym_id\n_atom_site.label_seq_" \
    "id\n" \
    "_atom_site.auth_asym_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n_atom_site.pdbx_PDB_model_num\n"

static void mmcif_atoms_that_count_are_kept(void **state)
{
    char source[1100];
    (void)state;
    put("b.cif", "data_X\n" COLUMNS "C . ALA A 1 AA 1.5 2 3 1\nN A ALA A 1 AA 1 2 3 1\nN B ALA A 1 AA 9 9 9 1\nH . ALA A 1 AA 0 0 0 1\n"
                 "O . HOH B . B 0 0 0 1\n\"Se\" ? MSE C 1 B 4 5 6 1\nC . ALA A 1 AA 0 0 0 2\n#\n");
    sim_atoms a = read_ok(scratch("b.cif"));
    assert_int_equal(a.count, 3);
    assert_float_equal(a.weight[2], 34, 0);
    assert_float_equal(a.x[8], 6, 0);
    sim_atoms_free(&a);
    snprintf(source, sizeof source, "%s:AA+", scratch("b.cif"));
    a = read_ok(source);
    assert_int_equal(a.count, 2);
    sim_atoms_free(&a);
    snprintf(source, sizeof source, "%s:B+AA", scratch("b.cif"));
    a = read_ok(source);
    assert_int_equal(a.count, 3);
    sim_atoms_free(&a);
}

static void broken_structures_are_refused_with_their_place(void **state)
{
    (void)state;
    expect_refused(put("short.pdb", "ATOM      1  N   ALA A   1      11.000  22.0\n"), DECO_E_FORMAT, "line 1: an atom of 44 characters");
    expect_refused(put("text.pdb", "\nATOM      1  N   ALA A   1      abcdefg  22.000  33.000\n"), DECO_E_FORMAT,
                   "line 2: the coordinates nan");
    expect_refused(put("x.pdb", "ATOM      1  N   ALA A   1      11.000  22.000  33.000  1.00 10.00          XX\n"), DECO_E_FORMAT,
                   "element 'XX'");
    expect_refused(put("none.pdb", "HEADER\n"), DECO_E_FORMAT, "has no atoms");
    expect_refused(put("none.cif", "data_X\n_entry.id X\n"), DECO_E_FORMAT, "no _atom_site.Cartn_x");
    expect_refused(put("cut.cif", "data_X\n" COLUMNS "C . ALA A 1 A 1.5 2\n"), DECO_E_FORMAT, "not a multiple of its 10 columns");
    expect_refused(put("text.cif", "data_X\n" COLUMNS "C . ALA A 1 A 1.5x 2 3 1\n"), DECO_E_FORMAT, "atom 1: its coordinate '1.5x'");
    expect_refused(put("few.cif", "data_X\nloop_\n_atom_site.Cartn_x\n1\n"), DECO_E_FORMAT, "no column _atom_site.Cartn_y");
    expect_refused(scratch("missing.pdb"), DECO_E_FILE, "missing.pdb");
    expect_refused(put("y.xyz", "1\n"), DECO_E_ARGUMENT, "not a structure or map by its name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pdb_atoms_that_count_are_kept),
        cmocka_unit_test(chains_after_a_colon_are_taken_alone),
        cmocka_unit_test(mmcif_atoms_that_count_are_kept),
        cmocka_unit_test(broken_structures_are_refused_with_their_place),
    };
    return cmocka_run_group_tests_name("simulate_structure", tests, NULL, NULL);
}
