#include "job/report_pack.h"
#include <math.h>
#include <stdlib.h>
#include <zlib.h>

void report_base64(FILE *to, const unsigned char *b, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        unsigned word = (unsigned)b[i] << 16 | (i + 1 < n ? (unsigned)b[i + 1] << 8 : 0) | (i + 2 < n ? b[i + 2] : 0);
        char four[4] = {digit[word >> 18], digit[word >> 12 & 63], i + 1 < n ? digit[word >> 6 & 63] : '=',
                        i + 2 < n ? digit[word & 63] : '='};
        fwrite(four, 1, 4, to);
    }
}

deco_status report_pack(FILE *to, const char *id, const void *bytes, size_t n)
{
    deco_status st = DECO_OK;
    uLongf room = compressBound((uLong)n);
    unsigned char *packed = NULL;

    TRY(deco_alloc(&packed, room, 1, "a report"));
    if (compress2(packed, &room, bytes, (uLong)n, 6) != Z_OK)
        TRY(deco_fail_memory(n, "a report"));
    fprintf(to, "<script type=\"text/plain\" id=\"%s\">", id);
    report_base64(to, packed, room);
    fputs("</script>\n", to);
out:
    free(packed);
    return st;
}

deco_status report_pack_column(FILE *to, const char *id, const double *x, int64_t n, double *low, double *high)
{
    deco_status st = DECO_OK;
    uint16_t *step = NULL;

    *low = INFINITY;
    *high = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i])) {
            *low = fmin(*low, x[i]);
            *high = fmax(*high, x[i]);
        }
    if (!(*high > *low)) {
        *low = isfinite(*low) ? *low : 0;
        *high = *low + 1;
    }
    TRY(deco_alloc(&step, (size_t)n, sizeof *step, "a report"));
    for (int64_t i = 0; i < n; i++)
        step[i] = isfinite(x[i]) ? (uint16_t)lrint((x[i] - *low) / (*high - *low) * 65535) : 0;
    TRY(report_pack(to, id, step, (size_t)n * sizeof *step));
out:
    free(step);
    return st;
}

/* Half the side of the cube about the centre that holds all that is above a twentieth of the highest density. */
static int64_t reach_of(const float *map, int64_t D, float most)
{
    int64_t reach = 4 < D / 2 ? 4 : D / 2;

    for (int64_t i = 0; i < D * D * D; i++) {
        int64_t c[3] = {i % D - D / 2, i / D % D - D / 2, i / D / D - D / 2};
        for (int k = 0; k < 3 && map[i] > 0.05F * most; k++)
            reach = llabs(c[k]) + 2 > reach ? llabs(c[k]) + 2 : reach;
    }
    return reach < D / 2 ? reach : D / 2;
}

deco_status report_pack_map(FILE *to, const char *id, const float *map, int64_t D, bool half, int64_t *side)
{
    deco_status st = DECO_OK;
    float most = 0;
    unsigned char *byte = NULL;
    int64_t reach, step = half ? 2 : 1;

    for (int64_t i = 0; i < D * D * D; i++)
        most = map[i] > most ? map[i] : most;
    reach = reach_of(map, D, most) / step * step;
    *side = 2 * reach / step;
    TRY(deco_alloc(&byte, (size_t)(*side * *side * *side), 1, "a report"));
    for (int64_t i = 0; i < *side * *side * *side; i++) {
        int64_t at[3] = {i % *side * step - reach + D / 2, i / *side % *side * step - reach + D / 2,
                         i / *side / *side * step - reach + D / 2};
        double sum = 0;
        for (int64_t k = 0; k < step * step * step; k++)
            sum += map[((at[2] + k / step / step) * D + at[1] + k / step % step) * D + at[0] + k % step];
        sum /= (double)(step * step * step);
        byte[i] = most > 0 && sum > 0 ? (unsigned char)lrint(255 * fmin(1, sum / most)) : 0;
    }
    TRY(report_pack(to, id, byte, (size_t)(*side * *side * *side)));
out:
    free(byte);
    return st;
}
