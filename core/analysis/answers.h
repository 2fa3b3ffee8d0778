/* What an analysis found, in one place: are there states, is each what it seems, what should the reader check? */
#ifndef DECO_ANALYSIS_ANSWERS_H
#define DECO_ANALYSIS_ANSWERS_H

#include "analysis/cluster_count.h"
#include "analysis/nuisance.h"
#include "analysis/stability.h"
#include "analysis/validation.h"

typedef enum deco_answer {
    DECO_ANSWER_NOTHING,    /* no map is to be believed */
    DECO_ANSWER_NONE,       /* No heterogeneity found */
    DECO_ANSWER_STATES,     /* clusters with gaps between them */
    DECO_ANSWER_CONTINUOUS, /* maps differ, without gaps */
    DECO_ANSWER_OPEN        /* no gaps, and no images to see whether maps differ */
} deco_answer;

typedef struct deco_answers {
    deco_validation validation; /* K = 0: not made */
    deco_nuisance nuisance;
    deco_stability stability; /* K = 0: not made (one state) */
    bool crossed;             /* are its gaps of the number of clusters? deco_groups_borne_out */
    deco_answer answer;
    double moved; /* latents_moved over latents_spread; NAN: not known */
    deco_words words;
} deco_answers;

typedef struct deco_answers_input {
    deco_validation_input check; /* label NULL: one state */
    const float *scores;         /* [N,Z] principal components of the latents, or NULL */
    int64_t Z;
    const float *x; /* [N,dims] what was clustered */
    int64_t dims;
    double latents_moved;     /* median in the last epoch; 0 or NAN: not known */
    double latents_spread;    /* root mean square distance of the latents from their mean */
    deco_cluster_count count; /* how the number of clusters was chosen; K = 0: it was given */
    const deco_options *o;
} deco_answers_input;

/* Into `directory`, that of a clustering: validation/ (with back_projection), nuisance.csv, summary.txt and answers.json. Fails as deco_validation_write. */
deco_status deco_answers_write(deco_answers *out, const char *directory, const deco_answers_input *in, deco_monitor *m);
void deco_answers_free(deco_answers *a);

/* "states" … as answers.json has it. */
const char *deco_answer_name(deco_answer a);

/* From what was found, by the table of docs/validation.md. */
deco_answer deco_answer_of(const deco_validation *v, const deco_stability *s, bool crossed);

#endif
