/* Whether to believe an analysis: its clusters held against their own images, and what else tells. docs/validation.md. */
#ifndef DECO_ANALYSIS_VALIDATION_H
#define DECO_ANALYSIS_VALIDATION_H

#include "analysis/cluster_check.h"
#include "analysis/words.h"

typedef struct deco_validation_input {
    const deco_particles *particles;
    const float *R, *shift;   /* [N,9], [N,2] pixels: poses in the hand of the maps */
    const int32_t *label;     /* [N]; NULL: all particles are of one state */
    const float *probability; /* [N,K] or NULL */
    int64_t K;
    int64_t radius;      /* outermost shell of the decoder's maps */
    int64_t pose_radius; /* outermost shell that poses were found or refined with in this run; 0: none was */
    bool poses_given;    /* they began as the input's */
    double agreement;    /* share of the poses that two starts of the initial model found alike; 0: not compared */
    double psize_A;
    double held_out; /* share of the particles that the decoder was not trained on, drawn by ... */
    uint64_t trained_seed;
    uint64_t seed;
    deco_device *dev;
    const deco_image_stats *images; /* as deco_back_projection_input's */
} deco_validation_input;

typedef struct deco_validation {
    int64_t K, D, radius, pose_radius;
    double psize_A, agreement;
    bool poses_given, halves_drawn;
    double difference;         /* largest between two clusters' back-projections, difference.h; 0 with one */
    deco_cluster_check *check; /* [K] */
} deco_validation;

/* Checks the clusters whose maps vol_000.mrc … are in `directory`, into `directory`/validation/. Where images cannot be read a warning says so and
 * nothing is written: *out is then empty (K = 0). Fails: STOPPED, FILE (a result cannot be written), MEMORY, DEVICE. */
deco_status deco_validation_write(deco_validation *out, const char *directory, const deco_validation_input *in, deco_monitor *m);
void deco_validation_free(deco_validation *v);

/* What a check says of a cluster, from the most to the least serious; the table is in docs/validation.md. */
typedef enum deco_mark {
    DECO_MARK_DISAGREES = 1,   /* the map shows what its own particles do not */
    DECO_MARK_UNCONFIRMED = 2, /* nothing that agrees is independent of the poses' search */
    DECO_MARK_FEW = 4,         /* too few particles, or in one half set, to say anything */
    DECO_MARK_NOISE = 8,       /* the half maps hold nothing in common */
    DECO_MARK_VIEWS = 16,      /* directions are resolved very differently */
    DECO_MARK_OTHER = 32       /* the map is no more like its own particles than like another cluster's */
} deco_mark;
int deco_validation_marks(const deco_validation *v, int64_t k);

/* In words; and validation.json in `directory`. */
deco_status deco_validation_tell(const deco_validation *v, deco_words *w);
deco_status deco_validation_write_json(const deco_validation *v, const char *directory);

/* "6.4 Å", or "the box's limit (6.0 Å)". */
void deco_resolution_text(char *out, size_t size, deco_crossing at, const deco_validation *v);

#endif
