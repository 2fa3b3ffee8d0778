/* From images on disk to batches: window, Hartley, mask, sign and scale (METHOD.md section 1), read ahead by threads of its own
 * in bounded memory. */
#ifndef DECO_PARTICLES_LOADER_H
#define DECO_PARTICLES_LOADER_H

#include "compute/device.h"
#include "geometry/lattice.h"
#include "particles/cache.h"
#include "particles/particles.h"

/* Images made ready for training: their common scale, and where they are read from. */
typedef struct deco_image_stats {
    double mean, std;  /* of the L×L Hartley values of the windowed, sign-corrected images: METHOD.md 1.5 */
    deco_cache *cache; /* NULL: they are prepared from the stacks whenever they are read. The same bits either way */
    bool float32;      /* else rounded to float16: record.h */
    bool encoder;      /* are the encoder's pixels read too? */
    int64_t block;     /* a cache's disk is asked for so many neighbours at once, as block_order.h takes them; 0: for each image */
} deco_image_stats;

/* One streaming pass over all images, for their scale; the rest of *out is as it is for float16 from the stacks. Each pixel is looked at. Fails:
 * FORMAT for NaN or infinite pixels and constant images (file, row of the input, image of the stack), FILE, STOPPED. The same bits on any
 * number of threads. */
deco_status deco_images_survey(deco_image_stats *out, const deco_particles *p, deco_device *dev, deco_monitor *m);

/* As the options say: with a cache, which is made where there is none, or by the survey. Close it before `p` is freed. */
deco_status deco_images_open(deco_image_stats *out, const deco_particles *p, const deco_options *o, deco_device *dev, deco_monitor *m);
/* A whole cache of them, where the options allow one and there is one: NULL otherwise. None is made. */
deco_status deco_images_find_cache(deco_cache **out, const deco_particles *p, const deco_options *o, deco_monitor *m);
void deco_images_close(deco_image_stats *s);

typedef struct deco_loader deco_loader;

/* `batch` images a batch, `ahead` batches (at least 1) read before they are asked for. Keeps `p` and the cache. */
deco_status deco_loader_create(deco_loader **out, const deco_particles *p, const deco_mask *mask, const deco_image_stats *images,
                               deco_device *dev, int64_t batch, int ahead);
void deco_loader_free(deco_loader *l); /* stops its threads; takes NULL */

/* Start a pass over `order` [n] (row numbers, kept by the caller until the pass ends). A pass not finished is dropped. Fails: ARGUMENT. */
deco_status deco_loader_start(deco_loader *l, const int64_t *order, int64_t n);

/* The next batch in order: rows [B], images [B,P] divided by the scale, and the
 * encoder's pixels [B,DECO_ENCODER_PIXELS] (NULL: not asked for) in host memory, good until the next call. B = 0 at the end of the pass.
 * *waited adds the seconds this call waited for the disk. Fails: FILE, FORMAT, for the first image of the batch that could not be
 * read; the pass ends there. */
typedef struct deco_batch {
    int64_t B;
    const int64_t *row;
    const float *images;
    const uint8_t *pixels;
} deco_batch;
deco_status deco_loader_next(deco_loader *l, deco_batch *out, double *waited);

/* Its memory, for the forecast; `box` of the largest images, `threads` of the device's pool. */
size_t deco_loader_bytes(int64_t box, int64_t P, int64_t batch, int ahead, int threads, bool encoder);

#endif
