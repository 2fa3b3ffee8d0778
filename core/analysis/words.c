#include "analysis/words.h"
#include "base/file.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

deco_status deco_words_add(deco_words *w, bool look, const char *format, ...)
{
    va_list list;
    char *text = NULL;
    int length;

    if (w->count == w->room) {
        int64_t room = w->room ? 2 * w->room : 16;
        void *more = realloc(w->line, (size_t)room * sizeof *w->line);
        if (!more)
            return deco_fail_memory((size_t)room * sizeof *w->line, "words");
        w->line = more;
        w->room = room;
    }
    va_start(list, format);
    length = vasprintf(&text, format, list);
    va_end(list);
    if (length < 0)
        return deco_fail_memory(strlen(format), "words");
    deco_log(w->m, look ? DECO_LOG_WARNING : DECO_LOG_INFO, "%s", text);
    w->line[w->count].look = look;
    w->line[w->count++].text = text;
    return DECO_OK;
}

deco_status deco_words_write(const deco_words *w, const char *path)
{
    deco_status st = DECO_OK;
    deco_file *f = NULL;

    TRY(deco_file_create(&f, path));
    for (int64_t i = 0; i < w->count; i++)
        TRY(deco_file_print(f, "%s%s\n", w->line[i].look ? "CHECK: " : "", w->line[i].text));
    st = deco_file_commit(f);
    f = NULL;
out:
    deco_file_abandon(f);
    return st;
}

void deco_words_free(deco_words *w)
{
    for (int64_t i = 0; i < w->count; i++)
        free(w->line[i].text);
    free(w->line);
    *w = (deco_words){0};
}
