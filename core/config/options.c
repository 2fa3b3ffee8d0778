/* Options: defaults, and setting one from text. */
#include "config/options.h"
#include "base/file.h"
#include "config/put.h"
#include "config/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void list_clear(deco_list *l)
{
    for (int64_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
    *l = (deco_list){0};
}

static deco_status list_append(deco_list *l, const char *item)
{
    char *copy = strdup(item), **items = copy ? realloc(l->items, (size_t)(l->count + 1) * sizeof *items) : NULL;

    if (!items) {
        free(copy);
        return deco_fail_memory(strlen(item), "an option's list");
    }
    l->items = items;
    l->items[l->count++] = copy;
    return DECO_OK;
}

/* "1 to 100000 clusters", "above 0", as said in messages. */
static void range_words(char *out, size_t size, const option_row *row)
{
    option_range r = option_range_of(row->range);
    char low[40] = "", high[40] = "", word[16] = "";
    bool named = option_word_of(word, row);

    if (isfinite(r.low))
        snprintf(low, sizeof low, "%.16g", r.low);
    if (isfinite(r.high))
        snprintf(high, sizeof high, "%.16g", r.high);
    if (*low && *high && !r.open_low && !r.open_high)
        snprintf(out, size, "%s%s%s to %s", word, named ? ", or " : "", low, high);
    else
        snprintf(out, size, "%s%s%s%s%s%s%s", word, named ? ", or " : "",
                 !*low        ? ""
                 : r.open_low ? "above "
                              : "at least ",
                 low, *low && *high ? " and " : "",
                 !*high        ? ""
                 : r.open_high ? "below "
                               : "at most ",
                 high);
    if (*row->unit)
        snprintf(out + strlen(out), size - strlen(out), " %s", row->unit);
}

static deco_status out_of_range(const option_row *row, const char *value)
{
    char words[120];

    range_words(words, sizeof words, row);
    return deco_fail(DECO_E_ARGUMENT, "%s is %s; it must be %s", row->name, value, words);
}

static bool in_range(const option_row *row, double v)
{
    option_range r = option_range_of(row->range);

    return (r.open_low ? v > r.low : v >= r.low) && (r.open_high ? v < r.high : v <= r.high);
}

static deco_status read_number(const option_row *row, int64_t *whole, double *real, const char *value)
{
    char words[120], word[16];
    if (whole && option_word_of(word, row) && option_same_word(word, value)) {
        *whole = 0;
        return DECO_OK;
    }
    bool read = whole ? option_read_int(whole, value) : option_read_real(real, value);

    if (!read) {
        range_words(words, sizeof words, row);
        return deco_fail(DECO_E_ARGUMENT, "%s is '%s'; it must be a %snumber, %s", row->name, value, whole ? "whole " : "", words);
    }
    return in_range(row, whole ? (double)*whole : *real) ? DECO_OK : out_of_range(row, value);
}

/* A choice in the table's spelling. */
static deco_status read_choice(const option_row *row, char **out, const char *value)
{
    for (const char *c = row->range; *c;) {
        size_t n = strcspn(c, "|");
        char *word = strndup(c, n);
        if (!word)
            return deco_fail_memory(n, row->name);
        if (option_same_word(word, value)) {
            *out = word;
            return DECO_OK;
        }
        free(word);
        c += n + (c[n] == '|');
    }
    return deco_fail(DECO_E_ARGUMENT, "%s is '%s'; it must be one of %s", row->name, value, row->range);
}

/* CryoDECO's command lines say None where nothing is meant. */
static bool means_nothing(const char *value) { return !*value || option_same_word(value, "none") || option_same_word(value, "null"); }

/* Words go into job.yaml, and YAML is UTF-8: said here, before anything is written. */
static deco_status check_utf8(const option_row *row, const char *value)
{
    for (const unsigned char *c = (const unsigned char *)value; *c;) {
        int more = *c < 0x80 ? 0 : *c >= 0xC2 && *c < 0xE0 ? 1 : *c >= 0xE0 && *c < 0xF0 ? 2 : *c >= 0xF0 && *c < 0xF5 ? 3 : -1;
        for (c++; more > 0 && (*c & 0xC0) == 0x80; more--)
            c++;
        if (more)
            return deco_fail(DECO_E_ARGUMENT, "%s is not UTF-8 text from its byte %td on; rename it or go through a link", row->name,
                             (const char *)c - value);
    }
    return DECO_OK;
}

static deco_status read_text(const option_row *row, char **out, const char *value)
{
    if (means_nothing(value))
        return DECO_OK;
    if (check_utf8(row, value))
        return DECO_E_ARGUMENT;
    *out = strdup(value);
    return *out ? DECO_OK : deco_fail_memory(strlen(value), row->name);
}

/* Paths are one word each, commas and all; numbers may come as "2,1,1", and words that are chosen from some as "cs,star". */
static deco_status read_list(const option_row *row, deco_list *out, const char *value)
{
    deco_status st = DECO_OK;
    char *text = strdup(value), *rest = text, *word, *chosen;
    bool choice = strchr(row->range, '|') != NULL;
    double number;

    if (!text)
        return deco_fail_memory(strlen(value), row->name);
    if (!strcmp(row->range, "paths")) {
        TRY(check_utf8(row, value));
        if (!means_nothing(value))
            TRY(list_append(out, value));
        goto out;
    }
    while (!means_nothing(value) && (word = strsep(&rest, ","))) {
        word += strspn(word, " ");
        word[strcspn(word, " ")] = 0;
        if (choice) {
            TRY(read_choice(row, &chosen, word));
            st = list_append(out, chosen);
            free(chosen);
            TRY(st);
            continue;
        }
        TRY(read_number(row, NULL, &number, word));
        TRY(list_append(out, word));
    }
out:
    free(text);
    return st;
}

/* A value of any kind, before it is known whether it will be used. */
typedef struct value {
    bool truth;
    int64_t whole;
    double real;
    char *text;
    deco_list list;
} value;

static void value_clear(value *v)
{
    free(v->text);
    list_clear(&v->list);
}

static deco_status read_value(const option_row *row, value *v, const char *text)
{
    switch (row->kind) {
    case OPTION_BOOL:
        if (!option_read_bool(&v->truth, text))
            return deco_fail(DECO_E_ARGUMENT, "%s is '%s'; it must be True or False (or yes, no, on, off, 1, 0)", row->name, text);
        return DECO_OK;
    case OPTION_INT: return read_number(row, &v->whole, NULL, text);
    case OPTION_REAL: return read_number(row, NULL, &v->real, text);
    case OPTION_TEXT: return read_text(row, &v->text, text);
    case OPTION_CHOICE: return read_choice(row, &v->text, text);
    case OPTION_LIST: return read_list(row, &v->list, text);
    }
    return DECO_OK;
}

static deco_status append_all(deco_list *to, const deco_list *from)
{
    for (int64_t i = 0; i < from->count; i++) {
        deco_status st = list_append(to, from->items[i]);
        if (st)
            return st;
    }
    return DECO_OK;
}

/* Moves `v` into the field; what was there goes back in `v`. */
static deco_status store(deco_options *o, int id, value *v, bool append)
{
    void *field = option_field(o, id);

    switch (option_table[id].kind) {
    case OPTION_BOOL: *(bool *)field = v->truth; break;
    case OPTION_INT: *(int64_t *)field = v->whole; break;
    case OPTION_REAL: *(double *)field = v->real; break;
    case OPTION_TEXT:
    case OPTION_CHOICE: {
        char *old = *(char **)field;
        *(char **)field = v->text;
        v->text = old;
        break;
    }
    case OPTION_LIST: {
        deco_list *list = field;
        if (append)
            return append_all(list, &v->list);
        deco_list old = *list;
        *list = v->list;
        v->list = old;
        break;
    }
    }
    return DECO_OK;
}

deco_status option_put(deco_options *o, const char *name, const char *text, deco_origin origin, bool append)
{
    deco_status st = DECO_OK;
    value v = {0};
    bool harmless = false;
    int id = option_find(name);

    TRY(option_foreign(name, text, &harmless));
    if (harmless)
        goto out;
    if (id < 0) {
        st = option_unknown(name, DECO_FOR_ALL);
        goto out;
    }
    TRY(read_value(&option_table[id], &v, text));
    if (origin >= o->origin[id]) {
        TRY(store(o, id, &v, append && origin == o->origin[id]));
        o->origin[id] = origin;
        option_derive(o);
    }
out:
    value_clear(&v);
    return st;
}

deco_status deco_options_put(deco_options *o, const char *name, const char *text, deco_origin origin)
{
    return option_put(o, name, text, origin, false);
}

deco_status deco_options_put_whole(deco_options *o, const char *name, int64_t whole)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, whole);
    return deco_options_put(o, name, text, DECO_FROM_COMMAND);
}

