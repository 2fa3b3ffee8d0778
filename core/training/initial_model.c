/* The initial model: starts, one against the other; then states; then one frame for all. */
#include "training/initial_pass.h"

#include "base/philox.h"
#include "training/pose_frame.h"
#include "training/voxel_register.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RENEWALS = 80,    /* new densities a pass, ... */
    LEAST_BATCH = 25, /* ... but each for so many images, of which it takes its own time */
    MOST_STARTS = 16,
    CALM_RADII = 2, /* at which poses rested, one after the other: the next are as good as done */
    SETTLING = 4,   /* passes a split is given: states are balanced in the first ones, and split off again where they stayed empty */
};

/* Share of the newest batch in the sums, from the first pass to the last: many changes at first, many images at last. */
static const double first_step = 0.2, last_step = 0.03;

/* Of Wiener's filter. While poses and states are sought, the noise of a few hundred images stays in a density: it keeps poses moving from batch
 * to batch until they fit something. (With 1, and 20 densities a pass, a set at SNR 0.1 stayed stuck from each of 3 seeds; with 2, all
 * states became one; with 20, and 80 densities, it converged.) The last passes want the better density. */
static const double gain_of_search = 20, gain_at_last = 2;
enum { LAST_PASSES = 3 };

static const double at_rest = 0.97;                         /* of the poses as in the pass before */
static const double settled_share = 0.8;                    /* of them: the others' shifts are right as a rule, too */
static const double mask_share = 0.45;                      /* radius of the density over the box: what the window leaves whole */
static const double thin_share = 0.03, empty_share = 0.005; /* of the images: a state to be split off again, and one left out until then */
static const double agree_deg = 20;
static const double displaced_share = 0.15; /* of the box, at most, between the frames of two states */

typedef struct initial_run {
    deco_initial_job job;
    uint64_t seed;
    int64_t images, batch, passes; /* of a whole run through all radii */
    int64_t *rows, *order;         /* [N] the images taken come first; [N] of a pass */
    float *started[MOST_STARTS];   /* [images,9] rotations that a start ended with, then [images,2] shifts */
    double same[MOST_STARTS];      /* and how many of the poses were those of its last pass but one */
} initial_run;

static int64_t images_of(const deco_options *o, int64_t N) { return N < o->initial_images ? N : o->initial_images; }

static int64_t radius_at(const deco_list *list, int64_t i, int64_t D)
{
    int64_t r = (int64_t)deco_list_number(list, i), most = D / 2 - 1;
    return r < most ? r : most;
}

static int64_t widest_of(const deco_options *o, int64_t D)
{
    int64_t widest = 1;
    for (int64_t i = 0; i < o->initial_radii.count; i++)
        widest = radius_at(&o->initial_radii, i, D) > widest ? radius_at(&o->initial_radii, i, D) : widest;
    for (int64_t i = 0; i < o->initial_state_radii.count; i++)
        widest = radius_at(&o->initial_state_radii, i, D) > widest ? radius_at(&o->initial_state_radii, i, D) : widest;
    return widest;
}

/* ---- what a start works on --------------------------------------------------------------------------------------- */

static deco_status add_map(deco_initial_state *d, const initial_run *r)
{
    const deco_model *m = r->job.m;
    int64_t k = d->states;
    deco_status st = deco_voxel_map_create(&d->map[k], m->dev, m->D, widest_of(r->job.o, m->D), mask_share * (double)m->D, INITIAL_CHUNKS);

    if (st)
        return st;
    d->map[k]->gain = gain_of_search;
    d->source[k] = k;
    d->states++;
    return DECO_OK;
}

static deco_status state_create(deco_initial_state *d, const initial_run *r)
{
    deco_status st = DECO_OK;

    *d = (deco_initial_state){.share = {1}};
    TRY(deco_noise_create(&d->noise, widest_of(r->job.o, r->job.m->D)));
    TRY(add_map(d, r));
out:
    return st;
}

static void state_free(deco_initial_state *d)
{
    for (int64_t k = 0; k < INITIAL_STATES; k++)
        deco_voxel_map_free(d->map[k]);
    deco_noise_free(&d->noise);
    *d = (deco_initial_state){0};
}

/* ---- passes ------------------------------------------------------------------------------------------------------ */

