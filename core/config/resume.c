/* Options of a resumed run: its own, as job.yaml holds them, and what may be given otherwise. */
#include "base/file.h"
#include "config/options.h"
#include "config/table.h"

#include <stdlib.h>
#include <string.h>

const char *deco_options_resume(const deco_options *o)
{
    int64_t epoch;
    bool truth = false;

    if (!o->resume)
        return o->load ? "auto" : NULL;
    if (!option_read_int(&epoch, o->resume) && option_read_bool(&truth, o->resume)) /* 0 and 1 are epochs */
        return truth ? "auto" : NULL;
    return o->resume;
}

static bool may_differ(const deco_options *was, const deco_options *now, int id)
{
    int free_to = option_table[id].commands & (DECO_MAY_CHANGE | DECO_MAY_GROW);

    if (free_to == DECO_MAY_GROW)
        return *(const int64_t *)option_field(now, id) >= *(const int64_t *)option_field(was, id);
    return free_to != 0;
}

static const char *shown(const char *text) { return *text ? text : "not given"; }

/* "lr was 0.001 and is 0.002" and so on for all that would make it another run, appended to *list. */
static deco_status list_changes(char **list, const deco_options *was, const deco_options *now)
{
    deco_status st = DECO_OK;
    char *before = NULL, *after = NULL;

    for (int id = 0; id < DECO_OPTIONS; id++) {
        const option_row *row = &option_table[id];
        if (!deco_option_given(now, id) || !(row->commands & DECO_FOR_RUN) || !strcmp(row->group, "this call"))
            continue;
        before = option_text(was, id);
        after = option_text(now, id);
        if (!before || !after)
            TRY(deco_fail_memory(0, "options as text"));
        if (strcmp(before, after) != 0 && !may_differ(was, now, id)) {
            char *more = deco_format("%s%s%s was %s and is %s%s", *list ? *list : "", *list ? "; " : "", row->name, shown(before),
                                     shown(after), row->commands & DECO_MAY_GROW ? " (it may only grow)" : "");
            if (!more)
                TRY(deco_fail_memory(0, "options as text"));
            free(*list);
            *list = more;
        }
        free(before);
        free(after);
        before = after = NULL;
    }
out:
    free(before);
    free(after);
    return st;
}

deco_status deco_options_continue(deco_options **out, const deco_options *given, const char *path)
{
    deco_status st = DECO_OK;
    deco_options *was = NULL, *now = NULL;
    char *list = NULL;

    *out = NULL;
    TRY(deco_options_create(&was));
    TRY(deco_options_read_yaml(was, path, DECO_FROM_CONFIG));
    TRY(list_changes(&list, was, given));
    if (list)
        TRY(deco_fail(DECO_E_ARGUMENT,
                      "%s: with other options it would be another run: %s. Leave them out to go on with this one, or start anew without "
                      "resume, which keeps it aside",
                      path, list));
    TRY(deco_options_copy(&now, given));
    TRY(deco_options_put(now, "resume", "", DECO_FROM_COMMAND));
    TRY(deco_options_put(now, "load", "false", DECO_FROM_COMMAND));
    TRY(deco_options_read_yaml(now, path, DECO_FROM_PRESET)); /* under what is given, over what a preset says */
    *out = now;
    now = NULL;
out:
    free(list);
    deco_options_free(was);
    deco_options_free(now);
    return st;
}
