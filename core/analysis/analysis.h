/* From latents to answers: METHOD.md section 7, into OUTDIR/out/analysis_<epoch>/. */
#ifndef DECO_ANALYSIS_ANALYSIS_H
#define DECO_ANALYSIS_ANALYSIS_H

#include "base/monitor.h"
#include "base/threads.h"
#include "config/options.h"
#include "model/model.h"
#include "particles/loader.h"

/* Principal components of x [N,Z]. Rows of `components` [Z,Z] by falling variance; the entry of largest magnitude of each is
 * positive. `scores` [N,Z] may be NULL. */
typedef struct deco_pca {
    int64_t Z;
    double *mean, *components, *variance, *ratio; /* [Z], [Z,Z], [Z] (n-1), [Z] */
} deco_pca;
deco_status deco_pca_fit(deco_pca *out, float *scores, const float *x, int64_t N, int64_t Z, deco_pool *pool);
void deco_pca_free(deco_pca *p);

/* `points` latents [points,Z] along component c from its 5th to its 95th percentile, the other components 0. */
deco_status deco_pca_traverse(double *out, const deco_pca *p, const float *scores, int64_t N, int64_t component, int64_t points);

/* Clusters of x [N,Z]: labels [N] from 0, probability [N,K], numbered as found (deco_clusters_order renumbers). */
typedef struct deco_clusters {
    int64_t K, N;
    int32_t *label;
    float *probability;
} deco_clusters;
void deco_clusters_free(deco_clusters *c);

/* Whether K clusters of N latents can be; and whether an analysis with these options can (before anything is read or written). */
deco_status deco_clusters_check(int64_t N, int64_t Z, int64_t K);
deco_status deco_analysis_check(const deco_options *o, int64_t N, int64_t Z);

/* Lloyd's k-means with k-means++ starts on x as it is; best of `restarts`. Probability: softmax of -d²/(2σ²), σ² the mean within-cluster
 * variance a dimension. *inertia (may be NULL). */
deco_status deco_kmeans_fit(deco_clusters *out, double *centres /* [K,Z] or NULL */, double *inertia, const float *x, int64_t N, int64_t Z,
                            int64_t K, int restarts, int iterations, uint64_t seed, deco_pool *pool);

/* A Gaussian mixture, full covariances (+1e-6 on the diagonal), k-means++ starts. */
typedef struct deco_gmm {
    int64_t K, Z;
    double *weight, *mean, *covariance; /* [K], [K,Z], [K,Z,Z] */
    double log_likelihood;              /* mean a point */
} deco_gmm;
deco_status deco_gmm_fit(deco_gmm *out, const float *x, int64_t N, int64_t Z, int64_t K, int restarts, int iterations, uint64_t seed,
                         deco_pool *pool);
/* One E and M step from `in` (tests), and responsibilities [N,K] of a mixture. */
deco_status deco_gmm_step(deco_gmm *out, const deco_gmm *in, const float *x, int64_t N, deco_pool *pool);
deco_status deco_gmm_responsibilities(double *out, double *log_likelihood, const deco_gmm *g, const float *x, int64_t N, deco_pool *pool);
void deco_gmm_free(deco_gmm *g);

/* Average linkage of K centres [K,Z]: order[i] is the old number of new cluster i; linkage [K-1,4] (left, right, height, size) or NULL.
 * METHOD.md section 7. */
deco_status deco_dendrogram_order(int32_t *order, double *linkage, const double *centres, int64_t K, int64_t Z);

/* Row nearest to the mean latent of each cluster, [K]. */
deco_status deco_nearest_rows(int64_t *row, const float *x, int64_t N, int64_t Z, const int32_t *label, int64_t K);

/* The row of x [N,Z] nearest to each of n places [n,Z]: row [n]. */
void deco_nearest_to_places(int64_t *row, const double *place, int64_t n, const float *x, int64_t N, int64_t Z);

/* OUTDIR/out/analysis_<epoch>, or with flip_hand analysis_<epoch>_flipped: the two hands never stand in one directory. Free with free(); NULL
 * without memory. */
char *deco_analysis_directory(const char *outdir, int64_t epoch, const deco_options *o);

/* Everything into `directory`: volumes, PCA, clustering, plots, subsets, and the poses that go with the maps. z [N,Z] latents of the
 * particles in p's row order. With flip_hand maps and poses are of the other hand (hand.h); the model and `in` stay as they are. */
typedef struct deco_analysis_input {
    deco_model *model;
    const deco_particles *particles;
    const float *z;         /* [N,Z] */
    const float *R, *shift; /* [N,9], [N,2] pixels of box: poses used */
    bool poses_estimated;   /* true: subsets get ours as alignments3D; false: the input's stand, unless they are flipped */
    uint64_t seed;
    uint64_t trained_seed;          /* of the run: who was held out of the decoder's training goes by it */
    int64_t pose_radius;            /* outermost Fourier shell that poses were found or refined with in the run; 0: none was */
    bool poses_given;               /* they began as the input's, refined or not */
    double starts_agree;            /* share of the poses that two starts of the initial model found alike; 0: not compared */
    double latents_moved;           /* median in the last epoch; 0 or NAN: not known */
    const deco_image_stats *images; /* as deco_back_projection_input's */
    bool patient;                   /* where another process makes this analysis: wait for its end, or fail */
    /* NULL, or what the caller adds to what was written, in the folder that will get the directory's name when all is there. */
    deco_status (*add)(void *context, const char *directory);
    void *context;
} deco_analysis_input;
deco_status deco_analysis_write(const char *directory, const deco_analysis_input *in, const deco_options *o, deco_monitor *m);

#endif
