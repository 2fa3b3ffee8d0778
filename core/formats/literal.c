/* The parts of a Python literal that NumPy writes: quoted strings, sizes, and marks between them. */
#include "formats/literal.h"

#include <stdlib.h>
#include <string.h>

deco_status literal_expected(const literal *r, const char *what)
{
    if (r->at == r->end)
        return deco_fail(DECO_E_FORMAT, "%s: its header ends where %s should stand", r->path, what);
    return deco_fail(DECO_E_FORMAT, "%s: byte %td of its header is '%c' where %s should stand", r->path, r->at - r->begin,
                     *r->at > ' ' && *r->at < 127 ? *r->at : '?', what);
}

static void skip_blanks(literal *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

char literal_peek(literal *r)
{
    skip_blanks(r);
    return r->at < r->end ? *r->at : 0;
}

bool literal_accept(literal *r, char c)
{
    if (literal_peek(r) != c)
        return false;
    r->at++;
    return true;
}

bool literal_accept_word(literal *r, const char *word)
{
    size_t n = strlen(word);

    skip_blanks(r);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return false;
    r->at += n;
    return true;
}

bool literal_another(literal *r, char close, deco_status *st)
{
    bool comma = literal_accept(r, ',');

    if (literal_accept(r, close))
        return false;
    if (!comma) {
        *st = literal_expected(r, "a comma");
        return false;
    }
    return true;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 63));
        *to++ = (char)(0x80 | (c >> 6 & 63));
        *to++ = (char)(0x80 | (c & 63));
    }
    return to;
}

/* \xHH, \uHHHH, \UHHHHHHHH and the one-letter escapes that Python's repr writes. */
static deco_status read_escape(literal *r, uint32_t *out)
{
    static const char letters[] = "\\'\"nrt", meaning[] = "\\'\"\n\r\t";
    char c = r->at < r->end ? *r->at : 0;
    const char *found = c ? strchr(letters, c) : NULL;
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;

    if (found) {
        *out = (unsigned char)meaning[found - letters];
        r->at++;
        return DECO_OK;
    }
    if (!digits)
        return literal_expected(r, "an escape such as \\n or \\u00e9");
    *out = 0;
    for (r->at++; digits; digits--, r->at++) {
        char d = r->at < r->end ? *r->at : 0;
        int value = d >= '0' && d <= '9' ? d - '0' : d >= 'a' && d <= 'f' ? d - 'a' + 10 : d >= 'A' && d <= 'F' ? d - 'A' + 10 : -1;
        if (value < 0)
            return literal_expected(r, "a hexadecimal digit");
        *out = *out << 4 | (uint32_t)value;
    }
    if (*out > 0x10ffff || (*out >= 0xd800 && *out < 0xe000))
        return literal_expected(r, "an escape of a Unicode character");
    return DECO_OK;
}

/* Name bytes as they stand in a version 3 header. Overlong forms and surrogates are refused, as Python would. */
static bool is_utf8(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    while (*p) {
        int more = *p < 0x80 ? 0 : *p >= 0xc2 && *p < 0xe0 ? 1 : *p >= 0xe0 && *p < 0xf0 ? 2 : *p >= 0xf0 && *p < 0xf5 ? 3 : -1;
        if (more < 0 || (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] >= 0xa0) || (*p == 0xf0 && p[1] < 0x90) ||
            (*p == 0xf4 && p[1] >= 0x90))
            return false;
        for (p++; more; more--, p++)
            if ((*p & 0xc0) != 0x80)
                return false;
    }
    return true;
}

deco_status literal_string(literal *r, char **out, const char *what)
{
    deco_status st = DECO_OK;
    char quote = literal_peek(r), *to;
    const char *close;

    *out = NULL;
    if (quote != '\'' && quote != '"')
        return literal_expected(r, what);
    r->at++;
    for (close = r->at; close < r->end && *close != quote; close++)
        if (*close == '\\' && close + 1 < r->end)
            close++;
    TRY(deco_alloc(out, 2 * (size_t)(close - r->at) + 1, 1, r->path)); /* a byte of Latin-1 becomes two */
    to = *out;
    while (r->at < r->end && *r->at != quote) {
        uint32_t c = (unsigned char)*r->at++;
        if (c == '\\')
            TRY(read_escape(r, &c));
        else if (!r->latin1 && c >= 0x80) {
            *to++ = (char)c;
            continue;
        }
        if (!c) {
            st = deco_fail(DECO_E_FORMAT, "%s: a name in its header holds a zero byte", r->path);
            goto out;
        }
        to = put_utf8(to, c);
    }
    if (!literal_accept(r, quote))
        st = literal_expected(r, "a closing quote");
    else if (!is_utf8(*out))
        st = deco_fail(DECO_E_FORMAT, "%s: a name in its header is not UTF-8 (byte %td)", r->path, r->at - r->begin);
out:
    if (st) {
        free(*out);
        *out = NULL;
    }
    return st;
}

deco_status literal_size(literal *r, int64_t *out)
{
    if (literal_peek(r) == '-')
        return deco_fail(DECO_E_FORMAT, "%s: its header gives a negative size (byte %td)", r->path, r->at - r->begin);
    if (r->at == r->end || *r->at < '0' || *r->at > '9')
        return literal_expected(r, "a size");
    for (*out = 0; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, *r->at - '0', out))
            return deco_fail(DECO_E_FORMAT, "%s: a size in its header is above 2^63 (byte %td)", r->path, r->at - r->begin);
    if (r->at < r->end && *r->at == 'L') /* Python 2 wrote 12L */
        r->at++;
    return DECO_OK;
}
