/* The exact pose search against the golden numbers: scores of every candidate at every level, what each level keeps, what is found. */
#include "formulas/rotation.h"
#include "geometry/levels.h"
#include "training/pose_search_exact.h"
#include "unit/model/golden_decoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_LEVELS = 16 };
static const double shift_extent = 20; /* t_extent and t_n_grid of METHOD.md */
static const int shift_points = 7;

typedef struct set {
    deco_device *dev;
    deco_model *m;
    deco_mask *mask;
    deco_search_grid grid;
    deco_search_exact *search;
    deco_search_input in;
    const char *variant;
    float *images, *ctf;
    golden_array z, true_t;
} set;

static const char *file_of(const set *s, int64_t level, const char *what)
{
    static char name[4][96];
    static unsigned next;
    char *out = name[next++ % 4];
    snprintf(out, sizeof name[0], "k_pose_search/%s/level%lld_%s.npy", s->variant, (long long)level, what);
    return out;
}

static float *masked(const char *file, const deco_mask *mask, int64_t B)
{
    golden_array a = golden_read(file);
    int64_t LL = mask->L * mask->L;
    float *out = calloc((size_t)(B * mask->P), sizeof *out);
    assert_int_equal(a.count, B * LL);
    for (int64_t i = 0; i < B * mask->P; i++)
        out[i] = a.f[i / mask->P * LL + mask->index[i % mask->P]];
    golden_free(&a);
    return out;
}

static void begin(set *s, const char *variant, bool known_shift)
{
    golden_array c = golden_read("k_pose_search/config.npy");
    deco_hypervolume h = {(int64_t)c.v[0], (int64_t)c.v[1], (int64_t)c.v[2], (int64_t)c.v[3], (int64_t)c.v[4], true};
    int64_t B = (int64_t)c.v[5];

    *s = (set){.variant = variant};
    s->grid = (deco_search_grid){.base_healpy = 2, .n_iter = (int64_t)c.v[9], .n_kept = (int64_t)c.v[8]};
    s->grid.l_start = (int64_t)c.v[6], s->grid.l_end = (int64_t)c.v[7];
    s->grid.t_n_grid = shift_points, s->grid.t_extent = shift_extent;
    assert_true(s->grid.n_iter < MOST_LEVELS);
    assert_int_equal(deco_device_create(&s->dev, "cpu", 2), DECO_OK);
    assert_int_equal(deco_model_allocate(&s->m, s->dev, &h, 0, DECO_HOLD_TABLES), DECO_OK);
    golden_decoder_load(s->m, "k_pose_search/weights.safetensors");
    assert_int_equal(deco_mask_create(&s->mask, h.L, h.L / 2), DECO_OK);
    s->z = golden_read("k_pose_search/z.npy");
    s->true_t = golden_read("k_pose_search/true_t.npy");
    s->images = masked("k_pose_search/y.npy", s->mask, B);
    s->ctf = masked("k_pose_search/ctf.npy", s->mask, B);
    s->in = (deco_search_input){.B = B, .images = s->images, .ctf_values = s->ctf, .z = s->z.f};
    s->in.shift = known_shift ? s->true_t.f : NULL;
    assert_int_equal(deco_search_exact_create(&s->search, s->m, s->mask, &s->grid, B), DECO_OK);
    golden_free(&c);
}

static void end(set *s)
{
    deco_search_exact_free(s->search);
    deco_mask_free(s->mask);
    deco_model_free(s->m);
    deco_device_free(s->dev);
    golden_free(&s->z);
    golden_free(&s->true_t);
    free(s->images);
    free(s->ctf);
}

/* The first number of a tolerance's words that follows `after`. */
static double number_after(const char *file, const char *after)
{
    char *words = golden_words(file), *at = strstr(words, after);
    assert_non_null(at);
    double x = strtod(at + strlen(after), NULL);
    assert_true(x > 0);
    free(words);
    return x;
}

static int64_t rotation_of(int order, double direction, double angle)
{
    int64_t circle = deco_so3_angles(order);
    return deco_so3_number(order, (int64_t)direction, (((int64_t)angle % circle) + circle) % circle);
}

/* ---- grids ------------------------------------------------------------------------------------------------------ */