static void tell_pass(const initial_run *r, const deco_initial_state *d, int64_t start, int64_t pass, int64_t radius,
                      const deco_initial_record *rec)
{
    cJSON *fields = cJSON_CreateObject(), *shares = cJSON_AddArrayToObject(fields, "shares");

    deco_info(
        r->job.mon,
        "initial model, start %lld, pass %lld of %lld: radius %lld, %lld state%s, likelihood %.3f, %.1f poses an image, %.0f %% of the "
        "poses as in the pass before, %.1f s",
        (long long)start + 1, (long long)pass + 1, (long long)r->passes, (long long)radius, (long long)d->states, d->states > 1 ? "s" : "",
        rec->likelihood, rec->spread, 100 * rec->same, rec->seconds);
    cJSON_AddNumberToObject(fields, "epoch", -1);
    cJSON_AddNumberToObject(fields, "start", (double)start + 1);
    cJSON_AddNumberToObject(fields, "pass", (double)pass + 1);
    cJSON_AddNumberToObject(fields, "radius", (double)radius);
    cJSON_AddNumberToObject(fields, "likelihood", rec->likelihood);
    cJSON_AddNumberToObject(fields, "poses_an_image", rec->spread);
    cJSON_AddNumberToObject(fields, "same_poses", rec->same);
    cJSON_AddNumberToObject(fields, "seconds", rec->seconds);
    for (int64_t k = 0; k < d->states; k++)
        cJSON_AddItemToArray(shares, cJSON_CreateNumber(d->share[k]));
    deco_metric(r->job.mon, "initial_pass", fields);
}

/* One pass after another through a list of radii; `first` passes were made before, the last of which left `rec`. Passes at the radius of one
 * that left poses at rest are left out; after two such radii running all others but the last. */
static deco_status run_passes(initial_run *r, deco_initial_state *d, int64_t start, const deco_list *radii, int64_t first,
                              void (*before)(deco_initial_state *d, int64_t pass, int64_t passes), deco_initial_record *rec)
{
    deco_status st = DECO_OK;
    deco_initial_pass *pass = NULL;
    int64_t now = 0, last = radii->count ? radius_at(radii, radii->count - 1, r->job.m->D) : 0, rested = 0;

    for (int64_t i = 0; i < radii->count; i++) {
        int64_t at = first + i, radius = radius_at(radii, i, r->job.m->D);
        double share = r->passes > 1 ? (double)at / (double)(r->passes - 1) : 1;
        deco_random draw = deco_random_at(r->job.seed, DECO_STREAM_INITIAL_ORDER, (uint64_t)at);
        bool rests = rec->same >= at_rest && !d->balanced;
        if (radius != now)
            rested = rests ? rested + 1 : 0;
        if (rests && (radius == now || (rested >= CALM_RADII && radius != last)))
            continue;
        d->settled = rec->same >= settled_share;
        if (before)
            before(d, i, radii->count);
        if (radius != now) {
            deco_initial_pass_free(pass);
            pass = NULL;
            TRY(deco_initial_pass_create(&pass, &r->job, radius, d->states, r->batch));
            now = radius;
        }
        deco_random_permutation(&draw, r->order, r->images);
        for (int64_t k = 0; k < r->images; k++)
            r->order[k] = r->rows[r->order[k]];
        deco_progress_begin(r->job.mon, "initial model", r->images, "images");
        st = deco_initial_pass_run(rec, pass, d, r->order, r->images, first_step + share * (last_step - first_step));
        deco_progress_end(r->job.mon);
        TRY(st);
        tell_pass(r, d, start, at, radius, rec);
    }
out:
    deco_initial_pass_free(pass);
    return st;
}

/* ---- starts ------------------------------------------------------------------------------------------------------ */

static deco_status keep_start(initial_run *r, int64_t start, double same)
{
    deco_status st = deco_alloc(&r->started[start], (size_t)r->images, 11 * sizeof *r->started[start], "the poses of a start");

    r->same[start] = same;
    for (int64_t i = 0; !st && i < r->images; i++) {
        memcpy(r->started[start] + 9 * i, r->job.R + 9 * r->rows[i], 9 * sizeof *r->started[start]);
        memcpy(r->started[start] + 9 * r->images + 2 * i, r->job.shift + 2 * r->rows[i], 2 * sizeof *r->started[start]);
    }
    return st;
}

