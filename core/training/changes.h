/* How far an epoch moves poses and latents, on a sample of the particles. */
#ifndef DECO_TRAINING_CHANGES_H
#define DECO_TRAINING_CHANGES_H

#include "model/model.h"

typedef struct deco_changes deco_changes;

/* Every particle, or DECO_CHANGES_MOST evenly spaced rows where there are more: their median is known to two per cent of its rank. */
enum { DECO_CHANGES_MOST = 10000 };
deco_status deco_changes_create(deco_changes **out, deco_model *m);
void deco_changes_free(deco_changes *c);

/* Where the sample stands now; `inside` an epoch that was taken up again: where it stood when that began, as far as its checkpoint knows. */
deco_status deco_changes_begin(deco_changes *c, bool inside);

typedef struct deco_change {
    int64_t particles; /* of the sample */
    double deg, px;    /* medians: angle of the turn, length of the shift's change */
    double latents;    /* ... of ‖Δz‖; 0 when Z = 0 */
} deco_change;

/* How far it has come since then. */
deco_status deco_changes_end(deco_change *out, deco_changes *c);

#endif
