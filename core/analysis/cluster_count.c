#include "analysis/cluster_count.h"
#include "analysis/clustering.h"
#include "analysis/json_file.h"
#include "analysis/stability.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

static const char file_name[] = "k_num.json";

enum { FINEST = DECO_MOST_CLUSTERS + 2, WITNESSES = 2 };
enum {
    MOST_CROSSED = 4
}; /* ways cut finer have no gaps by themselves (test_answers.c), and few rows cut still finer have none between states */

typedef struct counting {
    float *x; /* [n,Z] */
    int64_t n, Z;
    deco_options *o;
    uint64_t seed;
    deco_pool *pool;
    deco_monitor *m;
    int64_t groups[FINEST + 1]; /* of each cut so far */
} counting;

/* Rows at even distances, as stability.c takes them. */
static deco_status take_rows(counting *c, const float *x, int64_t N)
{
    deco_status st = DECO_OK;

    c->n = N < DECO_REFIT_ROWS ? N : DECO_REFIT_ROWS;
    TRY(deco_alloc(&c->x, (size_t)(c->n * c->Z), sizeof *c->x, "rows to cluster"));
    for (int64_t i = 0; i < c->n; i++)
        memcpy(c->x + i * c->Z, x + i * N / c->n * c->Z, (size_t)c->Z * sizeof *c->x);
out:
    return st;
}

/* Do enough of the finer cuts fall into as many groups? */
static bool borne_out(const counting *c, int64_t K)
{
    int witnesses = 0;

    for (int64_t finer = K + 1; finer <= FINEST; finer++)
        witnesses += c->groups[finer] >= K;
    return witnesses >= WITNESSES;
}

/* Cuts the rows into K, and notes the groups. */
static deco_status cut(deco_stability *s, counting *c, int64_t K)
{
    deco_status st = DECO_OK;
    deco_clustering found = {0};

    c->o->k_num = K;
    TRY(deco_clustering_find(&found, c->x, NULL, c->n, c->Z, c->o, c->seed, c->pool, NULL));
    TRY(deco_stability_find(s, &(deco_stability_input){.x = c->x,
                                                       .N = c->n,
                                                       .Z = c->Z,
                                                       .label = found.found.label,
                                                       .K = found.found.K,
                                                       .o = c->o,
                                                       .seed = c->seed,
                                                       .pool = c->pool,
                                                       .m = c->m,
                                                       .gaps_only = true}));
    c->groups[K] = s->groups;
out:
    deco_clustering_free(&found);
    return st;
}

/* Do gaps part K clusters from one another? All finer cuts have been tried. */
static deco_status try_count(deco_cluster_count *out, counting *c, int64_t K)
{
    deco_status st = DECO_OK;
    deco_stability s = {0};

    TRY(cut(&s, c, K));
    if (K <= DECO_MOST_CLUSTERS && s.K == K && s.groups == K && borne_out(c, K))
        *out = (deco_cluster_count){K, true, s.parting_gap, s.gap_by_chance};
out:
    deco_stability_free(&s);
    return st;
}

deco_status deco_groups_borne_out(bool *out, int64_t groups, int64_t K, const float *x, int64_t N, int64_t Z, const deco_options *o,
                                  uint64_t seed, deco_pool *pool, deco_monitor *m)
{
    deco_status st = DECO_OK;
    counting c = {.Z = Z, .seed = seed, .pool = pool, .m = m};
    deco_stability s = {0};
    int witnesses = 0;

    *out = K > MOST_CROSSED;
    TRY(deco_options_copy(&c.o, o));
    TRY(take_rows(&c, x, N));
    for (int64_t finer = K + 1; finer <= DECO_CUTS && finer <= c.n && !*out; finer++) {
        TRY(cut(&s, &c, finer));
        witnesses += s.groups >= groups;
        deco_stability_free(&s);
        *out = witnesses >= WITNESSES;
    }
out:
    deco_stability_free(&s);
    deco_options_free(c.o);
    free(c.x);
    return st;
}

deco_status deco_cluster_count_find(deco_cluster_count *out, const float *x, int64_t N, int64_t Z, const deco_options *o, uint64_t seed,
                                    deco_pool *pool, deco_monitor *m)
{
    deco_status st = DECO_OK;
    counting c = {.Z = Z, .seed = seed, .pool = pool, .m = m};
    double begun = deco_seconds();

    *out = (deco_cluster_count){.K = N < DECO_CUTS ? N : DECO_CUTS};
    TRY(deco_options_copy(&c.o, o));
    TRY(take_rows(&c, x, N));
    for (int64_t K = c.n < FINEST ? c.n : FINEST; K > 1 && !out->parted; K--)
        TRY(try_count(out, &c, K));
    deco_info(m, "k_num auto: looked for gaps between up to %d clusters of %lld latents: %.1f s", DECO_MOST_CLUSTERS, (long long)c.n,
              deco_seconds() - begun);
out:
    deco_options_free(c.o);
    free(c.x);
    return st;
}

deco_status deco_cluster_count_write(const deco_cluster_count *c, const char *analysis)
{
    cJSON *root = cJSON_CreateObject();

    cJSON_AddNumberToObject(root, "version", 1);
    cJSON_AddNumberToObject(root, "k_num", (double)c->K);
    cJSON_AddBoolToObject(root, "parted", c->parted);
    cJSON_AddNumberToObject(root, "most", DECO_MOST_CLUSTERS);
    cJSON_AddNumberToObject(root, "parting_gap", c->parting_gap);
    cJSON_AddNumberToObject(root, "parting_gap_by_chance", c->gap_by_chance);
    return deco_json_file_write(root, analysis, file_name);
}

/* *K: 0 where there is no such file. */
static deco_status read_count(int64_t *K, const char *analysis)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(analysis, file_name), *text = NULL;
    size_t size = 0;
    cJSON *root = NULL;

    *K = 0;
    if (!path)
        return deco_fail_memory(strlen(analysis), "a file's name");
    if (!deco_path_exists(path))
        goto out;
    TRY(deco_file_get(&text, &size, path, 1 << 20));
    root = cJSON_ParseWithLength(text, size);
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(root, "k_num");
    if (!cJSON_IsNumber(number) || !(number->valuedouble >= 1 && number->valuedouble <= DECO_MOST_CLUSTERS))
        TRY(deco_fail(DECO_E_FORMAT, "%s: does not say how many clusters there are; cryodeco analyze makes it anew", path));
    *K = (int64_t)number->valuedouble;
out:
    cJSON_Delete(root);
    free(text);
    free(path);
    return st;
}

deco_status deco_clustering_directory(char **out, int64_t *K, const char *analysis, const deco_options *o)
{
    deco_status st = DECO_OK;
    int64_t number = o->k_num;

    *out = NULL;
    if (!number)
        TRY(read_count(&number, analysis));
    if (number && !(*out = deco_format("%s/clustering%lld", analysis, (long long)number)))
        TRY(deco_fail_memory(strlen(analysis), "a folder's name"));
    if (K)
        *K = number;
out:
    return st;
}
