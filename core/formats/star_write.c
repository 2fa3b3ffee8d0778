/* Writing RELION 3.1 particle files. FORMATS.md section 5. */
#include "formats/star.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEGREES (180 / 3.141592653589793238)

void deco_star_rotation(double R[9], const double deg[3])
{
    /* (Rz(rot)·Ry(tilt)·Rz(psi))ᵀ */
    double a = deg[0] / DEGREES, b = deg[1] / DEGREES, g = deg[2] / DEGREES;
    double ca = cos(a), sa = sin(a), cb = cos(b), sb = sin(b), cg = cos(g), sg = sin(g);
    R[0] = cg * cb * ca - sg * sa, R[1] = cg * cb * sa + sg * ca, R[2] = -cg * sb;
    R[3] = -sg * cb * ca - cg * sa, R[4] = -sg * cb * sa + cg * ca, R[5] = sg * sb;
    R[6] = sb * ca, R[7] = sb * sa, R[8] = cb;
}

void deco_star_angles(double out_deg[3], const double R[9])
{
    /* Last row: sin tilt cos rot, sin tilt sin rot, cos tilt. Turned back by rot, the middle column is sin psi, cos psi, 0
     * whatever the tilt; so nothing is lost where tilt is 0 or 180 and only psi - rot or psi + rot is determined: rot is 0 there. */
    double s = hypot(R[6], R[7]), rot = s > 1e-6 ? atan2(R[7], R[6]) : 0;
    double c = cos(rot), d = sin(rot), psi = atan2(c * R[1] - d * R[0], c * R[4] - d * R[3]);
    out_deg[0] = rot * DEGREES;
    out_deg[1] = atan2(s, R[8]) * DEGREES;
    out_deg[2] = psi * DEGREES;
}

/* A value as STAR wants it, quoted where it must be; NULL without memory or when no quote will do (*bad). */
static char *quoted(const char *text, bool *bad)
{
    bool reserved = !*text || strchr("'\"#_;$[]", *text) || !strncasecmp(text, "data_", 5) || !strcasecmp(text, "loop_");
    *bad = strpbrk(text, "\n\r") || (strstr(text, "\" ") && strstr(text, "' "));
    if (*bad)
        return NULL;
    if (!reserved && !strpbrk(text, " \t"))
        return deco_format("%s", text);
    return deco_format(strstr(text, "\" ") ? "'%s'" : "\"%s\"", text);
}

static deco_status write_quoted(deco_file *f, const char *path, int64_t row, const char *text)
{
    deco_status st;
    bool bad;
    char *value = quoted(text, &bad);
    if (bad)
        st = deco_fail(DECO_E_ARGUMENT, "%s: row %lld: the name '%.200s' cannot stand in a STAR file (line break, or both quotes)", path,
                       (long long)row, text);
    else
        st = value ? deco_file_print(f, " %s", value) : deco_fail_memory(strlen(text), "name");
    free(value);
    return st;
}

static deco_status write_names(deco_file *f, const char *const *name, const int *condition, int count, int known)
{
    deco_status st = deco_file_print(f, "\nloop_\n");
    for (int i = 0, number = 0; i < count && !st; i++)
        if (!condition || !condition[i] || condition[i] & known)
            st = deco_file_print(f, "_%s #%d\n", name[i], ++number);
    return st;
}

static deco_status write_optics(deco_file *f, const deco_star_optics *optics, int64_t groups)
{
    static const char *const name[] = {"rlnOpticsGroup",       "rlnOpticsGroupName", "rlnVoltage",   "rlnSphericalAberration",
                                       "rlnAmplitudeContrast", "rlnImagePixelSize",  "rlnImageSize", "rlnImageDimensionality"};
    deco_status st = DECO_OK;
    TRY(deco_file_print(f, "\n# version 30001\n\ndata_optics\n"));
    TRY(write_names(f, name, NULL, sizeof name / sizeof *name, 0));
    for (int64_t g = 0; g < groups; g++)
        TRY(deco_file_print(f, "%lld opticsGroup%lld %.6f %.6f %.6f %.6f %lld 2\n", (long long)g + 1, (long long)g + 1,
                            optics[g].voltage_kV, optics[g].cs_mm, optics[g].amp_contrast, optics[g].psize_A, (long long)optics[g].box));
out:
    return st;
}

