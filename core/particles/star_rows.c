/* RELION's particle files: units and conventions of each column become CryoSPARC's. */
#include "particles/star_rows.h"
#include "base/file.h"
#include "config/table.h"
#include "formulas/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RADIANS (3.141592653589793238 / 180)

/* ---- the tables and their groups --------------------------------------------------------------------------------- */

typedef struct numbered {
    double number;
    int64_t row;
} numbered;

static int by_number(const void *a, const void *b)
{
    const numbered *x = a, *y = b;
    return x->number != y->number ? (x->number < y->number ? -1 : 1) : (x->row > y->row) - (x->row < y->row);
}

/* Each particle's row of the optics table. */
static deco_status find_groups(star_rows *s)
{
    deco_status st = DECO_OK;
    const deco_star_loop *optics = s->optics;
    star_column own = star_column_find(s, "rlnOpticsGroup");
    numbered *sorted = NULL;
    int64_t key = 0;
    double v;

    if (own.loop != s->particles)
        TRY(deco_fail(DECO_E_FORMAT, "%s: has optics groups, but its particles have no _rlnOpticsGroup", s->file->source));
    while (strcmp(optics->name[key], "rlnOpticsGroup") != 0)
        key++;
    TRY(deco_alloc(&sorted, (size_t)optics->rows + 1, sizeof *sorted, "optics groups"));
    for (int64_t i = 0; i < optics->rows; i++) {
        const char *text = optics->cell[i * optics->columns + key];
        if (!option_read_real(&sorted[i].number, text))
            TRY(deco_fail(DECO_E_FORMAT, "%s: optics group %lld of the table: _rlnOpticsGroup is '%.60s'; a number is needed",
                          s->file->source, (long long)i, text));
        sorted[i].row = i;
    }
    qsort(sorted, (size_t)optics->rows, sizeof *sorted, by_number);
    TRY(deco_alloc(&s->group, (size_t)s->particles->rows + 1, sizeof *s->group, "optics groups"));
    for (int64_t i = 0; i < s->particles->rows; i++) {
        int64_t low = 0, high = optics->rows;
        TRY(star_number(&v, s, own, i));
        while (low < high) {
            int64_t middle = low + (high - low) / 2;
            if (sorted[middle].number < v)
                low = middle + 1;
            else
                high = middle;
        }
        if (low == optics->rows || sorted[low].number != v)
            TRY(deco_fail(DECO_E_FORMAT, "%s: row %lld: _rlnOpticsGroup is %g, which data_optics does not have", s->file->source,
                          (long long)i, v));
        s->group[i] = sorted[low].row;
    }
out:
    free(sorted);
    return st;
}

