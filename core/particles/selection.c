/* `ind`: which rows of the input are used, from a NumPy array or a list of numbers. */
#include "particles/selection.h"
#include "base/file.h"
#include "formats/npy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers as the file has them, each with its place for messages: its line of a text, its index of an array. */
typedef struct numbers {
    const char *path, *place, *places; /* "line", "lines"; "entry", "entries" */
    int64_t *value, *at;
    int64_t n;
} numbers;

static void numbers_free(numbers *x)
{
    free(x->value);
    free(x->at);
}

static deco_status numbers_room(numbers *x, int64_t n)
{
    deco_status st = DECO_OK;

    TRY(deco_alloc(&x->value, (size_t)n + 1, sizeof *x->value, x->path));
    TRY(deco_alloc(&x->at, (size_t)n + 1, sizeof *x->at, x->path));
out:
    return st;
}

/* ---- a NumPy array ----------------------------------------------------------------------------------------------- */

/* What lies beyond int64 becomes -1 or stays large: out of range either way. */
static int64_t whole_number(const deco_npy *a, int64_t i)
{
    const unsigned char *from = (const unsigned char *)a->data + (size_t)i * a->item;
    uint64_t bits = 0;

    memcpy(&bits, from, a->item);
    if (a->kind == 'u')
        return bits > (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)bits;
    switch (a->item) {
    case 1: return (int8_t)bits;
    case 2: return (int16_t)bits;
    case 4: return (int32_t)bits;
    default: return (int64_t)bits;
    }
}

static deco_status take_mask(numbers *x, const deco_npy *a, int64_t N, const char *input)
{
    const unsigned char *taken = a->data;

    if (a->count != N)
        return deco_fail(DECO_E_FORMAT, "%s: holds %lld booleans, but %s has %lld rows; a mask needs one for each", x->path,
                         (long long)a->count, input, (long long)N);
    for (int64_t i = 0; i < N; i++)
        if (taken[i])
            x->at[x->n] = x->value[x->n] = i, x->n++;
    return DECO_OK;
}

static deco_status read_array(numbers *x, int64_t N, const char *input)
{
    deco_status st = DECO_OK;
    deco_npy a = {0};

    x->place = "entry", x->places = "entries";
    TRY(deco_npy_read(&a, x->path));
    if (a.kind != 'u' && a.kind != 'i' && a.kind != 'b')
        TRY(deco_fail(DECO_E_FORMAT,
                      "%s: holds %s; ind is whole numbers or booleans: numpy.save(\"ind.npy\", ind.astype(\"int64\")) makes such a file",
                      x->path, a.kind == 'f' ? "floating-point numbers" : "neither numbers nor booleans"));
    if (a.dims != 1)
        TRY(deco_fail(DECO_E_FORMAT, "%s: has %d dimensions; ind is one row of numbers or booleans", x->path, a.dims));
    TRY(numbers_room(x, a.count));
    if (a.kind == 'b') {
        TRY(take_mask(x, &a, N, input));
    } else {
        for (x->n = 0; x->n < a.count; x->n++)
            x->at[x->n] = x->n, x->value[x->n] = whole_number(&a, x->n);
    }
out:
    deco_npy_free(&a);
    return st;
}

/* ---- a text ------------------------------------------------------------------------------------------------------ */

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* One line, without its end: a number, a comment, or nothing. */
static deco_status take_line(numbers *x, char *line, int64_t number)
{
    char *end, *text = line;

    line[strcspn(line, "#")] = 0;
    while (is_blank(*text))
        text++;
    if (!*text)
        return DECO_OK;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    bool beyond = errno != 0;
    while (is_blank(*end))
        end++;
    if (end == text || *end || beyond)
        return deco_fail(DECO_E_FORMAT, "%s: line %lld is \"%.40s\"; the number of one row is needed, counted from 0", x->path,
                         (long long)number, text);
    x->at[x->n] = number;
    x->value[x->n++] = v;
    return DECO_OK;
}

static deco_status read_text(numbers *x, char *text, size_t size)
{
    deco_status st = DECO_OK;
    int64_t lines = 1, number = 1;

    x->place = "line", x->places = "lines";
    if (memchr(text, 0, size))
        TRY(deco_fail(DECO_E_FORMAT,
                      "%s: is neither an .npy file nor text; ind is an .npy of row numbers or booleans, or one row number a line",
                      x->path));
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    TRY(numbers_room(x, lines));
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        TRY(take_line(x, line, number++));
    }
out:
    return st;
}

/* ---- either ------------------------------------------------------------------------------------------------------ */

/* CryoDECO's and cryoDRGN's own form. Reading one runs what it holds, so it is never read here. */
static bool is_pickle(const char *path, const char *text, size_t size)
{
    size_t n = strlen(path);
    return (n > 4 && !strcmp(path + n - 4, ".pkl")) || (size > 1 && (unsigned char)text[0] == 0x80 && text[1] >= 2 && text[1] <= 5);
}

static deco_status check_rows(const numbers *x, int64_t N, const char *input)
{
    deco_status st = DECO_OK;
    int64_t *first = NULL; /* [N] entry + 1 that names the row */

    if (!x->n)
        return deco_fail(DECO_E_FORMAT, "%s: names no row; leave ind out to use all %lld particles", x->path, (long long)N);
    TRY(deco_alloc(&first, (size_t)N, sizeof *first, x->path));
    for (int64_t i = 0; i < x->n; i++) {
        int64_t v = x->value[i];
        if (v < 0 || v >= N)
            TRY(deco_fail(DECO_E_FORMAT, "%s: %s %lld is %lld, but %s has %lld rows, 0 to %lld", x->path, x->place, (long long)x->at[i],
                          (long long)v, input, (long long)N, (long long)N - 1));
        if (first[v])
            TRY(deco_fail(DECO_E_FORMAT, "%s: %s %lld and %lld are both row %lld; every particle can be used once", x->path, x->places,
                          (long long)x->at[first[v] - 1], (long long)x->at[i], (long long)v));
        first[v] = i + 1;
    }
out:
    free(first);
    return st;
}

deco_status particles_selection_read(int64_t **row, int64_t *n, const char *path, int64_t N, const char *input)
{
    deco_status st = DECO_OK;
    numbers x = {.path = path};
    char *text = NULL;
    size_t size = 0;

    *row = NULL;
    *n = 0;
    TRY(deco_file_get(&text, &size, path, 0));
    if (is_pickle(path, text, size))
        TRY(deco_fail(DECO_E_FORMAT,
                      "%s: is a pickle, which can hold a program and is not read here. In Python: import numpy, pickle; "
                      "numpy.save(\"ind.npy\", numpy.asarray(pickle.load(open(\"%s\", \"rb\")))), then --ind ind.npy",
                      path, deco_path_name(path)));
    if (size >= 6 && !memcmp(text, "\x93NUMPY", 6))
        TRY(read_array(&x, N, input));
    else
        TRY(read_text(&x, text, size));
    TRY(check_rows(&x, N, input));
    *row = x.value;
    *n = x.n;
    x.value = NULL;
out:
    numbers_free(&x);
    free(text);
    return st;
}
