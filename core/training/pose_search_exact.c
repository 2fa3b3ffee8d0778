/* The exact engine of the pose search: every candidate through the decoder. Reads like METHOD.md section 6. */
#include "formulas/rotation.h"
#include "training/pose_search_exact.h"

static deco_search_best *kept_at(const deco_search_exact *s, int64_t level) { return s->kept + level % 2 * s->batch; }

static void begin_level(deco_search_exact *s, int64_t level, int64_t B)
{
    for (int64_t b = 0; b < B; b++) {
        deco_search_best *best = &kept_at(s, level)[b];
        best->kept = 0;
        best->room = level == s->levels - 1 ? 1 : s->n_kept;
    }
}

static void offer(const deco_search_exact *s, const deco_search_input *in, int64_t level, int64_t b, int64_t rotation, const float *centre,
                  int64_t at)
{
    deco_search_pose pose = {.rotation = rotation, .score = s->host_score[at]};

    search_exact_shift(pose.shift, s, in, level, centre, s->host_best[at]);
    deco_search_offer(&kept_at(s, level)[b], pose);
}

/* A decoder that has diverged gives no score to compare, so fewer are kept than there are candidates. */
static deco_status expect_kept(const deco_search_exact *s, int64_t level, int64_t b, int64_t candidates)
{
    const deco_search_best *best = &kept_at(s, level)[b];

    if (best->kept < best->room && best->kept < candidates)
        return deco_fail(DECO_E_DIVERGED, "pose search: only %lld of %lld candidates of image %lld have a score at level %lld",
                         (long long)best->kept, (long long)candidates, (long long)b, (long long)level);
    return DECO_OK;
}

/* Every rotation of the base grid at every shift; for each rotation the best shift, of these the best rotations. */
static deco_status search_base(deco_search_exact *s, const deco_search_input *in)
{
    deco_status st = DECO_OK;
    const float zero[2] = {0};
    int64_t count = search_exact_base_count(s);

    for (int64_t first = 0; first < count; first += s->base) {
        int64_t n = first + s->base < count ? s->base : count - first, Q = SEARCH_TURNS;
        TRY(deco_search_go_on(in));
        TRY(search_exact_base(s, in, first, n));
        for (int64_t i = 0; i < in->B * n * Q; i++) {
            int64_t b = i / Q / n;
            offer(s, in, 0, b, search_exact_rotation(s, first + i / Q % n, i % Q), in->shift ? in->shift + 2 * b : zero, i);
        }
    }
    for (int64_t b = 0; b < in->B; b++)
        TRY(expect_kept(s, 0, b, count * SEARCH_TURNS));
out:
    return st;
}

/* The neighbours of what the level before kept, each with the shifts around its parent's. */
static deco_status search_children(deco_search_exact *s, const deco_search_input *in, int64_t level)
{
    deco_status st = DECO_OK;

    for (int64_t b0 = 0; b0 < in->B; b0 += s->images_at_once) {
        int64_t b1 = b0 + s->images_at_once < in->B ? b0 + s->images_at_once : in->B, at = 0;
        const deco_search_best *parents = kept_at(s, level - 1) + b0;
        TRY(deco_search_go_on(in));
        TRY(search_exact_children(s, in, level, parents, b0, b1, s->distinct));
        for (int64_t b = b0; b < b1; b++) {
            for (int64_t i = 0; i < parents[b - b0].kept; i++)
                for (int c = 0; c < DECO_SO3_NEIGHBOURS; c++, at++)
                    offer(s, in, level, b, s->host_rotation[s->host_numbers[at]], parents[b - b0].pose[i].shift, at);
            TRY(expect_kept(s, level, b, s->distinct[b - b0]));
        }
    }
out:
    return st;
}

static void report_level(const deco_search_exact *s, int64_t level, int64_t B, deco_search_level *out)
{
    const deco_search_best *best = kept_at(s, level);

    out->kept = best->kept;
    for (int64_t b = 0; b < B; b++)
        for (int64_t i = 0; i < out->kept; i++) {
            const deco_search_pose *p = &best[b].pose[i];
            int64_t at = b * out->kept + i;
            out->rotation[at] = p->rotation;
            out->shift[2 * at] = p->shift[0], out->shift[2 * at + 1] = p->shift[1];
            out->score[at] = p->score;
        }
}

static void write_poses(const deco_search_exact *s, int64_t B, const deco_search_output *out)
{
    const deco_search_best *best = kept_at(s, s->levels - 1);

    for (int64_t b = 0; b < B; b++) {
        const deco_search_pose *p = best[b].pose;
        double q[4], R[9];
        deco_so3_quaternion(q, s->level[s->levels - 1].order, p->rotation);
        deco_rotation_from_quaternion(R, q);
        for (int i = 0; i < 9; i++)
            out->R[9 * b + i] = (float)R[i];
        out->shift[2 * b] = p->shift[0], out->shift[2 * b + 1] = p->shift[1];
        out->score[b] = p->score;
    }
}

deco_status deco_search_exact_run(deco_search_exact *s, const deco_search_input *in, const deco_search_output *out,
                                  deco_search_level *levels)
{
    deco_status st = DECO_OK;

    if (in->B < 1 || in->B > s->batch)
        return deco_fail(DECO_E_ARGUMENT, "a batch of %lld images; this pose search takes 1 to %lld", (long long)in->B,
                         (long long)s->batch);
    if (s->Z && !in->z)
        return deco_fail(DECO_E_ARGUMENT, "a pose search without latents; the model has %lld a particle", (long long)s->Z);
    TRY(search_exact_batch(s, in));
    for (int64_t level = 0; level < s->levels; level++) {
        begin_level(s, level, in->B);
        TRY(search_exact_load(s, in, level));
        TRY(level ? search_children(s, in, level) : search_base(s, in));
        if (levels)
            report_level(s, level, in->B, &levels[level]);
    }
    write_poses(s, in->B, out);
out:
    return st;
}
