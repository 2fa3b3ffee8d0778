/* MRC headers and the first image behind them. */
#include "formats/mrc.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    deco_mrc *m = NULL;

    if (!deco_mrc_open(&m, fuzz_file(bytes, n)) && m->nz > 0) {
        float *image = calloc((size_t)m->nx * (size_t)m->ny + 1, sizeof *image);
        if (image && !deco_mrc_read(m, image, 0, 1))
            deco_mrc_read(m, image, m->nz - 1, 1);
        free(image);
    }
    deco_mrc_close(m);
    return 0;
}
