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

/* Images of one box and pixel size, and what they go through to become D×D: METHOD.md 1.2. */
typedef struct deco_image_size {
    int64_t box;         /* px in the stack, even */
    double psize_A;      /* there; rows may differ from it by 0.1 % */
    int64_t cut;         /* px after cutting or padding in real space; their transform is cropped to D. box where nothing is cut */
    float scale;         /* the transform times this */
    int64_t rows, first; /* how many, and the first of them */
} deco_image_size;

/* One of the inputs whose rows stand one after another. */
typedef struct deco_source {
    char *path;          /* the .cs or .star file that its rows (and their order) come from */
    char *project;       /* directory that its paths count from */
    bool star;           /* RELION's; uids are then made of the images' paths and numbers */
    int64_t first, rows; /* of the rows of all inputs */
} deco_source;

typedef struct deco_particles {
    char *source; /* what the user named; of several inputs "A and 2 more" */
    int64_t sources;
    deco_source *from;  /* [sources] */
    char *cs_path;      /* the (first) file the rows (and their order) come from */
    char *project;      /* directory that blob/path counts from (in the first) */
    char *version;      /* CryoSPARC's, from job.json; NULL when unknown */
    deco_table *rows;   /* every column, joined */
    int64_t N, D;       /* rows in use; the training box, even: the stacks' own, or what they are brought to */
    int64_t *input_row; /* [N] which row of the input(s) each is, for messages too; NULL: all, in their order */
    double psize_A;     /* of the training box */
    const deco_column *uid;
    int64_t stacks;
    char **stack_name;     /* as blob/path has them, without '>' */
    int32_t *stack_source; /* [stacks] the input that names it: other inputs' paths may count from elsewhere */
    char **stack;          /* paths that exist; NULL when stacks were not asked for */
    int64_t sizes;
    deco_image_size *size; /* [sizes] */
    int32_t *size_of;      /* [stacks] the size of a stack's images */
    deco_image_ref *image; /* [N] */
    float *sign;           /* [N] -blob/sign: what the Hartley data are multiplied by */
    const char *sign_from; /* "stated" in the input, "given" by the user, "seen" in the images, "assumed" */
    deco_ctf_row *ctf;     /* [N] */
    float *R, *shift;      /* [N,9], [N,2] pixels of D; NULL when the input has none */
    char *poses;           /* prefix they came from, "alignments3D"; NULL */
} deco_particles;

/* What the user asked for. */
typedef struct deco_input {
    const char *const *path;
    int64_t paths;
    const char *datadir, *ind; /* NULL: not given */
    const char *min_score;     /* "COLUMN:VALUE", NULL */
    const char *contrast;      /* "dark_on_light", "light_on_dark"; NULL, "auto": what the file says */
    int64_t box;               /* 0: 128, or the stacks' own where that is smaller */
} deco_input;
deco_input deco_input_of(const deco_options *o);

/* What to look for while opening. */
enum { DECO_NEED_POSES = 1, DECO_NEED_SHIFTS = 2, DECO_NEED_STACKS = 4 };

/* Opens the inputs (job directories, job outputs, .cs, .csg and .star files) as one set and checks every row: columns, uids, CTF ranges, boxes
 * and pixel sizes (one to 0.1 %, unless `box` is given), and when asked for stacks (header and index range) and poses (else they are taken where
 * they are sound). With `ind` (selection.h) those rows alone, in that order, with min_score those that reach it; the others are not looked at.
 * ctf/bfactor and ctf/scale are not applied. Pixels are not read, but of STAR's images some, for their contrast. Fails: FILE, FORMAT, STOPPED;
 * every message names file and row, and for a missing stack all places tried. */
deco_status deco_particles_open_input(deco_particles **out, const deco_input *in, int need, deco_monitor *m);
/* The same of a path, and nothing else asked for. */
deco_status deco_particles_open(deco_particles **out, const char *path, const char *datadir, int need, deco_monitor *m);
void deco_particles_free(deco_particles *p);

static inline int64_t deco_particles_input_row(const deco_particles *p, int64_t row) { return p->input_row ? p->input_row[row] : row; }

/* The input that a row is of, and its number. */
static inline int32_t deco_particles_source_number(const deco_particles *p, int64_t row)
{
    int32_t s = 0;
    while (s + 1 < p->sources && deco_particles_input_row(p, row) >= p->from[s + 1].first)
        s++;
    return s;
}
static inline const deco_source *deco_particles_source(const deco_particles *p, int64_t row)
{
    return &p->from[deco_particles_source_number(p, row)];
}

/* Are all inputs RELION's? Their files say less than CryoSPARC's. */
static inline bool particles_all_star(const deco_particles *p)
{
    for (int64_t s = 0; s < p->sources; s++)
        if (!p->from[s].star)
            return false;
    return p->sources > 0;
}

static inline const deco_image_size *deco_particles_size(const deco_particles *p, int64_t row)
{
    return &p->size[p->size_of[p->image[row].stack]];
}

/* Shifts in pixels of the row's own stack are those in pixels of D times this. */
static inline double deco_particles_shift_unit(const deco_particles *p, int64_t row)
{
    return (double)deco_particles_size(p, row)->cut / (double)p->D;
}

static inline uint64_t deco_particles_uid(const deco_particles *p, int64_t row) { return deco_cell_u64(p->uid, row, 0); }

/* A 64-bit digest of uids, image paths, indices, box and pixel size, as 16 hex digits: "the same input". */
void deco_particles_digest(char out[17], const deco_particles *p);

/* `cryodeco info PATH`: text, or JSON. */
deco_status deco_particles_info(char **out, const deco_options *o, deco_monitor *m);

#endif
