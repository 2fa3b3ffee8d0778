/* Images to records and back. */
#include "particles/record.h"
#include "particles/record_half.h"

#include <math.h>
#include <stdlib.h>

typedef struct record_head {
    uint64_t digest; /* of all bytes behind it */
    int32_t stack, index;
    int32_t exponent; /* values are 2^exponent of what is kept */
    int32_t zero[3];
} record_head;

enum { HEAD = sizeof(record_head), LARGEST_EXPONENT = 15 };

record_layout record_layout_of(int64_t D, bool float32, bool encoder)
{
    record_layout l = {.D = D, .P = deco_mask_points(D / 2), .float32 = float32, .encoder = encoder};

    l.pixels = HEAD + (size_t)l.P * (float32 ? sizeof(float) : sizeof(uint16_t));
    l.bytes = (l.pixels + (encoder ? DECO_ENCODER_PIXELS : 0) + 7) & ~(size_t)7;
    return l;
}

deco_status record_points(int32_t **out, int64_t D)
{
    deco_status st = DECO_OK;
    deco_mask *circle = NULL;

    *out = NULL;
    TRY(deco_mask_create(&circle, D + 1, D / 2));
    TRY(deco_alloc(out, (size_t)circle->P, sizeof **out, "mask"));
    for (int64_t i = 0; i < circle->P; i++)
        (*out)[i] = (int32_t)(circle->index[i] / circle->L % D * D + circle->index[i] % circle->L % D);
out:
    deco_mask_free(circle);
    return st;
}

deco_status record_places(int32_t **out, const deco_mask *mask)
{
    deco_status st = DECO_OK;
    deco_mask *circle = NULL;

    *out = NULL;
    if (mask->radius == mask->L / 2)
        return DECO_OK;
    TRY(deco_mask_create(&circle, mask->L, mask->L / 2));
    TRY(deco_alloc(out, (size_t)mask->P, sizeof **out, "mask"));
    for (int64_t i = 0, k = 0; i < mask->P; i++) { /* both rise, and the smaller lies in the larger */
        while (circle->index[k] != mask->index[i])
            k++;
        (*out)[i] = (int32_t)k;
    }
out:
    deco_mask_free(circle);
    return st;
}

uint64_t record_digest(const void *bytes, size_t n)
{
    /* Four chains side by side; every step can be undone, so no two inputs that differ in one word end alike. */
    const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t h[4] = {1, 2, 3, 4}, word[4], all = n;
    const unsigned char *p = bytes;
    size_t i = 0;

    for (; i + sizeof word <= n; i += sizeof word) {
        memcpy(word, p + i, sizeof word);
        for (int k = 0; k < 4; k++) {
            h[k] = (h[k] ^ word[k]) * odd;
            h[k] ^= h[k] >> 32;
        }
    }
    for (; i < n; i += sizeof *word) {
        memcpy(word, p + i, sizeof *word);
        h[0] = (h[0] ^ word[0]) * odd;
        h[0] ^= h[0] >> 32;
    }
    for (int k = 0; k < 4; k++) {
        all = (all ^ h[k]) * odd;
        all ^= all >> 29;
    }
    return all;
}

/* The power of two by which the largest value comes to lie in [2^14, 2^15). */
static int exponent_of(const float *hartley, const int32_t *points, int64_t P)
{
    float most = 0;
    int exponent;

    for (int64_t i = 0; i < P; i++) {
        float a = fabsf(hartley[points[i]]);
        most = a > most ? a : most;
    }
    if (!(most > 0 && most < INFINITY)) /* an infinite one is refused with the set's scale */
        return 0;
    frexpf(most, &exponent);
    return exponent - LARGEST_EXPONENT;
}

void record_fill(unsigned char *record, const record_layout *l, int32_t stack, int32_t index, const float *hartley, const int32_t *points,
                 const uint8_t *pixels)
{
    record_head head = {.stack = stack, .index = index, .exponent = l->float32 ? 0 : exponent_of(hartley, points, l->P)};

    memset(record + l->bytes - 8, 0, 8);
    if (l->float32)
        for (int64_t i = 0; i < l->P; i++)
            memcpy(record + HEAD + 4 * i, &hartley[points[i]], sizeof(float));
    else
        record_half_pack(record + HEAD, hartley, points, l->P, ldexp(1, -head.exponent));
    if (l->encoder)
        memcpy(record + l->pixels, pixels, DECO_ENCODER_PIXELS);
    memcpy(record, &head, HEAD);
    head.digest = record_digest(record + sizeof head.digest, l->bytes - sizeof head.digest);
    memcpy(record, &head, sizeof head.digest);
}

void record_values(float *out, const unsigned char *record, const record_layout *l, double scale, const int32_t *places, int64_t n)
{
    record_head head;
    float value;

    memcpy(&head, record, HEAD);
    if (!l->float32) {
        record_half_unpack(out, record + HEAD, places, n, (float)ldexp(scale, head.exponent));
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        memcpy(&value, record + HEAD + 4 * (places ? places[i] : i), sizeof value);
        out[i] = (float)scale * value;
    }
}

bool record_is_of(const unsigned char *record, int32_t stack, int32_t index)
{
    record_head head;

    memcpy(&head, record, HEAD);
    return head.stack == stack && head.index == index;
}

bool record_is_sound(const unsigned char *record, const record_layout *l)
{
    record_head head;

    memcpy(&head, record, HEAD);
    return head.digest == record_digest(record + sizeof head.digest, l->bytes - sizeof head.digest);
}
