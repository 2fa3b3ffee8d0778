/* Selections: every entry of one that is accepted is within its bounds. */
#include "formats/selection.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    deco_selection s;

    if (!deco_selection_read(&s, fuzz_file(bytes, n))) {
        fuzz_touch(s.uid, (size_t)s.uids * sizeof *s.uid);
        for (int64_t i = 0; i < s.ranges; i++)
            if (s.range[i][0] < 0 || s.range[i][1] < 0 || s.range[i][0] > s.n || s.range[i][1] > s.n - s.range[i][0])
                abort();
        for (int64_t i = 0; i < s.corners; i++)
            deco_selection_inside(&s, s.corner[i][0], s.corner[i][1]);
    }
    deco_selection_free(&s);
    return 0;
}
