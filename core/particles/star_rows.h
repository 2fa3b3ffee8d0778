/* RELION's particles as rows with CryoSPARC's columns. FORMATS.md section 5, docs/formats.md. */
#ifndef DECO_PARTICLES_STAR_ROWS_H
#define DECO_PARTICLES_STAR_ROWS_H

#include "base/monitor.h"
#include "formats/star.h"
#include "formats/table.h"

/* Both layouts: optics groups (3.1 and later) and one table. uid, blob, ctf, alignments3D (or alignments2D, where only psi is there),
 * location/micrograph_path, and every other column of the particles as star/<name>, numbers as f8, else text. blob/shape is left out where
 * the file does not say it; blob/sign always. Fails: FILE; FORMAT with row and value. */
deco_status particles_star_read(deco_table **out, const char *path, deco_monitor *m);

/* The uid of an image: of the stack's path as STAR has it (without a leading "./") and its number, from 0. Never 0. */
uint64_t particles_image_uid(const char *path, int64_t index);
/* The uid of the row that is the image's copy-th, from 0, which has the image's own. */
uint64_t particles_copy_uid(uint64_t uid, int64_t copy);

/* ---- for star_rows.c and star_values.c -------------------------------------------------------------------------- */

typedef struct star_rows {
    const deco_star *file;
    const deco_star_loop *particles, *optics; /* optics NULL: one table */
    int64_t *group;                           /* [rows] row of optics; NULL without */
    int64_t image;                            /* the column rlnImageName */
    bool *used;                               /* [columns of particles] it became another column */
    deco_table *t;
} star_rows;

/* A column of the particles, or of their optics groups. loop NULL: there is none. */
typedef struct star_column {
    const deco_star_loop *loop;
    int64_t column;
} star_column;

star_column star_column_find(star_rows *s, const char *name);
const char *star_cell(const star_rows *s, star_column c, int64_t row);
/* Fails: FORMAT naming file, row and value. */
deco_status star_number(double *out, const star_rows *s, star_column c, int64_t row);
/* Cell `cell` of column `name` [cells], f4, is `factor` times the STAR column. The column is added where it is not there yet. */
deco_status star_put(star_rows *s, const char *name, int64_t cell, int64_t cells, star_column c, double factor);
/* A constant. */
deco_status star_put_same(star_rows *s, const char *name, double value);
/* As u4: a number counted from `first` in the file and from 0 here. Where a row has none such (RELION leaves 0 in rows that it has not put into
 * a half set), the column is kept with the others instead. */
deco_status star_put_count(star_rows *s, const char *name, star_column c, int64_t first);
/* Rows that share an image get uids by their number among them, in the file's order. */
deco_status star_tell_copies_apart(star_rows *s, deco_monitor *m);
deco_status star_put_text(star_rows *s, const char *name, star_column c);
/* All columns of the particles that are not used, as star/<name>. */
deco_status star_keep_others(star_rows *s, deco_monitor *m);

#endif
