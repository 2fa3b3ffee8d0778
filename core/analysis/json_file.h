/* The JSON files of an analysis, written alike. */
#ifndef DECO_ANALYSIS_JSON_FILE_H
#define DECO_ANALYSIS_JSON_FILE_H

#include "base/status.h"
#include <cjson/cJSON.h>

/* A number, or null where it is none. */
void deco_json_number(cJSON *to, const char *name, double value);

/* directory/name, whole or absent. Takes `root`, also when it fails: FILE, MEMORY. */
deco_status deco_json_file_write(cJSON *root, const char *directory, const char *name);

#endif