static void radii_and_circles_of_the_levels(void **state)
{
    set s;
    begin(&s, "exact", false);
    golden_array radii = golden_read("k_pose_search/radii.npy");
    assert_int_equal(radii.count, s.grid.n_iter + 1);
    for (int64_t i = 0; i < radii.count; i++) {
        char name[64];
        deco_mask *circle;
        int64_t l = deco_level_radius((int)i, (int)s.grid.n_iter, s.grid.l_start, s.grid.l_end, s.mask->L);
        snprintf(name, sizeof name, "k_pose_search/mask_level%lld.npy", (long long)i);
        golden_array points = golden_read(name);
        assert_int_equal(l, (int64_t)radii.v[i]);
        assert_int_equal(deco_mask_create(&circle, s.mask->L, l), DECO_OK);
        assert_int_equal(circle->P, points.count);
        for (int64_t p = 0; p < points.count; p++) {
            assert_int_equal(circle->index[p], (int64_t)points.v[p]);
            assert_int_equal(s.mask->index[s.search->level[i].place[p]], circle->index[p]);
        }
        deco_mask_free(circle);
        golden_free(&points);
    }
    golden_free(&radii);
    end(&s);
}

/* ---- scores ----------------------------------------------------------------------------------------------------- */

/* Score of one image at one pose, straight from METHOD.md on the decoder's slice, in double. */
static double score_at(const set *s, int64_t image, int64_t level, int64_t rotation, const float shift[2])
{
    const search_exact_level *l = &s->search->level[level];
    const deco_hypervolume *h = &s->m->shape;
    double q[4], wide[9], sum = 0;
    float R[9], *slice = calloc((size_t)l->P, sizeof *slice);
    deco_so3_quaternion(q, l->order, rotation);
    deco_rotation_from_quaternion(wide, q);
    for (int i = 0; i < 9; i++)
        R[i] = (float)wide[i];
    assert_int_equal(deco_hypervolume_values(s->dev, h, deco_f32_2(slice, 1, l->P), deco_none(),
                                             deco_f32_1(s->m->decoder.x, s->m->decoder.count), deco_f32_2(s->m->freqs, 3 * h->pe_dim, 3),
                                             deco_f32_2(l->k, l->P, 2), deco_f32_3(R, 1, 3, 3), deco_f32_2(s->z.f + image * h->Z, 1, h->Z)),
                     DECO_OK);
    const float *y = s->images + image * s->mask->P, *ctf = s->ctf + image * s->mask->P;
    for (int64_t p = 0; p < l->P; p++) {
        double x = (double)ctf[l->place[p]] * slice[p];
        double a = 2 * 3.14159265358979323846 * ((double)l->k[2 * p] * shift[0] + (double)l->k[2 * p + 1] * shift[1]);
        sum += x * x / 2 - x * (cos(a) * y[l->place[p]] + sin(a) * y[l->place[l->P - 1 - p]]);
    }
    free(slice);
    return sum;
}

/* "where the next best shift is further than the tolerance": elsewhere the golden shift must score the same to within it. */
static void expect_shift(const set *s, int64_t image, int64_t level, int64_t rotation, const float centre[2], int32_t mine, int32_t golden,
                         double bound)
{
    float a[2], b[2];
    if (mine == golden)
        return;
    search_exact_shift(a, s->search, &s->in, level, centre, mine);
    search_exact_shift(b, s->search, &s->in, level, centre, golden);
    double ours = score_at(s, image, level, rotation, a), theirs = score_at(s, image, level, rotation, b);
    if (!(fabs(ours - theirs) <= bound))
        fail_msg("%s level %lld, image %lld, rotation %lld: shift %d scores %.9g, the golden %d %.9g", s->variant, (long long)level,
                 (long long)image, (long long)rotation, mine, ours, golden, theirs);
}

static double largest(const golden_array *a)
{
    double x = 0;
    for (int64_t i = 0; i < a->count; i++)
        x = fmax(x, fabs(a->v[i]));
    return x;
}

