/* The words of --help and of `cryodeco options`. */
#include "config/options.h"
#include "config/printed.h"
#include "config/table.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 100, INDENT = 34 };

/* Columns a text takes: characters, not bytes ("Å"). */
static int columns(const char *text, size_t bytes)
{
    int n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

/* Text from column INDENT on, wrapped between words; the line stands at column `at`. */
static void wrap(FILE *f, const char *text, int at)
{
    bool first = true;

    if (at >= INDENT) {
        putc('\n', f);
        at = 0;
    }
    fprintf(f, "%*s", INDENT - at, "");
    at = INDENT;
    while (*text) {
        size_t n = strcspn(text, " ");
        int wide = columns(text, n);
        if (!first && at + 1 + wide > WIDTH) {
            fprintf(f, "\n%*s", INDENT, "");
            at = INDENT;
            first = true;
        }
        fprintf(f, "%s%.*s", first ? "" : " ", (int)n, text);
        at += wide + !first;
        first = false;
        text += n + (text[n] == ' ');
    }
    putc('\n', f);
}

static const char *const value_words[] = {"True|False", "N", "X", "TEXT", "", "TEXT"};

const char *option_value_word(const option_row *row) { return value_words[row->kind]; }

void option_facts(char *out, size_t size, const option_row *row)
{
    bool number = row->kind == OPTION_INT || row->kind == OPTION_REAL;

    *out = 0;
    if (row->kind == OPTION_CHOICE)
        snprintf(out, size, "%s; default %s", row->range, row->preset);
    else if (number)
        snprintf(out, size, "%s%s%s%s%s", row->range, *row->unit ? " " : "", row->unit, *row->preset ? "; default " : "", row->preset);
    else if (*row->preset)
        snprintf(out, size, "default %s", row->preset);
}

static void print_option(FILE *f, const option_row *row)
{
    char text[1024], head[100], facts[300];

    option_facts(facts, sizeof facts, row);
    snprintf(text, sizeof text, "%s%s%s%s", row->help, *facts ? " [" : "", facts, *facts ? "]" : "");
    snprintf(head, sizeof head, "  --%s %s", row->name, option_value_word(row));
    fputs(head, f);
    wrap(f, text, columns(head, strlen(head)));
}

static void print_command(FILE *f, int c)
{
    const char *group = "";

    fprintf(f, "cryodeco %s %s\n\n%s.\n", command_table[c].name, command_table[c].usage, command_table[c].what);
    for (int i = 0; i < DECO_OPTIONS; i++) {
        const option_row *row = &option_table[i];
        if (!(row->commands & command_table[c].bit))
            continue;
        if (strcmp(group, row->group) != 0)
            fprintf(f, "\n%s\n", group = row->group);
        print_option(f, row);
    }
    fprintf(f,
            "\nNames take '-' or '_', and values after a blank or '='. Order of force: defaults, preset, --config,\n"
            "command line.\n%s",
            command_exit_codes);
}

static void print_commands(FILE *f)
{
    fprintf(f, "cryodeco: structures, poses and states from single-particle images, with no starting model.\n\n");
    for (int c = 0; c < command_count; c++)
        fprintf(f, "  cryodeco %-10s %s\n", command_table[c].name, command_table[c].what);
    fprintf(f, "\ncryodeco COMMAND --help lists a command's options; cryodeco --version names version and commit.\n%s", command_exit_codes);
}

/* One option a line, so that it can be searched with grep. */
static void print_table(FILE *f)
{
    static const char *const kinds[] = {"bool", "int", "real", "text", "choice", "list"};
    const char *group = "";
    char words[100];

    fprintf(f, "%-28s %-7s %-10s %-22s %-10s %-30s %s\n", "name", "type", "default", "range", "unit", "command", "meaning");
    for (int i = 0; i < DECO_OPTIONS; i++) {
        const option_row *row = &option_table[i];
        if (strcmp(group, row->group) != 0)
            fprintf(f, "\n[%s]\n", group = row->group);
        option_command_words(words, sizeof words, row->commands);
        int pad = 10 + (int)strlen(row->unit) - columns(row->unit, strlen(row->unit)); /* printf pads by bytes */
        fprintf(f, "%-28s %-7s %-10s %-22s %-*s %-30s %s\n", row->name, kinds[row->kind], *row->preset ? row->preset : "-",
                *row->range ? row->range : "-", pad, *row->unit ? row->unit : "-", words, row->help);
    }
}

typedef struct help_asked {
    bool table;
    int command; /* of the command table; -1: all */
} help_asked;

static void print_help(FILE *f, const void *context)
{
    const help_asked *asked = context;

    if (asked->table)
        print_table(f);
    else if (asked->command >= 0)
        print_command(f, asked->command);
    else
        print_commands(f);
}

deco_status deco_options_help(char **out, const char *command, bool table)
{
    int c = 0;

    *out = NULL;
    while (command && c < command_count && strcmp(command_table[c].name, command) != 0)
        c++;
    if (c == command_count)
        return deco_fail(DECO_E_ARGUMENT, "there is no command '%s'; cryodeco --help lists them", command);
    return option_printed(out, "help", print_help, &(help_asked){table, command ? c : -1});
}

void deco_text_free(char *text) { free(text); }
