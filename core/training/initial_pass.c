/* One pass of the initial model: for each batch the poses that fit (expectation), then the batch's images into the densities
 * (maximisation). */
#include "training/initial_pass.h"

#include "base/philox.h"
#include "formulas/rotation.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHIFT_AXIS = 8,     /* of the first grid of shifts */
    WINDOW_AXIS = 4,    /* of it, around the shift of the pass before */
    COARSE_RADIUS = 12, /* the base grid of rotations is too coarse for more; beyond, there is one level more */
    BATCHES_AHEAD = 2
};

static const double noise_step = 0.1;
static const double least_weight = 1e-3;
static const double balance_step = 0.2;
static const double same_cosine = 0.9396926; /* of 20 degrees */

/* Beyond extent/2.5 from the middle a shift is unlikely: pickers centre particles. */
static const double shift_sigmas = 2.5;

struct deco_initial_pass {
    const deco_initial_job *j;
    int64_t radius, batch, states;
    deco_mask *mask;
    int32_t *shell; /* [P] */
    deco_loader *loader;
    deco_search_sliced *engine;
    float *images, *ctf_values; /* [batch,P] whitened */
    deco_ctf_row *ctf;          /* [batch] not read: ctf_values are given */
    float *R, *shift, *score;   /* [batch,9], [batch,2], [batch] of the search's own choice */
    float *known;               /* [batch,2] shifts of the input; NULL: searched too */
    float *middle;              /* [batch,2] those of the pass before */
    int32_t *against;           /* [batch] the state searched */
    deco_search_pose *found;    /* [states,batch,INITIAL_POSES] */
    int64_t *kept;              /* [states,batch] */
    double *sums; /* [INITIAL_CHUNKS,width] of a chunk: noise's power and points by shell, states' shares, the record's sums */
    int64_t width;
    float *slices; /* [INITIAL_CHUNKS,2,wide] */
    int64_t wide;

    deco_initial_state *d;
    const deco_batch *now;
    bool place;  /* are images laid into densities? */
    double fade; /* of what was laid in before */
};

/* Where a chunk's sums are. */
static double *power_of(const deco_initial_pass *s, int64_t chunk) { return s->sums + chunk * s->width; }
static double *points_of(const deco_initial_pass *s, int64_t chunk) { return power_of(s, chunk) + s->radius + 1; }
static double *shares_of(const deco_initial_pass *s, int64_t chunk) { return points_of(s, chunk) + s->radius + 1; }
static double *record_of(const deco_initial_pass *s, int64_t chunk) { return shares_of(s, chunk) + INITIAL_STATES; }
enum { SAME, SPREAD, LIKELIHOOD, RECORD_SUMS };

static const deco_sliced_level *last_level(const deco_initial_pass *s) { return &s->engine->level[s->engine->levels - 1]; }

static deco_status engine_create(deco_initial_pass *s)
{
    const deco_options *o = s->j->o;
    double extent = deco_option_given(o, DECO_OPT_t_extent) ? o->t_extent : deco_shift_extent(s->j->m->D);
    deco_search_grid grid = {.base_healpy = o->base_healpy,
                             .n_iter = s->radius > COARSE_RADIUS ? 2 : 1,
                             .n_kept = INITIAL_POSES,
                             .l_start = s->radius < COARSE_RADIUS ? s->radius : COARSE_RADIUS,
                             .l_end = s->radius,
                             .t_n_grid = o->t_n_grid,
                             .t_extent = extent,
                             .t_x_shift = o->t_x_shift,
                             .t_y_shift = o->t_y_shift,
                             .no_trans = o->no_trans};
    deco_search_sliced_config c = {.oversampling = 1,
                                   .centroids = s->states,
                                   .base_shift_axis = SHIFT_AXIS,
                                   .window_axis = WINDOW_AXIS,
                                   .chosen = true,
                                   .shift_prior_px = extent / shift_sigmas};
    return deco_search_sliced_create(&s->engine, s->j->m, s->mask, &grid, &c, s->batch);
}

