/* The plugin descriptor: what a host program must know to offer cryodeco as a job. */
#include "base/status.h"
#include "config/options.h"
#include <cjson/cJSON.h>
#include <stdlib.h>

static void add_slot(cJSON *slots, const char *prefix, bool required)
{
    cJSON *slot = cJSON_CreateObject();
    cJSON_AddStringToObject(slot, "prefix", prefix);
    cJSON_AddBoolToObject(slot, "required", required);
    cJSON_AddItemToArray(slots, slot);
}

static cJSON *inputs(void)
{
    cJSON *list = cJSON_CreateArray(), *particles = cJSON_CreateObject(), *slots = cJSON_CreateArray();
    cJSON_AddStringToObject(particles, "name", "particles");
    cJSON_AddStringToObject(particles, "type", "particle");
    cJSON_AddNumberToObject(particles, "count_min", 1);
    cJSON_AddNumberToObject(particles, "count_max", 1);
    add_slot(slots, "blob", true);
    add_slot(slots, "ctf", true);
    add_slot(slots, "alignments3D", false);
    cJSON_AddItemToObject(particles, "slots", slots);
    cJSON_AddItemToArray(list, particles);
    return list;
}

static void add_output(cJSON *list, const char *name, const char *type, const char *files, const char *title)
{
    cJSON *group = cJSON_CreateObject();
    cJSON_AddStringToObject(group, "name", name);
    cJSON_AddStringToObject(group, "type", type);
    cJSON_AddStringToObject(group, "files", files);
    cJSON_AddStringToObject(group, "title", title);
    cJSON_AddItemToArray(list, group);
}

static cJSON *outputs(void)
{
    cJSON *list = cJSON_CreateArray();
    add_output(list, "cluster_<k>", "particle", "out/analysis_<epoch>/clustering<K>/clustering_cs_star/cluster_<k>.csg",
               "Particles of cluster k, every column and uid of the input");
    add_output(list, "volume_<k>", "volume", "out/analysis_<epoch>/clustering<K>/vol_<kkk>.mrc", "Density map of cluster k");
    return list;
}

deco_status deco_plugin_describe(char **out)
{
    deco_status st = DECO_OK;
    char *parameters = NULL;
    cJSON *root = cJSON_CreateObject(), *list;

    *out = NULL;
    TRY(deco_options_json(&parameters, DECO_FOR_RUN));
    if (!root || !(list = cJSON_Parse(parameters)))
        TRY(deco_fail_memory(4096, "the plugin descriptor"));
    cJSON_AddStringToObject(root, "job_type", "cryodeco");
    cJSON_AddStringToObject(root, "title", "CryoDECO: heterogeneous reconstruction");
    cJSON_AddStringToObject(root, "version", deco_version());
    cJSON_AddItemToObject(root, "inputs", inputs());
    cJSON_AddItemToObject(root, "parameters", list);
    cJSON_AddItemToObject(root, "outputs", outputs());
    if (!(*out = cJSON_Print(root)))
        TRY(deco_fail_memory(4096, "the plugin descriptor"));
out:
    cJSON_Delete(root);
    free(parameters);
    return st;
}