/* The job's poses are again those that a start ended with. */
static void go_back_to(initial_run *r, int64_t start)
{
    for (int64_t i = 0; i < r->images; i++) {
        memcpy(r->job.R + 9 * r->rows[i], r->started[start] + 9 * i, 9 * sizeof *r->started[start]);
        memcpy(r->job.shift + 2 * r->rows[i], r->started[start] + 9 * r->images + 2 * i, 2 * sizeof *r->started[start]);
    }
}

/* The start before this one that agrees with it most. */
static deco_status best_agreement(double *best, int64_t *with, const initial_run *r, int64_t start)
{
    deco_status st = DECO_OK;

    *best = 0;
    for (int64_t i = 0; i < start; i++) {
        deco_random draw = deco_random_at(r->seed, DECO_STREAM_INITIAL_ORDER, ((uint64_t)1 << 40) + (uint64_t)(start * MOST_STARTS + i));
        double share;
        TRY(deco_pose_agreement(&share, r->started[start], r->started[i], r->images, agree_deg, &draw));
        if (share > *best)
            *best = share, *with = i;
    }
out:
    return st;
}

static void tell_start(const initial_run *r, int64_t start, double likelihood, double agreement, int64_t with)
{
    if (start == 0)
        return;
    deco_info(r->job.mon, "initial model: start %lld has %.0f %% of its poses within %.0f deg of those of start %lld, beyond chance",
              (long long)start + 1, 100 * agreement, agree_deg, (long long)with + 1);
    cJSON *fields = cJSON_CreateObject();
    cJSON_AddNumberToObject(fields, "epoch", -1);
    cJSON_AddNumberToObject(fields, "start", (double)start + 1);
    cJSON_AddNumberToObject(fields, "like", (double)with + 1);
    cJSON_AddNumberToObject(fields, "agreement", agreement);
    cJSON_AddNumberToObject(fields, "likelihood", likelihood);
    deco_metric(r->job.mon, "initial_start", fields);
}

/* Starts until two agree, at most initial_starts. What one of the two found is left in `d`: the newest, or the other where that was the
 * likeliest so far and still is; of starts that do not agree, what the likeliest found; and its poses in the job. Each start's seed is its
 * own. */
static deco_status run_starts(initial_run *r, deco_initial_state *d, deco_initial_record *last, deco_initial_result *out)
{
    deco_status st = DECO_OK;
    deco_initial_state now = {0};
    double best = -INFINITY;
    int64_t kept = -1;

    for (int64_t s = 0; s < r->job.o->initial_starts; s++) {
        deco_random draw = deco_random_at(r->seed, DECO_STREAM_INITIAL, ((uint64_t)1 << 40) + (uint64_t)s);
        deco_initial_record rec = {0};
        int64_t with = 0;
        r->job.seed = (uint64_t)deco_random_u32(&draw) << 32 | deco_random_u32(&draw);
        TRY(state_create(&now, r));
        TRY(run_passes(r, &now, s, &r->job.o->initial_radii, 0, NULL, &rec));
        TRY(keep_start(r, s, rec.same));
        double agreement;
        TRY(best_agreement(&agreement, &with, r, s));
        tell_start(r, s, rec.likelihood, agreement, with);
        out->starts = s + 1;
        out->agreement = agreement > out->agreement ? agreement : out->agreement;
        out->spread = rec.spread;
        bool agrees = agreement >= DECO_INITIAL_AGREES;
        if (kept < 0 || rec.likelihood > best || (agrees && kept != with)) { /* a third start, however likely, is not what two agreed on */
            state_free(d);
            *d = now;
            now = (deco_initial_state){0};
            best = rec.likelihood, kept = s;
        }
        state_free(&now);
        if (agrees)
            break;
    }
    go_back_to(r, kept);
    *last = (deco_initial_record){.same = r->same[kept]};
    if (r->job.o->initial_starts > 1)
        deco_info(r->job.mon, "initial model: going on with start %lld", (long long)kept + 1);
out:
    state_free(&now);
    return st;
}

/* ---- states ------------------------------------------------------------------------------------------------------ */

