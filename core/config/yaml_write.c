/* Options as YAML: a mapping, group by group. */
#include "base/file.h"
#include "config/options.h"
#include "config/table.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static int append(void *file, unsigned char *bytes, size_t n) { return fwrite(bytes, 1, n, file) == n; }

/* Takes the event; `made` says whether there is one. */
static bool emit(yaml_emitter_t *e, yaml_event_t *event, int made) { return made && yaml_emitter_emit(e, event); }

/* Words stand in quotes, or a path "on" or "2026-01-31" would come back as something else in other programs. */
static bool emit_word(yaml_emitter_t *e, const char *text, bool quoted)
{
    yaml_event_t event;
    yaml_scalar_style_t style = quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;

    return emit(e, &event, yaml_scalar_event_initialize(&event, NULL, NULL, (yaml_char_t *)text, (int)strlen(text), 1, 1, style));
}

static bool emit_list(yaml_emitter_t *e, const deco_list *l)
{
    yaml_event_t event;
    bool ok = emit(e, &event, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_FLOW_SEQUENCE_STYLE));

    for (int64_t i = 0; ok && i < l->count; i++)
        ok = emit_word(e, l->items[i], true);
    return ok && emit(e, &event, yaml_sequence_end_event_initialize(&event));
}

static bool emit_option(yaml_emitter_t *e, const deco_options *o, int id)
{
    const option_row *row = &option_table[id];

    if (!emit_word(e, row->name, false))
        return false;
    if (row->kind == OPTION_LIST)
        return emit_list(e, option_field(o, id));
    char *text = option_text(o, id);
    bool ok = text && emit_word(e, text, row->kind == OPTION_TEXT || row->kind == OPTION_CHOICE);
    free(text);
    return ok;
}

/* What belongs to one call (dry_run, skip_train ...) is not a parameter of the run. Neither is what was never given. */
static bool recorded(const deco_options *o, int id, int command)
{
    const option_row *row = &option_table[id];

    if (!(row->commands & command) || !strcmp(row->group, "this call"))
        return false;
    if (row->kind == OPTION_TEXT)
        return *(char **)option_field(o, id) != NULL;
    if (row->kind == OPTION_LIST)
        return ((deco_list *)option_field(o, id))->count > 0;
    return *row->preset || deco_option_given(o, id);
}

/* One group as a mapping of its own: mappings that follow one another are one, and libyaml writes no comments. */
static bool write_group(FILE *f, const deco_options *o, const char *group, int command)
{
    yaml_emitter_t e;
    yaml_event_t event;

    if (!yaml_emitter_initialize(&e))
        return false;
    yaml_emitter_set_output(&e, append, f);
    yaml_emitter_set_unicode(&e, 1);
    yaml_emitter_set_width(&e, -1);
    bool ok = emit(&e, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING)) &&
              emit(&e, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1)) &&
              emit(&e, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    for (int i = 0; ok && i < DECO_OPTIONS; i++)
        if (!strcmp(option_table[i].group, group) && recorded(o, i, command))
            ok = emit_option(&e, o, i);
    ok = ok && emit(&e, &event, yaml_mapping_end_event_initialize(&event)) &&
         emit(&e, &event, yaml_document_end_event_initialize(&event, 1)) && emit(&e, &event, yaml_stream_end_event_initialize(&event));
    yaml_emitter_delete(&e);
    return ok;
}

deco_status deco_options_write_yaml(char **out, const deco_options *o, int command)
{
    char *text = NULL;
    size_t n = 0;
    const char *group = "";
    FILE *f = open_memstream(&text, &n);
    bool ok = f != NULL;

    *out = NULL;
    if (ok)
        fprintf(f, "# cryodeco %s: every parameter, resolved. --config takes this file back.\n", deco_version());
    for (int i = 0; ok && i < DECO_OPTIONS; i++) /* groups stand together in the table */
        if (strcmp(group, option_table[i].group) != 0 && recorded(o, i, command)) {
            group = option_table[i].group;
            fprintf(f, "\n# %s\n", group);
            ok = write_group(f, o, group, command);
        }
    ok = f && !fclose(f) && ok;
    if (!ok) {
        free(text);
        return deco_fail_memory(n, "the resolved options");
    }
    *out = text;
    return DECO_OK;
}
