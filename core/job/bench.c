/* `cryodeco bench`: the cases of all folders, by name, each on its line. */
#include "job/bench.h"

#include "analysis/bench_latents.h"
#include "config/options.h"
#include "job/bench_tables.h"
#include "model/bench_encoder.h"
#include "particles/bench_images.h"
#include "training/bench_search.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEARCH_AT = DECO_DECODER_CASES + DECO_ENCODER_CASES,
    LATENTS_AT = SEARCH_AT + DECO_SEARCH_CASES,
    MANY_AT = LATENTS_AT + DECO_LATENT_CASES - DECO_LATENT_CASES_MANY,
    IMAGES_AT = LATENTS_AT + DECO_LATENT_CASES,
    TABLES_AT = IMAGES_AT + DECO_IMAGE_CASES,
    CASES = TABLES_AT + DECO_TABLE_CASES
};

static const deco_bench_case *case_at(int i)
{
    if (i < DECO_DECODER_CASES)
        return &deco_decoder_cases[i];
    if (i < SEARCH_AT)
        return &deco_encoder_cases[i - DECO_DECODER_CASES];
    if (i < LATENTS_AT)
        return &deco_search_cases[i - SEARCH_AT];
    if (i < IMAGES_AT)
        return &deco_latent_cases[i - LATENTS_AT];
    return i < TABLES_AT ? &deco_image_cases[i - IMAGES_AT] : &deco_table_cases[i - TABLES_AT];
}

static bool names(const char *list, const char *name)
{
    for (size_t n = strlen(name); list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
        if (!strncmp(list, name, n) && (!list[n] || list[n] == ','))
            return true;
    return false;
}

/* Every name of the list is a case's. */
static deco_status check_names(const char *list)
{
    for (const char *at = list, *comma; at; at = comma ? comma + 1 : NULL) {
        comma = strchr(at, ',');
        char name[64];
        bool known = false;
        snprintf(name, sizeof name, "%.*s", (int)(comma ? comma - at : (long)strlen(at)), at);
        for (int i = 0; i < CASES; i++)
            known = known || !strcmp(name, case_at(i)->name);
        if (!known) {
            char all[512] = "";
            for (int i = 0; i < CASES; i++)
                snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? ", " : "", case_at(i)->name);
            return deco_fail(DECO_E_ARGUMENT, "cases: no case \"%s\"; there are: %s", name, all);
        }
    }
    return DECO_OK;
}

static void report(FILE *text, const deco_bench_case *c, const deco_bench_rate *r, const deco_options *o, deco_device *dev)
{
    int threads = deco_pool_threads(deco_device_pool(dev));
    if (o->json)
        fprintf(text, "{\"case\": \"%s\", \"value\": %.3f, \"unit\": \"%s\", \"threads\": %d, \"device\": \"%s\", \"shape\": {%s}}\n",
                c->name, r->value, r->unit, threads, deco_device_name(dev), r->shape);
    else
        fprintf(text, "%-24s %12.*f %s on %d threads\n", c->name, r->value < 10 ? 3 : 1, r->value, r->unit, threads);
}

deco_status deco_bench_run(char **out, const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_device *dev = NULL;
    FILE *text = NULL;
    char *buffer = NULL;
    size_t size = 0;

    *out = NULL;
    TRY(check_names(o->cases));
    TRY(deco_device_create(&dev, o->device, (int)o->threads));
    deco_device_use_bf16(dev, true); /* as runs have it unless told otherwise */
    text = open_memstream(&buffer, &size);
    if (!text) {
        st = deco_fail_memory(size, "benchmark");
        goto out;
    }
    for (int i = 0; i < CASES; i++) {
        deco_bench_case with_options = *case_at(i);
        const deco_bench_case *c = &with_options;
        deco_bench_rate rate = {0};
        if (o->cases && !names(o->cases, c->name))
            continue;
        if (!o->cases && i >= MANY_AT && i < IMAGES_AT) /* minutes each: by name alone */
            continue;
        if (i >= IMAGES_AT) { /* those go by the user's input */
            if (!o->cases && (i < TABLES_AT ? !deco_image_case_possible(c, o) : !o->particles.count))
                continue;
            with_options.what = o;
        }
        TRY(c->run(&rate, c, dev, o->seconds, m));
        report(text, c, &rate, o, dev);
    }
    if (fclose(text)) {
        text = NULL;
        st = deco_fail_memory(size, "benchmark");
        goto out;
    }
    text = NULL;
    *out = buffer;
    buffer = NULL;
out:
    if (text)
        fclose(text);
    free(buffer);
    deco_device_free(dev);
    return st;
}
