/* Golden numbers: files and tolerances of the set that CRYODECO_GOLDEN names. */
#include "support/golden.h"
#include "base/file.h"
#include "formats/npy.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static cJSON *manifest_part(const char *part)
{
    static cJSON *manifest; /* stays for the whole program */

    if (!manifest) {
        char *text = NULL;
        size_t size;
        if (deco_file_get(&text, &size, golden_path("manifest.json"), 0))
            fail_msg("%s", deco_error());
        manifest = cJSON_ParseWithLength(text, size);
        free(text);
        if (!manifest)
            fail_msg("%s: is no JSON", golden_path("manifest.json"));
    }
    return cJSON_GetObjectItemCaseSensitive(manifest, part);
}

const char *golden_device(void)
{
    const char *name = getenv("CRYODECO_GOLDEN_DEVICE");
    return name ? name : "cpu";
}

const char *golden_path(const char *name)
{
    static char buffer[8][4096];
    static unsigned next;
    const char *set = getenv("CRYODECO_GOLDEN");
    char *out = buffer[next++ % 8];

    snprintf(out, sizeof buffer[0], "%s/%s", set ? set : TESTS_DIRECTORY "/golden", name);
    return out;
}

bool golden_has(const char *name) { return deco_path_exists(golden_path(name)); }

golden_array golden_read(const char *name)
{
    deco_npy a;
    golden_array g = {0};

    if (deco_npy_read(&a, golden_path(name)))
        fail_msg("%s", deco_error());
    deco_column c = {.kind = a.kind, .item = a.item, .cells = 1, .data = a.data, .stride = a.item};
    if (a.kind == 'c' || a.kind == 'S')
        fail_msg("%s: holds no real numbers", name);
    g.dims = a.dims;
    memcpy(g.shape, a.shape, sizeof g.shape);
    g.count = a.count;
    g.v = malloc(((size_t)a.count + 1) * sizeof *g.v);
    g.f = malloc(((size_t)a.count + 1) * sizeof *g.f);
    assert_non_null(g.v);
    assert_non_null(g.f);
    for (int64_t i = 0; i < a.count; i++) {
        g.v[i] = deco_cell_real(&c, i, 0);
        g.f[i] = (float)g.v[i];
    }
    deco_npy_free(&a);
    return g;
}

void golden_free(golden_array *a)
{
    free(a->v);
    free(a->f);
    *a = (golden_array){0};
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

int golden_list(const char ***names, const char *prefix, const char *suffix)
{
    static const char **last; /* each list holds the one before it: all stay reachable, and callers have nothing to free */
    cJSON *files = manifest_part("files"), *file;
    const char **list = calloc((size_t)cJSON_GetArraySize(files) + 1, sizeof *list);
    int n = 0;

    assert_non_null(list);
    list[0] = (const char *)last;
    last = list;
    *names = list + 1;
    cJSON_ArrayForEach(file, files)
    {
        size_t length = strlen(file->string), end = strlen(suffix);
        if (!strncmp(file->string, prefix, strlen(prefix)) && length >= end && !strcmp(file->string + length - end, suffix))
            (*names)[n++] = file->string;
    }
    qsort(*names, (size_t)n, sizeof **names, by_text);
    return n;
}

const char *golden_size(const char *key)
{
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(manifest_part("sizes"), key);

    if (!cJSON_IsString(size))
        fail_msg("manifest.json: has no size '%s'", key);
    return size->valuestring;
}

/* |mine - golden| <= absolute + to_max * max|golden| + relative * |golden| */
typedef struct bound {
    double absolute, to_max, relative;
} bound;

static void compare(const char *what, const double *mine, const double *golden, int64_t count, bound b)
{
    double max = 0, share = 0;

    for (int64_t i = 0; i < count; i++)
        max = fmax(max, fabs(golden[i]));
    for (int64_t i = 0; i < count; i++) {
        double allowed = b.absolute + b.to_max * max + b.relative * fabs(golden[i]), off = fabs(mine[i] - golden[i]);
        if (mine[i] == golden[i] || (isnan(mine[i]) && isnan(golden[i])))
            continue;
        if (!(off <= allowed)) /* this way round, NaN fails too */
            fail_msg("%s: element %lld of %lld is %.17g; golden %.17g; they differ by %.3g, which is %.3g times the bound %.3g", what,
                     (long long)i, (long long)count, mine[i], golden[i], off, off / allowed, allowed);
        share = fmax(share, off / allowed);
    }
    if (getenv("CRYODECO_GOLDEN_VERBOSE"))
        fprintf(stderr, "%s: %lld values, at most %.3g of the bound used\n", what, (long long)count, share);
}

void golden_compare(const char *what, const double *mine, const double *golden, int64_t count, double absolute, double relative_to_max)
{
    compare(what, mine, golden, count, (bound){absolute, relative_to_max, 0});
}

/* Tolerances with more words than these ("as sets ...") are for the test to apply itself, by golden_compare. */
static bound tolerance(const char *name)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(manifest_part("files"), name), "tolerance");
    char *rest = NULL;
    double value;

    if (!cJSON_IsString(text))
        fail_msg("manifest.json: gives no tolerance for %s", name);
    if (!strcmp(text->valuestring, "exact"))
        return (bound){0};
    value = strtod(text->valuestring, &rest);
    if (rest != text->valuestring && value > 0) {
        if (!strcmp(rest, "·max") || !strcmp(rest, "·max of each tensor"))
            return (bound){.to_max = value};
        if (!strcmp(rest, " abs"))
            return (bound){.absolute = value};
        if (!strcmp(rest, " relative"))
            return (bound){.relative = value};
    }
    fail_msg("manifest.json: the tolerance of %s, '%s', is not a plain bound; compare with golden_compare", name, text->valuestring);
    return (bound){0};
}

void golden_expect(const char *name, const double *mine, int64_t count)
{
    golden_array g = golden_read(name);

    if (g.count != count)
        fail_msg("%s: has %lld values; %lld were computed", name, (long long)g.count, (long long)count);
    compare(name, mine, g.v, count, tolerance(name));
    golden_free(&g);
}

void golden_expect_f(const char *name, const float *mine, int64_t count)
{
    double *wide = malloc(((size_t)count + 1) * sizeof *wide);

    assert_non_null(wide);
    for (int64_t i = 0; i < count; i++)
        wide[i] = (double)mine[i];
    golden_expect(name, wide, count);
    free(wide);
}
