/* Plain .npy arrays. */
#include "formats/npy.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    deco_npy a;

    if (!deco_npy_read(&a, fuzz_file(bytes, n)))
        fuzz_touch(a.data, (size_t)a.count * a.item);
    deco_npy_free(&a);
    return 0;
}
