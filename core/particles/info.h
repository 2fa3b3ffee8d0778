/* What `cryodeco info` finds out, before it is put into words. */
#ifndef DECO_PARTICLES_INFO_H
#define DECO_PARTICLES_INFO_H

#include "particles/build.h"

struct cJSON;

typedef struct value_range {
    double least, most; /* of the finite values; NaN when there are none */
    int64_t not_finite;
} value_range;

/* Particles of one exposure group. */
typedef struct exposure_group {
    int32_t source; /* input: groups of different inputs are different */
    uint64_t id;
    int64_t particles;
} exposure_group;

typedef struct findings {
    deco_particles *p;
    int64_t input_rows; /* p->N are those of `ind` */
    input_parts parts;
    const deco_input *in;
    found_stack *found; /* NULL: stacks could not be looked for */
    bool images_known, ctf_known, stacks_sound;
    int64_t stacks_found, images_in_stacks;
    int64_t dark, light;   /* particles of each contrast */
    int64_t expanded_from; /* images that a symmetry expansion began with; 0: none */
    exposure_group *group;
    int64_t groups;
    path_list problems;                                          /* messages: what stands in the way */
    char *pose_prefix;                                           /* NULL: none */
    double table_bytes, row_bytes, loader_bytes, training_bytes; /* the forecast; training: decoder and latents without activations */
    double cache_bytes[2];                                       /* on disk: without and with the encoder's pixels */
    int64_t batch;
    char digest[17];
} findings;

value_range info_range(const deco_column *c, int64_t rows);

deco_status info_text(char **out, const findings *f);
deco_status info_json(char **out, const findings *f);

#endif
