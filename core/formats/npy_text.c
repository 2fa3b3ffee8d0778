/* Header text for .npy files. */
#include "formats/npy_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void append(npy_text *t, const char *bytes, size_t n)
{
    if (t->failed)
        return;
    if (n > t->room - t->length) {
        size_t room = 2 * (t->length + n) + 256;
        char *grown = realloc(t->text, room);
        if (!grown) {
            t->failed = true;
            return;
        }
        t->text = grown;
        t->room = room;
    }
    memcpy(t->text + t->length, bytes, n);
    t->length += n;
}

void npy_text_add(npy_text *t, const char *format, ...)
{
    char part[256]; /* names, the only long parts, go through npy_text_add_quoted */
    va_list args;

    va_start(args, format);
    int n = vsnprintf(part, sizeof part, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof part)
        t->failed = true;
    else
        append(t, part, (size_t)n);
}

void npy_text_add_quoted(npy_text *t, const char *name)
{
    append(t, "'", 1);
    for (const char *p = name; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\'' || c == '\\')
            append(t, "\\", 1);
        if (c < ' ' || c == 127)
            npy_text_add(t, "\\x%02x", c);
        else
            append(t, p, 1);
        t->beyond_ascii |= c >= 0x80;
    }
    append(t, "'", 1);
}

deco_status npy_text_write(deco_file *f, const npy_text *t, const char *path)
{
    deco_status st = DECO_OK;
    unsigned char start[12] = "\x93NUMPY\x01";
    static const char blanks[] = "                                                               \n";
    size_t begin = 10, length, whole;

    if (t->failed)
        return deco_fail_memory(t->length, path);
    whole = (begin + t->length + 1 + 63) & ~(size_t)63;
    if (t->beyond_ascii || whole - begin > UINT16_MAX) {
        start[6] = t->beyond_ascii ? 3 : 2;
        begin = 12;
        whole = (begin + t->length + 1 + 63) & ~(size_t)63;
    }
    length = whole - begin;
    if (length > UINT32_MAX)
        return deco_fail(DECO_E_ARGUMENT, "%s: its header would need %zu bytes; an .npy header holds 4 GiB", path, length);
    for (size_t i = 8; i < begin; i++)
        start[i] = (unsigned char)(length >> 8 * (i - 8));
    TRY(deco_file_write(f, start, begin));
    TRY(deco_file_write(f, t->text, t->length));
    TRY(deco_file_write(f, blanks + 64 - (length - t->length), length - t->length));
out:
    return st;
}

void npy_text_free(npy_text *t)
{
    free(t->text);
    *t = (npy_text){0};
}
