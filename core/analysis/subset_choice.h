/* Which particles of a set are meant. Criteria given together must all hold. docs/formats.md, "cryodeco subset". */
#ifndef DECO_ANALYSIS_SUBSET_CHOICE_H
#define DECO_ANALYSIS_SUBSET_CHOICE_H

#include "formats/selection.h"
#include "particles/particles.h"

typedef struct deco_choice {
    const deco_particles *particles;
    deco_monitor *m;
    bool partial;   /* what a list names and the set lacks is passed over, and counted; otherwise it is refused, with the counts */
    bool *taken;    /* [N] every criterion so far holds */
    bool *hit;      /* [N] of the criterion in work */
    int32_t *label; /* [N] each row's cluster, from 0; NULL while no labels were read */
    char *words;    /* "clusters 0, 2 of labels.npy": what was asked for */
} deco_choice;

deco_status deco_choice_begin(deco_choice *c, const deco_particles *p, bool partial, deco_monitor *m);
void deco_choice_free(deco_choice *c); /* frees what is in it */

/* Rows whose label in the .npy of N whole numbers is one of `wanted`. Fails: ARGUMENT (no such label: those there are), FORMAT. */
deco_status deco_choice_labels(deco_choice *c, const char *labels, const deco_list *wanted);
/* Rows by number or mask: a file as `ind` takes it, counted in the set's rows. */
deco_status deco_choice_rows(deco_choice *c, const char *path);
/* Rows by uid: text with a uid a line, an .npy of whole numbers, or a .cs file. */
deco_status deco_choice_uids(deco_choice *c, const char *path);
/* Rows whose image a STAR file names, for particles that lost their uids on the way. */
deco_status deco_choice_images(deco_choice *c, const char *star);
/* A selection of this set's run; a polygon is laid over all rows, by the arrays in `analysis`. The caller has checked the run's digest. */
deco_status deco_choice_selection(deco_choice *c, const deco_selection *s, const char *analysis);

/* The rows taken, rising. Fails: ARGUMENT when there is none. Free with free(). */
deco_status deco_choice_end(int64_t **row, int64_t *n, const deco_choice *c);

/* For the criteria: what they ask for in words, and that the `hit` rows stay. `words` is taken. */
deco_status deco_choice_narrow(deco_choice *c, char *words);
/* All `asked` were found, or with `partial` some. `what` "uids", `where` the list, `reason` why none may be there; `example` the first missing. */
deco_status deco_choice_found(const deco_choice *c, int64_t found, int64_t asked, const char *what, const char *where, const char *reason,
                              const char *example);

#endif