static void base_scores(const set *s)
{
    int64_t B = s->in.B, n = search_exact_base_count(s->search), Q = SEARCH_TURNS, all = n * Q;
    const char *file = file_of(s, 0, "score");
    golden_array score = golden_read(file), shift = golden_read(file_of(s, 0, "shift"));
    double *mine = calloc((size_t)(B * all), sizeof *mine), bound = number_after(file, "") * largest(&score);
    const float zero[2] = {0};

    assert_int_equal(score.count, B * all);
    assert_int_equal(search_exact_load(s->search, &s->in, 0), DECO_OK);
    for (int64_t first = 0; first < n; first += s->search->base) {
        int64_t some = first + s->search->base < n ? s->search->base : n - first;
        assert_int_equal(search_exact_base(s->search, &s->in, first, some), DECO_OK);
        for (int64_t i = 0; i < B * some * Q; i++) {
            int64_t b = i / Q / some, rotation = search_exact_rotation(s->search, first + i / Q % some, i % Q), at = b * all + rotation;
            mine[at] = s->search->host_score[i];
            expect_shift(s, b, 0, rotation, s->in.shift ? s->in.shift + 2 * b : zero, s->search->host_best[i], (int32_t)shift.v[at], bound);
        }
    }
    golden_expect(file, mine, B * all);
    free(mine);
    golden_free(&score);
    golden_free(&shift);
}

/* What the reference kept at the level before, in its order: so candidate 8·kept + neighbour is a child of kept pose `kept`. */
static deco_search_best *golden_parents(const set *s, int64_t level)
{
    golden_array kept = golden_read(file_of(s, level - 1, "kept_pose"));
    int64_t B = s->in.B, n = kept.shape[1];
    deco_search_best *out = calloc((size_t)B, sizeof *out);
    for (int64_t b = 0; b < B; b++) {
        out[b] = (deco_search_best){.pose = calloc((size_t)n, sizeof *out->pose), .kept = n, .room = n};
        for (int64_t i = 0; i < n; i++) {
            const double *v = kept.v + 4 * (b * n + i);
            out[b].pose[i].rotation = rotation_of((int)(s->grid.base_healpy + level - 1), v[0], v[1]);
            out[b].pose[i].shift[0] = (float)v[2], out[b].pose[i].shift[1] = (float)v[3];
        }
    }
    golden_free(&kept);
    return out;
}

/* Which of a parent's 8 neighbours is which depends on how equal distances were ordered, so scores are matched by rotation. */
static void child_scores(const set *s, int64_t level)
{
    enum { C = DECO_SO3_NEIGHBOURS };
    const char *file = file_of(s, level, "score");
    golden_array score = golden_read(file), shift = golden_read(file_of(s, level, "shift")),
                 index = golden_read(file_of(s, level, "index"));
    deco_search_best *parent = golden_parents(s, level);
    int64_t B = s->in.B, n = parent->kept, missing = 0, distinct[64];
    double *mine = malloc((size_t)score.count * sizeof *mine), bound = number_after(file, "") * largest(&score);

    assert_true(B <= 64 && B <= s->search->images_at_once);
    assert_int_equal(score.count, B * n * C);
    assert_int_equal(search_exact_load(s->search, &s->in, level), DECO_OK);
    assert_int_equal(search_exact_children(s->search, &s->in, level, parent, 0, B, distinct), DECO_OK);
    for (int64_t i = 0; i < score.count; i++) {
        int64_t g = i / C, at = g * C;
        int64_t rotation = rotation_of((int)(s->grid.base_healpy + level), index.v[2 * i], index.v[2 * i + 1]);
        while (at < (g + 1) * C && s->search->host_rotation[s->search->host_numbers[at]] != rotation)
            at++;
        mine[i] = score.v[i];
        if (at == (g + 1) * C) {
            missing++;
            continue;
        }
        mine[i] = s->search->host_score[at];
        expect_shift(s, g / n, level, rotation, parent[g / n].pose[g % n].shift, s->search->host_best[at], (int32_t)shift.v[i], bound);
    }
    assert_true(missing <= score.count / 8); /* of parents whose distances tie, an eighth or two of the neighbours are others */
    golden_expect(file, mine, score.count);
    for (int64_t b = 0; b < B; b++)
        free(parent[b].pose);
    free(parent);
    free(mine);
    golden_free(&score);
    golden_free(&shift);
    golden_free(&index);
}

static void check_scores(const char *variant, bool known_shift)
{
    set s;
    begin(&s, variant, known_shift);
    assert_int_equal(search_exact_batch(s.search, &s.in), DECO_OK);
    base_scores(&s);
    for (int64_t level = 1; level <= s.grid.n_iter; level++)
        child_scores(&s, level);
    end(&s);
}

static void scores_of_all_candidates(void **state) { check_scores("exact", false); }
static void scores_at_known_shifts(void **state) { check_scores("given_shift", true); }

/* ---- whole searches --------------------------------------------------------------------------------------------- */

