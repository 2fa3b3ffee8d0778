#include "analysis/run_note.h"
#include "base/file.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void deco_run_digest(char out[17], const deco_particles *p, uint64_t seed)
{
    char input[17], text[64];
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a, as the input's digest */

    deco_particles_digest(input, p);
    snprintf(text, sizeof text, "%s %" PRIu64, input, seed);
    for (const char *c = text; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    snprintf(out, 17, "%016" PRIx64, h);
}

deco_status deco_run_note_write(const char *directory, const char *analysis, const deco_particles *p, uint64_t seed)
{
    deco_status st = DECO_OK;
    char digest[17], *text = NULL, *path = deco_path_join(directory, "run.json");

    deco_run_digest(digest, p, seed);
    text = deco_format("{\"version\": 1, \"run\": \"%s\", \"analysis\": \"%s\", \"n\": %" PRId64 "}\n", digest, analysis, p->N);
    if (!path || !text)
        TRY(deco_fail_memory(strlen(directory), "a note about the run"));
    TRY(deco_file_put(path, text, strlen(text)));
out:
    free(path);
    free(text);
    return st;
}

deco_status deco_run_note_read(char out[17], const char *directory, const deco_particles *p, uint64_t seed)
{
    deco_status st = DECO_OK;
    char *text = NULL, *path = deco_path_join(directory, "run.json");
    size_t size = 0;
    cJSON *root = NULL;

    if (!path)
        return deco_fail_memory(strlen(directory), "a file's name");
    if (!deco_path_exists(path)) {
        deco_run_digest(out, p, seed);
        goto out;
    }
    TRY(deco_file_get(&text, &size, path, 1 << 20));
    root = cJSON_ParseWithLength(text, size);
    const cJSON *run = cJSON_GetObjectItemCaseSensitive(root, "run");
    if (!cJSON_IsString(run) || !run->valuestring || strlen(run->valuestring) != 16)
        TRY(deco_fail(DECO_E_FORMAT, "%s: does not name its run; cryodeco analyze makes it anew", path));
    snprintf(out, 17, "%s", run->valuestring);
out:
    cJSON_Delete(root);
    free(text);
    free(path);
    return st;
}