/* The columns of data_particles, in the order in which write_particle fills them; 0: always there. */
static const struct {
    const char *name;
    int known;
} particle_columns[] = {
    {"rlnImageName", 0},
    {"rlnOpticsGroup", 0},
    {"rlnDefocusU", 0},
    {"rlnDefocusV", 0},
    {"rlnDefocusAngle", 0},
    {"rlnPhaseShift", 0},
    {"rlnMicrographName", DECO_STAR_MICROGRAPH},
    {"rlnCoordinateX", DECO_STAR_COORDINATES},
    {"rlnCoordinateY", DECO_STAR_COORDINATES},
    {"rlnAngleRot", DECO_STAR_POSES},
    {"rlnAngleTilt", DECO_STAR_POSES},
    {"rlnAnglePsi", DECO_STAR_POSES},
    {"rlnOriginXAngst", DECO_STAR_POSES},
    {"rlnOriginYAngst", DECO_STAR_POSES},
    {"rlnClassNumber", DECO_STAR_CLASS},
    {"rlnRandomSubset", DECO_STAR_HALF},
};

static deco_status write_particle(deco_file *f, const char *path, int64_t row, const deco_star_particle *p, int known)
{
    deco_status st = DECO_OK;
    double angle[3];
    char *image = deco_format("%06lld@%s", (long long)p->image_index + 1, p->image_path);

    if (!image)
        TRY(deco_fail_memory(strlen(p->image_path), "image name"));
    TRY(write_quoted(f, path, row, image));
    TRY(deco_file_print(f, " %lld %.6f %.6f %.6f %.6f", (long long)p->optics_group + 1, p->defocus_u_A, p->defocus_v_A, p->astig_deg,
                        p->phase_shift_deg));
    if (known & DECO_STAR_MICROGRAPH)
        TRY(write_quoted(f, path, row, p->micrograph));
    if (known & DECO_STAR_COORDINATES)
        TRY(deco_file_print(f, " %.6f %.6f", p->coordinate_x, p->coordinate_y));
    if (known & DECO_STAR_POSES) {
        deco_star_angles(angle, p->R);
        TRY(deco_file_print(f, " %.6f %.6f %.6f %.6f %.6f", angle[0], angle[1], angle[2], p->origin_x_A, p->origin_y_A));
    }
    if (known & DECO_STAR_CLASS)
        TRY(deco_file_print(f, " %lld", (long long)p->class_number + 1));
    if (known & DECO_STAR_HALF)
        TRY(deco_file_print(f, " %lld", (long long)p->half_set + 1));
    TRY(deco_file_print(f, "\n"));
out:
    free(image);
    return st;
}

deco_status deco_star_write(const char *path, const deco_star_optics *optics, int64_t groups, int64_t n, int known,
                            deco_status (*row)(void *context, int64_t i, deco_star_particle *out), void *context)
{
    enum { COLUMNS = sizeof particle_columns / sizeof *particle_columns };
    deco_status st = DECO_OK;
    deco_file *f = NULL;
    const char *name[COLUMNS];
    int condition[COLUMNS];

    for (int i = 0; i < COLUMNS; i++) {
        name[i] = particle_columns[i].name;
        condition[i] = particle_columns[i].known;
    }
    TRY(deco_file_create(&f, path));
    TRY(write_optics(f, optics, groups));
    TRY(deco_file_print(f, "\n\n# version 30001\n\ndata_particles\n"));
    TRY(write_names(f, name, condition, COLUMNS, known));
    for (int64_t i = 0; i < n; i++) {
        deco_star_particle p = {0};
        TRY(row(context, i, &p));
        TRY(write_particle(f, path, i, &p, known));
    }
    TRY(deco_file_print(f, "\n"));
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    return st;
}