/* Splits off the largest state every one that has next to no images, while there are passes left for it to settle. */
static void prepare_states(deco_initial_state *d, int64_t pass, int64_t passes)
{
    int64_t largest = 0;

    for (int64_t k = 0; k < d->states; k++) {
        d->source[k] = k;
        d->favour[k] = 0;
        d->map[k]->gain = pass + LAST_PASSES < passes ? gain_of_search : gain_at_last;
        largest = d->share[k] > d->share[largest] ? k : largest;
    }
    d->balanced = pass < SETTLING;
    bool split = pass % SETTLING == 0 && pass + SETTLING <= passes;
    for (int64_t k = 0; k < d->states; k++)
        if (split && d->share[k] < thin_share) {
            d->source[k] = largest;
            deco_voxel_map_copy(d->map[k], d->map[largest]);
        } else if (d->share[k] < empty_share) {
            d->source[k] = -1;
        }
}

static deco_status run_states(initial_run *r, deco_initial_state *d, deco_initial_record *rec, deco_initial_result *out)
{
    deco_status st = DECO_OK;
    const deco_options *o = r->job.o;

    if (!o->initial_state_radii.count)
        return DECO_OK;
    while (d->states < o->initial_states)
        TRY(add_map(d, r));
    TRY(run_passes(r, d, out->starts - 1, &o->initial_state_radii, o->initial_radii.count, prepare_states, rec));
    out->spread = rec->spread;
out:
    return st;
}

/* All states' poses in the frame of the largest. */
static deco_status join_frames(initial_run *r, const deco_initial_state *d, deco_initial_result *out)
{
    deco_status st = DECO_OK;
    int64_t largest = 0, radius = widest_of(r->job.o, r->job.m->D);
    bool moves = !r->job.o->use_gt_trans && !r->job.o->no_trans; /* given shifts have one origin */
    double reach = moves ? displaced_share * (double)r->job.m->D : 0;

    for (int64_t k = 0; k < d->states; k++) {
        largest = d->share[k] > d->share[largest] ? k : largest;
        out->states += d->source[k] == k;
    }
    for (int64_t k = 0; k < d->states; k++) {
        deco_registration g;
        if (k == largest || d->source[k] != k)
            continue;
        TRY(deco_voxel_register(&g, d->map[largest], d->map[k], radius, reach));
        deco_info(r->job.mon,
                  "initial model: state %lld (%.0f %% of the images) turned by %.0f deg, moved by %.1f px%s onto state %lld (%.0f %%); "
                  "correlation %.2f",
                  (long long)k + 1, 100 * d->share[k], deco_registration_angle_deg(&g),
                  sqrt(g.t[0] * g.t[0] + g.t[1] * g.t[1] + g.t[2] * g.t[2]), g.mirrored ? ", mirrored" : "", (long long)largest + 1,
                  100 * d->share[largest], g.correlation);
        for (int64_t i = 0; i < r->job.m->N; i++)
            if (r->job.state[i] == k)
                deco_registration_apply(r->job.R + 9 * i, r->job.shift + 2 * i, &g);
    }
out:
    return st;
}

/* Poses for the images that took no part; for all, where no pass came after the starts. */
static deco_status place_others(initial_run *r, deco_initial_state *d)
{
    deco_status st = DECO_OK;
    deco_initial_pass *pass = NULL;
    deco_initial_record rec;
    int64_t first = r->job.o->initial_state_radii.count ? r->images : 0, others = r->job.m->N - first;

    if (!others)
        return DECO_OK;
    deco_progress_begin(r->job.mon, "poses of the particles", others, "images");
    TRY(deco_initial_pass_create(&pass, &r->job, widest_of(r->job.o, r->job.m->D), d->states, r->batch));
    d->settled = false;
    TRY(deco_initial_pass_run(&rec, pass, d, r->rows + first, others, 0));
out:
    deco_progress_end(r->job.mon);
    deco_initial_pass_free(pass);
    return st;
}