static deco_status find_tables(star_rows *s)
{
    deco_status st = DECO_OK;
    const char *source = s->file->source;

    s->particles = deco_star_find(s->file, "rlnImageName", &s->image);
    if (!s->particles)
        TRY(deco_fail(DECO_E_FORMAT,
                      "%s: has no _rlnImageName; a STAR file of particles is needed (Extract, Select or a refinement's "
                      "run_data.star, not of micrographs, movies or tomograms)",
                      source));
    TRY(deco_alloc(&s->used, (size_t)s->particles->columns, sizeof *s->used, "columns"));
    s->used[s->image] = true;
    for (int64_t i = 0; i < s->file->loops && !s->optics; i++) {
        const deco_star_loop *l = &s->file->loop[i];
        for (int64_t c = 0; c < l->columns && l != s->particles; c++)
            if (!strcmp(l->name[c], "rlnOpticsGroup"))
                s->optics = l;
    }
    if (s->optics)
        TRY(find_groups(s));
out:
    return st;
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

/* "000012@Extract/job012/a.mrcs": number from 1. A path alone is a file of one image. */
static deco_status split_image(int64_t *index, const char **path, const star_rows *s, int64_t row)
{
    const char *text = star_cell(s, (star_column){s->particles, s->image}, row), *at = strchr(text, '@');
    size_t digits = strspn(text, "0123456789");

    *index = 0;
    *path = text;
    if (at) {
        *path = at + 1;
        *index = digits && digits < 15 && text + digits == at ? strtoll(text, NULL, 10) - 1 : -1;
    }
    if (*index < 0 || *index >= INT32_MAX || !**path)
        return deco_fail(DECO_E_FORMAT, "%s: row %lld: _rlnImageName is '%.200s'; it must be NUMBER@STACK, with numbers from 1",
                         s->file->source, (long long)row, text);
    return DECO_OK;
}

static deco_status put_images(star_rows *s)
{
    deco_status st = DECO_OK;
    deco_column *uid, *number, *to;
    deco_table *t = s->t;
    size_t width = 1, all = 0;
    int64_t index;
    const char *path;

    for (int64_t i = 0; i < t->rows; i++) {
        TRY(split_image(&index, &path, s, i));
        width = strlen(path) > width ? strlen(path) : width;
        all += strlen(path) + 1;
    }
    if (width > 4096 || (width > 256 && (double)width * (double)t->rows > 64.0 * (double)all))
        TRY(deco_fail(DECO_E_FORMAT, "%s: _rlnImageName has a value of %zu characters; no path is that long", s->file->source, width));
    TRY(deco_table_add(t, NULL, "uid", 'u', 8, 0, NULL));
    TRY(deco_table_add(t, NULL, "blob/path", 'S', width, 0, NULL));
    TRY(deco_table_add(t, NULL, "blob/idx", 'u', 4, 0, NULL));
    uid = (deco_column *)deco_table_find(t, "uid");
    number = (deco_column *)deco_table_find(t, "blob/idx");
    to = (deco_column *)deco_table_find(t, "blob/path");
    for (int64_t i = 0; i < t->rows; i++) {
        TRY(split_image(&index, &path, s, i));
        deco_cell_set_u64(uid, i, 0, particles_image_uid(path, index));
        deco_cell_set_text(to, i, path);
        deco_cell_set_u64(number, i, 0, (uint64_t)index);
    }
out:
    return st;
}

static deco_status refuse_where(const star_rows *s, star_column c, double bad, const char *why)
{
    deco_status st = DECO_OK;
    double v;

    for (int64_t i = 0; c.loop && i < s->t->rows; i++) {
        TRY(star_number(&v, s, c, i));
        if (v == bad)
            TRY(deco_fail(DECO_E_UNSUPPORTED, "%s: row %lld: _%s is %g: %s", s->file->source, (long long)i, c.loop->name[c.column], v,
                          why));
    }
out:
    return st;
}

static deco_status put_sizes(star_rows *s)
{
    deco_status st = DECO_OK;
    star_column size = star_column_find(s, "rlnImageSize"), psize = star_column_find(s, "rlnImagePixelSize");
    star_column detector = star_column_find(s, "rlnDetectorPixelSize"), magnification = star_column_find(s, "rlnMagnification");
    deco_column *shape = NULL, *A = NULL;
    double d, g;

    TRY(refuse_where(s, star_column_find(s, "rlnImageDimensionality"), 3, "subtomograms cannot be used, only images in two dimensions"));
    if (size.loop) {
        TRY(deco_table_add(s->t, &shape, "blob/shape", 'u', 4, 1, (const int64_t[]){2}));
        for (int64_t i = 0; i < s->t->rows; i++) {
            TRY(star_number(&d, s, size, i));
            deco_cell_set_real(shape, i, 0, d);
            deco_cell_set_real(shape, i, 1, d);
        }
    }
    if (!psize.loop)
        psize = star_column_find(s, "rlnPixelSize");
    if (psize.loop) {
        TRY(star_put(s, "blob/psize_A", 0, 1, psize, 1));
        goto out;
    }
    if (!detector.loop || !magnification.loop)
        TRY(deco_fail(DECO_E_FORMAT,
                      "%s: does not say the pixel size: neither _rlnImagePixelSize (in Å) is there nor _rlnDetectorPixelSize (in µm) with "
                      "_rlnMagnification; add one of them",
                      s->file->source));
    TRY(deco_table_add(s->t, &A, "blob/psize_A", 'f', 4, 0, NULL));
    for (int64_t i = 0; i < s->t->rows; i++) {
        TRY(star_number(&d, s, detector, i));
        TRY(star_number(&g, s, magnification, i));
        deco_cell_set_real(A, i, 0, g > 0 ? 1e4 * d / g : 0);
    }
out:
    return st;
}

/* ---- optics ------------------------------------------------------------------------------------------------------ */

static deco_status put_ctf(star_rows *s, deco_monitor *m)
{
    static const struct {
        const char *star, *ours;
        double factor;
        bool needed;
        double otherwise;
    } map[] = {{"rlnVoltage", "ctf/accel_kv", 1, true, 0},
               {"rlnSphericalAberration", "ctf/cs_mm", 1, true, 0},
               {"rlnDefocusU", "ctf/df1_A", 1, true, 0},
               {"rlnDefocusV", "ctf/df2_A", 1, true, 0},
               {"rlnDefocusAngle", "ctf/df_angle_rad", RADIANS, true, 0},
               {"rlnPhaseShift", "ctf/phase_shift_rad", RADIANS, false, 0},
               {"rlnCtfBfactor", "ctf/bfactor", 1, false, 0},
               {"rlnCtfScalefactor", "ctf/scale", 1, false, 1}};
    deco_status st = DECO_OK;
    star_column group = star_column_find(s, "rlnOpticsGroup"), contrast = star_column_find(s, "rlnAmplitudeContrast");

    TRY(refuse_where(s, star_column_find(s, "rlnCtfDataAreCtfPremultiplied"), 1,
                     "the images were multiplied by the CTF; extract them again without that"));
    TRY(refuse_where(s, star_column_find(s, "rlnCtfDataArePhaseFlipped"), 1,
                     "the images' phases were flipped; extract them again without that"));
    for (size_t i = 0; i < sizeof map / sizeof *map; i++) {
        star_column c = star_column_find(s, map[i].star);
        if (!c.loop && map[i].needed)
            TRY(deco_fail(DECO_E_FORMAT,
                          "%s: has no _%s, neither for the particles nor in data_optics; the CTF needs it. Estimate the CTF in "
                          "RELION and extract the particles again",
                          s->file->source, map[i].star));
        TRY(c.loop ? star_put(s, map[i].ours, 0, 1, c, map[i].factor) : star_put_same(s, map[i].ours, map[i].otherwise));
    }
    if (!contrast.loop)
        deco_warn(m, "%s: has no _rlnAmplitudeContrast; 0.1 is assumed", s->file->source);
    TRY(contrast.loop ? star_put(s, "ctf/amp_contrast", 0, 1, contrast, 1) : star_put_same(s, "ctf/amp_contrast", 0.1));
    if (group.loop)
        TRY(star_put_count(s, "ctf/exp_group_id", group, 0));
out:
    return st;
}

/* Beam tilt, higher aberrations and anisotropic magnification are in data_optics; none is applied. */
static void note_aberrations(const star_rows *s, deco_monitor *m)
{
    static const char *const names[] = {"rlnBeamTiltX", "rlnBeamTiltY", "rlnOddZernike", "rlnEvenZernike", "rlnMagMat01", "rlnMagMat10"};
    double v;

    for (int64_t i = 0; s->optics && i < s->optics->rows; i++)
        for (int64_t c = 0; c < s->optics->columns; c++)
            for (size_t k = 0; k < sizeof names / sizeof *names; k++)
                if (!strcmp(s->optics->name[c], names[k]) &&
                    (!option_read_real(&v, s->optics->cell[i * s->optics->columns + c]) || fabs(v) > 1e-12)) {
                    deco_info(m, "%s: beam tilt, higher aberrations and anisotropic magnification of its optics groups are not applied",
                              s->file->source);
                    return;
                }
}

/* ---- poses ------------------------------------------------------------------------------------------------------- */

/* 2D classification leaves rot and tilt at 0 in every row. */
static deco_status are_views(bool *out, const star_rows *s, star_column rot, star_column tilt)
{
    deco_status st = DECO_OK;
    double a, b;

    *out = false;
    for (int64_t i = 0; i < s->t->rows && !*out; i++) {
        TRY(star_number(&a, s, rot, i));
        TRY(star_number(&b, s, tilt, i));
        *out = a != 0 || b != 0;
    }
out:
    return st;
}

static deco_status put_rotations(star_rows *s, star_column rot, star_column tilt, star_column psi)
{
    deco_status st = DECO_OK;
    deco_column *pose = NULL;

    TRY(deco_table_add(s->t, &pose, "alignments3D/pose", 'f', 4, 1, (const int64_t[]){3}));
    for (int64_t i = 0; i < s->t->rows; i++) {
        double deg[3], R[9], v[3];
        TRY(star_number(&deg[0], s, rot, i));
        TRY(star_number(&deg[1], s, tilt, i));
        TRY(star_number(&deg[2], s, psi, i));
        deco_star_rotation(R, deg);
        deco_axis_angle_from_rotation(v, R);
        for (int k = 0; k < 3; k++)
            deco_cell_set_real(pose, i, k, v[k]);
    }
out:
    return st;
}

/* In pixels of the images: origins in Å (3.1 and later) by their size, older ones as they are; same sign. */
static deco_status put_shifts(star_rows *s, const char *prefix)
{
    static const char *const A[2] = {"rlnOriginXAngst", "rlnOriginYAngst"}, *const px[2] = {"rlnOriginX", "rlnOriginY"};
    deco_status st = DECO_OK;
    star_column angst[2], old[2];
    deco_column *shift, *unit = NULL;
    const deco_column *here;
    char *name = deco_format("%s/shift", prefix), *psize = deco_format("%s/psize_A", prefix);

    if (!name || !psize)
        TRY(deco_fail_memory(32, "a column's name"));
    for (int k = 0; k < 2; k++) {
        angst[k] = star_column_find(s, A[k]);
        old[k] = star_column_find(s, px[k]);
        if (!angst[k].loop && !old[k].loop)
            goto out;
    }
    TRY(deco_table_add(s->t, NULL, name, 'f', 4, 1, (const int64_t[]){2}));
    TRY(deco_table_add(s->t, &unit, psize, 'f', 4, 0, NULL));
    shift = (deco_column *)deco_table_find(s->t, name);
    here = deco_table_find(s->t, "blob/psize_A");
    for (int64_t i = 0; i < s->t->rows; i++) {
        double A_px = deco_cell_real(here, i, 0), v;
        deco_cell_set_real(unit, i, 0, A_px);
        for (int k = 0; k < 2; k++) {
            TRY(star_number(&v, s, angst[k].loop ? angst[k] : old[k], i));
            deco_cell_set_real(shift, i, k, !angst[k].loop ? v : A_px > 0 ? v / A_px : 0);
        }
    }
out:
    free(name);
    free(psize);
    return st;
}

static deco_status put_poses(star_rows *s)
{
    deco_status st = DECO_OK;
    star_column rot = star_column_find(s, "rlnAngleRot"), tilt = star_column_find(s, "rlnAngleTilt"),
                psi = star_column_find(s, "rlnAnglePsi");
    star_column half = star_column_find(s, "rlnRandomSubset"), class = star_column_find(s, "rlnClassNumber");
    bool views = false;

    if (rot.loop && tilt.loop && psi.loop)
        TRY(are_views(&views, s, rot, tilt));
    if (views) {
        TRY(put_rotations(s, rot, tilt, psi));
        TRY(put_shifts(s, "alignments3D"));
    } else if (psi.loop) {
        TRY(star_put(s, "alignments2D/pose", 0, 1, psi, RADIANS));
        TRY(put_shifts(s, "alignments2D"));
    }
    if (half.loop)
        TRY(star_put_count(s, "alignments3D/split", half, 1));
    if (class.loop)
        TRY(star_put_count(s, views ? "alignments3D/class" : "alignments2D/class", class, 1));
out:
    return st;
}

deco_status particles_star_read(deco_table **out, const char *path, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_star *file = NULL;
    star_rows s = {0};
    star_column micrograph;

    *out = NULL;
    TRY(deco_star_read(&file, path));
    s.file = file;
    TRY(find_tables(&s));
    TRY(deco_table_create(&s.t, s.particles->rows, path));
    TRY(put_images(&s));
    TRY(star_tell_copies_apart(&s, m));
    TRY(put_sizes(&s));
    TRY(put_ctf(&s, m));
    TRY(put_poses(&s));
    if ((micrograph = star_column_find(&s, "rlnMicrographName")).loop)
        TRY(star_put_text(&s, "location/micrograph_path", micrograph));
    TRY(star_keep_others(&s, m));
    note_aberrations(&s, m);
    *out = s.t;
    s.t = NULL;
out:
    deco_table_free(s.t);
    free(s.group);
    free(s.used);
    deco_star_free(file);
    return st;
}
