/* One look at every pixel before anything is written, and the scale of the data: METHOD.md 1.5. */
#include "particles/file_order.h"
#include "particles/image_sums.h"
#include "particles/loader.h"
#include "particles/reader.h"

#include <stdlib.h>
#include <string.h>

enum {
    TILE = 64,      /* images a task, neighbours in their file */
    OPEN_STACKS = 2 /* a worker: more would not be used again, and machines have many cores but processes few files */
};

typedef struct survey {
    const deco_particles *p;
    const prepare *q;
    const int64_t *order;  /* [N] rows in the order of the files */
    image_sums *sums;      /* [N] */
    image_reader **reader; /* [threads] made when first needed */
    deco_monitor *m;
} survey;

static deco_status survey_tile(void *context, int64_t tile, int worker)
{
    deco_status st = DECO_OK;
    survey *s = context;
    int64_t end = (tile + 1) * TILE < s->p->N ? (tile + 1) * TILE : s->p->N;
    const float *hartley;

    if (!s->reader[worker])
        TRY(image_reader_create(&s->reader[worker], s->p, s->q, OPEN_STACKS));
    for (int64_t i = tile * TILE; i < end; i++) {
        if (deco_monitor_stopped(s->m))
            TRY(deco_fail(DECO_E_STOPPED, "stopped while the images were looked at; nothing was written"));
        TRY(image_reader_hartley(&hartley, NULL, s->reader[worker], s->order[i], true));
        s->sums[s->order[i]] = image_sums_of(hartley, s->p->D);
    }
    deco_progress_add(s->m, end - tile * TILE);
out:
    return st;
}

deco_status deco_images_survey(deco_image_stats *out, const deco_particles *p, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_pool *pool = deco_device_pool(dev);
    int threads = deco_pool_threads(pool);
    prepare *q = NULL;
    int64_t *order = NULL;
    survey s = {.p = p, .m = m};

    TRY(prepare_create(&q, p, false));
    TRY(file_order_rows(&order, p));
    TRY(deco_alloc(&s.sums, (size_t)p->N, sizeof *s.sums, "image sums"));
    TRY(deco_alloc(&s.reader, (size_t)threads, sizeof(image_reader *), "image readers"));
    s.q = q;
    s.order = order;
    deco_progress_begin(m, "looking at all pixels", p->N, "images");
    st = deco_pool_run(pool, survey_tile, &s, (p->N + TILE - 1) / TILE);
    deco_progress_end(m);
    *out = (deco_image_stats){0};
    if (!st)
        st = image_sums_scale(&out->mean, &out->std, s.sums, NULL, p);
out:
    for (int i = 0; s.reader && i < threads; i++)
        image_reader_free(s.reader[i]);
    free(s.reader);
    free(s.sums);
    free(order);
    prepare_free(q);
    return st;
}

static bool may_cache(const deco_options *o)
{
    return o->cache_dir && o->use_lmdb && !strcmp(o->cache, "auto") && !o->dry_run; /* which writes nothing */
}

deco_status deco_images_find_cache(deco_cache **out, const deco_particles *p, const deco_options *o, deco_monitor *m)
{
    *out = NULL;
    return may_cache(o) && p->stack ? deco_cache_find(out, p, o->cache_dir, !strcmp(o->image_precision, "float32"), m) : DECO_OK;
}

deco_status deco_images_open(deco_image_stats *out, const deco_particles *p, const deco_options *o, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_image_stats s = {.float32 = !strcmp(o->image_precision, "float32"), .encoder = o->use_conf_encoder, .block = o->shuffle_block};

    *out = (deco_image_stats){0};
    if (may_cache(o)) {
        TRY(deco_cache_open(&s.cache, p, o->cache_dir, s.float32, s.encoder, dev, m));
        deco_cache_scale(&s.mean, &s.std, s.cache);
    } else {
        deco_image_stats scale;
        TRY(deco_images_survey(&scale, p, dev, m));
        s.mean = scale.mean, s.std = scale.std;
    }
    *out = s;
out:
    return st;
}

void deco_images_close(deco_image_stats *s)
{
    deco_cache_close(s->cache);
    s->cache = NULL;
}