deco_status deco_initial_model_run(deco_initial_result *out, deco_model *m, const deco_particles *p, const deco_image_stats *stats,
                                   const deco_options *o, uint64_t seed, deco_monitor *mon)
{
    deco_status st = DECO_OK;
    initial_run r = {.job = {.m = m, .p = p, .stats = stats, .o = o, .mon = mon}, .seed = seed, .images = images_of(o, p->N)};
    deco_initial_state d = {0};
    deco_initial_record rec = {0};
    deco_random draw = deco_random_at(seed, DECO_STREAM_INITIAL_ORDER, (uint64_t)1 << 50);

    *out = (deco_initial_result){0};
    r.batch = (r.images + RENEWALS - 1) / RENEWALS;
    r.batch = r.batch > LEAST_BATCH ? r.batch : LEAST_BATCH;
    r.passes = o->initial_radii.count + o->initial_state_radii.count;
    TRY(deco_alloc(&r.rows, (size_t)p->N, sizeof *r.rows, "the initial model"));
    TRY(deco_alloc(&r.order, (size_t)p->N, sizeof *r.order, "the initial model"));
    TRY(deco_alloc(&r.job.R, (size_t)p->N, 9 * sizeof *r.job.R, "the initial model"));
    TRY(deco_alloc(&r.job.shift, (size_t)p->N, 2 * sizeof *r.job.shift, "the initial model"));
    TRY(deco_alloc(&r.job.state, (size_t)p->N, sizeof *r.job.state, "the initial model"));
    deco_random_permutation(&draw, r.rows, p->N);
    TRY(run_starts(&r, &d, &rec, out));
    TRY(run_states(&r, &d, &rec, out));
    TRY(place_others(&r, &d));
    TRY(join_frames(&r, &d, out));
    TRY(deco_poses_put(m, NULL, p->N, r.job.R, r.job.shift));
out:
    state_free(&d);
    for (int64_t i = 0; i < MOST_STARTS; i++)
        free(r.started[i]);
    free(r.rows);
    free(r.order);
    free(r.job.R);
    free(r.job.shift);
    free(r.job.state);
    return st;
}

size_t deco_initial_model_bytes(const deco_options *o, int64_t N, int64_t D)
{
    double points = 3.1416 * (double)(widest_of(o, D) * widest_of(o, D)), batch = (double)images_of(o, N) / RENEWALS + LEAST_BATCH;

    return (size_t)o->initial_states * deco_voxel_map_bytes(widest_of(o, D), INITIAL_CHUNKS) + deco_voxel_update_bytes(widest_of(o, D)) +
           (size_t)(batch * points * 4 * 4 + (double)N * 61 + (double)o->initial_starts * (double)images_of(o, N) * 44);
}

/* ---- forecast ---------------------------------------------------------------------------------------------------- */

enum { MEASURED_IMAGES = 64 };

/* Seconds that an image's searches take in passes through a list of radii, measured at the middle one: with all shifts in `wide` of the passes,
 * around those of before in the others. */
static deco_status seconds_of_passes(double *out, const deco_initial_job *j, const deco_list *radii, int64_t wide)
{
    deco_status st = DECO_OK;
    deco_initial_pass *pass = NULL;
    double all = 0, around = 0;

    *out = 0;
    if (!radii->count)
        return DECO_OK;
    TRY(deco_initial_pass_create(&pass, j, radius_at(radii, radii->count / 2, j->m->D), 1,
                                 j->p->N < MEASURED_IMAGES ? j->p->N : MEASURED_IMAGES));
    if (wide > 0)
        TRY(deco_initial_pass_seconds(&all, pass, false));
    if (wide < radii->count)
        TRY(deco_initial_pass_seconds(&around, pass, true));
    *out = (double)wide * all + (double)(radii->count - wide) * around;
out:
    deco_initial_pass_free(pass);
    return st;
}

/* Passes of a start until its poses have settled, and shifts are sought around those of before: as a rule those at its first radius. */
static int64_t unsettled_passes(const deco_list *radii, int64_t D)
{
    int64_t n = 0;
    while (n < radii->count && radius_at(radii, n, D) == radius_at(radii, 0, D))
        n++;
    return n;
}

/* Two starts as a rule agree, and of the states that are sought a half stays empty and is not searched. */
deco_status deco_initial_model_seconds(double *out, deco_model *m, const deco_particles *p, const deco_options *o)
{
    deco_status st = DECO_OK;
    deco_initial_job j = {.m = m, .p = p, .stats = &(deco_image_stats){.std = 1}, .o = o};
    double starts = o->initial_starts < 2 ? 1 : 2, states = 0.5 * (double)(1 + o->initial_states), start, state;

    TRY(seconds_of_passes(&start, &j, &o->initial_radii, unsettled_passes(&o->initial_radii, m->D)));
    TRY(seconds_of_passes(&state, &j, &o->initial_state_radii, 0));
    *out = (double)images_of(o, p->N) * (starts * start + states * state);
out:
    return st;
}
