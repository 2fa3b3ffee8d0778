/* Reading STAR and mmCIF: cut into words in place, then sorted into loops. */
#include "formats/star.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- words ----------------------------------------------------------------------------------------------------- */

typedef enum word_kind { WORD_END, WORD_BARE, WORD_QUOTED } word_kind;

/* A place in the text; words are ended with a zero byte written over the character behind them. */
typedef struct reader {
    const char *path, *text;
    char *at;
    int64_t line;
    bool line_start; /* nothing but blanks so far in this line */
} reader;

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f'; }

static void step(reader *r)
{
    if (*r->at == '\n') {
        r->line++;
        r->line_start = true;
    }
    r->at++;
}

static void skip_blanks(reader *r)
{
    for (;; step(r)) {
        if (*r->at == '#')
            while (r->at[1] && r->at[1] != '\n')
                r->at++;
        else if (!is_blank(*r->at))
            return;
    }
}

/* Ends the word at `end`, keeping count of the line when that is a newline. */
static void end_word(reader *r, char *end)
{
    r->at = end;
    r->line_start = false;
    if (*end) {
        step(r);
        *end = 0;
    }
}

/* From a ';' in the first column to the next one. */
static deco_status read_text(char **word, reader *r)
{
    int64_t begin = r->line;
    *word = r->at + 1;
    while (*r->at) {
        char *newline = r->at;
        bool ends = *newline == '\n' && newline[1] == ';';
        step(r);
        if (ends) {
            char *last = newline > *word && newline[-1] == '\r' ? newline - 1 : newline;
            *last = 0;
            r->at++;
            r->line_start = false;
            return DECO_OK;
        }
    }
    return deco_fail(DECO_E_FORMAT, "%s: line %lld: the text that begins here with ';' has no end", r->path, (long long)begin);
}

static deco_status next_word(word_kind *kind, char **word, bool *first, reader *r)
{
    skip_blanks(r);
    *first = r->line_start;
    *kind = WORD_END;
    *word = r->at;
    if (!*r->at)
        return DECO_OK;
    if (*r->at == ';' && r->line_start && (r->at == r->text || r->at[-1] == '\n' || r->at[-1] == 0)) {
        *kind = WORD_QUOTED;
        return read_text(word, r);
    }
    if (*r->at == '\'' || *r->at == '"') {
        char *end = r->at + 1;
        for (; *end && *end != '\n'; end++) /* a quote ends where a blank follows it: 'it's' is one word */
            if (*end == *r->at && (!end[1] || is_blank(end[1]))) {
                *kind = WORD_QUOTED;
                *word = r->at + 1;
                end_word(r, end);
                return DECO_OK;
            }
        return deco_fail(DECO_E_FORMAT, "%s: line %lld: a quoted value is not closed in its line", r->path, (long long)r->line);
    }
    *kind = WORD_BARE;
    end_word(r, r->at + strcspn(r->at, " \t\r\n\v\f"));
    return DECO_OK;
}

/* Whether only blanks or a comment stand between here and the line's end (the word's own newline may be eaten already). */
static bool line_ends(const reader *r)
{
    const char *p = r->at;
    if (r->line_start)
        return true;
    while (*p && *p != '\n' && is_blank(*p))
        p++;
    return !*p || *p == '\n' || *p == '#';
}

/* ---- loops ----------------------------------------------------------------------------------------------------- */

typedef enum part { PART_NONE, PART_ITEMS, PART_NAMES, PART_VALUES } part;

typedef struct builder {
    deco_star *star;
    const char *block; /* NULL before the first data_ */
    part part;
    int64_t loop_room, name_room, cell_room, cells; /* room and use of the loop in work */
    int64_t line;                                   /* where it began */
} builder;

/* Room for one more: arrays double. */
static deco_status grow(void *array_pointer, int64_t *room, int64_t used, size_t size)
{
    void **array = array_pointer;
    if (used < *room)
        return DECO_OK;
    int64_t wanted = *room ? *room * 2 : 16;
    void *larger = realloc(*array, (size_t)wanted * size);
    if (!larger)
        return deco_fail_memory((size_t)wanted * size, "STAR loop");
    *array = larger;
    *room = wanted;
    return DECO_OK;
}

static deco_star_loop *current(builder *b) { return &b->star->loop[b->star->loops - 1]; }

static deco_status begin_loop(builder *b, int64_t line, part p)
{
    deco_status st = grow(&b->star->loop, &b->loop_room, b->star->loops, sizeof *b->star->loop);
    if (st)
        return st;
    b->star->loop[b->star->loops++] = (deco_star_loop){.block = strdup(b->block)};
    b->name_room = b->cell_room = b->cells = 0;
    b->line = line;
    b->part = p;
    return current(b)->block ? DECO_OK : deco_fail_memory(strlen(b->block), "STAR block");
}

static deco_status finish_loop(builder *b)
{
    deco_star_loop *l;
    if (b->part == PART_NONE)
        return DECO_OK;
    l = current(b);
    if (b->part == PART_ITEMS && b->cells != l->columns)
        return deco_fail(DECO_E_FORMAT, "%s: line %lld: the item '_%s' has no value", b->star->source, (long long)b->line,
                         l->name[l->columns - 1]);
    if (l->columns == 0)
        return deco_fail(DECO_E_FORMAT, "%s: line %lld: a loop_ without column names", b->star->source, (long long)b->line);
    if (b->cells % l->columns)
        return deco_fail(
            DECO_E_FORMAT,
            "%s: the loop that begins in line %lld has %lld values, not a multiple of its %lld columns (row %lld is cut or has too many)",
            b->star->source, (long long)b->line, (long long)b->cells, (long long)l->columns, (long long)(b->cells / l->columns + 1));
    l->rows = b->cells / l->columns;
    b->part = PART_NONE;
    return DECO_OK;
}