deco_status deco_initial_pass_create(deco_initial_pass **out, const deco_initial_job *j, int64_t radius, int64_t states, int64_t batch)
{
    deco_status st = DECO_OK;
    deco_initial_pass *s = NULL;
    size_t f = sizeof(float), B = (size_t)batch, K = (size_t)states;

    *out = NULL;
    TRY(deco_alloc(&s, 1, sizeof *s, "the initial model"));
    *s = (deco_initial_pass){.j = j, .radius = radius, .batch = batch, .states = states};
    TRY(deco_mask_create(&s->mask, j->m->shape.L, radius));
    TRY(deco_noise_shells(&s->shell, s->mask));
    TRY(deco_loader_create(&s->loader, j->p, s->mask, j->stats, j->m->dev, batch, BATCHES_AHEAD));
    TRY(engine_create(s));
    size_t P = (size_t)s->mask->P;
    s->wide = last_level(s)->half.padded + DECO_HALF_STEP;
    s->width = 2 * (radius + 1) + INITIAL_STATES + RECORD_SUMS;
    TRY(deco_alloc(&s->images, B * P, f, "the initial model"));
    TRY(deco_alloc(&s->ctf_values, B * P, f, "the initial model"));
    TRY(deco_alloc(&s->ctf, B, sizeof *s->ctf, "the initial model"));
    TRY(deco_alloc(&s->R, B, 9 * f, "the initial model"));
    TRY(deco_alloc(&s->shift, B, 2 * f, "the initial model"));
    TRY(deco_alloc(&s->score, B, f, "the initial model"));
    TRY(deco_alloc(&s->middle, B, 2 * f, "the initial model"));
    if (j->o->use_gt_trans)
        TRY(deco_alloc(&s->known, B, 2 * f, "the initial model"));
    TRY(deco_alloc(&s->against, B, sizeof *s->against, "the initial model"));
    TRY(deco_alloc(&s->found, K * B * INITIAL_POSES, sizeof *s->found, "the initial model"));
    TRY(deco_alloc(&s->kept, K * B, sizeof *s->kept, "the initial model"));
    TRY(deco_alloc(&s->sums, INITIAL_CHUNKS * (size_t)s->width, sizeof *s->sums, "the initial model"));
    TRY(deco_alloc(&s->slices, 2 * INITIAL_CHUNKS * (size_t)s->wide, f, "the initial model"));
    *out = s;
    s = NULL;
out:
    deco_initial_pass_free(s);
    return st;
}

void deco_initial_pass_free(deco_initial_pass *s)
{
    if (!s)
        return;
    deco_search_sliced_free(s->engine);
    deco_loader_free(s->loader);
    deco_mask_free(s->mask);
    void *all[] = {s->shell, s->images, s->ctf_values, s->ctf,   s->R,    s->shift, s->score,
                   s->known, s->middle, s->against,    s->found, s->kept, s->sums,  s->slices};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    free(s);
}

/* ---- expectation ------------------------------------------------------------------------------------------------- */

static deco_status whiten_image(void *context, int64_t i, int worker)
{
    deco_initial_pass *s = context;
    int64_t P = s->mask->P;

    (void)worker;
    deco_noise_whiten(s->images + i * P, s->ctf_values + i * P, &s->d->noise, s->now->images + i * P, s->j->p->ctf[s->now->row[i]], s->mask,
                      s->shell);
    return DECO_OK;
}

/* The poses that fit each image best, state by state. */
static deco_status find_poses(deco_initial_pass *s, const deco_search_input *in)
{
    deco_status st = DECO_OK;
    int64_t B = in->B;
    deco_search_output out = {.R = s->R, .shift = s->shift, .score = s->score};

    for (int64_t k = 0; k < s->states; k++)
        if (s->d->source[k] == k)
            TRY(deco_search_sliced_fill(s->engine, k, NULL, deco_voxel_map_value, s->d->map[k]));
    for (int64_t k = 0; k < s->states; k++) {
        if (s->d->source[k] != k)
            continue;
        for (int64_t i = 0; i < B; i++)
            s->against[i] = (int32_t)k;
        TRY(deco_search_sliced_run(s->engine, in, &out, NULL));
        for (int64_t i = 0; i < B; i++) {
            const deco_search_best *best = &s->engine->best[i];
            s->kept[k * B + i] = best->kept;
            memcpy(s->found + (k * B + i) * INITIAL_POSES, best->pose, (size_t)best->kept * sizeof *best->pose);
        }
    }
out:
    return st;
}

static void matrix_of(float R[9], const deco_initial_pass *s, const deco_search_pose *pose)
{
    double q[4], matrix[9];

    deco_so3_quaternion(q, (int)(s->engine->grid.base_healpy + s->engine->levels - 1), pose->rotation);
    deco_rotation_from_quaternion(matrix, q);
    for (int i = 0; i < 9; i++)
        R[i] = (float)matrix[i];
}

