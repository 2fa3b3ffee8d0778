/* Completion for bash: commands, each one's options, and the values that an option can have. */
#include "config/options.h"
#include "config/printed.h"
#include "config/table.h"

#include <string.h>

static const char head[] =
    "# Completion of cryodeco for bash, made from its option table by: cryodeco options --form bash\n"
    "_cryodeco()\n"
    "{\n"
    "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} words= program\n"
    "    COMPREPLY=()\n"
    "    # bash takes --name=value apart at its =\n"
    "    [ \"$before\" = = ] && before=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "    [ \"$word\" = = ] && word=\n"
    "    [[ $word == --* ]] && word=${word:2} && word=--${word//-/_}\n";

static const char presets[] =
    "    __preset)\n"
    "        program=$(readlink -f \"$(type -P \"${COMP_WORDS[0]}\")\")\n"
    "        words=$(cd \"${CRYODECO_BLUEPRINTS:-${program%/*}/../share/cryodeco/blueprints}\" 2>/dev/null && ls)\n"
    "        compopt -o default # or a file\n"
    "        COMPREPLY=($(compgen -W \"${words//.yaml/}\" -- \"$word\"))\n"
    "        return ;;\n";

static const char tail[] = "    if [ -z \"$words\" ]; then\n"
                           "        compopt -o default\n"
                           "        return\n"
                           "    fi\n"
                           "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                           "}\n"
                           "complete -F _cryodeco cryodeco\n";

/* The alternatives in a usage such as "build|info|verify|remove [JOB...]": a command's second word. */
static void print_second_words(FILE *f)
{
    for (int c = 0; c < command_count; c++) {
        const char *usage = command_table[c].usage;
        size_t n = strspn(usage, "abcdefghijklmnopqrstuvwxyz|"); /* lower case: words to type, not names of things */
        if (usage[n] != ' ' || !memchr(usage, '|', n))
            continue;
        fprintf(f, "        %s) words=\"", command_table[c].name);
        for (size_t i = 0; i < n; i++)
            putc(usage[i] == '|' ? ' ' : usage[i], f);
        fputs("\" ;;\n", f);
    }
}

static void print_command_words(FILE *f)
{
    for (int c = 0; c < command_count; c++)
        fprintf(f, "%s ", command_table[c].name);
}

static void print_words(FILE *f)
{
    fputs("    if ((COMP_CWORD == 1)); then\n        words=\"", f);
    print_command_words(f);
    fputs("help --help --version\"\n    elif [[ $word == -* ]]; then\n        [ \"$command\" = cryosparc ] && command=run\n"
          "        case $command in\n",
          f);
    for (int c = 0; c < command_count; c++) {
        fprintf(f, "        %s) words=\"--help", command_table[c].name);
        for (int i = 0; i < DECO_OPTIONS; i++)
            if (option_table[i].commands & command_table[c].bit)
                fprintf(f, " --%s", option_table[i].name);
        fputs("\" ;;\n", f);
    }
    fputs("        esac\n    elif ((COMP_CWORD == 2)); then\n        case $command in\n        help) words=\"", f);
    print_command_words(f);
    fputs("\" ;;\n", f);
    print_second_words(f);
    fputs("        esac\n    fi\n", f);
}

/* What may follow an option: words to choose from, nothing that is known, or a file. */
static void print_values(FILE *f)
{
    char word[16];

    fputs("    case ${before//-/_} in\n", f);
    fputs(presets, f);
    for (int i = 0; i < DECO_OPTIONS; i++) {
        const option_row *row = &option_table[i];
        bool choices = row->kind == OPTION_CHOICE || (row->kind == OPTION_LIST && strchr(row->range, '|'));
        if (i == DECO_OPT_preset)
            continue;
        fprintf(f, "    __%s) ", row->name);
        if (option_word_of(word, row))
            fprintf(f, "COMPREPLY=($(compgen -W \"%s\" -- \"$word\")); ", word);
        if (row->kind == OPTION_BOOL)
            fputs("COMPREPLY=($(compgen -W \"True False\" -- \"$word\")); ", f);
        if (choices) {
            fputs("COMPREPLY=($(compgen -W \"", f);
            for (const char *c = row->range; *c; c++)
                putc(*c == '|' ? ' ' : *c, f);
            fputs("\" -- \"$word\")); ", f);
        }
        if (row->kind == OPTION_TEXT || (row->kind == OPTION_LIST && !choices))
            fputs("compopt -o default; ", f);
        fputs("return ;;\n", f);
    }
    fputs("    esac\n", f);
}

static void print_all(FILE *f, const void *nothing)
{
    fputs(head, f);
    print_values(f);
    print_words(f);
    fputs(tail, f);
}

deco_status deco_options_completion(char **out) { return option_printed(out, "the completion", print_all, NULL); }
