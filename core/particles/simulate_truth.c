/* The truth beside a simulated job: what the evaluator scores a run against. */
#include "base/file.h"
#include "formats/mrc.h"
#include "formats/npy.h"
#include "particles/simulate_parts.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void map_name(char out[32], const sim_settings *s, int64_t i)
{
    snprintf(out, 32, s->continuous ? "maps/conf_%02lld.mrc" : "maps/class_%lld.mrc", (long long)i);
}

static int64_t particles_of(const sim_settings *s, const sim_particle *particle, int64_t map)
{
    int64_t n = 0;
    for (int64_t i = 0; i < s->N; i++)
        n += particle[i].map == map;
    return n;
}

static cJSON *maps_json(const sim_settings *s, const sim_particle *particle)
{
    cJSON *list = cJSON_CreateArray();
    for (int64_t i = 0; i < s->maps; i++) {
        char name[32];
        cJSON *m = cJSON_CreateObject();
        map_name(name, s, i);
        cJSON_AddStringToObject(m, "file", name);
        if (s->continuous)
            cJSON_AddNumberToObject(m, "t", ((double)i + 0.5) / (double)s->maps);
        else {
            cJSON_AddNumberToObject(m, "label", (double)i);
            cJSON_AddStringToObject(m, "name", deco_path_name(s->o->from.items[i]));
        }
        cJSON_AddNumberToObject(m, "particles", (double)particles_of(s, particle, i));
        cJSON_AddItemToArray(list, m);
    }
    return list;
}

static cJSON *truth_json(const sim_settings *s, const sim_particle *particle, sim_measured measured)
{
    const deco_options *o = s->o;
    cJSON *t = cJSON_CreateObject(), *from;
    cJSON_AddStringToObject(t, "name", "simulated");
    cJSON_AddStringToObject(t, "kind", s->continuous ? "continuous" : "compositional");
    from = cJSON_AddArrayToObject(t, "from");
    for (int64_t i = 0; i < o->from.count; i++)
        cJSON_AddItemToArray(from, cJSON_CreateString(deco_path_name(o->from.items[i])));
    cJSON_AddNumberToObject(t, "box_px", (double)s->D);
    cJSON_AddNumberToObject(t, "pixel_A", s->psize_A);
    cJSON_AddNumberToObject(t, "particles", (double)s->N);
    cJSON_AddNumberToObject(t, "images_in_stacks", (double)s->N);
    cJSON_AddNumberToObject(t, "snr", o->snr);
    cJSON_AddNumberToObject(t, "snr_measured", measured.snr);
    cJSON_AddStringToObject(t, "snr_definition",
                            "mean over particles of the variance, inside the circle of mask_radius_px, of the noise-free image after "
                            "CTF and shift, over the mean variance of the noise");
    cJSON_AddNumberToObject(t, "mask_radius_px", s->mask_radius_px);
    cJSON_AddStringToObject(t, "noise", o->noise);
    cJSON_AddNumberToObject(t, "map_resolution_A", s->resolution_A);
    cJSON_AddNumberToObject(t, "kv", o->accel_kV);
    cJSON_AddNumberToObject(t, "cs_mm", o->cs_mm);
    cJSON_AddNumberToObject(t, "amplitude_contrast", o->amp_contrast);
    cJSON_AddNumberToObject(t, "defocus_min_A", o->defocus_min_A);
    cJSON_AddNumberToObject(t, "defocus_max_A", o->defocus_max_A);
    cJSON_AddNumberToObject(t, "astigmatism_A", o->astigmatism_A);
    cJSON_AddNumberToObject(t, "contrast_sigma", o->contrast_sigma);
    cJSON_AddNumberToObject(t, "shift_sigma_px", o->shift_sigma_px);
    cJSON_AddNumberToObject(t, "shift_max_px", o->shift_max_px);
    cJSON_AddNumberToObject(t, "preferred_view_fraction", o->views_fraction);
    cJSON_AddNumberToObject(t, "seed", (double)s->seed);
    cJSON_AddStringToObject(t, "particles_cs", "project/" SIM_JOB "/restacked_particles.cs");
    cJSON_AddNumberToObject(t, "gain", measured.gain);
    cJSON_AddItemToObject(t, "maps", maps_json(s, particle));
    return t;
}