/* Keeps the likeliest pose of an image. */
static void keep_pose(deco_initial_pass *s, int64_t chunk, int64_t row, int64_t state, const deco_search_pose *pose)
{
    float R[9], *old = s->j->R + 9 * row;
    double trace = 0;

    matrix_of(R, s, pose);
    for (int i = 0; i < 9; i++)
        trace += (double)R[i] * old[i];
    record_of(s, chunk)[SAME] += trace - 1 > 2 * same_cosine;
    memcpy(old, R, sizeof R);
    memcpy(s->j->shift + 2 * row, pose->shift, sizeof pose->shift);
    s->j->state[row] = (int8_t)state;
}

/* ---- maximisation ------------------------------------------------------------------------------------------------ */

/* The power of image - CTF · slice, without the image's own: CTF² slice² - 2 CTF·image·slice. */
static void add_residual(deco_initial_pass *s, int64_t chunk, int64_t state, double weight, const float R[9], const deco_sliced_scratch *w)
{
    const deco_sliced_level *l = last_level(s);
    double *power = power_of(s, chunk), *points = points_of(s, chunk);
    deco_half_image slice = {s->slices + 2 * chunk * s->wide, s->slices + (2 * chunk + 1) * s->wide};

    s->engine->kernels->slice(slice.at, slice.opposite, &s->engine->snapshot[state], R, &l->half);
    for (int64_t i = 0; i < l->half.points; i++) {
        double c2 = 2 * w->half_ctf2[i], a = slice.at[i], b = slice.opposite[i];
        int64_t r = s->shell[l->point[i]];
        power[r] += weight * (c2 * (a * a + b * b) - 2 * (w->image.at[i] * a + w->image.opposite[i] * b));
        points[r] += 2 * weight;
    }
}

static void add_image_power(deco_initial_pass *s, int64_t chunk, int64_t image)
{
    double *power = power_of(s, chunk);
    const float *at = s->images + image * s->mask->P;

    for (int64_t p = 0; p < s->mask->P; p++)
        power[s->shell[p]] += (double)at[p] * at[p];
}

/* Which of the states that are split off one another gets an image: by lot, a function of seed and row. */
static int64_t heir_of(const deco_initial_pass *s, int64_t state, int64_t row)
{
    deco_random draw = deco_random_at(s->j->seed, DECO_STREAM_INITIAL_STATE, (uint64_t)row);
    int64_t heirs = 0, lot;

    for (int64_t k = 0; k < s->states; k++)
        heirs += s->d->source[k] == state;
    lot = (int64_t)deco_random_below(&draw, (uint64_t)heirs);
    for (int64_t k = 0; k < s->states; k++)
        if (s->d->source[k] == state && lot-- == 0)
            return k;
    return state;
}

static void place(deco_initial_pass *s, int64_t chunk, int64_t image, int64_t state, const deco_search_pose *pose, double weight,
                  deco_sliced_scratch *w)
{
    float R[9];
    int64_t level = s->engine->levels - 1;

    matrix_of(R, s, pose);
    deco_sliced_image_shift(s->engine, level, pose->shift, w);
    deco_voxel_map_add(s->d->map[heir_of(s, state, s->now->row[image])], chunk, R, weight, w->image, w->half_ctf2, &last_level(s)->half);
    add_residual(s, chunk, state, weight, R, w);
}

/* exp(least - score + favour), summed by state; returns the least of all scores less favour. */
static double weigh(double of_state[INITIAL_STATES], const deco_initial_pass *s, int64_t image)
{
    int64_t B = s->now->B;
    double least = INFINITY;

    for (int64_t k = 0; k < s->states; k++)
        if (s->d->source[k] == k)
            least = fmin(least, s->found[(k * B + image) * INITIAL_POSES].score - s->d->favour[k]);
    for (int64_t k = 0; k < s->states; k++) {
        const deco_search_pose *pose = s->found + (k * B + image) * INITIAL_POSES;
        of_state[k] = 0;
        for (int64_t i = 0; s->d->source[k] == k && i < s->kept[k * B + image]; i++)
            of_state[k] += exp(least - pose[i].score + s->d->favour[k]);
    }
    return least;
}