deco_status deco_options_create(deco_options **out)
{
    deco_status st = DECO_OK;
    deco_options *o = NULL;

    *out = NULL;
    TRY(deco_alloc(&o, 1, sizeof *o, "options"));
    for (int i = 0; i < DECO_OPTIONS; i++)
        if (*option_table[i].preset)
            TRY(deco_options_put(o, option_table[i].name, option_table[i].preset, DECO_FROM_DEFAULT));
    *out = o;
    o = NULL;
out:
    deco_options_free(o);
    return st;
}

void deco_options_free(deco_options *o)
{
    if (!o)
        return;
    for (int i = 0; i < DECO_OPTIONS; i++) {
        if (option_table[i].kind == OPTION_TEXT || option_table[i].kind == OPTION_CHOICE)
            free(*(char **)option_field(o, i));
        if (option_table[i].kind == OPTION_LIST)
            list_clear(option_field(o, i));
    }
    free(o);
}

deco_status deco_options_copy(deco_options **out, const deco_options *o)
{
    deco_status st = DECO_OK;
    deco_options *copy = NULL;

    *out = NULL;
    TRY(deco_alloc(&copy, 1, sizeof *copy, "options"));
    *copy = *o;
    for (int i = 0; i < DECO_OPTIONS; i++) { /* first nothing of it is shared, so that it can be freed at any point */
        if (option_table[i].kind == OPTION_TEXT || option_table[i].kind == OPTION_CHOICE)
            *(char **)option_field(copy, i) = NULL;
        if (option_table[i].kind == OPTION_LIST)
            *(deco_list *)option_field(copy, i) = (deco_list){0};
    }
    for (int i = 0; i < DECO_OPTIONS; i++) {
        if (option_table[i].kind == OPTION_TEXT || option_table[i].kind == OPTION_CHOICE) {
            const char *text = *(char **)option_field(o, i);
            if (text && !(*(char **)option_field(copy, i) = strdup(text)))
                TRY(deco_fail_memory(strlen(text), "options"));
        }
        if (option_table[i].kind == OPTION_LIST)
            TRY(append_all(option_field(copy, i), option_field(o, i)));
    }
    *out = copy;
    copy = NULL;
out:
    deco_options_free(copy);
    return st;
}
