/* IEEE half precision, the float16 of MRC mode 12. Without branches, so that loops over images vectorise; right in threads
 * that flush denormals, since no float here is one. */
#ifndef DECO_FORMATS_MRC_HALF_H
#define DECO_FORMATS_MRC_HALF_H

#include <stdint.h>
#include <string.h>

static inline float deco_float_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t deco_bits_from_float(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float deco_float_from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h & 0x7c00, fraction = h & 0x3ff;
    uint32_t widened = ((uint32_t)(h & 0x7fff) << 13) + (112u << 23); /* the exponent's bias goes from 15 to 127 */
    uint32_t small = deco_bits_from_float((float)(int32_t)fraction * 0x1p-24f);
    uint32_t special = 0x7f800000u | fraction << 13;
    uint32_t magnitude = exponent == 0 ? small : exponent == 0x7c00 ? special : widened;
    return deco_float_from_bits(magnitude | sign);
}

/* Round to nearest even; finite values too large become infinite. */
static inline uint16_t deco_half_from_float(float x)
{
    uint32_t u = deco_bits_from_float(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    uint32_t normal = (a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13;
    /* below 2^-14 the last bit of a half is that of a float in [0.5, 1): the addition rounds */
    uint32_t small = deco_bits_from_float(deco_float_from_bits(a < 0x38800000u ? a : 0) + 0.5f) - 0x3f000000u;
    uint32_t large = a > 0x7f800000u ? 0x7e00 : 0x7c00;
    uint32_t h = a < 0x38800000u ? small : a >= 0x477ff000u ? large : normal; /* 65520 and above round to infinity */
    return (uint16_t)(h | sign);
}

#endif
