/* What the checks found, as words and as JSON. */
#include "analysis/validation.h"
#include "analysis/figures.h"
#include "analysis/json_file.h"
#include "base/file.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The table of docs/validation.md; its error rates are measured there. */
static const double disagreeing_most = 0.01;  /* share of the density */
static const double followed_least = 1.0 / 3; /* of the shells in which the half maps' FSC is above 0.5 */
static const double unseen_least = 0.6;       /* of the FSC with as many particles that the decoder has seen */
static const double detail_least = 0.85;      /* of the shells in which the particles hold detail */
static const double starts_agree = 0.3;       /* share of the poses, as for "converged" */
static const double cone_least = 0.5;
static const double way_least = 0.5;    /* half of the way from another cluster's particles */
static const double beyond_least = 0.2; /* mean half-map FSC beyond the poses' shells */
static const int64_t beyond_shells = 3, fewest = 20;

void deco_resolution_text(char *out, size_t size, deco_crossing at, const deco_validation *v)
{
    double A = at.shell > 0 ? (double)v->D * v->psize_A / at.shell : INFINITY;

    if (at.at_limit)
        snprintf(out, size, "the box's limit (%.3g \u00c5)", A);
    else if (at.shell < 1)
        snprintf(out, size, "no resolution at all");
    else
        snprintf(out, size, "%.3g \u00c5", A);
}

/* Mean FSC of the half maps over the shells that no pose was found with; NAN: there are too few of these to say. */
static double independent_fsc(const deco_validation *v, const deco_cluster_check *c)
{
    const double *half = deco_check_curve_of(c, DECO_CURVE_HALF, v->D);
    int64_t end = c->half_05.at_limit ? c->last : (int64_t)fmax(c->half_05.shell, (double)(v->pose_radius + beyond_shells + 1));
    double sum = 0;
    int64_t n = 0;

    for (int64_t s = v->pose_radius + 2; s <= end && s <= c->last; s++, n++)
        sum += half[s];
    return n >= beyond_shells ? sum / (double)n : NAN;
}

/* May the agreement of two half sets be the poses' doing? Given poses are taken as given. */
static bool is_confirmed(const deco_validation *v, const deco_cluster_check *c)
{
    double beyond = independent_fsc(v, c);

    return v->poses_given || v->agreement >= starts_agree || beyond >= beyond_least;
}

/* A map that leaves its particles at once is another one, and not only smoother; one that is like those only that it has seen is their noise. */
static bool is_unlike(const deco_cluster_check *c)
{
    return c->twin.follows.shell < followed_least * c->half_05.shell ||
           (c->twin.unseen && c->twin.fsc_unseen < unseen_least * c->twin.fsc_seen);
}

/* Less detail than the particles hold: no fault, but worth knowing. */
static bool holds_less(const deco_cluster_check *c)
{
    return c->twin.made && !c->twin.follows.at_limit && c->twin.follows.shell < detail_least * c->twin.held.shell;
}