/* The reference may keep a rotation twice, from two parents; here it counts once, and others follow. Each of its distinct rotations,
 * at its better shift, must be among ours. Returns whether the two kept the same poses, so that the next level can be compared. */
static bool expect_kept(const set *s, int64_t level, const deco_search_level *mine, int64_t b)
{
    const char *file = file_of(s, level, "kept_pose");
    golden_array kept = golden_read(file);
    int64_t n = kept.shape[1], twice = 0;
    double bound = number_after(file, "shifts ");

    for (int64_t i = 0; i < n; i++) {
        const double *v = kept.v + 4 * (b * n + i);
        int64_t rotation = rotation_of((int)(s->grid.base_healpy + level), v[0], v[1]), before = 0, at = 0;
        while (before < i && rotation_of((int)(s->grid.base_healpy + level), v[4 * (before - i)], v[4 * (before - i) + 1]) != rotation)
            before++;
        twice += before < i;
        if (before < i)
            continue;
        while (at < mine->kept && mine->rotation[b * mine->kept + at] != rotation)
            at++;
        if (at == mine->kept)
            fail_msg("%s: image %lld: rotation %lld is not among the kept", file, (long long)b, (long long)rotation);
        const float *shift = mine->shift + 2 * (b * mine->kept + at);
        if (!(fabs(shift[0] - v[2]) <= bound && fabs(shift[1] - v[3]) <= bound))
            fail_msg("%s: image %lld, rotation %lld: shift %g %g, expected %g %g", file, (long long)b, (long long)rotation,
                     (double)shift[0], (double)shift[1], v[2], v[3]);
    }
    assert_int_equal(mine->kept, n);
    golden_free(&kept);
    return twice == 0;
}

static void check_found(const set *s, int64_t b, const float R[9], const float shift[2])
{
    char file[2][64];
    snprintf(file[0], sizeof file[0], "k_pose_search/%s/best_R.npy", s->variant);
    snprintf(file[1], sizeof file[1], "k_pose_search/%s/best_t.npy", s->variant);
    golden_array best_R = golden_read(file[0]), best_t = golden_read(file[1]);
    double mine[9];
    for (int i = 0; i < 9; i++)
        mine[i] = R[i];
    golden_compare(file[0], mine, best_R.v + 9 * b, 9, number_after(file[0], ""), 0);
    mine[0] = shift[0], mine[1] = shift[1];
    golden_compare(file[1], mine, best_t.v + 2 * b, 2, number_after(file[1], ""), 0);
    golden_free(&best_R);
    golden_free(&best_t);
}

static void check_search(const char *variant, bool known_shift)
{
    set s;
    begin(&s, variant, known_shift);
    int64_t B = s.in.B, room = B * s.grid.n_kept;
    float *R = calloc((size_t)(9 * B), sizeof *R), *shift = calloc((size_t)(2 * B), sizeof *shift),
          *score = calloc((size_t)B, sizeof *score);
    deco_search_level level[MOST_LEVELS] = {{0}};
    deco_search_output out = {R, shift, score};

    for (int64_t i = 0; i <= s.grid.n_iter; i++) {
        level[i].rotation = calloc((size_t)room, sizeof *level->rotation);
        level[i].shift = calloc((size_t)(2 * room), sizeof *level->shift);
        level[i].score = calloc((size_t)room, sizeof *level->score);
    }
    assert_int_equal(deco_search_exact_run(s.search, &s.in, &out, level), DECO_OK);
    for (int64_t b = 0; b < B; b++) {
        bool same = true;
        for (int64_t i = 0; same && i <= s.grid.n_iter; i++)
            same = expect_kept(&s, i, &level[i], b);
        if (same)
            check_found(&s, b, R + 9 * b, shift + 2 * b);
    }
    for (int64_t i = 0; i <= s.grid.n_iter; i++)
        free(level[i].rotation), free(level[i].shift), free(level[i].score);
    free(R), free(shift), free(score);
    end(&s);
}

static void searches_keep_and_find_the_same_poses(void **state) { check_search("exact", false); }
static void searches_at_known_shifts(void **state) { check_search("given_shift", true); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(radii_and_circles_of_the_levels), cmocka_unit_test(scores_of_all_candidates),
        cmocka_unit_test(scores_at_known_shifts),          cmocka_unit_test(searches_keep_and_find_the_same_poses),
        cmocka_unit_test(searches_at_known_shifts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
