#include "training/search_stop.h"
#include <math.h>

void deco_search_stop_count(deco_position *at, const deco_options *o, int64_t n, const float *R_before, const float *shift_before,
                            const float *R, const float *shift)
{
    const double pi = 3.14159265358979323846, limit = sqrt(8) * sin(0.5 * fmin(o->hps_stop, 180) * pi / 180); /* of ‖A - B‖ */

    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int k = 0; k < 9; k++) {
            double d = (double)R[9 * i + k] - R_before[9 * i + k];
            sum += d * d;
        }
        at->turned_little += sqrt(sum) < limit;
        at->moved_little +=
            hypot((double)shift[2 * i] - shift_before[2 * i], (double)shift[2 * i + 1] - shift_before[2 * i + 1]) < deco_stop_px;
    }
}

bool deco_search_stop(deco_position *at, const deco_options *o, int64_t N, int64_t left)
{
    bool still = 2 * at->turned_little > N && 2 * at->moved_little > N; /* more than half below: so is the median */

    if (!(o->hps_stop > 0))
        return false;
    at->still = still ? at->still + 1 : 0;
    if (at->still < DECO_STOP_EPOCHS || left <= 0)
        return false;
    at->skipped = left;
    return true;
}
