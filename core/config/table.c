/* The option table: rows, names, ranges, values as text. */
#include "config/table.h"
#include "base/file.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OPTION(kind, name, preset, range, unit, commands, group, help) \
    {OPTION_##kind, #name, preset, range, unit, commands, group, help, offsetof(deco_options, name)},
const option_row option_table[DECO_OPTIONS] = {
#include "config/options.def"
};
#undef OPTION

static int folded(char c) { return c == '-' ? '_' : tolower((unsigned char)c); }

bool option_same_letter(char a, char b) { return folded(a) == folded(b); }

bool option_same_word(const char *a, const char *b)
{
    while (*a && option_same_letter(*a, *b))
        a++, b++;
    return !*a && !*b;
}

int option_find(const char *name)
{
    for (int i = 0; i < DECO_OPTIONS; i++)
        if (option_same_word(name, option_table[i].name))
            return i;
    return -1;
}

option_range option_range_of(const char *text)
{
    option_range r = {-INFINITY, INFINITY, false, false};
    const char *dots = strstr(text, ".."), *bar = strchr(text, '|');
    char low[32];

    if (!dots)
        return r;
    if (bar && bar < dots)
        text = bar + 1;
    size_t n = (size_t)(dots - text);
    r.open_low = n && text[n - 1] == '<';
    snprintf(low, sizeof low, "%.*s", (int)(n - r.open_low), text);
    if (*low)
        option_read_real(&r.low, low);
    dots += 2;
    r.open_high = *dots == '<';
    dots += r.open_high;
    if (*dots)
        option_read_real(&r.high, dots);
    return r;
}

bool option_word_of(char out[16], const option_row *row)
{
    size_t n = row->kind == OPTION_INT && strchr(row->range, '|') ? strcspn(row->range, "|") : 0;

    snprintf(out, 16, "%.*s", (int)n, row->range);
    return n > 0;
}

static char *joined(const deco_list *l)
{
    char *all = strdup("");

    for (int64_t i = 0; all && i < l->count; i++) {
        char *more = deco_format("%s%s%s", all, i ? ", " : "", l->items[i]);
        free(all);
        all = more;
    }
    return all;
}

char *option_text(const deco_options *o, int id)
{
    const void *field = option_field(o, id);
    char number[40], word[16];

    switch (option_table[id].kind) {
    case OPTION_BOOL: return strdup(*(const bool *)field ? "true" : "false");
    case OPTION_INT:
        if (*(const int64_t *)field == 0 && option_word_of(word, &option_table[id]))
            return strdup(word);
        return deco_format("%" PRId64, *(const int64_t *)field);
    case OPTION_REAL: option_print_real(number, *(const double *)field); return strdup(number);
    case OPTION_LIST: return joined(field);
    case OPTION_TEXT:
    case OPTION_CHOICE: break;
    }
    const char *text = *(char *const *)field;
    return strdup(text ? text : "");
}

void option_derive(deco_options *o)
{
    if (o->use_gt_poses && !o->use_gt_trans) {
        o->use_gt_trans = true;
        o->origin[DECO_OPT_use_gt_trans] = DECO_FROM_DEFAULT;
    } else if (!o->use_gt_poses && !deco_option_given(o, DECO_OPT_use_gt_trans)) {
        o->use_gt_trans = false;
    }

    bool width = !o->use_conf_encoder && o->origin[DECO_OPT_feature_dim] > o->origin[DECO_OPT_conf_table_dim];
    if (width) {
        o->conf_table_dim = o->feature_dim;
        o->origin[DECO_OPT_conf_table_dim] = DECO_FROM_DEFAULT;
    } else if (!deco_option_given(o, DECO_OPT_conf_table_dim)) {
        option_read_int(&o->conf_table_dim, option_table[DECO_OPT_conf_table_dim].preset);
    }

    bool adam = o->hypervolume_optimizer_type && !strcmp(o->hypervolume_optimizer_type, "adam");
    if (adam && o->origin[DECO_OPT_wd] < o->origin[DECO_OPT_hypervolume_optimizer_type]) {
        o->wd = 0;
        o->origin[DECO_OPT_wd] = DECO_FROM_DEFAULT;
    } else if (!deco_option_given(o, DECO_OPT_wd)) {
        option_read_real(&o->wd, option_table[DECO_OPT_wd].preset);
    }
}
