/* What a run will take: the time of all its epochs from what forecast_measure.c timed, memory and disk from sizes, and what would fit. */
#include "job/forecast.h"
#include "analysis/cluster_count.h"
#include "base/cores.h"
#include "base/disk.h"
#include "job/forecast_measure.h"
#include "job/heavy.h"
#include "particles/cache.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The program with its libraries, as loaded; on disk a report with its pictures, those of the run's progress, and plots. */
static const double program_bytes = 20e6, report_bytes = 15e6;

deco_status deco_job_shape(deco_hypervolume *out, const deco_options *o, const deco_particles *p)
{
    *out = (deco_hypervolume){.L = p->D + 1,
                              .pe_dim = o->pe_dim,
                              .H = o->hypervolume_dim,
                              .n = o->hypervolume_layers,
                              .Z = o->use_conf_encoder ? o->feature_dim : o->conf_table_dim,
                              .layer_norm = o->decoder_ln};
    return deco_hypervolume_check(out);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

/* Steps and searches go with the points of the mask, snapshots with those of the ball. The workers share the images, not the snapshots; the initial
 * model and what the encoder passes over alone are the first one's. */
static deco_status sum_epochs(deco_forecast *out, const deco_hypervolume *shape, const deco_options *o, const deco_particles *p,
                              const deco_vit *encoder, deco_device *dev)
{
    deco_status st = DECO_OK;
    deco_schedule s = deco_schedule_of(o, p->N, p->D);
    deco_epoch_plan first = deco_epoch_plan_of(o, p->N, p->D, 0);
    deco_epoch_plan last = deco_epoch_plan_of(o, p->N, p->D, (s.search_epochs ? s.search_epochs : s.total) - 1);
    double point = 0, snapshots = 0, image = 0, trained = 0, encoded = 0;
    const double pi = 3.14159265358979323846;

    TRY(forecast_step_seconds(&point, shape, o, p, &first, dev));
    if (last.search_batch)
        TRY(forecast_search_seconds(&snapshots, &image, shape, o, p, &last, dev));
    if (deco_epoch_plan_of(o, p->N, p->D, -1).initial_model)
        TRY(forecast_initial_seconds(&out->initial_seconds, shape, o, p, dev));
    if (encoder)
        TRY(forecast_encoder_seconds(&trained, &encoded, encoder, o, dev));
    out->encode_seconds = encoded * (double)p->N * (s.search_epochs ? 2 : 1);
    out->seconds = out->initial_seconds + out->encode_seconds;
    for (int64_t i = s.pretrain_images ? -1 : 0; i < s.total; i++) {
        deco_epoch_plan e = deco_epoch_plan_of(o, p->N, p->D, i);
        deco_epoch_plan_share(&e, o, p->N, (int)out->crew.all);
        double images = (double)e.images / (double)out->crew.all,
               wider = e.search_batch ? (double)e.search_radius / (double)last.search_radius : 0;
        double seconds = images * (point * pi * (double)(e.radius * e.radius) + (i < 0 ? encoded : trained));
        if (e.search_batch)
            seconds += ceil((double)e.images / (double)e.search_batch) * snapshots * pow(wider, 3);
        if (e.search_batch && e.kind == last.kind)
            seconds += images * image * pow(wider, 2);
        out->phase[e.kind].epochs++;
        out->phase[e.kind].images += e.images;
        out->phase[e.kind].seconds += seconds;
        out->images += e.images;
        out->seconds += seconds;
    }
out:
    return st;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* What sizes follow from. The numbers of particles and threads are those of a question, not always the input's. */
typedef struct sizes {
    const deco_options *o;
    const deco_particles *p;
    const deco_vit *encoder;
    deco_hypervolume shape;
    int threads;
} sizes;

static double table_bytes(const sizes *s, double N)
{
    double row = 0;
    for (int64_t c = 0; c < s->p->rows->columns; c++)
        row += (double)s->p->rows->column[c].item * (double)s->p->rows->column[c].cells;
    return row * N;
}

static double checkpoint_bytes(const sizes *s, double N)
{
    return 16.0 * (double)deco_hypervolume_parameters(&s->shape) +
           N * ((s->encoder ? 4.0 : 12.0) * (double)s->shape.Z + (deco_trains_poses(s->o) ? 96 : 32)) +
           (s->encoder ? 12.0 * (double)deco_vit_parameters(s->encoder) : 0);
}

static double memory_bytes(const sizes *s, int64_t N)
{
    double D = (double)s->p->D;
    return program_bytes + table_bytes(s, (double)N) + (double)deco_train_bytes(s->o, &s->shape, s->encoder, N, s->p->D, s->threads) +
           checkpoint_bytes(s, (double)N) + /* put together before it is written */
           6 * D * D * D * sizeof(float);   /* maps being decoded, and compared */
}

static double disk_bytes(const sizes *s, int64_t N)
{
    const deco_options *o = s->o;
    double D = (double)s->p->D, n = (double)N, clusters = (double)(o->k_num ? o->k_num : DECO_MOST_CLUSTERS);
    double maps = (clusters * (o->back_projection ? 6 : 1) + /* with half maps, a mask and what they agree on */
                   (double)((o->series ? 4 : 2) * 10 + 1 + deco_heavy_count(o, N, s->p->D))) *
                  D * D * D * sizeof(float);
    /* The ends of at most three phases with their arrays, two checkpoints between them. */
    return 5 * checkpoint_bytes(s, n) + 3 * n * (4.0 * (double)s->shape.Z + 88) + n * 8 + maps + report_bytes +
           (o->series ? 5 : 1) * table_bytes(s, n);
}

/* The largest number of particles, below those of the input, that takes at most `limit`; 0: none. Sizes grow with it. */
static int64_t particles_within(double (*bytes)(const sizes *, int64_t), const sizes *s, double limit)
{
    int64_t low = 0, high = s->p->N;

    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (bytes(s, middle) <= limit)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void limit_to(int64_t *batch, int64_t most) { *batch = *batch > most || !*batch ? most : *batch; }

/* The largest power of two that batches of all kinds may have at most, for all particles to fit. */
static int64_t batch_within(const sizes *s, double limit)
{
    deco_options o = *s->o;
    sizes smaller = *s;
    int64_t most = 1;

    smaller.o = &o;
    while (most < o.batch_size_known_poses || most < o.batch_size_hps || most < o.batch_size_sgd || most < o.batch_size_pretrain)
        most *= 2;
    for (most /= 2; most; most /= 2) {
        limit_to(&o.batch_size_known_poses, most);
        limit_to(&o.batch_size_pretrain, most);
        limit_to(&o.batch_size_hps, most);
        limit_to(&o.batch_size_sgd, most);
        if (memory_bytes(&smaller, s->p->N) <= limit)
            return most;
    }
    return 0;
}

deco_status deco_forecast_sizes(deco_forecast *out, const deco_options *o, const deco_particles *p, const deco_vit *encoder,
                                deco_device *dev, deco_crew crew)
{
    deco_status st = DECO_OK;
    sizes s = {.o = o, .p = p, .encoder = encoder, .threads = deco_pool_threads(deco_device_pool(dev))};
    double allowed;

    *out = (deco_forecast){
        .crew = crew, .memory_allowed = deco_memory_allowed(), .disk_free = o->outdir ? deco_disk_free(o->outdir) : INFINITY};
    TRY(deco_job_shape(&s.shape, o, p));
    out->checkpoint_bytes = checkpoint_bytes(&s, (double)p->N);
    out->memory_bytes = memory_bytes(&s, p->N);
    out->disk_bytes = disk_bytes(&s, p->N);
    allowed = out->memory_allowed / (double)crew.here;
    if (out->memory_bytes > allowed) {
        out->memory_fits = particles_within(memory_bytes, &s, allowed);
        out->batch_fits = batch_within(&s, allowed);
    }
    if (out->disk_bytes > out->disk_free)
        out->disk_fits = particles_within(disk_bytes, &s, out->disk_free);
    if (o->cache_dir && strcmp(o->cache, "none") != 0)
        TRY(deco_cache_bytes(&out->cache_bytes, p, !strcmp(o->image_precision, "float32"), o->use_conf_encoder));
out:
    return st;
}

deco_status deco_forecast_times(deco_forecast *f, const deco_options *o, const deco_particles *p, const deco_vit *encoder, deco_device *dev)
{
    deco_hypervolume shape;
    deco_status st = deco_job_shape(&shape, o, p);
    return st ? st : sum_epochs(f, &shape, o, p, encoder, dev);
}

/* ---- what cannot be ---------------------------------------------------------------------------------------------- */

static deco_status refuse_memory(const deco_forecast *f, const deco_particles *p)
{
    const char *needed = deco_forecast_memory_text(f), *there = deco_size_text(f->memory_allowed);

    if (f->batch_fits)
        return deco_fail(DECO_E_MEMORY,
                         "%s: the run needs %s of memory, and %s are allowed here: batches of at most %" PRId64
                         " images would fit (batch_size_known_poses, _pretrain, _hps, _sgd)",
                         p->source, needed, there, f->batch_fits);
    if (f->memory_fits)
        return deco_fail(DECO_E_MEMORY,
                         "%s: the run needs %s of memory, and %s are allowed here: at most %" PRId64 " of its %" PRId64
                         " particles would fit (--ind)",
                         p->source, needed, there, f->memory_fits, p->N);
    return deco_fail(DECO_E_MEMORY,
                     "%s: the run needs %s of memory, and %s are allowed here: no number of particles would fit; a smaller --box, "
                     "--hypervolume_dim or smaller batches may",
                     p->source, needed, there);
}

deco_status deco_forecast_check(const deco_forecast *f, const deco_options *o, const deco_particles *p)
{
    if (f->memory_bytes * (double)f->crew.here > f->memory_allowed)
        return refuse_memory(f, p);
    if (f->disk_bytes > f->disk_free)
        return deco_fail(DECO_E_FILE,
                         "%s: the run needs %s of disk, and %s are free there: %s more, another --outdir, or at most %" PRId64
                         " of the %" PRId64 " particles would do",
                         o->outdir, deco_size_text(f->disk_bytes), deco_size_text(f->disk_free),
                         deco_size_text(f->disk_bytes - f->disk_free), f->disk_fits, p->N);
    return DECO_OK;
}
