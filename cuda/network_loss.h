/* What the fused loss (network_loss.cu) and the sums after it (network_gradients.cu) share. */
#ifndef DECO_CUDA_NETWORK_LOSS_H
#define DECO_CUDA_NETWORK_LOSS_H

#include "network.h"

/* Of a row of column sums [columns,H]: layer l's Σ d(bias), Σ dγ, Σ dβ stand at 3 l, 3 l + 1, 3 l + 2; then the last layer's weight. */
enum { DBIAS, DGAMMA, DBETA, SUMS };
static inline int64_t columns_of(int64_t n, int64_t H) { return (SUMS * (n + 1) + 1) * H; }

typedef struct loss_call {
    const float *ctf, *target; /* [B,P] */
    float *dpred;              /* [B,P] or NULL */
    float scale;               /* 2 / (B P) */
    int64_t first_image;       /* of this chunk */

    /* what tiles leave, tiles counted from the chunk's first */
    unsigned char *features, *inputs, *gradients; /* bf16 [rows,features]; [n,rows,H]; [n + 1,rows,H] */
    int64_t rows;                                 /* of one layer's part of inputs and gradients */
    float *columns;                               /* [tiles,columns] */
    float *turns;                                 /* [tiles,NW,6]: Σ of the gradient by R, or NULL */
    double *losses;                               /* [all tiles,2]: Σ of squares, Σ of slopes */
    struct quad *keep;                            /* a block's: [n + 1,KEPT_QUADS,threads] */

    template <class Visit> void each_pointer(Visit visit)
    {
        visit(ctf), visit(target), visit(dpred), visit(features), visit(inputs), visit(gradients), visit(columns), visit(turns),
            visit(losses);
        visit(keep);
    }
} loss_call;

/* What a call was given to fill. */
typedef struct loss_arrays {
    deco_array loss, dparams, dz, dR;
    const float *z;
    int64_t B, Z;
} loss_arrays;

/* Numbers that weights_backward needs for its runs. */
int64_t network_runs_floats(const network_call *c);

/* dparams' weights of layers 0 ... n from a chunk's tiles of `tile` rows; the first chunk does not add, it puts. `part`: as long as said above. */
deco_status network_weights_backward(deco_device *dev, const network_call *c, const loss_call *a, float *dparams, float *part, int64_t tile,
                                     bool adds);

/* dR [images,3,3] from a.turns, `rows` rows of six an image. */
deco_status network_turns_backward(deco_device *dev, float *dR, const float *turns, int64_t images, int64_t rows);

/* What is left once all images' column sums [B,columns] and all tiles' losses are there. */
deco_status network_put_sums(deco_device *dev, const network_call *c, const loss_arrays *arrays, const float *sums, const double *losses);

#endif
