/* `cryodeco cache`: making, showing, verifying and removing caches. */
#include "base/file.h"
#include "particles/cache_parts.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TILE = 64 };

/* ---- which ones --------------------------------------------------------------------------------------------------- */

/* All inputs as one set: so a run with the same words opens them. */
static deco_status open_input(deco_particles **out, const deco_options *o, deco_monitor *m)
{
    deco_input in = deco_input_of(o);
    return deco_particles_open_input(out, &in, DECO_NEED_STACKS, m);
}

/* The caches that there are of an input, in whatever form. */
static deco_status add_caches_of(path_list *out, const deco_particles *p, const char *root)
{
    deco_status st = DECO_OK;
    cache_plan c = {0};

    TRY(cache_plan_make(&c, p, root));
    for (int form = 0; form < 4; form++) {
        TRY(cache_plan_form(&c, form & 1, form & 2));
        if (deco_path_is_directory(c.directory))
            TRY(path_list_add(out, c.directory));
    }
out:
    cache_plan_free(&c);
    return st;
}

/* Those of the input named, or all. */
static deco_status chosen(path_list *out, const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_particles *p = NULL;

    if (!o->particles.count)
        return cache_list(out, o->cache_dir, NULL);
    TRY(open_input(&p, o, m));
    TRY(add_caches_of(out, p, o->cache_dir));
out:
    deco_particles_free(p);
    return st;
}

/* ---- info ---------------------------------------------------------------------------------------------------------- */

/* What is known of one: *problem (allocated) says why not more. */
typedef struct state {
    cache_about about;
    int64_t done;
    bool whole;
    double bytes;
    char *problem;
} state;

static double file_bytes(const char *directory)
{
    char *path = deco_path_join(directory, CACHE_DATA_FILE);
    struct stat s;
    double bytes = path && !stat(path, &s) ? (double)s.st_blocks * 512 : 0;

    free(path);
    return bytes;
}

static deco_status look_at(state *out, cache_env **env, const char *directory)
{
    image_sums *sums = NULL;
    deco_status st;

    *out = (state){.bytes = file_bytes(directory)};
    st = cache_env_open(env, directory);
    if (!st)
        st = cache_about_read(&out->about, *env);
    if (!st)
        st = cache_read_sums(&sums, &out->done, &out->whole, *env, out->about.chunk, out->about.images);
    free(sums);
    if (st != DECO_E_FORMAT && st != DECO_E_FILE)
        return st;
    out->problem = strdup(deco_error());
    return out->problem ? DECO_OK : deco_fail_memory(1, "a message");
}

static void state_free(state *s)
{
    cache_about_free(&s->about);
    free(s->problem);
}

static void say_text(FILE *to, const char *directory, const state *s)
{
    cJSON *o = s->about.text ? cJSON_Parse(s->about.text) : NULL;
    const cJSON *source = cJSON_GetObjectItemCaseSensitive(o, "source");

    fprintf(to, "%s\n", directory);
    if (s->problem)
        fprintf(to, "  cannot be used: %s\n", s->problem);
    if (s->about.text) {
        fprintf(to, "  of         %s\n", cJSON_IsString(source) ? source->valuestring : "unknown");
        fprintf(to, "  holds      %lld images of box %lld px as %s%s; %lld particles\n", (long long)s->about.images,
                (long long)s->about.layout.D, s->about.float32 ? "float32" : "float16",
                s->about.encoder ? ", with the encoder's pixels" : "", (long long)s->about.particles);
    }
    if (s->whole)
        fprintf(to, "  state      whole; %.3g GB, %.1f kB a particle\n", s->bytes / 1e9, s->bytes / (double)s->about.particles / 1e3);
    else if (!s->problem)
        fprintf(to, "  state      not finished: %lld of %lld images; %.3g GB by now\n", (long long)s->done, (long long)s->about.images,
                s->bytes / 1e9);
}

static cJSON *say_json(const char *directory, const state *s)
{
    cJSON *o = s->about.text ? cJSON_Parse(s->about.text) : cJSON_CreateObject();

    cJSON_AddStringToObject(o, "directory", directory);
    cJSON_AddBoolToObject(o, "whole", s->whole);
    cJSON_AddNumberToObject(o, "images_done", (double)s->done);
    cJSON_AddNumberToObject(o, "bytes_on_disk", s->bytes);
    if (s->problem)
        cJSON_AddStringToObject(o, "problem", s->problem);
    return o;
}

static deco_status show(FILE *to, const path_list *all, const deco_options *o)
{
    deco_status st = DECO_OK;
    cJSON *array = o->json ? cJSON_CreateArray() : NULL;

    for (int64_t i = 0; i < all->count && !st; i++) {
        cache_env *env = NULL;
        state s;
        st = look_at(&s, &env, all->path[i]);
        if (!st && array)
            cJSON_AddItemToArray(array, say_json(all->path[i], &s));
        else if (!st)
            say_text(to, all->path[i], &s);
        state_free(&s);
        cache_env_close(env);
    }
    if (array && !st) {
        char *text = cJSON_Print(array);
        fprintf(to, "%s\n", text ? text : "[]");
        free(text);
    } else if (!all->count && !st) {
        fprintf(to, "no cache in %s\n", o->cache_dir);
    }
    cJSON_Delete(array);
    return st;
}

/* ---- verify -------------------------------------------------------------------------------------------------------- */

typedef struct verification {
    const char *directory;
    const cache_env *env;
    const state *s;
    cache_view **view; /* [threads] made when first needed */
    deco_monitor *m;
} verification;

