/* The CTF columns: one microscope a particle, checked and in the units of formulas/ctf.h.
 *
 * ctf/bfactor and ctf/scale are not applied: METHOD.md section 2 leaves both out, as the published program does. */
#include "particles/build.h"

#include <math.h>

enum { KV, CS, AMPLITUDE, DF1, DF2, ANGLE, PHASE, COLUMNS };

static const wanted_column want[COLUMNS] = {{"ctf/accel_kv", 'n', 1},       {"ctf/cs_mm", 'n', 1}, {"ctf/amp_contrast", 'n', 1},
                                            {"ctf/df1_A", 'n', 1},          {"ctf/df2_A", 'n', 1}, {"ctf/df_angle_rad", 'n', 1},
                                            {"ctf/phase_shift_rad", 'n', 1}};

/* Wide enough for any microscope; outside, a value is in another unit or no number at all. */
static const struct {
    double least, most;
    const char *what;
} range[COLUMNS] = {
    [KV] = {1, 1e4, "an acceleration voltage in kV"},
    [CS] = {-100, 100, "a spherical aberration in mm"},
    [AMPLITUDE] = {0, 1, "an amplitude contrast"},
    [DF1] = {-1e6, 1e6, "a defocus in Å"},
    [DF2] = {-1e6, 1e6, "a defocus in Å"},
    [ANGLE] = {-1e4, 1e4, "an angle in radians"},
    [PHASE] = {-1e4, 1e4, "a phase in radians"},
};

static deco_status read_row(double v[COLUMNS], const deco_particles *p, const deco_column *const *c, int64_t row)
{
    for (int i = 0; i < COLUMNS; i++) {
        v[i] = deco_cell_real(c[i], row, 0);
        if (!(v[i] >= range[i].least && v[i] <= range[i].most))
            return deco_fail(DECO_E_FORMAT,
                             "%s: row %lld: %s is %g; %s lies between %g and %g. Estimate the CTF again in CryoSPARC, or leave this "
                             "particle out",
                             file_path(p, row), file_row(p, row), want[i].name, v[i], range[i].what, range[i].least, range[i].most);
    }
    return DECO_OK;
}

static void note_bfactors(const deco_particles *p, deco_monitor *m)
{
    const deco_column *c = deco_table_find(p->rows, "ctf/bfactor");
    int64_t n = 0;

    if (!c || c->kind == 'S' || c->cells != 1)
        return;
    for (int64_t i = 0; i < p->N; i++)
        n += deco_cell_real(c, i, 0) != 0;
    if (n)
        deco_info(m, "%s: ctf/bfactor is not 0 in %lld of %lld rows; it is not applied", p->source, (long long)n, (long long)p->N);
}

deco_status particles_read_ctf(deco_particles *p, deco_monitor *m)
{
    deco_status st = DECO_OK;
    const deco_column *c[COLUMNS];
    const deco_column *psize = p->psize_A > 0 ? deco_table_find(p->rows, "blob/psize_A") : NULL; /* info goes on where it is not sound */
    double v[COLUMNS];

    TRY(particles_need_columns(
        c, p->rows, want, COLUMNS,
        "Name the job directory, so that job.json can say which passthrough file holds the CTF; if there is none, estimate it "
        "in CryoSPARC (Patch CTF) and extract the particles again"));
    TRY(deco_alloc(&p->ctf, (size_t)p->N, sizeof *p->ctf, "CTF"));
    for (int64_t i = 0; i < p->N; i++) {
        TRY(read_row(v, p, c, i));
        p->ctf[i] = (deco_ctf_row){.defocus_u_A = (float)v[DF1],
                                   .defocus_v_A = (float)v[DF2],
                                   .astig_rad = (float)v[ANGLE],
                                   .amp_contrast = (float)v[AMPLITUDE],
                                   .phase_rad = (float)v[PHASE],
                                   /* the row's own, of the training box */
                                   .psize_A = psize ? (float)(deco_cell_real(psize, i, 0) * deco_particles_shift_unit(p, i)) : 0,
                                   .cs_A = (float)(1e7 * v[CS]),
                                   .lambda_A = deco_wavelength_A(v[KV])};
    }
    note_bfactors(p, m);
out:
    return st;
}
