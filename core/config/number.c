/* Numbers and truth values as text. The host's locale must not turn "0.5" into 0, so the C locale is asked for by name. */
#include "config/table.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static locale_t plain;

static void make_plain(void) { plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

static locale_t plain_locale(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_plain);
    return plain;
}

/* strtod skips white space and takes hexadecimal; people who type such things mean something else. */
static bool may_be_number(const char *text) { return *text && strspn(text, "0123456789+-.eE") == strlen(text); }

bool option_read_real(double *out, const char *text)
{
    char *end;
    locale_t c = plain_locale();

    if (!may_be_number(text))
        return false;
    double v = c ? strtod_l(text, &end, c) : strtod(text, &end);
    if (*end || end == text || !isfinite(v))
        return false;
    *out = v;
    return true;
}

bool option_read_int(int64_t *out, const char *text)
{
    char *end;
    double v;

    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (may_be_number(text) && !*end && end != text && !errno) {
        *out = n;
        return true;
    }
    /* "5e5" is a whole number too. */
    if (!option_read_real(&v, text) || v != floor(v) || fabs(v) > 0x1p53)
        return false;
    *out = (int64_t)v;
    return true;
}

bool option_read_bool(bool *out, const char *text)
{
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};

    for (int i = 0; i < 4; i++)
        if (option_same_word(text, yes[i]) || option_same_word(text, no[i])) {
            *out = option_same_word(text, yes[i]);
            return true;
        }
    return false;
}

void option_print_real(char out[40], double value)
{
    locale_t c = plain_locale(), before = c ? uselocale(c) : (locale_t)0;
    bool everyday = value == 0 || (fabs(value) >= 1e-4 && fabs(value) < 1e7);

    for (int digits = 1; digits <= 21; digits++) {
        snprintf(out, 40, everyday ? "%.*f" : "%.*e", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    if (before)
        uselocale(before);
}

double deco_list_number(const deco_list *l, int64_t i)
{
    double v = 0;
    option_read_real(&v, l->items[i]);
    return v;
}

bool deco_list_has(const deco_list *l, const char *word)
{
    for (int64_t i = 0; i < l->count; i++)
        if (!strcmp(l->items[i], word))
            return true;
    return false;
}
