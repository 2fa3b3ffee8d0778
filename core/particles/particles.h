/* A particle set: one row a particle, joined from the files of a CryoSPARC job. FORMATS.md sections 2 and 3; read-only. */
#ifndef DECO_PARTICLES_PARTICLES_H
#define DECO_PARTICLES_PARTICLES_H

#include "base/monitor.h"
#include "config/options.h"
#include "formats/table.h"
#include "formulas/ctf.h"

/* Where a row's image is. */
typedef struct deco_image_ref {
    int32_t stack;
    int32_t index; /* 0-based in the stack */
} deco_image_ref;

typedef struct deco_particles {
    char *source;       /* what the user named */
    char *cs_path;      /* the .cs file the rows (and their order) come from */
    char *project;      /* directory that blob/path counts from */
    char *version;      /* CryoSPARC's, from job.json; NULL when unknown */
    deco_table *rows;   /* every column, joined */
    int64_t N, D;       /* rows in use; box of the stacks, even */
    int64_t *input_row; /* [N] which row of cs_path each is, for messages too; NULL: all, in its order */
    double psize_A;
    const deco_column *uid;
    int64_t stacks;
    char **stack_name;     /* as blob/path has them, without '>' */
    char **stack;          /* paths that exist; NULL when stacks were not asked for */
    deco_image_ref *image; /* [N] */
    float *sign;           /* [N] -blob/sign: what the Hartley data are multiplied by */
    deco_ctf_row *ctf;     /* [N] */
    float *R, *shift;      /* [N,9], [N,2] pixels of D; NULL when the input has none */
    const char *poses;     /* prefix they came from, "alignments3D"; NULL */
} deco_particles;

/* What to look for while opening. */
enum { DECO_NEED_POSES = 1, DECO_NEED_SHIFTS = 2, DECO_NEED_STACKS = 4 };

/* Opens a job directory or one .cs file and checks every row: columns, uids, CTF ranges, one box, one pixel size (to 0.1 %), and when
 * asked for stacks (header and index range) and poses (else they are taken where they are sound). ctf/bfactor and ctf/scale are not
 * applied. Pixels are not read. `datadir` may be NULL. Fails: FILE, FORMAT, STOPPED; every message names file and row, and for a missing
 * stack all places tried. */
deco_status deco_particles_open(deco_particles **out, const char *path, const char *datadir, int need, deco_monitor *m);
/* The same of some rows alone, in the order of the file `ind` (selection.h; NULL: all). The others are not looked at. */
deco_status deco_particles_open_rows(deco_particles **out, const char *path, const char *datadir, const char *ind, int need,
                                     deco_monitor *m);
void deco_particles_free(deco_particles *p);

static inline uint64_t deco_particles_uid(const deco_particles *p, int64_t row) { return deco_cell_u64(p->uid, row, 0); }

/* A 64-bit digest of uids, image paths, indices, box and pixel size, as 16 hex digits: "the same input". */
void deco_particles_digest(char out[17], const deco_particles *p);

/* `cryodeco info PATH`: text, or JSON. */
deco_status deco_particles_info(char **out, const deco_options *o, deco_monitor *m);

#endif
