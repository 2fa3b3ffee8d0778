/* The options that were given on the command line, as a shell takes them. */
#include "config/options.h"
#include "config/table.h"
#include <stdlib.h>
#include <string.h>

/* Appends to *text, which it replaces; false without memory, and then *text stays. */
static bool append(char **text, const char *more)
{
    size_t n = strlen(*text), k = strlen(more);
    char *longer = realloc(*text, n + k + 1);

    if (!longer)
        return false;
    memcpy(longer + n, more, k + 1);
    *text = longer;
    return true;
}

char *deco_shell_word(const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:,=+-@%";
    char *out = calloc(1, 4 * strlen(word) + 3), *at = out;

    if (!out)
        return NULL;
    if (*word && strspn(word, plain) == strlen(word))
        return memcpy(out, word, strlen(word) + 1);
    *at++ = '\'';
    for (const char *c = word; *c; c++)
        if (*c == '\'') {
            memcpy(at, "'\\''", 4);
            at += 4;
        } else {
            *at++ = *c;
        }
    *at = '\'';
    return out;
}

static bool append_option(char **text, const deco_options *o, int id)
{
    bool list = option_table[id].kind == OPTION_LIST;
    const deco_list *l = list ? option_field(o, id) : NULL;
    bool paths = list && !strcmp(option_table[id].range, "paths"); /* a path may hold a comma: each gets a word of its own */
    bool sound = true;

    for (int64_t i = 0; sound && i < (paths ? l->count : 1); i++) {
        char *value = paths ? strdup(l->items[i]) : option_text(o, id), *word = value ? deco_shell_word(value) : NULL;
        sound = word && append(text, " \\\n    --") && append(text, option_table[id].name) && append(text, " ") && append(text, word);
        free(word);
        free(value);
    }
    return sound;
}

deco_status deco_options_words(char **out, const deco_options *o, int command, const int *but, int n)
{
    char *text = strdup("");
    bool sound = text != NULL;

    for (int id = 0; sound && id < DECO_OPTIONS; id++) {
        bool left_out = !(option_table[id].commands & command) || o->origin[id] != DECO_FROM_COMMAND;
        for (int i = 0; i < n; i++)
            left_out = left_out || but[i] == id;
        if (!left_out)
            sound = append_option(&text, o, id);
    }
    *out = sound ? text : NULL;
    if (!sound)
        free(text);
    return sound ? DECO_OK : deco_fail_memory(1024, "a command line");
}
