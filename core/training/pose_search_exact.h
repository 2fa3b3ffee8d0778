/* Inside the exact engine of the pose search: scores of candidates through the decoder, for its two files and for their tests. */
#ifndef DECO_TRAINING_POSE_SEARCH_EXACT_H
#define DECO_TRAINING_POSE_SEARCH_EXACT_H

#include "geometry/shift_grid.h"
#include "geometry/so3_grid.h"
#include "training/pose_search.h"
#include "training/search_levels.h"

/* What a level is made of, whatever the images. */
typedef struct search_exact_level {
    int order;               /* of its grid of rotations */
    int64_t P;               /* points inside its circle */
    int64_t *place;          /* [P] of these in the training mask */
    deco_shift_grid offsets; /* shifts, around that of the parent */
    float *k, *shifts;       /* on the device: [P,2], [T,2] */
} search_exact_level;

enum { SEARCH_TURNS = 4 }; /* of a slice of level 0 */

struct deco_search_exact {
    deco_model *m;
    deco_device *dev;
    int64_t batch, Z, levels, n_kept;
    int64_t mask_points;         /* P of the training mask */
    int64_t most_points;         /* P of the largest level */
    search_exact_level *level;   /* [levels] */
    int64_t angles;              /* level 0: angles of a direction that are decoded; the others are quarter turns of these */
    int32_t *turn;               /* [P of level 0] on the device */
    int64_t base;                /* slices of level 0 decoded at once, of each latent */
    int64_t images_at_once;      /* whose children are decoded at once */
    int64_t groups;              /* most parents at once */
    int64_t scores, slices, row; /* most at once: scores, slices, entries of `row` */

    /* device */
    unsigned char *block;
    float *images, *ctf;         /* [batch,P] of the level */
    deco_ctf_row *ctf_row;       /* [batch] */
    float *z, *centre, *none;    /* [batch,Z], [batch,2], [1,2]: no shift */
    float *values, *R, *slice_z; /* slices, [slices,9], [slices,Z] */
    int64_t *slice_image;        /* [slices] */
    int64_t *group_image;        /* [groups] */
    float *group_shift;          /* [groups,2] */
    float *group_y, *group_ctf;  /* [groups,P] */
    float *shifted;              /* [batch or groups,P] */
    int32_t *numbers;            /* [row] slices of candidates */
    float *score;                /* [scores] */
    int32_t *best;               /* [scores] */

    /* host */
    float *host_points;                           /* [batch,P] */
    float *host_R;                                /* [slices,9] */
    int64_t *host_rotation;                       /* [slices] */
    double (*host_q)[4];                          /* [slices,4] */
    int64_t *host_slice_image, *host_group_image; /* [slices], [groups] */
    float *host_group_shift;                      /* [groups,2] */
    int32_t *host_numbers;                        /* [row] */
    float *host_score;                            /* [scores] */
    int32_t *host_best;                           /* [scores] */
    deco_search_pose *pose;                       /* [2,batch,n_kept]: what two levels keep */
    deco_search_best *kept;                       /* [2,batch] */
    int64_t *distinct;                            /* [batch] rotations among an image's children */
};

/* The batch's latents, and where each image's shifts are searched around at level 0. */
deco_status search_exact_batch(deco_search_exact *s, const deco_search_input *in);

/* The images and CTFs of the batch inside the circle of a level: before any scores of that level. */
deco_status search_exact_load(deco_search_exact *s, const deco_search_input *in, int64_t level);

/* Level 0. Slices are numbered angles · direction + angle; turned q times it is rotation search_exact_rotation. */
int64_t search_exact_base_count(const deco_search_exact *s);
static inline int64_t search_exact_rotation(const deco_search_exact *s, int64_t slice, int64_t q)
{
    return deco_so3_number(s->level->order, slice / s->angles, slice % s->angles + q * s->angles);
}

/* Scores and shift numbers of slices first … first + n - 1, at most `base` of them, for all images: host_score, host_best [B,n,4]. */
deco_status search_exact_base(deco_search_exact *s, const deco_search_input *in, int64_t first, int64_t n);

/* Children of `parent` [b1 - b0] of the images b0 … b1 - 1, at most images_at_once of them. Candidate c of the g-th parent has score and
 * shift number host_score, host_best [8·g + c] and is rotation host_rotation[host_numbers[8·g + c]]; parents are those of the first image,
 * then those of the next, and so on. Returns how many distinct rotations each image reached through `distinct` [b1 - b0]. */
deco_status search_exact_children(deco_search_exact *s, const deco_search_input *in, int64_t level, const deco_search_best *parent,
                                  int64_t b0, int64_t b1, int64_t *distinct);

/* Shift number t of a level, around a centre. With known shifts there is one: the centre. */
void search_exact_shift(float shift[2], const deco_search_exact *s, const deco_search_input *in, int64_t level, const float *centre,
                        int32_t t);

#endif