/* The columns in the evaluator's order; each is added once the one before it is filled. */
static deco_status fill_table(deco_table *t, const sim_particle *particle, const int64_t *by_uid)
{
    static const struct {
        const char *name;
        size_t item;
        int64_t shape[2];
        int dims;
        char kind;
    } columns[] = {{"uid", 8, {0}, 0, 'u'},      {"R", 4, {3, 3}, 2, 'f'},        {"pose", 4, {3}, 1, 'f'},
                   {"shift_px", 4, {2}, 1, 'f'}, {"label", 4, {0}, 0, 'i'},       {"t", 4, {0}, 0, 'f'},
                   {"contrast", 4, {0}, 0, 'f'}, {"noise_sigma", 4, {0}, 0, 'f'}, {"micrograph", 4, {0}, 0, 'u'}};
    deco_status st = DECO_OK;
    deco_column *c;

    for (size_t k = 0; k < sizeof columns / sizeof *columns; k++) {
        TRY(deco_table_add(t, &c, columns[k].name, columns[k].kind, columns[k].item, columns[k].dims, columns[k].shape));
        for (int64_t row = 0; row < t->rows; row++) {
            const sim_particle *p = &particle[by_uid[row]];
            const double scalar[] = {0, 0, 0, 0, p->label, p->t, p->contrast, p->noise_sigma, (double)p->micrograph};
            if (k == 0)
                deco_cell_set_u64(c, row, 0, p->uid);
            else
                for (int64_t i = 0; i < c->cells; i++)
                    deco_cell_set_real(c, row, i, k == 1 ? p->R[i] : k == 2 ? p->pose[i] : k == 3 ? p->shift[i] : scalar[k]);
        }
    }
out:
    return st;
}

/* "<root>/truth/<name>"; NULL without memory. */
static char *truth_path(const char *root, const char *name) { return deco_format("%s/truth/%s", root, name); }

static deco_status write_json(const char *root, const sim_settings *s, const sim_particle *particle, sim_measured measured)
{
    cJSON *t = truth_json(s, particle, measured);
    char *text = cJSON_Print(t), *path = truth_path(root, "truth.json");
    deco_status st = text && path ? deco_file_put(path, text, strlen(text)) : deco_fail_memory(0, "truth.json");
    cJSON_free(text);
    cJSON_Delete(t);
    free(path);
    return st;
}

static deco_status write_maps(const char *root, const sim_settings *s, float *const *map)
{
    deco_status st = DECO_OK;
    for (int64_t i = 0; i < s->maps && !st; i++) {
        char name[32];
        map_name(name, s, i);
        char *path = truth_path(root, name);
        st = path ? deco_mrc_write_volume(path, map[i], s->D, s->D, s->D, s->psize_A, "cryodeco: true map") : deco_fail_memory(0, "path");
        free(path);
    }
    return st;
}

deco_status sim_truth_write(const char *root, const sim_settings *s, float *const *map, const sim_particle *particle, const int64_t *by_uid,
                            sim_measured measured)
{
    deco_status st = DECO_OK;
    deco_table *t = NULL;
    char *path = truth_path(root, "particles.npy");

    if (!path)
        TRY(deco_fail_memory(strlen(root), "path"));
    TRY(deco_table_create(&t, s->N, "particles.npy"));
    TRY(fill_table(t, particle, by_uid));
    TRY(deco_npy_write_table(path, t));
    TRY(write_maps(root, s, map));
    TRY(write_json(root, s, particle, measured));
out:
    deco_table_free(t);
    free(path);
    return st;
}
