/* The numbers of a checkpoint that are no tensors, as text in the file's metadata. */
#ifndef DECO_MODEL_CHECKPOINT_NOTES_H
#define DECO_MODEL_CHECKPOINT_NOTES_H

#include "formats/safetensors.h"
#include "model/model.h"

enum { DECO_NOTES = 56 };

/* An encoder without its numbers; depth 0: there is none. */
typedef struct deco_encoder_facts {
    deco_vit shape;
    int64_t first, batches, steps;
} deco_encoder_facts;

/* Rows of the epoch's start that a checkpoint holds: one inside an epoch does, one behind it has no use for them. */
static inline int64_t deco_checkpoint_start_rows(const deco_model *m, const deco_position *at)
{
    return at->step && m->start.known ? m->start.n : 0;
}

typedef struct deco_notes {
    int count;
    const char *key[DECO_NOTES];
    char text[DECO_NOTES][40];
} deco_notes;

void deco_notes_add(deco_notes *n, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* In a fixed order, reals to 17 digits: reading gives the same bits back. */
deco_status deco_notes_of(deco_notes *n, const deco_model *m, const deco_position *at);

/* The model's shape and numbers (no memory; start.n rows of the epoch's start), whether poses have moments, the encoder's, the position, and the notes as they stood, for the checksum.
 * Fails: FORMAT. */
deco_status deco_notes_read(deco_model *facts, bool *pose_moments, deco_encoder_facts *encoder, deco_position *at, deco_notes *n,
                            const deco_tensors *t);

#endif
