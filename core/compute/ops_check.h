/* What the wrappers of ops.h are made of: an argument's dtype and shape against what they must be, and a call that is timed. */
#ifndef DECO_COMPUTE_OPS_CHECK_H
#define DECO_COMPUTE_OPS_CHECK_H

#include "compute/table.h"

/* Fails: ARGUMENT (`argument` of `op` is not shaped like `like`, or has no memory). */
deco_status op_check(const char *op, const char *argument, deco_array x, deco_array like);
int64_t op_clock_ns(void);

/* An argument that must be there, and one that may be none. */
#define NEED(x, ...) \
    do { \
        deco_status refused = op_check(__func__, #x, (x), (__VA_ARGS__)); \
        if (refused) \
            return refused; \
    } while (0)
#define MAY(x, ...) \
    do { \
        if ((x).data) \
            NEED(x, __VA_ARGS__); \
    } while (0)

static inline deco_array f32_1(int64_t a) { return deco_f32_1(NULL, a); }
static inline deco_array f32_2(int64_t a, int64_t b) { return deco_f32_2(NULL, a, b); }
static inline deco_array f32_3(int64_t a, int64_t b, int64_t c) { return deco_f32_3(NULL, a, b, c); }
static inline deco_array like_f32(deco_array x)
{
    x.dtype = DECO_F32;
    return x;
}
static inline deco_array records(size_t item, int64_t n) { return (deco_array){NULL, DECO_BYTES, 1, {n, 1, 1, 1}, item}; }

#define RUN(op, ...) \
    do { \
        int64_t begun = op_clock_ns(); \
        deco_status status = dev->ops->op(dev, __VA_ARGS__); \
        atomic_fetch_add(&dev->time[DECO_OP_##op].nanoseconds, op_clock_ns() - begun); \
        atomic_fetch_add(&dev->time[DECO_OP_##op].calls, 1); \
        return status; \
    } while (0)

#endif
