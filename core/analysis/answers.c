#include "analysis/answers.h"
#include "analysis/json_file.h"
#include "base/file.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double maps_differ = 0.3, refit_alike = 0.75, settled = 0.5;

void deco_answers_free(deco_answers *a)
{
    deco_validation_free(&a->validation);
    deco_nuisance_free(&a->nuisance);
    deco_stability_free(&a->stability);
    deco_words_free(&a->words);
}

const char *deco_answer_name(deco_answer a)
{
    static const char *const name[] = {"nothing to believe", "no heterogeneity found", "states", "continuous", "open"};
    return name[a];
}

static bool nothing_stands(const deco_validation *v)
{
    for (int64_t k = 0; k < v->K; k++)
        if (!(deco_validation_marks(v, k) & (DECO_MARK_NOISE | DECO_MARK_UNCONFIRMED | DECO_MARK_FEW)))
            return false;
    return v->K > 0;
}

deco_answer deco_answer_of(const deco_validation *v, const deco_stability *s, bool crossed)
{
    if (nothing_stands(v))
        return DECO_ANSWER_NOTHING;
    if (s->groups > 1 && !crossed)
        return DECO_ANSWER_STATES;
    if (s->K < 2)
        return DECO_ANSWER_NONE;
    if (!v->K)
        return DECO_ANSWER_OPEN;
    return v->difference >= maps_differ ? DECO_ANSWER_CONTINUOUS : DECO_ANSWER_NONE;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static deco_status say_answer(deco_words *w, const deco_answers *a)
{
    long long groups = (long long)a->stability.groups, K = (long long)a->stability.K;

    switch (a->answer) {
    case DECO_ANSWER_NOTHING:
        return deco_words_add(w, true,
                              "Nothing here is to be believed yet: not one map is borne out by its own particles beyond what the fit "
                              "itself puts there (see below)");
    case DECO_ANSWER_NONE:
        if (K < 2)
            return deco_words_add(w, false, "One map of all particles: whether they are all alike was not asked (conf_table_dim, k_num)");
        return deco_words_add(w, false,
                              "No heterogeneity found: the %lld clusters have no gaps between them, and maps of their particles do not "
                              "differ beyond noise (%.2f). The "
                              "maps are cuts through one cloud",
                              K, a->validation.difference);
    case DECO_ANSWER_STATES:
        return deco_words_add(w, false,
                              "%lld state%s: %s%lld clusters of particles with gaps between them (parting gap %.2f, by chance %.2f)",
                              groups, groups == 1 ? "" : "s", groups < K ? "some clusters are one; of " : "", K, a->stability.parting_gap,
                              a->stability.gap_by_chance);
    case DECO_ANSWER_CONTINUOUS:
        return deco_words_add(w, false,
                              "A continuous change: maps of the clusters differ (%.2f), but no gaps part their particles. The %lld "
                              "clusters are cuts through it, and another "
                              "k_num would cut elsewhere",
                              a->validation.difference, K);
    case DECO_ANSWER_OPEN:
        return deco_words_add(w, true,
                              "No gaps part the %lld clusters: they are cuts through a continuous change, or through nothing. Without the "
                              "images nobody can tell",
                              K);
    }
    return DECO_OK;
}

static deco_status say_stability(deco_words *w, const deco_stability *s, bool crossed)
{
    deco_status st = DECO_OK;

    if (s->K < 2 || !isfinite(s->ari))
        return DECO_OK;
    TRY(deco_words_add(w, s->ari < refit_alike, "%d refits on 80 %% of %lld particles: adjusted Rand index %.2f (least %.2f)%s",
                       DECO_REFITS, (long long)s->rows, s->ari, s->ari_least,
                       s->ari < refit_alike ? ": who is in which cluster depends on which particles there are" : ""));
    for (int64_t k = 0; k < s->K; k++)
        if (s->jaccard[k] < refit_alike)
            TRY(deco_words_add(w, true, "cluster %lld comes apart when refitted (Jaccard %.2f)", (long long)k, s->jaccard[k]));
    if (!crossed && s->groups > 1 && s->groups < s->K)
        for (int64_t a = 0; a < s->K; a++)
            for (int64_t b = a + 1; b < s->K; b++)
                if (s->group[a] == s->group[b])
                    TRY(deco_words_add(w, false, "clusters %lld and %lld belong together: no gap between their particles (%.2f)",
                                       (long long)a, (long long)b, s->gap[a * s->K + b]));
out:
    return st;
}

static deco_status say_crossed(deco_words *w, const deco_answers *a)
{
    if (!a->crossed)
        return DECO_OK;
    return deco_words_add(
        w, false,
        "The gaps seen between %lld clusters (parting gap %.2f) are not there in finer cuts, whose pieces lead across: they come of the "
        "number of clusters",
        (long long)a->stability.K, a->stability.parting_gap);
}

static deco_status say_count(deco_words *w, const deco_cluster_count *c)
{
    if (!c->K)
        return DECO_OK;
    return c->parted ? deco_words_add(w, false, "k_num auto: %lld clusters, the most up to %d that gaps part from one another",
                                      (long long)c->K, DECO_MOST_CLUSTERS)
                     : deco_words_add(w, false, "k_num auto: gaps bear out no number of clusters up to %d; cut into %lld",
                                      DECO_MOST_CLUSTERS, (long long)c->K);
}

static deco_status say_latents(deco_words *w, double moved)
{
    if (!isfinite(moved))
        return DECO_OK;
    return deco_words_add(
        w, moved > settled, "latents moved in the last epoch by %.0f %% of their spread (median)%s", 100 * moved,
        moved > settled ? ": they are not settled, and neither are clusters made of them; train on with a larger epochs_sgd" : "");
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void add_stability(cJSON *root, const deco_stability *s)
{
    cJSON *o = cJSON_AddObjectToObject(root, "stability"), *list;

    cJSON_AddNumberToObject(o, "rows", (double)s->rows);
    cJSON_AddNumberToObject(o, "refits", isfinite(s->ari) ? DECO_REFITS : 0);
    deco_json_number(o, "adjusted_rand", s->ari);
    deco_json_number(o, "adjusted_rand_least", s->ari_least);
    list = cJSON_AddArrayToObject(o, "jaccard");
    for (int64_t k = 0; k < s->K; k++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(s->jaccard[k]));
    list = cJSON_AddArrayToObject(o, "group");
    for (int64_t k = 0; k < s->K; k++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(s->group[k]));
    deco_json_number(o, "parting_gap", s->parting_gap);
    deco_json_number(o, "parting_gap_by_chance", s->gap_by_chance);
}

static void add_nuisance(cJSON *root, const deco_nuisance *n)
{
    cJSON *list = cJSON_AddArrayToObject(root, "nuisance");

    for (int64_t i = 0; i < n->count; i++) {
        const deco_nuisance_effect *e = &n->effect[i];
        cJSON *o;
        if (!e->marked)
            continue;
        o = cJSON_CreateObject();
        cJSON_AddItemToArray(list, o);
        cJSON_AddStringToObject(o, "column", e->column);
        cJSON_AddNumberToObject(o, e->cluster ? "cluster" : "axis", (double)e->number);
        cJSON_AddNumberToObject(o, "effect", e->effect);
        cJSON_AddNumberToObject(o, "by_chance", e->chance);
    }
}

static deco_status write_json(const deco_answers *a, const char *directory)
{
    cJSON *root = cJSON_CreateObject(), *list;

    cJSON_AddNumberToObject(root, "version", 1);
    cJSON_AddStringToObject(root, "answer", deco_answer_name(a->answer));
    if (a->answer == DECO_ANSWER_STATES)
        cJSON_AddNumberToObject(root, "states", (double)a->stability.groups);
    else
        cJSON_AddNullToObject(root, "states");
    deco_json_number(root, "maps_differ", a->validation.K > 1 ? a->validation.difference : NAN);
    deco_json_number(root, "latents_moved", a->moved);
    if (a->stability.K)
        add_stability(root, &a->stability);
    add_nuisance(root, &a->nuisance);
    list = cJSON_AddArrayToObject(root, "words");
    for (int64_t i = 0; i < a->words.count; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToArray(list, o);
        cJSON_AddBoolToObject(o, "check", a->words.line[i].look);
        cJSON_AddStringToObject(o, "text", a->words.line[i].text);
    }
    return deco_json_file_write(root, directory, "answers.json");
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static deco_status find_all(deco_answers *a, const char *directory, const deco_answers_input *in, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_pool *pool = deco_device_pool(in->check.dev);
    const deco_validation_input *c = &in->check;

    if (in->o->back_projection && c->R && c->shift)
        TRY(deco_validation_write(&a->validation, directory, c, m));
    if (!c->label)
        return DECO_OK;
    TRY(deco_nuisance_find(&a->nuisance, &(deco_nuisance_input){c->particles, c->shift, in->scores, in->Z, c->label, c->K, c->seed}, pool));
    if (c->K > 1)
        TRY(deco_stability_find(&a->stability, &(deco_stability_input){.x = in->x,
                                                                       .N = c->particles->N,
                                                                       .Z = in->dims,
                                                                       .label = c->label,
                                                                       .K = c->K,
                                                                       .o = in->o,
                                                                       .seed = c->seed,
                                                                       .pool = pool,
                                                                       .m = m}));
    bool borne_out = in->count.parted;
    if (a->stability.groups > 1 && !borne_out)
        TRY(deco_groups_borne_out(&borne_out, 2, c->K, in->x, c->particles->N, in->dims, in->o, c->seed, pool, m));
    a->crossed = a->stability.groups > 1 && !borne_out;
out:
    return st;
}

deco_status deco_answers_write(deco_answers *out, const char *directory, const deco_answers_input *in, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_answers a = {.words = {.m = m}};
    char *path = deco_path_join(directory, "summary.txt");

    *out = (deco_answers){0};
    if (!path)
        TRY(deco_fail_memory(strlen(directory), "a file's name"));
    TRY(find_all(&a, directory, in, m));
    a.answer = deco_answer_of(&a.validation, &a.stability, a.crossed);
    TRY(say_answer(&a.words, &a));
    TRY(say_crossed(&a.words, &a));
    TRY(say_count(&a.words, &in->count));
    a.moved = in->latents_moved > 0 && in->latents_spread > 0 ? in->latents_moved / in->latents_spread : NAN;
    TRY(say_latents(&a.words, a.moved));
    TRY(say_stability(&a.words, &a.stability, a.crossed));
    if (in->check.label)
        TRY(deco_nuisance_tell(&a.nuisance, directory, &a.words));
    if (a.validation.K)
        TRY(deco_validation_tell(&a.validation, &a.words));
    TRY(deco_words_write(&a.words, path));
    TRY(write_json(&a, directory));
    *out = a;
    a = (deco_answers){0};
out:
    deco_answers_free(&a);
    free(path);
    return st;
}
