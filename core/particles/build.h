/* The steps of deco_particles_open. Each checks one kind of column and fills its part of the set; `cryodeco info` takes them one by
 * one and goes on where one fails. */
#ifndef DECO_PARTICLES_BUILD_H
#define DECO_PARTICLES_BUILD_H

#include "particles/job_directory.h"
#include "particles/particles.h"

/* Row `i` as its file counts, for messages. */
static inline long long file_row(const deco_particles *p, int64_t i) { return p->input_row ? p->input_row[i] : i; }

/* The files, read and joined on uid. *blob_directory: of the file that blob/path came from, allocated. No rows is no failure here. */
deco_status particles_read_rows(deco_particles *p, const job_files *files, char **blob_directory);

/* At least one row, and every uid once. */
deco_status particles_check_uids(deco_particles *p);

/* From here on only the rows that the file `ind` names; NULL: all. */
deco_status particles_keep_rows(deco_particles *p, const char *ind);

/* The blob columns: which image of which stack each row is, boxes, pixel sizes, sign. `box` as in deco_input. */
deco_status particles_read_images(deco_particles *p, int64_t box, deco_monitor *m);

/* The sizes there are, and how they become one: p->size, size_of, D and psize_A. `shape` [2] and `psize` have been checked row by row. */
deco_status particles_settle_sizes(deco_particles *p, const deco_column *shape, const deco_column *psize, int64_t box, deco_monitor *m);

deco_status particles_read_ctf(deco_particles *p, deco_monitor *m);

/* Where the poses are: "alignments3D", or the first of "alignments_class_0" ...; NULL when the input has none. */
const char *particles_pose_prefix(const deco_table *t);
/* Rotations and shifts; what `need` does not ask for may be absent or broken (then a warning). */
deco_status particles_read_poses(deco_particles *p, int need, deco_monitor *m);

/* What was found of one stack. */
typedef struct found_stack {
    int64_t nx, ny, nz;
    char *problem; /* why its header cannot be used; NULL: it can, or the file is missing */
} found_stack;

/* Where stacks are looked for: blob/path counts from each root in turn. An absolute path is taken as it is, then under datadir. */
typedef struct stack_places {
    path_list roots;
    const char *datadir; /* the first root; NULL: not given */
} stack_places;
deco_status stack_places_set(stack_places *out, const char *datadir, const job_files *files, const char *blob_directory);
void stack_places_free(stack_places *s);

/* Looks for every stack, opens its header, and fills p->stack (NULL where a stack is missing). *found [stacks], freed with
 * particles_free_found. Fails: MEMORY, STOPPED; a missing or broken stack is no failure here. */
deco_status particles_find_stacks(found_stack **out, deco_particles *p, const stack_places *places, deco_monitor *m);
void particles_free_found(found_stack *found, int64_t stacks);

/* "a/x.mrc, b/x.mrc": all places where a stack of that name is looked for, in order. */
deco_status particles_places_text(char **out, const stack_places *places, const char *name);

/* Every stack there, of the right box, with every row's image in it. */
deco_status particles_check_stacks(const deco_particles *p, const found_stack *found, const stack_places *places);

/* The columns `name` [n] of `t` as numbers with `cells` [n] a row; all that are missing are named in one message, and `advice` says what to do. */
typedef struct wanted_column {
    const char *name;
    char kind_class;
    int64_t cells;
} wanted_column;
deco_status particles_need_columns(const deco_column **out, const deco_table *t, const wanted_column *want, int n, const char *advice);

#endif
