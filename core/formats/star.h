/* STAR, and with it mmCIF: data blocks of loops and single items. FORMATS.md section 5. */
#ifndef DECO_FORMATS_STAR_H
#define DECO_FORMATS_STAR_H

#include "base/status.h"

/* One loop (or the single items of a block as a loop of one row). Names without their leading '_'. */
typedef struct deco_star_loop {
    char *block; /* "optics", "particles", "2XHE" */
    int64_t columns;
    char **name;
    int64_t rows;
    const char **cell; /* [rows * columns], pointing into the file's text */
} deco_star_loop;

typedef struct deco_star {
    char *source, *text;
    int64_t loops;
    deco_star_loop *loop;
} deco_star;

/* Quoted values, semicolon text, comments, CRLF, blank lines, columns in any order. Fails: FILE; FORMAT with file and line. */
deco_status deco_star_read(deco_star **out, const char *path);
void deco_star_free(deco_star *s);

/* First loop that has a column of that name (exact); NULL when there is none. The column's number goes to *column. */
const deco_star_loop *deco_star_find(const deco_star *s, const char *column_name, int64_t *column);

/* What a row of a RELION file says, in RELION's units (degrees, Å, 1-based). */
typedef struct deco_star_particle {
    const char *image_path; /* of the stack */
    int64_t image_index;    /* 0-based in the stack */
    const char *micrograph; /* NULL: column left out */
    int64_t optics_group;   /* 0-based; the writer adds 1 */
    double defocus_u_A, defocus_v_A, astig_deg, phase_shift_deg;
    double coordinate_x, coordinate_y; /* pixels of the micrograph */
    double R[9];                       /* METHOD's R, row-major; the writer makes the angles */
    double origin_x_A, origin_y_A;
    int64_t class_number, half_set; /* 0-based; the writer adds 1 */
} deco_star_particle;

typedef struct deco_star_optics {
    double voltage_kV, cs_mm, amp_contrast, psize_A;
    int64_t box;
} deco_star_optics;

/* Which optional columns are known for all rows. */
enum { DECO_STAR_MICROGRAPH = 1, DECO_STAR_COORDINATES = 2, DECO_STAR_POSES = 4, DECO_STAR_CLASS = 8, DECO_STAR_HALF = 16 };

/* RELION 3.1: data_optics + data_particles. `row` gives particle i. Names with blanks are quoted. Whole or absent. */
deco_status deco_star_write(const char *path, const deco_star_optics *optics, int64_t groups, int64_t n, int known,
                            deco_status (*row)(void *context, int64_t i, deco_star_particle *out), void *context);

/* METHOD's R of RELION's rot, tilt, psi in degrees. */
void deco_star_rotation(double R[9], const double deg[3]);

/* RELION's rot, tilt, psi in degrees of METHOD's R (RELION's matrix is R itself: FORMATS.md section 5). */
void deco_star_angles(double out_deg[3], const double R[9]);

#endif
