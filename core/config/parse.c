/* A command's arguments. */
#include "base/file.h"
#include "config/options.h"
#include "config/put.h"
#include "config/table.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    int bit;
    int first, positional; /* options that the first plain word and the others go to; DECO_OPTIONS: none */
} commands[] = {
    {"run", DECO_FOR_RUN, DECO_OPT_particles, DECO_OPT_particles},
    {"analyze", DECO_FOR_ANALYZE, DECO_OPT_outdir, DECO_OPT_outdir},
    {"info", DECO_FOR_INFO, DECO_OPT_particles, DECO_OPT_particles},
    {"cache", DECO_FOR_CACHE, DECO_OPT_action, DECO_OPT_particles},
    {"subset", DECO_FOR_SUBSET, DECO_OPT_outdir, DECO_OPT_outdir},
    {"decode", DECO_FOR_DECODE, DECO_OPT_outdir, DECO_OPT_outdir},
    {"score", DECO_FOR_SCORE, DECO_OPT_outdir, DECO_OPT_outdir},
    {"encode", DECO_FOR_ENCODE, DECO_OPT_outdir, DECO_OPT_outdir},
    {"simulate", DECO_FOR_SIMULATE, DECO_OPT_from, DECO_OPT_from},
    {"bench", DECO_FOR_BENCH, DECO_OPTIONS, DECO_OPTIONS},
    {"selftest", DECO_FOR_SELFTEST, DECO_OPTIONS, DECO_OPTIONS},
    {"options", DECO_FOR_OPTIONS, DECO_OPTIONS, DECO_OPTIONS},
    {"plugin", 0, DECO_OPTIONS, DECO_OPTIONS},
};

/* One pass over a command line. */
typedef struct words {
    deco_options *o;
    const char *command;
    int bit, first, positional;
    int argc;
    char *const *argv;
    int at;
    bool seen[DECO_OPTIONS];
} words;

static deco_status find_command(words *w, const char *command)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(commands[i].name, command)) {
            w->command = command;
            w->bit = commands[i].bit;
            w->first = commands[i].first;
            w->positional = commands[i].positional;
            return DECO_OK;
        }
    return deco_fail(DECO_E_ARGUMENT, "there is no command '%s'; cryodeco --help lists them", command);
}

/* A list given again on one line grows; of anything else the last word counts. */
static deco_status put(words *w, int id, const char *name, const char *value)
{
    bool again = id >= 0 && w->seen[id];

    if (id >= 0)
        w->seen[id] = true;
    return option_put(w->o, name, value, DECO_FROM_COMMAND, again);
}

/* Whether "--json PATH" is a flag and a plain word. "--use_gt_poses Ture" is not: it is a slip, to be answered as one. */
static bool stands_alone(int id, const char *next)
{
    bool truth;

    if (!next || !strncmp(next, "--", 2))
        return true;
    return !option_read_bool(&truth, next) && (!strcmp(option_table[id].group, "this call") || deco_path_exists(next));
}

/* "--name=value", "--name value"; "--name" alone says True when `name` is a truth value. */
static deco_status take_option(words *w)
{
    deco_status st = DECO_OK;
    const char *word = w->argv[w->at++] + 2, *equals = strchr(word, '=');
    const char *value = equals ? equals + 1 : w->at < w->argc ? w->argv[w->at] : NULL;
    char *name = equals ? strndup(word, (size_t)(equals - word)) : strdup(word);
    bool harmless;

    if (!name)
        return deco_fail_memory(strlen(word), "an option's name");
    int id = option_find(name);
    if (id < 0) {
        /* Known names of other programs are answered as such, also when they come alone. */
        TRY(option_foreign(name, value ? value : "", &harmless));
        if (!harmless)
            TRY(option_unknown(name, w->bit));
    } else if (!(option_table[id].commands & w->bit)) {
        TRY(option_unknown(name, w->bit));
    }
    if (id >= 0 && option_table[id].kind == OPTION_BOOL && !equals && stands_alone(id, value)) {
        TRY(put(w, id, name, "True"));
        goto out;
    }
    if (!value || (!equals && !strncmp(value, "--", 2)))
        TRY(deco_fail(DECO_E_ARGUMENT, "--%s needs a value", name));
    if (!equals)
        w->at++;
    TRY(put(w, id, name, value));
out:
    free(name);
    return st;
}

/* After "--" a word is plain whatever it begins with. */
static deco_status take_plain_word(words *w, bool any)
{
    const char *word = w->argv[w->at++];
    int id = w->first != DECO_OPTIONS && !w->seen[w->first] ? w->first : w->positional;

    if (!any && word[0] == '-' && word[1])
        return deco_fail(DECO_E_ARGUMENT, "'%s' is no option: names have two dashes, as in --outdir", word);
    if (id == DECO_OPTIONS)
        return deco_fail(DECO_E_ARGUMENT, "cryodeco %s takes no plain words, but was given '%s'", w->command, word);
    if (option_table[id].kind != OPTION_LIST && w->seen[id])
        return deco_fail(DECO_E_ARGUMENT, "cryodeco %s takes one %s, but was given '%s' as well", w->command, option_table[id].name, word);
    return put(w, id, option_table[id].name, word);
}

/* Files named by options. They come after the words that name them, and a value of a stronger origin stays. */
static deco_status apply_files(deco_options *o)
{
    deco_status st = DECO_OK;
    char *path = NULL;

    if (o->config)
        TRY(deco_options_read_yaml(o, o->config, DECO_FROM_CONFIG));
    if (deco_option_given(o, DECO_OPT_preset) && o->preset) { /* the defaults are the default preset's */
        TRY(option_find_preset(&path, o->preset));
        TRY(deco_options_read_yaml(o, path, DECO_FROM_PRESET));
    }
out:
    free(path);
    return st;
}

/* A forecast is one of a run, with the run's options. */
static bool asks_for_forecast(int argc, char *const *argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (!strncmp(argv[i], "--", 2) && strcspn(argv[i] + 2, "=") == strlen("forecast") &&
            !strncmp(argv[i] + 2, "forecast", strlen("forecast")))
            return true;
    return false;
}

deco_status deco_options_parse(deco_options *o, const char *command, int argc, char *const *argv)
{
    deco_status st = DECO_OK;
    words w = {.o = o, .argc = argc, .argv = argv};
    bool only_plain = false;

    TRY(find_command(&w, command));
    if (w.bit == DECO_FOR_INFO && asks_for_forecast(argc, argv))
        w.bit |= DECO_FOR_RUN;
    while (w.at < argc) {
        const char *word = argv[w.at];
        if (!only_plain && !strcmp(word, "--")) {
            only_plain = true;
            w.at++;
        } else if (!only_plain && !strncmp(word, "--", 2)) {
            TRY(take_option(&w));
        } else {
            TRY(take_plain_word(&w, only_plain));
        }
    }
    TRY(apply_files(o));
out:
    return st;
}

deco_status deco_options_set(deco_options *o, const char *name, const char *value)
{
    deco_status st = deco_options_put(o, name, value, DECO_FROM_COMMAND);
    int id = option_find(name);

    if (!st && (id == DECO_OPT_config || id == DECO_OPT_preset))
        st = apply_files(o);
    return st;
}
