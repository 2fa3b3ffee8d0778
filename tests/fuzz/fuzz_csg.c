/* Result groups. */
#include "formats/csg.h"
#include "input.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    deco_csg g;

    if (!deco_csg_read(&g, fuzz_file(bytes, n)))
        for (int64_t i = 0; i < g.results; i++)
            fuzz_touch(g.result[i].metafile, strlen(g.result[i].metafile));
    deco_csg_free(&g);
    return 0;
}