int deco_validation_marks(const deco_validation *v, int64_t k)
{
    const deco_cluster_check *c = &v->check[k];
    int marks = 0;

    if (!c->compared || c->images[0] + c->images[1] < fewest)
        return DECO_MARK_FEW;
    if (c->half_05.shell < 2)
        marks |= DECO_MARK_NOISE;
    else if (c->twin.made && (c->twin.disagreeing > disagreeing_most || is_unlike(c)))
        marks |= DECO_MARK_DISAGREES;
    if (!(marks & DECO_MARK_NOISE) && c->way < way_least)
        marks |= DECO_MARK_OTHER;
    if (!is_confirmed(v, c))
        marks |= DECO_MARK_UNCONFIRMED;
    if (!(marks & DECO_MARK_NOISE) && c->cone_ratio < cone_least)
        marks |= DECO_MARK_VIEWS;
    return marks;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static deco_status say_resolution(deco_words *w, const deco_validation *v, const deco_cluster_check *c, const char *name)
{
    deco_status st = DECO_OK;
    char count[32], at[64], half[64], plain[64], member[48] = "", *text = NULL;

    deco_resolution_text(at, sizeof at, c->masked_0143, v);
    deco_resolution_text(half, sizeof half, c->masked_05, v);
    deco_resolution_text(plain, sizeof plain, c->half_0143, v);
    if (isfinite(c->membership))
        snprintf(member, sizeof member, " (mean membership %.2f)", c->membership);
    if (!(text = deco_format(
              "%s: %s particles%s; half maps agree to %s at 0.143, to %s at 0.5 (masked, corrected from shell %lld on; without a "
              "mask to %s); directions: cone ratio %.2f",
              name, deco_grouped(count, c->images[0] + c->images[1]), member, at, half, (long long)c->randomised_from + 2, plain,
              c->cone_ratio)))
        return deco_fail_memory(256, "words");
    st = deco_words_add(w, false, "%s", text);
    free(text);
    return st;
}

static deco_status say_twin(deco_words *w, const deco_cluster_check *c, const char *name, int marks)
{
    deco_status st = DECO_OK;
    char *text = NULL;

    if (!c->twin.made || marks & DECO_MARK_NOISE) /* two noises have nothing to agree in */
        return DECO_OK;
    if (!(text = deco_format(
              "%s: its map and the back-projection of its particles %s (FSC %.3f to shell %lld, where a perfect map would have %.3f; "
              "%.0f %% of the density is not the same)",
              name, marks & DECO_MARK_DISAGREES ? "DISAGREE: do not believe the map where agreement_*.mrc is low" : "agree", c->twin.fsc,
              (long long)c->twin.shells, c->twin.expected, 100 * c->twin.disagreeing)))
        return deco_fail_memory(256, "words");
    st = deco_words_add(w, marks & DECO_MARK_DISAGREES, "%s", text);
    free(text);
    return st;
}

static deco_status say_unseen(deco_words *w, const deco_cluster_check *c, const char *name)
{
    char count[32];

    if (!c->twin.unseen)
        return DECO_OK;
    return deco_words_add(
        w, c->twin.fsc_unseen < unseen_least * c->twin.fsc_seen,
        "%s: with the back-projection of %s particles that the decoder was not trained on its map has FSC %.3f, with that of as "
        "many that it was %.3f: the difference is memory of their noise",
        name, deco_grouped(count, c->twin.unseen), c->twin.fsc_unseen, c->twin.fsc_seen);
}

/* Trained briefly, or on fewer shells, a decoder lags behind the images in the outer ones. */
static deco_status say_detail(deco_words *w, const deco_validation *v, const deco_cluster_check *c, const char *name, int marks)
{
    deco_status st = DECO_OK;
    char own[64], held[64], *text = NULL;

    if (!holds_less(c) || marks & (DECO_MARK_NOISE | DECO_MARK_DISAGREES))
        return DECO_OK;
    deco_resolution_text(own, sizeof own, c->twin.follows, v);
    deco_resolution_text(held, sizeof held, c->twin.held, v);
    if (!(text = deco_format(
              "%s: its map follows its particles to %s and is no guide beyond, where they hold detail to %s: look at it with that low-pass "
              "(cryodeco decode --low_pass), and refine the subset for the rest",
              name, own, held)))
        return deco_fail_memory(256, "words");
    st = deco_words_add(w, false, "%s", text);
    free(text);
    return st;
}

static deco_status say_other(deco_words *w, const deco_cluster_check *c, const char *name)
{
    return deco_words_add(
        w, true,
        "%s: its map is no more like its own particles than like those of cluster %lld (%.2f of the way between them): it does not show "
        "what tells the two apart",
        name, (long long)c->rival, c->way);
}

static deco_status say_marks(deco_words *w, const char *name, int marks)
{
    static const struct {
        deco_mark mark;
        const char *text;
    } line[] = {
        {DECO_MARK_FEW, "too few particles, or all in one half set: nothing can be said of this map"},
        {DECO_MARK_NOISE, "its half maps have nothing in common: what the map shows is noise"},
        {DECO_MARK_UNCONFIRMED,
         "NOT CONFIRMED: poses were found with all the shells in which its half maps agree, and poses fitted to a model pull noise "
         "towards it. Runs with other --seed, or shells kept out of the search (l_end, refine_radii), would tell"},
        {DECO_MARK_VIEWS,
         "some directions are resolved far worse than others; look at views_*.png before believing what is smeared along one axis"},
    };
    deco_status st = DECO_OK;

    for (size_t i = 0; i < sizeof line / sizeof *line && !st; i++) {
        char *text = marks & line[i].mark ? deco_format("%s: %s", name, line[i].text) : NULL;
        if (marks & line[i].mark)
            st = text ? deco_words_add(w, true, "%s", text) : deco_fail_memory(256, "words");
        free(text);
    }
    return st;
}

static deco_status say_independence(deco_words *w, const deco_validation *v)
{
    const char *agreed = v->agreement >= starts_agree ? "; starts from two seeds found the same poses, and that is independent, too" : "";
    char *text;
    deco_status st;

    if (v->poses_given && v->pose_radius)
        text = deco_format(
            "independence: the poses were given, and refined in this run with shells up to %lld of %lld; that they were found elsewhere is "
            "what speaks for the agreement of the half maps, not their number of shells",
            (long long)v->pose_radius, (long long)v->D / 2);
    else if (v->poses_given)
        text = deco_format(
            "independence: the poses were given, and none of these shells was used to find them in this run. The decoder has seen every "
            "particle that it is compared with; the half maps have not seen the decoder");
    else if (v->pose_radius < v->D / 2)
        text = deco_format(
            "independence: poses were found with shells up to %lld of %lld; only what lies beyond is independent of that search%s",
            (long long)v->pose_radius, (long long)v->D / 2, agreed);
    else
        text = deco_format("independence: poses were found with all %lld shells, so no shell is independent of them%s", (long long)v->D / 2,
                           agreed);
    st = text ? deco_words_add(w, false, "%s", text) : deco_fail_memory(256, "words");
    free(text);
    return st;
}

deco_status deco_validation_tell(const deco_validation *v, deco_words *w)
{
    deco_status st = DECO_OK;

    TRY(say_independence(w, v));
    for (int64_t k = 0; k < v->K; k++) {
        char name[40] = "map";
        int marks = deco_validation_marks(v, k);
        if (v->K > 1)
            snprintf(name, sizeof name, "cluster %lld", (long long)k);
        if (marks & DECO_MARK_OTHER)
            TRY(say_other(w, &v->check[k], name));
        if (v->check[k].compared) {
            TRY(say_resolution(w, v, &v->check[k], name));
            TRY(say_twin(w, &v->check[k], name, marks));
            TRY(say_unseen(w, &v->check[k], name));
            TRY(say_detail(w, v, &v->check[k], name, marks));
        }
        TRY(say_marks(w, name, marks));
    }
out:
    return st;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

/* {"shell", "resolution_A", "at_limit"}: at the limit there is no number, or it would be taken for one. */
static void add_crossing(cJSON *to, const char *name, deco_crossing at, const deco_validation *v)
{
    cJSON *o = cJSON_AddObjectToObject(to, name);

    deco_json_number(o, "shell", at.at_limit ? NAN : at.shell);
    deco_json_number(o, "resolution_A", at.at_limit || !(at.shell > 0) ? NAN : (double)v->D * v->psize_A / at.shell);
    cJSON_AddBoolToObject(o, "at_limit", at.at_limit);
}

static void add_marks(cJSON *to, int marks)
{
    static const struct {
        deco_mark mark;
        const char *name;
    } names[] = {{DECO_MARK_DISAGREES, "twin_disagrees"}, {DECO_MARK_UNCONFIRMED, "not_confirmed"},
                 {DECO_MARK_FEW, "too_few_particles"},    {DECO_MARK_NOISE, "noise"},
                 {DECO_MARK_OTHER, "another_cluster"},    {DECO_MARK_VIEWS, "anisotropic"}};
    cJSON *list = cJSON_AddArrayToObject(to, "marks");

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (marks & names[i].mark)
            cJSON_AddItemToArray(list, cJSON_CreateString(names[i].name));
}

static void add_twin(cJSON *to, const deco_validation *v, const deco_cluster_check *c)
{
    cJSON *o = cJSON_AddObjectToObject(to, "twin");

    cJSON_AddNumberToObject(o, "shells", (double)c->twin.shells);
    add_crossing(o, "follows", c->twin.follows, v);
    add_crossing(o, "particles_hold", c->twin.held, v);
    cJSON_AddBoolToObject(o, "less_detail", holds_less(c));
    cJSON_AddNumberToObject(o, "unseen_particles", (double)c->twin.unseen);
    deco_json_number(o, "fsc_unseen", c->twin.unseen ? c->twin.fsc_unseen : NAN);
    deco_json_number(o, "fsc_as_many_seen", c->twin.unseen ? c->twin.fsc_seen : NAN);
    deco_json_number(o, "way_from_other_cluster", c->way);
    deco_json_number(o, "other_cluster", isfinite(c->way) ? (double)c->rival : NAN);
    deco_json_number(o, "fsc", c->twin.fsc);
    deco_json_number(o, "expected_fsc", c->twin.expected);
    deco_json_number(o, "disagreeing_share", c->twin.disagreeing);
    deco_json_number(o, "median_local_correlation", c->twin.local_median);
    deco_json_number(o, "independent_half_fsc", v->pose_radius ? independent_fsc(v, c) : NAN);
}

static void add_check(cJSON *to, const deco_validation *v, int64_t k)
{
    const deco_cluster_check *c = &v->check[k];
    cJSON *o = cJSON_CreateObject(), *half;

    cJSON_AddItemToArray(to, o);
    cJSON_AddNumberToObject(o, "cluster", (double)k);
    cJSON_AddNumberToObject(o, "particles", (double)(c->images[0] + c->images[1]));
    half = cJSON_AddArrayToObject(o, "half_sets");
    for (int h = 0; h < 2; h++)
        cJSON_AddItemToArray(half, cJSON_CreateNumber((double)c->images[h]));
    deco_json_number(o, "mean_membership", c->membership);
    add_marks(o, deco_validation_marks(v, k));
    if (!c->compared)
        return;
    add_crossing(o, "half_0.5", c->half_05, v);
    add_crossing(o, "half_0.143", c->half_0143, v);
    add_crossing(o, "corrected_0.5", c->masked_05, v);
    add_crossing(o, "corrected_0.143", c->masked_0143, v);
    cJSON_AddNumberToObject(o, "phases_randomised_from_shell", (double)c->randomised_from);
    cJSON *mask = cJSON_AddObjectToObject(o, "mask");
    deco_json_number(mask, "share_of_box", c->mask_share);
    deco_json_number(mask, "threshold", c->mask_threshold);
    deco_json_number(mask, "low_pass_shell", c->mask_low_pass);
    deco_json_number(mask, "edge_px", c->mask_edge_px);
    cJSON_AddBoolToObject(mask, "sphere", c->mask_sphere);
    deco_json_number(o, "cone_fsc_area_ratio", c->cone_ratio);
    if (c->twin.made)
        add_twin(o, v, c);
}

deco_status deco_validation_write_json(const deco_validation *v, const char *directory)
{
    cJSON *root = cJSON_CreateObject(), *list;

    cJSON_AddNumberToObject(root, "version", 1);
    cJSON_AddNumberToObject(root, "box", (double)v->D);
    cJSON_AddNumberToObject(root, "psize_A", v->psize_A);
    cJSON_AddNumberToObject(root, "radius", (double)v->radius);
    cJSON_AddNumberToObject(root, "pose_radius", (double)v->pose_radius);
    cJSON_AddStringToObject(root, "poses", !v->poses_given ? "found" : v->pose_radius ? "refined" : "given");
    deco_json_number(root, "starts_agree", v->agreement > 0 ? v->agreement : NAN);
    cJSON_AddStringToObject(root, "half_sets", v->halves_drawn ? "drawn" : "alignments3D/split");
    list = cJSON_AddArrayToObject(root, "clusters");
    for (int64_t k = 0; k < v->K; k++)
        add_check(list, v, k);
    return deco_json_file_write(root, directory, "validation.json");
}
