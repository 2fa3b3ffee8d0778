/* The option table for programs. */
#include "config/options.h"
#include "config/table.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {"bool", "int", "real", "text", "choice", "list"};

static void add_default(cJSON *item, const option_row *row)
{
    double number = 0;
    bool truth = false;

    if (!*row->preset)
        cJSON_AddNullToObject(item, "default");
    else if (row->kind == OPTION_BOOL)
        cJSON_AddBoolToObject(item, "default", option_read_bool(&truth, row->preset) && truth);
    else if ((row->kind == OPTION_INT || row->kind == OPTION_REAL) && option_read_real(&number, row->preset))
        cJSON_AddNumberToObject(item, "default", number);
    else
        cJSON_AddStringToObject(item, "default", row->preset);
}

/* Ends are null where there is none; "exclusive" ones are outside themselves. "word" may stand in a number's place. */
static void add_range(cJSON *item, const option_row *row)
{
    option_range r = option_range_of(row->range);
    char word[16];

    if (option_word_of(word, row))
        cJSON_AddStringToObject(item, "word", word);
    if (isfinite(r.low))
        cJSON_AddNumberToObject(item, r.open_low ? "exclusive_minimum" : "minimum", r.low);
    if (isfinite(r.high))
        cJSON_AddNumberToObject(item, r.open_high ? "exclusive_maximum" : "maximum", r.high);
}

static void add_choices(cJSON *item, const option_row *row)
{
    cJSON *choices = cJSON_AddArrayToObject(item, "choices");

    for (const char *c = row->range; choices && *c;) {
        char word[64];
        size_t n = strcspn(c, "|");
        snprintf(word, sizeof word, "%.*s", (int)n, c);
        cJSON_AddItemToArray(choices, cJSON_CreateString(word));
        c += n + (c[n] == '|');
    }
}

static cJSON *describe(const option_row *row)
{
    char commands[100];
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "name", row->name);
    cJSON_AddStringToObject(item, "type", kind_names[row->kind]);
    add_default(item, row);
    if (row->kind == OPTION_INT || row->kind == OPTION_REAL)
        add_range(item, row);
    if (row->kind == OPTION_CHOICE)
        add_choices(item, row);
    cJSON_AddStringToObject(item, "unit", row->unit);
    cJSON_AddStringToObject(item, "group", row->group);
    option_command_words(commands, sizeof commands, row->commands);
    cJSON_AddStringToObject(item, "commands", commands);
    cJSON_AddStringToObject(item, "help", row->help);
    return item;
}

deco_status deco_options_json(char **out, int command)
{
    cJSON *all = cJSON_CreateArray();

    for (int i = 0; i < DECO_OPTIONS; i++)
        if (option_table[i].commands & command)
            cJSON_AddItemToArray(all, describe(&option_table[i]));
    *out = all ? cJSON_Print(all) : NULL;
    cJSON_Delete(all);
    return *out ? DECO_OK : deco_fail_memory(0, "the option table");
}
