#include "analysis/json_file.h"
#include "base/file.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void deco_json_number(cJSON *to, const char *name, double value)
{
    cJSON_AddItemToObject(to, name, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

deco_status deco_json_file_write(cJSON *root, const char *directory, const char *name)
{
    deco_status st = DECO_OK;
    char *text = NULL, *path = deco_path_join(directory, name);

    if (!path || !(text = cJSON_Print(root)))
        TRY(deco_fail_memory(4096, name));
    TRY(deco_file_put(path, text, strlen(text)));
out:
    cJSON_Delete(root);
    cJSON_free(text);
    free(path);
    return st;
}
