/* What is trained, on its device: decoder parameters with their moments, the tables of latents and poses, and what a checkpoint holds. */
#ifndef DECO_MODEL_MODEL_H
#define DECO_MODEL_MODEL_H

#include "base/philox.h"
#include "compute/comm.h"
#include "model/encoder.h"

/* Parameters and the two moments of Adam, all f32 [count] on the device. */
typedef struct deco_trained {
    int64_t count;
    float *x, *m, *v;
} deco_trained;

/* Some rows as they were when the epoch at work began, on the device: how far it moved them is told at its end, also by a run that went on
 * inside it (training/changes.h). */
typedef struct deco_epoch_start {
    int64_t n;              /* 0: no memory yet */
    bool known;             /* taken, or read from a checkpoint */
    float *six, *shift, *z; /* [n,6], [n,2], [n,Z] as in the tables */
} deco_epoch_start;

struct deco_model {
    deco_device *dev;
    bool owns_device;
    deco_comm *comm; /* the workers that train it together, each with all of it; borrowed. NULL: this process alone */
    deco_hypervolume shape;
    int64_t D, radius; /* box; mask radius trained and decoded inside, at most L // 2 */
    double psize_A;
    double std;             /* of the dataset: maps are multiplied by it */
    deco_trained decoder;   /* [parameters] */
    float *mean;            /* [parameters] the decoder's running mean over its last steps: what maps are decoded with */
    float *freqs;           /* [3·pe,3] on the device, not trained */
    int64_t N;              /* rows of the tables, the particles in the order of the input */
    deco_encoder *encoder;  /* NULL: the latents are a table of their own */
    deco_trained latents;   /* [N·Z]; like the poses count 0 when opened for decoding alone; and when Z = 0. With an encoder each
                             * particle's newest one, without moments */
    deco_trained rotations; /* [N·6] two rows of a matrix, made orthonormal by Gram-Schmidt where it is used; the third is e1×e2 */
    deco_trained shifts;    /* [N·2] pixels. Moments of poses only where they are trained */
    int64_t decoder_steps, latent_steps, pose_steps; /* Adam's step counts so far */
    deco_epoch_start start;
};

/* Fresh: frequencies N(0, feat_sigma²), weights uniform ±1/sqrt(fan_in), norms 1 and 0, latents 0.1·N(0,1), rotations uniform and shifts
 * 0, all a function of the seed. METHOD.md sections 3 to 5. */
typedef struct deco_model_config {
    deco_hypervolume shape;
    double feat_sigma, psize_A, std;
    int64_t D, radius, N;
    bool train_poses; /* moments for them too */
    uint64_t seed;
    const deco_vit *encoder;             /* its shape, Z that of `shape`; NULL: none */
    const deco_encoder_weights *weights; /* for it; NULL: drawn like everything else */
    int64_t encoder_first;               /* its parameters from here on are trained */
} deco_model_config;
deco_status deco_model_create(deco_model **out, deco_device *dev, const deco_model_config *c);

/* z [Z] ~ 0.1·N(0,1), a function of seed, stream and row alone. */
void deco_latent_draw(float *z, int64_t Z, uint64_t seed, deco_stream stream, int64_t row);

/* What a model has memory for. */
typedef enum deco_holding {
    DECO_HOLD_DECODER,      /* the decoder's values: for decoding alone */
    DECO_HOLD_TABLES,       /* all tables too, and moments of decoder and latents: poses are known, searched, or refined on snapshots */
    DECO_HOLD_POSE_MOMENTS, /* and of poses */
    DECO_HOLD_ENCODED = 16  /* with one of the others: latents without moments, for they are an encoder's */
} deco_holding;

/* Memory for a model of this shape, all zero: what create and checkpoint_read fill. Fails: ARGUMENT, MEMORY. */
deco_status deco_model_allocate(deco_model **out, deco_device *dev, const deco_hypervolume *shape, int64_t N, unsigned holding);

/* Memory for the start of an epoch, of n rows, where there is none of that size. Fails: MEMORY. */
deco_status deco_epoch_start_make(deco_model *m, int64_t n);

/* Poses of `n` rows, on the host: R [n,9], shift [n,2] pixels. Rows row[0..n), or the first n of the table when `row` is NULL.
 * A rotation comes back as Gram-Schmidt makes it. Fails: ARGUMENT (no such rows), MEMORY. */
deco_status deco_poses_get(float *R, float *shift, deco_model *m, const int64_t *row, int64_t n);
deco_status deco_poses_put(deco_model *m, const int64_t *row, int64_t n, const float *R, const float *shift);

/* Density map at one latent, [box,box,box] on the host: deco_volume_decode of cryodeco.h. Box D is all of it; of a smaller one, even, the inner shells
 * alone are decoded, so its voxels are D/box as wide. `progress` of a long decode goes to no one. */
deco_status deco_model_decode(float *out, deco_model *m, int64_t box, const float *z);

/* The first worker's numbers to all; the others have a model of the same shape. */
deco_status deco_model_share(deco_model *m);
/* Of these the poses alone. */
deco_status deco_model_share_poses(deco_model *m);

/* Where training stands; saved with the weights. */
typedef struct deco_position {
    int64_t epoch; /* last finished epoch, -1: pretraining, -2: nothing yet */
    int64_t step;  /* batches done in epoch + 1 (0: none) */
    uint64_t seed;
    char digest[17];     /* of the particle set */
    char arithmetic[17]; /* deco_device_arithmetic of who wrote it; empty: not known */
    int64_t images;      /* of those batches, ... */
    double loss_sum;     /* ... and the sum of their losses: the epoch's loss is told over all of it, however often it was taken up again */
    int64_t halvings;    /* of the learning rates, one for each time that training diverged */
    /* hps_stop (training/search_stop.h): particles of those batches that turned, and moved, by less than the limits; search epochs running in
     * which most did; epochs of the search that were left out because of it. */
    int64_t turned_little, moved_little, still, skipped;
    /* Of the sliced search's agreement with the exact one (training/search_agreement.h): points decoded so far, and of these for the sample; its
     * images since the search was last mended, and those of them found alike; steps of mending. */
    double work, sample_work;
    int64_t sampled, sampled_alike, mended;
    int64_t search_radius; /* to which the next search epoch looks (training/search_resolution.h); 0: as far as the option says */
    double agreement;      /* share of the poses that two starts of the initial model found alike; 0: not compared */
} deco_position;

/* OUTDIR/out/weights.<epoch>.safetensors: tensors, moments, tables, position, everything needed to go on exactly. Whole or absent.
 * Fails: DIVERGED (a number in it is none); FILE, MEMORY, DEVICE. */
deco_status deco_checkpoint_write(const char *path, deco_model *m, const deco_position *at);

/* The path of one: weights of `epoch`, or with -2 the newest of all in OUTDIR/out. Free with free(). Fails: FILE (there is none). */
deco_status deco_checkpoint_path(char **out, const char *outdir, int64_t epoch);

/* What of a checkpoint is wanted: maps, all of it, or maps and what the encoder makes of images. */
typedef enum deco_reading { DECO_READ_DECODER, DECO_READ_ALL, DECO_READ_ENCODER } deco_reading;

/* Makes the model of the file's own shape. Fails: FILE, FORMAT (tensors missing or misshapen, all named; checksum). */
deco_status deco_checkpoint_read(deco_model **out, deco_position *at, deco_device *dev, const char *path, deco_reading what);

#endif
