/* job.json of the simulated job, as CryoSPARC 4.7 lays it out: which file belongs to which result of which output group. */
#include "base/file.h"
#include "particles/simulate_parts.h"

#include <cjson/cJSON.h>
#include <string.h>

static const struct {
    const char *name, *type, *fields; /* fields: the least a consumer may count on, "name:dtype" */
    bool passthrough;
} results[] = {
    {"blob", "particle.blob", "path:O idx:u4 shape:2u4 psize_A:f4 sign:f4 import_sig:u8", false},
    {"ctf", "particle.ctf",
     "type:O exp_group_id:u4 accel_kv:f4 cs_mm:f4 amp_contrast:f4 df1_A:f4 df2_A:f4 df_angle_rad:f4 phase_shift_rad:f4 "
     "scale:f4 scale_const:f4",
     true},
    {"location", "particle.location",
     "micrograph_uid:u8 exp_group_id:u4 micrograph_path:O micrograph_shape:2u4 center_x_frac:f4 center_y_frac:f4", true},
    {"alignments3D", "particle.alignments3D", "split:u4 shift:2f4 pose:3f4 psize_A:f4", true}, /* the last: left out without poses */
};

static cJSON *fields_of(const char *fields)
{
    cJSON *list = cJSON_CreateArray();
    for (const char *p = fields; *p; p += strspn(p, " ")) {
        char name[32], dtype[16];
        int n = 0;
        if (sscanf(p, "%31[^:]:%15s%n", name, dtype, &n) < 2)
            break;
        const char *pair[] = {name, dtype};
        cJSON_AddItemToArray(list, cJSON_CreateStringArray(pair, 2));
        p += n;
    }
    return list;
}

static cJSON *list_of(cJSON *only)
{
    cJSON *list = cJSON_CreateArray();
    cJSON_AddItemToArray(list, only);
    return list;
}

/* What a result says of itself in both places. */
static cJSON *result(int i)
{
    char uid[16];
    cJSON *r = cJSON_CreateObject();
    snprintf(uid, sizeof uid, SIM_JOB "-R%d", i);
    cJSON_AddStringToObject(r, "uid", uid);
    cJSON_AddStringToObject(r, "type", results[i].type);
    cJSON_AddStringToObject(r, "group_name", "particles");
    cJSON_AddStringToObject(r, "name", results[i].name);
    cJSON_AddBoolToObject(r, "passthrough", results[i].passthrough);
    return r;
}

static cJSON *output_result(int i, int64_t particles)
{
    cJSON *r = result(i);
    cJSON_AddStringToObject(r, "title", "");
    cJSON_AddStringToObject(r, "description", "");
    cJSON_AddItemToObject(r, "min_fields", fields_of(results[i].fields));
    cJSON_AddItemToObject(r, "versions", list_of(cJSON_CreateNumber(0)));
    cJSON_AddItemToObject(r, "metafiles",
                          list_of(cJSON_CreateString(results[i].passthrough ? SIM_JOB "/" SIM_JOB "_passthrough_particles.cs"
                                                                            : SIM_JOB "/restacked_particles.cs")));
    cJSON_AddItemToObject(r, "num_items", list_of(cJSON_CreateNumber((double)particles)));
    return r;
}

static cJSON *output_group(int count, int64_t particles)
{
    cJSON *group = cJSON_CreateObject(), *contains;
    cJSON_AddStringToObject(group, "uid", SIM_JOB "-G0");
    cJSON_AddStringToObject(group, "type", "particle");
    cJSON_AddStringToObject(group, "name", "particles");
    cJSON_AddStringToObject(group, "title", "Particles");
    cJSON_AddStringToObject(group, "description", "");
    contains = cJSON_AddArrayToObject(group, "contains");
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(contains, result(i));
    cJSON_AddStringToObject(group, "passthrough", "particles");
    cJSON_AddNumberToObject(group, "num_items", (double)particles);
    cJSON_AddItemToObject(group, "summary", cJSON_CreateObject());
    return group;
}

deco_status sim_job_json_write(const char *path, int64_t particles, bool with_poses)
{
    static const char *const workspace[] = {"W1"}, *const parent[] = {"J0"};
    int count = (int)(sizeof results / sizeof *results) - !with_poses;
    cJSON *job = cJSON_CreateObject(), *list;
    char *text;
    deco_status st;

    cJSON_AddStringToObject(job, "uid", SIM_JOB);
    cJSON_AddNumberToObject(job, "uid_num", 1);
    cJSON_AddStringToObject(job, "project_uid", "P1");
    cJSON_AddNumberToObject(job, "project_uid_num", 1);
    cJSON_AddItemToObject(job, "workspace_uids", cJSON_CreateStringArray(workspace, 1));
    cJSON_AddStringToObject(job, "type", "restack_particles");
    cJSON_AddStringToObject(job, "job_type", "restack_particles");
    cJSON_AddStringToObject(job, "title", "Restack Particles");
    cJSON_AddStringToObject(job, "description", "simulated by cryodeco");
    cJSON_AddStringToObject(job, "status", "completed");
    cJSON_AddStringToObject(job, "version", "v4.7.1");
    cJSON_AddStringToObject(job, "created_at", "2026-01-01T00:00:00.000000"); /* not the clock: same seed, same bytes */
    cJSON_AddBoolToObject(job, "deleted", false);
    cJSON_AddItemToObject(job, "parents", cJSON_CreateStringArray(parent, 1));
    cJSON_AddItemToObject(job, "children", cJSON_CreateArray());
    cJSON_AddItemToObject(job, "params_spec", cJSON_CreateObject());
    cJSON_AddItemToObject(job, "output_result_groups", list_of(output_group(count, particles)));
    list = cJSON_AddArrayToObject(job, "output_results");
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(list, output_result(i, particles));
    text = cJSON_Print(job);
    st = text ? deco_file_put(path, text, strlen(text)) : deco_fail_memory(0, "job.json");
    cJSON_free(text);
    cJSON_Delete(job);
    return st;
}
