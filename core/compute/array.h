/* A view of numbers in a device's memory: pointer, dtype, shape. By value; nothing to free. */
#ifndef DECO_COMPUTE_ARRAY_H
#define DECO_COMPUTE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

typedef enum deco_dtype { DECO_F32, DECO_F64, DECO_BF16, DECO_F16, DECO_I32, DECO_I64, DECO_U8, DECO_BYTES } deco_dtype;

#define DECO_ARRAY_DIMS 4

/* C order, last index fastest. DECO_BYTES: `item` bytes an element (a struct such as deco_ctf_row). */
typedef struct deco_array {
    void *data;
    deco_dtype dtype;
    int dims;
    int64_t shape[DECO_ARRAY_DIMS];
    size_t item;
} deco_array;

static inline size_t deco_dtype_size(deco_dtype t)
{
    static const size_t size[] = {4, 8, 2, 2, 4, 8, 1, 0};
    return size[t];
}

static inline deco_array deco_array_of(void *data, deco_dtype dtype, int dims, int64_t a, int64_t b, int64_t c, int64_t d)
{
    deco_array x = {data, dtype, dims, {a, b, c, d}, deco_dtype_size(dtype)};
    return x;
}
#define deco_f32_1(p, a)       deco_array_of((p), DECO_F32, 1, (a), 1, 1, 1)
#define deco_f32_2(p, a, b)    deco_array_of((p), DECO_F32, 2, (a), (b), 1, 1)
#define deco_f32_3(p, a, b, c) deco_array_of((p), DECO_F32, 3, (a), (b), (c), 1)
#define deco_f64_1(p, a)       deco_array_of((p), DECO_F64, 1, (a), 1, 1, 1)
#define deco_i64_1(p, a)       deco_array_of((p), DECO_I64, 1, (a), 1, 1, 1)

/* An argument left out: an output not wanted, an input that is none. */
static inline deco_array deco_none(void) { return deco_array_of(NULL, DECO_F32, 0, 0, 0, 0, 0); }

static inline int64_t deco_array_count(deco_array x)
{
    int64_t n = 1;
    for (int i = 0; i < x.dims; i++)
        n *= x.shape[i];
    return x.data ? n : 0;
}

#endif
