/* STAR and mmCIF: every cell of every loop is text that ends. */
#include "formats/star.h"
#include "input.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    deco_star *s = NULL;

    if (!deco_star_read(&s, fuzz_file(bytes, n)))
        for (int64_t i = 0; i < s->loops; i++) {
            const deco_star_loop *loop = &s->loop[i];
            for (int64_t c = 0; c < loop->columns; c++)
                fuzz_touch(loop->name[c], strlen(loop->name[c]));
            for (int64_t k = 0; k < loop->rows * loop->columns; k++)
                fuzz_touch(loop->cell[k], strlen(loop->cell[k]));
        }
    deco_star_free(s);
    return 0;
}
