/* The option table as data: a row for every line of options.def. */
#ifndef DECO_CONFIG_TABLE_H
#define DECO_CONFIG_TABLE_H

#include "config/options.h"

typedef enum option_kind { OPTION_BOOL, OPTION_INT, OPTION_REAL, OPTION_TEXT, OPTION_CHOICE, OPTION_LIST } option_kind;

typedef struct option_row {
    option_kind kind;
    const char *name, *preset, *range, *unit; /* preset: the default */
    int commands;
    const char *group, *help;
    size_t offset; /* of the field in deco_options */
} option_row;

extern const option_row option_table[DECO_OPTIONS];

/* A command, in the order of `cryodeco --help`; usage is what follows its name. */
typedef struct option_command {
    const char *name;
    int bit; /* DECO_FOR_*; 0 takes no options of the table */
    const char *usage, *what;
} option_command;
extern const option_command command_table[];
extern const int command_count;

/* What stands for an option's value in the help ("N"; of choices ""), and its range, unit and default as "1..1024 poses; default 8". */
const char *option_value_word(const option_row *row);
void option_facts(char *out, size_t size, const option_row *row);

/* The exit codes of all commands, in lines of at most 100 columns. */
extern const char command_exit_codes[];

/* Row of a name ('-' counts as '_'), or -1. */
int option_find(const char *name);

/* Whether two words, and two letters, are the same when '-' is '_' and case does not count. */
bool option_same_word(const char *a, const char *b);
bool option_same_letter(char a, char b);

/* Ends of "lo..hi"; infinite where missing. `open_*`: the end itself is outside. */
typedef struct option_range {
    double low, high;
    bool open_low, open_high;
} option_range;
option_range option_range_of(const char *text);

/* The word that the range of a whole number may begin with ("auto|1..9"); it stands for 0. False where there is none. */
bool option_word_of(char out[16], const option_row *row);

/* The field of an option. */
static inline void *option_field(const deco_options *o, int id) { return (char *)o + option_table[id].offset; }

/* The value as text that deco_options_put takes back exactly; lists joined by ", ". NULL without memory. Free with free(). */
char *option_text(const deco_options *o, int id);

/* Values that follow from others (use_gt_poses implies use_gt_trans; feature_dim is the table's width without an encoder; adam has
 * no weight decay). They keep the origin "default", so that they follow again when those change. */
void option_derive(deco_options *o);

/* Why `name` (with this value) has no place here, or DECO_OK when it does; *harmless: it says nothing, and is passed over. */
deco_status option_foreign(const char *name, const char *value, bool *harmless);

/* ARGUMENT: "there is no option X", with the nearest names of those that `commands` take. */
deco_status option_unknown(const char *name, int commands);

/* Names of the commands in `commands`, as "run, analyze". */
void option_command_words(char *out, size_t size, int commands);

/* A number in the C locale whatever the host's; the whole text must be it. */
bool option_read_real(double *out, const char *text);
bool option_read_int(int64_t *out, const char *text);
bool option_read_bool(bool *out, const char *text);

/* The shortest text that reads back as the same number, in the C locale, always with a dot: YAML 1.1 readers take "1e-06" for
 * a word and "20" for a whole number. */
void option_print_real(char out[40], double value);

/* Path of a preset's YAML file; free with free(). ARGUMENT lists the presets there are. */
deco_status option_find_preset(char **path, const char *name);

#endif