static deco_status verify_tile(void *context, int64_t tile, int worker)
{
    deco_status st = DECO_OK;
    verification *v = context;
    int64_t end = (tile + 1) * TILE < v->s->done ? (tile + 1) * TILE : v->s->done;
    const record_layout *layout = &v->s->about.layout;
    const unsigned char *record;

    if (!v->view[worker])
        TRY(cache_view_create(&v->view[worker], v->env));
    for (int64_t i = tile * TILE; i < end; i++) {
        if (deco_monitor_stopped(v->m))
            TRY(deco_fail(DECO_E_STOPPED, "stopped"));
        TRY(cache_view_image(&record, v->view[worker], i, layout->bytes));
        if (!record_is_sound(record, layout))
            TRY(deco_fail(DECO_E_FORMAT,
                          "%s: image %lld is damaged: its checksum differs. Remove it (cryodeco cache remove), and it is made "
                          "again; and look after the disk",
                          v->directory, (long long)i));
    }
    deco_progress_add(v->m, end - tile * TILE);
out:
    return st;
}

static deco_status verify_one(FILE *to, const char *directory, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_pool *pool = deco_device_pool(dev);
    int threads = deco_pool_threads(pool);
    cache_env *env = NULL;
    state s = {0};
    verification v = {.directory = directory, .s = &s, .m = m};

    TRY(look_at(&s, &env, directory));
    if (s.problem)
        TRY(deco_fail(DECO_E_FORMAT, "%s: %s", directory, s.problem));
    v.env = env;
    TRY(deco_alloc(&v.view, (size_t)threads, sizeof(cache_view *), "cache"));
    deco_progress_begin(m, "verifying", s.done, "images");
    st = deco_pool_run(pool, verify_tile, &v, (s.done + TILE - 1) / TILE);
    deco_progress_end(m);
    if (!st)
        fprintf(to, "%s: %lld images, all sound%s\n", directory, (long long)s.done, s.whole ? "" : " (not finished)");
out:
    for (int i = 0; v.view && i < threads; i++)
        cache_view_free(v.view[i]);
    free(v.view);
    state_free(&s);
    cache_env_close(env);
    return st;
}

/* All of them are looked at, whatever the first ones are like. */
static deco_status verify(FILE *to, const path_list *all, const deco_options *o, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    int64_t bad = 0;

    for (int64_t i = 0; i < all->count; i++) {
        st = verify_one(to, all->path[i], dev, m);
        if (st != DECO_OK && st != DECO_E_FORMAT && st != DECO_E_FILE)
            return st;
        if (st)
            fprintf(to, "%s\n", deco_error());
        bad += st != DECO_OK;
    }
    if (!all->count)
        fprintf(to, "no cache in %s\n", o->cache_dir);
    return bad ? deco_fail(DECO_E_FORMAT, "%lld of %lld caches in %s are damaged", (long long)bad, (long long)all->count, o->cache_dir)
               : DECO_OK;
}

/* ---- build and remove ----------------------------------------------------------------------------------------------- */

static deco_status build(FILE *to, const deco_options *o, deco_device *dev, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_particles *p = NULL;
    deco_cache *c = NULL;

    TRY(open_input(&p, o, m));
    TRY(deco_cache_open(&c, p, o->cache_dir, !strcmp(o->image_precision, "float32"), o->use_conf_encoder, dev, m));
    fprintf(to, "%s\n", deco_cache_directory(c));
out:
    deco_cache_close(c);
    deco_particles_free(p);
    return st;
}

static deco_status take_away(FILE *to, const path_list *all, const deco_options *o)
{
    deco_status st = DECO_OK;
    int64_t used = 0;
    bool removed;

    for (int64_t i = 0; i < all->count; i++) {
        TRY(cache_remove(&removed, all->path[i]));
        fprintf(to, removed ? "removed %s\n" : "%s is in use, and stays\n", all->path[i]);
        used += !removed;
    }
    if (!all->count)
        fprintf(to, "no cache in %s\n", o->cache_dir);
    if (used)
        st = deco_fail(DECO_E_FILE, "%lld of %lld caches in %s are in use: try again when the runs have ended", (long long)used,
                       (long long)all->count, o->cache_dir);
out:
    return st;
}

static deco_status act(FILE *to, const deco_options *o, deco_monitor *m, bool *wrote)
{
    deco_status st = DECO_OK;
    path_list all = {0};
    deco_device *dev = NULL;
    bool builds = !strcmp(o->action, "build");

    if (builds || !strcmp(o->action, "verify"))
        TRY(deco_device_create(&dev, "cpu", (int)o->threads));
    if (builds) {
        TRY(build(to, o, dev, m));
        goto out;
    }
    TRY(chosen(&all, o, m));
    if (!strcmp(o->action, "info")) {
        TRY(show(to, &all, o));
    } else if (!strcmp(o->action, "verify")) {
        *wrote = true; /* what it finds is no fault of the call */
        TRY(verify(to, &all, o, dev, m));
    } else {
        TRY(take_away(to, &all, o));
    }
out:
    if (st == DECO_E_STOPPED || (builds && st == DECO_E_FILE))
        *wrote = true;
    path_list_free(&all);
    deco_device_free(dev);
    return st;
}

deco_status deco_cache_command(char **out, const deco_options *o, deco_monitor *m, bool *wrote)
{
    deco_status st;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    *out = NULL;
    if (!to)
        return deco_fail_memory(4096, "the report");
    st = act(to, o, m, wrote);
    if (fclose(to)) {
        free(text);
        return st ? st : deco_fail_memory(size, "the report");
    }
    *out = text; /* also of what failed: it says how far it came */
    return st;
}
