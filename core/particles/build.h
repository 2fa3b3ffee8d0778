/* The steps of deco_particles_open. Each checks one kind of column and fills its part of the set; `cryodeco info` takes them one by
 * one and goes on where one fails. */
#ifndef DECO_PARTICLES_BUILD_H
#define DECO_PARTICLES_BUILD_H

#include "particles/job_directory.h"
#include "particles/particles.h"

/* Where row `i` stands, for messages: its file, and its number there. */
static inline const char *file_path(const deco_particles *p, int64_t i)
{
    return p->sources > 1 ? deco_particles_source(p, i)->path : p->cs_path;
}
static inline long long file_row(const deco_particles *p, int64_t i)
{
    return deco_particles_input_row(p, i) - (p->sources > 1 ? deco_particles_source(p, i)->first : 0);
}

/* Where stacks are looked for: blob/path counts from each root in turn. An absolute path is taken as it is, then under datadir. */
typedef struct stack_places {
    path_list roots;
    const char *datadir; /* the first root; NULL: not given */
} stack_places;
deco_status stack_places_set(stack_places *out, const char *datadir, const job_files *files, const char *blob_directory);
void stack_places_free(stack_places *s);

/* One of the inputs: what it is made of. */
typedef struct input_part {
    job_files files;
    char *blob_directory; /* of the file that blob/path came from */
    stack_places places;
} input_part;
typedef struct input_parts {
    int64_t n;
    input_part *part;
} input_parts;

/* The files of each input, and no file twice. Fills p->from without rows, source, cs_path, project, version. */
deco_status input_parts_find(input_parts *out, deco_particles *p, const deco_input *in, deco_monitor *m);
void input_parts_free(input_parts *x);

/* The files, read and joined on uid; several inputs one after another, with the columns that all have. No rows is no failure here. */
deco_status particles_read_rows(deco_particles *p, input_parts *parts, const char *datadir, deco_monitor *m);

/* At least one row, and every uid once. */
deco_status particles_check_uids(deco_particles *p);

/* From here on only the rows that `ind` names and of those the ones that reach min_score. */
deco_status particles_keep_rows(deco_particles *p, const deco_input *in, deco_monitor *m);

/* Of rows [*n] (rising or not) of p->rows, those whose score is at least `least`; NaN is below everything. Fails: FORMAT (no such column of
 * numbers, one a row: those that might be meant; none is left). */
deco_status particles_score_rows(int64_t *row, int64_t *n, const deco_particles *p, const char *column, double least);

/* Which image of which stack each row is. */
deco_status particles_read_refs(deco_particles *p);

/* The other blob columns: boxes, pixel sizes, sign. `in` for box and contrast. */
deco_status particles_read_images(deco_particles *p, const deco_input *in, deco_monitor *m);

/* The sizes there are, and how they become one: p->size, size_of, D and psize_A. `shape` [2] and `psize` have been checked row by row. */
deco_status particles_settle_sizes(deco_particles *p, const deco_column *shape, const deco_column *psize, int64_t box, deco_monitor *m);

deco_status particles_read_ctf(deco_particles *p, deco_monitor *m);

/* Images that a symmetry expansion began with; 0: the set is not expanded. */
deco_status particles_count_expanded(int64_t *from, const deco_particles *p);

/* Where the poses are: "alignments3D", or the lowest of "alignments_class_0" ... (ab initio jobs), or of "alignments_class3D_0" ... (3D
 * Classification); NULL when the input has none. Free with free(). */
deco_status particles_pose_prefix(char **out, const deco_table *t);
/* Rotations and shifts; what `need` does not ask for may be absent or broken (then a warning). */
deco_status particles_read_poses(deco_particles *p, int need, deco_monitor *m);

/* What was found of one stack. */
typedef struct found_stack {
    int64_t nx, ny, nz;
    char *problem; /* why its header cannot be used; NULL: it can, or the file is missing */
} found_stack;

/* Looks for every stack, opens its header, and fills p->stack (NULL where a stack is missing). *found [stacks], freed with
 * particles_free_found. Fails: MEMORY, STOPPED; a missing or broken stack is no failure here. */
deco_status particles_find_stacks(found_stack **out, deco_particles *p, const input_parts *parts, deco_monitor *m);
void particles_free_found(found_stack *found, int64_t stacks);

/* "a/x.mrc, b/x.mrc": all places where stack `s` is looked for, in order. */
deco_status particles_places_text(char **out, const deco_particles *p, const input_parts *parts, int64_t s);

/* STAR files need not say the box: blob/shape from the stacks' headers, where there is no such column. Fails: FILE (a stack is missing), FORMAT. */
deco_status particles_fill_shapes(deco_particles *p, const found_stack *found, const input_parts *parts);

/* The contrast of STAR's images, which the file does not say, as their pixels show it: -1 dark on light, 1 light on dark, 0 not clear. */
deco_status particles_look_at_contrast(int *out, const deco_particles *p);

/* Every stack there, of the right box, with every row's image in it. */
deco_status particles_check_stacks(const deco_particles *p, const found_stack *found, const input_parts *parts);

/* The columns `name` [n] of `t` as numbers with `cells` [n] a row; all that are missing are named in one message, and `advice` says what to do. */
typedef struct wanted_column {
    const char *name;
    char kind_class;
    int64_t cells;
} wanted_column;
deco_status particles_need_columns(const deco_column **out, const deco_table *t, const wanted_column *want, int n, const char *advice);

#endif
