/* The manual page cryodeco(1), in man's own language (troff's man macros). */
#include "config/options.h"
#include "config/printed.h"
#include "config/table.h"

#include <string.h>

/* A character of more than one byte by its number, so that no reader of the page has to know its encoding. Returns its last byte. */
static const char *print_wide(FILE *f, const char *c)
{
    unsigned char first = (unsigned char)*c;
    unsigned code = first & (first >= 0xF0 ? 0x07u : first >= 0xE0 ? 0x0Fu : 0x1Fu);

    while ((c[1] & 0xC0) == 0x80)
        code = code << 6 | (unsigned)(*++c & 0x3F);
    fprintf(f, "\\[u%04X]", code);
    return c;
}

/* Text as it is: a hyphen that can be copied, no escapes, and no request at the start of a line. */
static void print_plain(FILE *f, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", f);
    for (const char *c = text; *c; c++)
        if (*c == '-')
            fputs("\\-", f);
        else if (*c == '\\')
            fputs("\\e", f);
        else if (*c == '\n' && (c[1] == '.' || c[1] == '\''))
            fputs("\n\\&", f);
        else if (*c & 0x80)
            c = print_wide(f, c);
        else
            putc(*c, f);
}

static void print_head(FILE *f)
{
    fputs(".TH CRYODECO 1 \"\" \"cryodeco ", f);
    print_plain(f, deco_version());
    fputs("\"\n.SH NAME\ncryodeco \\- structures, poses and states from single-particle cryo\\-EM images, with no starting model\n"
          ".SH SYNOPSIS\n.B cryodeco\n.I COMMAND\n[\\fIoptions\\fR]\n.br\n.B cryodeco\n.I COMMAND\n.B \\-\\-help\n"
          ".SH DESCRIPTION\nReads the particles of a CryoSPARC job (or a RELION STAR file), never writes into it, and gives each particle "
          "a latent that\n"
          "describes its structure, a density map of every state, and the particles of each as files that CryoSPARC imports.\n"
          ".PP\nNames of options take \\- or _, values stand after a blank or =. Order of force: defaults, preset, \\-\\-config, command "
          "line.\n",
          f);
}

static void print_commands(FILE *f)
{
    fputs(".SH COMMANDS\n", f);
    for (int c = 0; c < command_count; c++) {
        fputs(".TP\n\\fBcryodeco ", f);
        print_plain(f, command_table[c].name);
        fputs("\\fR ", f);
        print_plain(f, command_table[c].usage);
        putc('\n', f);
        print_plain(f, command_table[c].what);
        fputs(".\n", f);
    }
}

static void print_option(FILE *f, const option_row *row)
{
    char facts[300], words[100];

    option_facts(facts, sizeof facts, row);
    option_command_words(words, sizeof words, row->commands);
    fputs(".TP\n\\fB\\-\\-", f);
    print_plain(f, row->name);
    fputs("\\fR", f);
    if (*option_value_word(row))
        fprintf(f, " \\fI%s\\fR", option_value_word(row));
    putc('\n', f);
    print_plain(f, row->help);
    if (*facts) {
        fputs(" [", f);
        print_plain(f, facts);
        putc(']', f);
    }
    fprintf(f, ".\n.br\nOf %s.\n", words);
}

static void print_options(FILE *f)
{
    const char *group = "";

    fputs(".SH OPTIONS\n", f);
    for (int i = 0; i < DECO_OPTIONS; i++) {
        const option_row *row = &option_table[i];
        if (strcmp(group, row->group) != 0)
            fprintf(f, ".SS %s\n", group = row->group);
        print_option(f, row);
    }
}

static void print_foot(FILE *f)
{
    fputs(".SH EXIT STATUS\n", f);
    print_plain(f, command_exit_codes);
    fputs(".SH ENVIRONMENT\n"
          ".TP\n.B CRYODECO_BLUEPRINTS\nThe folder of the presets, where it is not beside the program.\n"
          ".TP\n.B CRYODECO_KERNELS\nThe most of plain, avx2, avx512 and amx that the processor may be used for. Results differ in their "
          "last bits from one to the next: where nodes differ, and a run is to end with the same bits on all of them, name what all have.\n"
          ".TP\n.B CRYODECO_PYTHON\nThe Python of \\fBcryodeco cryosparc\\fR; python3 unless given.\n"
          ".TP\n.B TMPDIR\nWhere \\fBcryodeco selftest\\fR works without \\-\\-cache_dir.\n"
          ".SH SIGNALS\nSIGTERM, SIGINT and SIGUSR1 stop a run with a whole checkpoint (exit status 75); SIGUSR2 writes one and the run "
          "goes on.\n"
          ".SH SEE ALSO\nINSTALL.md and docs/ of the program's source: files of a run, CryoSPARC, the check of maps.\n",
          f);
}

static void print_all(FILE *f, const void *nothing)
{
    print_head(f);
    print_commands(f);
    print_options(f);
    print_foot(f);
}

deco_status deco_options_manual(char **out) { return option_printed(out, "the manual page", print_all, NULL); }