static deco_status add_name(builder *b, const char *word)
{
    deco_star_loop *l = current(b);
    deco_status st = grow(&l->name, &b->name_room, l->columns, sizeof *l->name);
    if (st)
        return st;
    l->name[l->columns] = strdup(word + 1);
    return l->name[l->columns++] ? DECO_OK : deco_fail_memory(strlen(word), "STAR column name");
}

static deco_status add_cell(builder *b, const char *word)
{
    deco_star_loop *l = current(b);
    deco_status st = grow(&l->cell, &b->cell_room, b->cells, sizeof *l->cell);
    if (!st)
        l->cell[b->cells++] = word;
    return st;
}

/* A row is open: the next word is a value whatever it looks like, unless a line begins with it. */
static bool inside_row(builder *b)
{
    if (b->part == PART_ITEMS)
        return b->cells < current(b)->columns;
    return b->part == PART_VALUES && b->cells % current(b)->columns;
}

static deco_status take_name(builder *b, const char *word, int64_t line)
{
    deco_status st = DECO_OK;
    if (!b->block)
        return deco_fail(DECO_E_FORMAT, "%s: line %lld: '%s' stands before any data_ block", b->star->source, (long long)line, word);
    if (b->part == PART_VALUES || (b->part == PART_ITEMS && b->cells != current(b)->columns))
        TRY(finish_loop(b));
    if (b->part == PART_NONE)
        TRY(begin_loop(b, line, PART_ITEMS));
    TRY(add_name(b, word));
out:
    return st;
}

static deco_status take_value(builder *b, const char *word, int64_t line)
{
    if (b->part == PART_NAMES && current(b)->columns)
        b->part = PART_VALUES;
    if (b->part == PART_NONE || b->part == PART_NAMES || (b->part == PART_ITEMS && b->cells == current(b)->columns))
        return deco_fail(DECO_E_FORMAT, "%s: line %lld: '%.40s' stands where data_, loop_ or a _name was expected", b->star->source,
                         (long long)line, word);
    return add_cell(b, word);
}

static deco_status read_loops(builder *b, reader *r)
{
    deco_status st = DECO_OK;
    word_kind kind;
    char *word;
    bool first;

    for (;;) {
        TRY(next_word(&kind, &word, &first, r));
        int64_t line = r->line - r->line_start; /* the word's own newline may be behind it */
        bool keyword = kind == WORD_BARE && (first || !inside_row(b));
        if (kind == WORD_END)
            break;
        /* "data_set/mic.mrc 1 2" is a row, not a block: RELION does not quote such paths */
        if (keyword && !strncasecmp(word, "data_", 5) && line_ends(r)) {
            TRY(finish_loop(b));
            b->block = word + 5;
        } else if (keyword && !strcasecmp(word, "loop_")) {
            TRY(finish_loop(b));
            if (!b->block)
                TRY(deco_fail(DECO_E_FORMAT, "%s: line %lld: loop_ stands before any data_ block", b->star->source, (long long)line));
            TRY(begin_loop(b, line, PART_NAMES));
        } else if (keyword && *word == '_')
            TRY(take_name(b, word, line));
        else
            TRY(take_value(b, word, line));
    }
    TRY(finish_loop(b));
    if (!b->block)
        TRY(deco_fail(DECO_E_FORMAT, "%s: has no data_ block; it is not a STAR or mmCIF file", b->star->source));
out:
    return st;
}

deco_status deco_star_read(deco_star **out, const char *path)
{
    deco_status st = DECO_OK;
    deco_star *s = NULL;
    size_t size = 0;

    *out = NULL;
    TRY(deco_alloc(&s, 1, sizeof *s, "STAR file"));
    s->source = strdup(path);
    if (!s->source)
        TRY(deco_fail_memory(strlen(path), "path"));
    TRY(deco_file_get(&s->text, &size, path, 0));
    if (strlen(s->text) != size)
        TRY(deco_fail(DECO_E_FORMAT, "%s: byte %zu is zero; a STAR file is text", path, strlen(s->text)));
    reader r = {path, s->text, s->text, 1, true};
    builder b = {.star = s};
    TRY(read_loops(&b, &r));
    *out = s;
    s = NULL;
out:
    deco_star_free(s);
    return st;
}

void deco_star_free(deco_star *s)
{
    if (!s)
        return;
    for (int64_t i = 0; i < s->loops; i++) {
        deco_star_loop *l = &s->loop[i];
        for (int64_t c = 0; c < l->columns; c++)
            free(l->name[c]);
        free(l->name);
        free(l->cell);
        free(l->block);
    }
    free(s->loop);
    free(s->text);
    free(s->source);
    free(s);
}

const deco_star_loop *deco_star_find(const deco_star *s, const char *column_name, int64_t *column)
{
    for (int64_t i = 0; i < s->loops; i++)
        for (int64_t c = 0; c < s->loop[i].columns; c++)
            if (!strcmp(s->loop[i].name[c], column_name)) {
                *column = c;
                return &s->loop[i];
            }
    return NULL;
}
