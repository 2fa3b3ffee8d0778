/* The CSDAT form of .cs: all inputs begin with its magic, so that none is spent on finding it. */
#include "formats/cs.h"
#include "input.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char magic[6] = {'\x95', 'C', 'S', 'D', 'A', 'T'};
    deco_table *t = NULL;
    bool begins = n >= sizeof magic && !memcmp(bytes, magic, sizeof magic);
    uint8_t *whole = malloc(n + sizeof magic);

    if (!whole)
        return 0;
    memcpy(whole, magic, sizeof magic);
    memcpy(whole + (begins ? 0 : sizeof magic), bytes, n);
    if (!deco_cs_read(&t, fuzz_file(whole, n + (begins ? 0 : sizeof magic))))
        for (int64_t c = 0; c < t->columns; c++)
            for (int64_t r = 0; r < t->rows; r++)
                fuzz_touch(t->column[c].data + (size_t)r * t->column[c].stride, t->column[c].item * (size_t)t->column[c].cells);
    deco_table_free(t);
    free(whole);
    return 0;
}
