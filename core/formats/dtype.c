/* NumPy's names of number types. */
#include "formats/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const deco_dtype_refusal =
    "holds Python objects (pickles), which are never loaded, for they can run code; write it again with plain numbers and fixed-width text";

static bool known_item(char kind, size_t item)
{
    switch (kind) {
    case 'u':
    case 'i': return item == 1 || item == 2 || item == 4 || item == 8;
    case 'f': return item == 2 || item == 4 || item == 8;
    case 'c': return item == 8 || item == 16;
    case 'b': return item == 1;
    case 'S':
    case 'V': return item <= INT32_MAX;
    default: return false;
    }
}

const char *deco_dtype_parse(deco_dtype *out, const char *text)
{
    char order = text[0], kind = order ? text[1] : 0;
    char *end = NULL;
    size_t item;

    if (!order || !strchr("<>|=", order) || !kind)
        return "is of a type that is no NumPy name of one, such as <f4";
    if (kind == 'O') {
        *out = (deco_dtype){'O', 8, false};
        return text[2] && strcmp(text + 2, "8") != 0 ? "is of an unknown object type" : NULL;
    }
    if (kind == 'U')
        return "holds text in UTF-32 (<U); write it again as fixed-width bytes (|S)";
    if (kind == 'M' || kind == 'm')
        return "holds dates, which are not read; write it again as numbers";
    if (text[2] < '0' || text[2] > '9')
        return "is of a type without a size";
    item = strtoul(text + 2, &end, 10);
    if (*end || !known_item(kind, item))
        return "is of a type that is not read; known are u1 to u8, i1 to i8, f2 to f8, c8, c16, b1 and S";
    *out = (deco_dtype){kind, item, order == '>' && item > 1 && kind != 'S' && kind != 'V'};
    return NULL;
}

void deco_dtype_print(char out[32], char kind, size_t item)
{
    snprintf(out, 32, "%c%c%zu", item == 1 || kind == 'S' ? '|' : '<', kind, item);
}

static void reverse(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        unsigned char b = p[i];
        p[i] = p[n - 1 - i];
        p[n - 1 - i] = b;
    }
}

void deco_dtype_swap(void *data, deco_dtype type, int64_t count)
{
    size_t n = type.kind == 'c' ? type.item / 2 : type.item;
    size_t numbers = n ? (size_t)count * (type.item / n) : 0;

    for (size_t i = 0; i < numbers; i++)
        reverse((unsigned char *)data + i * n, n);
}
