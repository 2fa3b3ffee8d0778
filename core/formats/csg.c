/* Result groups of CryoSPARC. */
#include "formats/csg.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct writer {
    yaml_emitter_t emitter;
    unsigned char *text;
    size_t length, room;
    bool failed; /* told once, at the end */
} writer;

static int collect(void *context, unsigned char *bytes, size_t n)
{
    writer *w = context;

    if (n > w->room - w->length) {
        size_t room = 2 * (w->length + n) + 1024;
        unsigned char *grown = realloc(w->text, room);
        if (!grown)
            return 0;
        w->text = grown;
        w->room = room;
    }
    memcpy(w->text + w->length, bytes, n);
    w->length += n;
    return 1;
}

/* The emitter owns an event from here on; after a failure nobody would. */
static void emit(writer *w, int made, yaml_event_t *event)
{
    if (made && w->failed)
        yaml_event_delete(event);
    w->failed = w->failed || !made || !yaml_emitter_emit(&w->emitter, event);
}

static void put_text(writer *w, const char *text, yaml_scalar_style_t style)
{
    yaml_event_t e;
    emit(w, yaml_scalar_event_initialize(&e, NULL, NULL, (yaml_char_t *)text, (int)strlen(text), 1, 1, style), &e);
}

static void put_key(writer *w, const char *key) { put_text(w, key, YAML_PLAIN_SCALAR_STYLE); }

static void begin(writer *w, const char *key)
{
    yaml_event_t e;

    if (key)
        put_key(w, key);
    emit(w, yaml_mapping_start_event_initialize(&e, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE), &e);
}

static void end(writer *w)
{
    yaml_event_t e;
    emit(w, yaml_mapping_end_event_initialize(&e), &e);
}

/* Ours and the user's words stay text whatever they look like: quoted, 'null' and '2026' are no more than words. */
static void put_pair(writer *w, const char *key, const char *value)
{
    put_key(w, key);
    put_text(w, value, YAML_SINGLE_QUOTED_SCALAR_STYLE);
}

/* What CryoSPARC calls the content of a slot, which several slots may share. */
static const char *slot_type(const char *prefix)
{
    if (!strncmp(prefix, "alignments_class", strlen("alignments_class")))
        return "alignments3D";
    if (!strncmp(prefix, "components_mode_", strlen("components_mode_")))
        return "components";
    return prefix;
}

static void put_result(writer *w, const char *prefix, const char *metafile, int64_t rows)
{
    char *type = deco_format("particle.%s", slot_type(prefix)), *file = deco_format(">%s", metafile), count[24];

    if (type && file) {
        snprintf(count, sizeof count, "%lld", (long long)rows);
        begin(w, prefix);
        put_pair(w, "metafile", file);
        put_key(w, "num_items");
        put_text(w, count, YAML_PLAIN_SCALAR_STYLE);
        put_key(w, "type");
        put_text(w, type, YAML_PLAIN_SCALAR_STYLE);
        end(w);
    } else {
        w->failed = true;
    }
    free(type);
    free(file);
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The prefixes of all columns, sorted and each once: "ctf" for ctf/df1_A and ctf/df2_A. */
static deco_status list_prefixes(char ***out, int64_t *count, const deco_table *t)
{
    deco_status st = DECO_OK;
    int64_t n = 0;

    *count = 0;
    TRY(deco_alloc(out, (size_t)t->columns + 1, sizeof **out, t->source));
    for (int64_t i = 0; i < t->columns; i++) {
        const char *name = t->column[i].name, *slash = strchr(name, '/');
        if (!slash)
            continue;
        if (!((*out)[n] = strndup(name, (size_t)(slash - name)))) {
            st = deco_fail_memory(strlen(name), t->source);
            goto out;
        }
        *count = ++n;
    }
    qsort(*out, (size_t)n, sizeof **out, by_text);
    *count = 0;
    for (int64_t i = 0; i < n; i++) {
        if (*count && !strcmp((*out)[*count - 1], (*out)[i]))
            free((*out)[i]);
        else
            (*out)[(*count)++] = (*out)[i];
    }
out:
    return st;
}

deco_status deco_csg_write(const char *path, const deco_table *t, int64_t items, const char *metafile, const char *name, const char *title,
                           const char *description, const char *created, const char *version)
{
    deco_status st = DECO_OK;
    writer w = {0};
    char **prefix = NULL;
    int64_t prefixes = 0;
    yaml_event_t e;

    if (!yaml_emitter_initialize(&w.emitter))
        return deco_fail_memory(sizeof w.emitter, path);
    yaml_emitter_set_output(&w.emitter, collect, &w);
    yaml_emitter_set_unicode(&w.emitter, 1);
    yaml_emitter_set_width(&w.emitter, -1);
    TRY(list_prefixes(&prefix, &prefixes, t));
    emit(&w, yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING), &e);
    emit(&w, yaml_document_start_event_initialize(&e, NULL, NULL, NULL, 1), &e);
    begin(&w, NULL);
    put_key(&w, "created");
    put_text(&w, created, YAML_PLAIN_SCALAR_STYLE); /* a time, not text */
    begin(&w, "group");
    put_pair(&w, "description", description);
    put_pair(&w, "name", name);
    put_pair(&w, "title", title);
    put_key(&w, "type");
    put_text(&w, "particle", YAML_PLAIN_SCALAR_STYLE);
    end(&w);
    begin(&w, "results");
    for (int64_t i = 0; i < prefixes; i++)
        put_result(&w, prefix[i], metafile, items);
    end(&w);
    put_pair(&w, "version", version ? version : "v4.7.1");
    end(&w);
    emit(&w, yaml_document_end_event_initialize(&e, 1), &e);
    emit(&w, yaml_stream_end_event_initialize(&e), &e);
    if (w.failed) {
        st = deco_fail(DECO_E_ARGUMENT, "%s: cannot be written as YAML: %s", path,
                       w.emitter.problem ? w.emitter.problem : "a name in it is not UTF-8");
        goto out;
    }
    st = deco_file_put(path, w.text, w.length);
out:
    for (int64_t i = 0; i < prefixes; i++)
        free(prefix[i]);
    free(prefix);
    yaml_emitter_delete(&w.emitter);
    free(w.text);
    return st;
}