static void spread_image(deco_initial_pass *s, int64_t chunk, int64_t image, deco_sliced_scratch *w)
{
    double of_state[INITIAL_STATES], least = weigh(of_state, s, image), sum = 0, squares = 0;
    int64_t B = s->now->B, likeliest = 0; /* of_state of a state that was not searched is 0 */

    for (int64_t k = 0; k < s->states; k++) {
        sum += of_state[k];
        likeliest = of_state[k] > of_state[likeliest] ? k : likeliest;
    }
    deco_sliced_image_load(s->engine, image, s->engine->levels - 1, true, w);
    for (int64_t k = 0; k < s->states; k++) {
        const deco_search_pose *pose = s->found + (k * B + image) * INITIAL_POSES;
        for (int64_t i = 0; s->d->source[k] == k && i < s->kept[k * B + image]; i++) {
            double weight = exp(least - pose[i].score + s->d->favour[k]) / sum;
            squares += weight * weight;
            if (s->place && weight >= least_weight)
                place(s, chunk, image, k, &pose[i], weight, w);
        }
        if (of_state[k] > 0)
            shares_of(s, chunk)[heir_of(s, k, s->now->row[image])] += of_state[k] / sum;
    }
    record_of(s, chunk)[SPREAD] += 1 / squares;
    record_of(s, chunk)[LIKELIHOOD] += log(sum) - least;
    add_image_power(s, chunk, image);
    keep_pose(s, chunk, s->now->row[image], likeliest, s->found + (likeliest * B + image) * INITIAL_POSES);
}

/* The first density: images at random rotations. */
static void guess_image(deco_initial_pass *s, int64_t chunk, int64_t image, deco_sliced_scratch *w)
{
    deco_random draw = deco_random_at(s->j->seed, DECO_STREAM_INITIAL, (uint64_t)s->now->row[image]);
    double u[3], q[4], matrix[9];
    float R[9];
    int64_t level = s->engine->levels - 1;

    for (int i = 0; i < 3; i++)
        u[i] = deco_random_uniform(&draw);
    deco_quaternion_from_uniform(q, u);
    deco_rotation_from_quaternion(matrix, q);
    for (int i = 0; i < 9; i++)
        R[i] = (float)matrix[i];
    deco_sliced_image_begin(s->engine, image, w);
    deco_sliced_image_load(s->engine, image, level, true, w);
    deco_sliced_image_shift(s->engine, level, s->known ? s->known + 2 * image : (float[2]){0, 0}, w);
    deco_voxel_map_add(s->d->map[0], chunk, R, 1, w->image, w->half_ctf2, &last_level(s)->half);
}

static deco_status run_chunk(void *context, int64_t chunk, int worker)
{
    deco_initial_pass *s = context;
    int64_t B = s->now->B, each = (B + INITIAL_CHUNKS - 1) / INITIAL_CHUNKS;
    deco_sliced_scratch *w = &s->engine->scratch[worker];

    for (int64_t i = chunk * each; i < B && i < (chunk + 1) * each; i++) {
        if (s->d->updates)
            spread_image(s, chunk, i, w);
        else
            guess_image(s, chunk, i, w);
    }
    return DECO_OK;
}

static deco_status update_maps(deco_initial_pass *s)
{
    deco_status st = DECO_OK;

    for (int64_t k = 0; k < s->states; k++)
        if (s->d->source[k] >= 0)
            TRY(deco_voxel_map_update(s->d->map[k], s->fade, s->radius));
    s->d->updates++;
out:
    return st;
}

/* ---- a pass ------------------------------------------------------------------------------------------------------ */

static deco_status run_batch(deco_initial_pass *s)
{
    deco_status st = DECO_OK;
    deco_pool *pool = deco_device_pool(s->j->m->dev);
    deco_initial_state *d = s->d;
    deco_search_input in = {
        .B = s->now->B, .images = s->images, .ctf = s->ctf, .ctf_values = s->ctf_values, .shift = s->known, .snapshot = s->against};

    deco_noise_start(&d->noise, s->now->images, s->now->B, s->mask, s->shell);
    TRY(deco_pool_run(pool, whiten_image, s, s->now->B));
    for (int64_t i = 0; s->known && i < in.B; i++)
        memcpy(s->known + 2 * i, s->j->p->shift + 2 * s->now->row[i], 2 * sizeof *s->known);
    for (int64_t i = 0; d->settled && !s->known && i < in.B; i++)
        memcpy(s->middle + 2 * i, s->j->shift + 2 * s->now->row[i], 2 * sizeof *s->middle);
    if (d->settled && !s->known)
        in.middle = s->middle;
    if (d->updates)
        TRY(find_poses(s, &in));
    else
        memset(s->against, 0, (size_t)in.B * sizeof *s->against);
    s->engine->in = &in; /* the batch's images are laid into the densities from there */
    TRY(deco_pool_run(pool, run_chunk, s, INITIAL_CHUNKS));
    if (s->place)
        TRY(update_maps(s));
out:
    return st;
}

