/* The option table: name, type, default, range, unit, help, where it applies. YAML, the command line, --help, the
 * resolved job.yaml and the plugin's parameter list all come from it; no option is parsed or checked anywhere else.
 *
 * options.def holds one line an option; its name is the field's name here. */
#ifndef DECO_CONFIG_OPTIONS_H
#define DECO_CONFIG_OPTIONS_H

#include "base/status.h"
#include <stdio.h>

/* Where an option applies, as bits. */
enum {
    DECO_FOR_RUN = 1,
    DECO_FOR_ANALYZE = 2,
    DECO_FOR_SIMULATE = 4,
    DECO_FOR_INFO = 8,
    DECO_FOR_BENCH = 16,
    DECO_FOR_SUBSET = 32,
    DECO_FOR_OPTIONS = 64,
    DECO_FOR_CACHE = 512,
    DECO_FOR_ENCODE = 1024,
    DECO_FOR_SELFTEST = 2048,
    DECO_FOR_SCORE = 4096,
    DECO_FOR_DECODE = 8192,
    DECO_FOR_ALL = 127 | 512 | 1024 | 2048 | 4096 | 8192,
    /* What of it may be given otherwise when a run is resumed; everything else would make it another run. */
    DECO_MAY_CHANGE = 128,
    DECO_MAY_GROW = 256
};

/* C types of the kinds: BOOL bool, INT int64_t, REAL double, TEXT and CHOICE char * (NULL when not given and without
 * default), LIST deco_list. */
typedef struct deco_list {
    char **items;
    int64_t count;
} deco_list;

#define DECO_FIELD_BOOL   bool
#define DECO_FIELD_INT    int64_t
#define DECO_FIELD_REAL   double
#define DECO_FIELD_TEXT   char *
#define DECO_FIELD_CHOICE char *
#define DECO_FIELD_LIST   deco_list

/* OPTION(kind, name, default text, range text, unit, commands, group, help) — see options.def */
#define OPTION(kind, name, ...) DECO_OPT_##name,
typedef enum deco_option_id {
#include "config/options.def"
    DECO_OPTIONS
} deco_option_id;
#undef OPTION

/* Who set a value; the larger wins. */
typedef enum deco_origin { DECO_FROM_DEFAULT, DECO_FROM_PRESET, DECO_FROM_CONFIG, DECO_FROM_COMMAND } deco_origin;

struct deco_options {
#define OPTION(kind, name, ...) DECO_FIELD_##kind name;
#include "config/options.def"
#undef OPTION
    deco_origin origin[DECO_OPTIONS];
};

/* True when the user (or a preset) gave it: not its default. */
static inline bool deco_option_given(const deco_options *o, deco_option_id id) { return o->origin[id] != DECO_FROM_DEFAULT; }

/* Are poses searched for? Otherwise they start from the input's. */
static inline bool deco_searches_poses(const deco_options *o) { return !o->use_gt_poses && !o->refine_gt_poses; }

/* min_score taken apart: "COLUMN:VALUE". Free *column with free(). Fails: ARGUMENT. */
deco_status deco_option_score(char **column, double *least, const char *text);

/* The box of simulated images. */
static inline int64_t deco_simulated_box(const deco_options *o) { return o->box ? o->box : 64; }

/* Number i of a list whose range made sure that it is one. */
double deco_list_number(const deco_list *l, int64_t i);
bool deco_list_has(const deco_list *l, const char *word);

deco_status deco_options_copy(deco_options **out, const deco_options *o);

/* Sets with an origin; a value of a weaker origin leaves a stronger one alone. */
deco_status deco_options_put(deco_options *o, const char *name, const char *value, deco_origin origin);
/* A whole number that the program settled itself, as if it were given on the command line: it is kept in job.yaml. */
deco_status deco_options_put_whole(deco_options *o, const char *name, int64_t whole);

/* YAML mapping of name: value (scalars, lists). Fails: FILE, FORMAT with file and line, ARGUMENT. */
deco_status deco_options_read_yaml(deco_options *o, const char *path, deco_origin origin);

/* A word as a POSIX shell takes it, in quotes where it has to be; and those options of `command` that were given on the command line as such words,
 * each in a line of its own, " \\\n    --name value"; not the n of `but`. Free with free(). NULL, fails: MEMORY. */
char *deco_shell_word(const char *word);
deco_status deco_options_words(char **out, const deco_options *o, int command, const int *but, int n);

/* The resolved parameters of `command` as YAML text that deco_options_read_yaml takes back with the same values
 * (reals to 17 digits where needed). Free with free(). */
deco_status deco_options_write_yaml(char **out, const deco_options *o, int command);

/* Combinations that cannot be: checked once, before anything is read or written (METHOD.md names with no meaning here,
 * options that need one another, what this version cannot do yet). */
deco_status deco_options_check(const deco_options *o, int command);

/* --resume, or "auto" for --load True: "auto", the path of a checkpoint, or the epoch after which to go on. NULL: a run begins anew. */
const char *deco_options_resume(const deco_options *o);

/* The options of the run whose job.yaml is at `path`, with those of `given` that may change; not asking for a resume any more. Fails:
 * ARGUMENT, naming with both values what would make it another run; as deco_options_read_yaml. */
deco_status deco_options_continue(deco_options **out, const deco_options *given, const char *path);

/* JSON array of the options that apply to `command`: name, type, default, minimum, maximum, choices, unit, group, help. */
deco_status deco_options_json(char **out, int command);

/* The manual page, in man's language, and the completion of bash. Free with free(). Fails: MEMORY. */
deco_status deco_options_manual(char **out);
deco_status deco_options_completion(char **out);

#endif