/* A state that gets more than its part of a batch is favoured less in the next: left alone, the one with most images has the least noise and draws
 * all others to it before they differ in anything else. */
static void balance(deco_initial_state *d, const double *got, double B)
{
    double active = 0;

    for (int64_t k = 0; k < d->states; k++)
        active += d->source[k] == k;
    for (int64_t k = 0; k < d->states; k++)
        d->favour[k] = !d->balanced ? 0 : d->source[k] == k ? d->favour[k] - balance_step * log(fmax(active * got[k] / B, 0.05)) : 0;
}

/* Sums of the chunks, in their order. */
static void join_chunks(deco_initial_pass *s)
{
    for (int64_t c = 1; c < INITIAL_CHUNKS; c++)
        for (int64_t i = 0; i < s->width; i++)
            s->sums[i] += s->sums[c * s->width + i];
}

/* Half the logarithm of the noise's variance over an image's points: with it likelihoods under other spectra can be compared. */
static double log_of_noise(const deco_initial_pass *s)
{
    double sum = 0;
    for (int64_t p = 0; p < s->mask->P; p++)
        sum += 0.5 * log(s->d->noise.variance[s->shell[p]]);
    return sum;
}

deco_status deco_initial_pass_run(deco_initial_record *out, deco_initial_pass *s, deco_initial_state *d, const int64_t *row, int64_t n,
                                  double step)
{
    deco_status st = DECO_OK;
    double waited = 0, start = deco_seconds(), shares[INITIAL_STATES] = {0}, seen = 0;

    *out = (deco_initial_record){0};
    s->d = d;
    s->place = step > 0;
    s->fade = 1 - step;
    TRY(deco_loader_start(s->loader, row, n));
    for (int64_t done = 0; done < n;) {
        deco_batch b;
        bool first = d->updates == 0;
        if (deco_monitor_stopped(s->j->mon))
            TRY(deco_fail(DECO_E_STOPPED, "stopped on request in the initial model"));
        TRY(deco_loader_next(s->loader, &b, &waited));
        s->now = &b;
        memset(s->sums, 0, INITIAL_CHUNKS * (size_t)s->width * sizeof *s->sums);
        TRY(run_batch(s));
        done += b.B;
        deco_progress_add(s->j->mon, b.B);
        if (first)
            continue;
        join_chunks(s);
        if (s->place)
            deco_noise_follow(&d->noise, power_of(s, 0), points_of(s, 0), s->radius, noise_step);
        out->same += record_of(s, 0)[SAME];
        out->spread += record_of(s, 0)[SPREAD];
        out->likelihood += record_of(s, 0)[LIKELIHOOD] - (double)b.B * log_of_noise(s);
        balance(d, shares_of(s, 0), (double)b.B);
        for (int64_t k = 0; k < s->states; k++)
            shares[k] += shares_of(s, 0)[k];
        seen += (double)b.B;
    }
    if (seen > 0) {
        out->same /= seen, out->spread /= seen, out->likelihood /= seen;
        for (int64_t k = 0; k < s->states; k++)
            d->share[k] = shares[k] / seen;
    }
    out->seconds = deco_seconds() - start;
out:
    return st;
}

static float nothing(void *context, const double k[3])
{
    (void)context;
    return (float)(1e-3 * k[0]); /* not a constant: poses differ */
}

deco_status deco_initial_pass_seconds(double *out, deco_initial_pass *s, bool around)
{
    deco_status st = DECO_OK;
    deco_search_input in = {.B = s->batch, .images = s->images, .ctf = s->ctf, .ctf_values = s->ctf_values, .snapshot = s->against};
    deco_search_output found = {.R = s->R, .shift = s->shift, .score = s->score};

    if (s->known) /* zeros, as good as any */
        in.shift = s->known;
    else if (around)
        in.middle = s->middle;
    for (int64_t i = 0; i < s->batch * s->mask->P; i++)
        s->ctf_values[i] = 1;
    TRY(deco_search_sliced_fill(s->engine, 0, NULL, nothing, NULL));
    double start = deco_seconds();
    TRY(deco_search_sliced_run(s->engine, &in, &found, NULL));
    *out = (deco_seconds() - start) / (double)s->batch;
out:
    return st;
}
