/* How kernels are written here, so that they also run on the CPU in the tests (tests/emulation/emulation.h stands in for this header's lower
 * half): LAUNCH starts one, SHARED declares its shared memory, and threads meet in the functions below alone.
 *
 * Blocks are whole warps, and all threads of a warp or block come to a meeting point: no early return before one. */
#ifndef DECO_CUDA_LAUNCH_H
#define DECO_CUDA_LAUNCH_H

#include "card.h"

enum { THREADS = 256, WARP = 32, WARPS = THREADS / WARP };

#ifdef CRYODECO_EMULATED
#include "emulation.h"
#else
#include <cuda_runtime.h>

/* Status of the launch of kernel<<<blocks, threads>>>(...) on the device's stream; no blocks, no launch. */
#define LAUNCH(dev, kernel, blocks, threads, ...) LAUNCH_SHARED(dev, kernel, blocks, threads, 0, __VA_ARGS__)

/* The same with `bytes` of shared memory that SHARED_BYTES names; more than 48 kB have been asked for by may_share. */
#define LAUNCH_SHARED(dev, kernel, blocks, threads, bytes, ...) \
    ((blocks) > 0 \
         ? launch_status( \
               cuda_enter(dev), \
               [&] { kernel<<<(unsigned)(blocks), (unsigned)(threads), (size_t)(bytes), cuda_stream(dev)>>>(__VA_ARGS__); }, #kernel) \
         : DECO_OK)

template <class Start> static inline deco_status launch_status(deco_status entered, Start start, const char *kernel)
{
    if (entered)
        return entered;
    start();
    return cuda_check(cudaGetLastError(), kernel);
}

#define SHARED(type, name, count) __shared__ type name[count]
#define SHARED_BYTES(name)        extern __shared__ __align__(128) unsigned char name[]

/* Lets a kernel have `bytes` of shared memory. */
template <class Kernel> static inline deco_status may_share(deco_device *dev, Kernel *kernel, size_t bytes)
{
    deco_status entered = cuda_enter(dev);
    return entered ? entered
                   : cuda_check(cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes),
                                "cudaFuncSetAttribute");
}

#define UNROLL   _Pragma("unroll")
#define UNROLL_4 _Pragma("unroll 4")

__device__ static inline void block_meet() { __syncthreads(); }

/* All lanes' x, joined by `join` in a tree that is the same for all lanes; join(a, b) is join(b, a). */
template <class T, class Join> __device__ static inline T warp_join(T x, Join join)
{
    for (int mask = WARP / 2; mask; mask /= 2)
        x = join(x, __shfl_xor_sync(0xffffffffU, x, mask));
    return x;
}

__device__ static inline bool first_to_take(int *flag) { return atomicCAS(flag, 0, 1) == 0; }
#endif

/* ---- where a thread is ------------------------------------------------------------------------------------------------- */

__device__ static inline int64_t grid_thread() { return (int64_t)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ static inline int lane() { return (int)(threadIdx.x % WARP); }
__device__ static inline int64_t grid_warp() { return grid_thread() / WARP; }
static inline int64_t blocks_of(int64_t threads) { return cuda_tiles(threads, THREADS); }
static inline int64_t blocks_of_warps(int64_t warps) { return cuda_tiles(warps, WARPS); }

/* ---- sums: the same tree whatever the data --------------------------------------------------------------------------------- */

struct adds {
    template <class T> __device__ T operator()(T a, T b) const { return a + b; }
};
struct larger {
    __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};
struct smaller {
    __device__ int operator()(int a, int b) const { return a < b ? a : b; }
};

template <class T> __device__ static inline T warp_sum(T x) { return warp_join(x, adds()); }
__device__ static inline float warp_max(float x) { return warp_join(x, larger()); }
__device__ static inline int warp_min(int x) { return warp_join(x, smaller()); }

/* The sum over a block of THREADS, in all its threads. */
__device__ static inline double block_sum(double x)
{
    SHARED(double, of_warp, WARPS);
    x = warp_sum(x);
    block_meet(); /* what an earlier sum left there has been read */
    if (lane() == 0)
        of_warp[threadIdx.x / WARP] = x;
    block_meet();
    double sum = 0;
    for (int w = 0; w < WARPS; w++)
        sum += of_warp[w];
    return sum;
}

/* ---- a number out of range ------------------------------------------------------------------------------------------------- */

/* Whether 0 <= value < limit; if not, it is left in `fault` unless another is there already. */
__device__ static inline bool in_range(cuda_fault *fault, cuda_index index, int64_t at, int64_t value, int64_t limit)
{
    if (value >= 0 && value < limit)
        return true;
    if (first_to_take(&fault->taken)) {
        fault->index = index;
        fault->at = at;
        fault->value = value;
        fault->limit = limit;
    }
    return false;
}

/* out [B,columns] = Σ over tiles of part [B,tiles,columns], tiles in rising order (sums.cu). */
deco_status cuda_add_parts(deco_device *dev, float *out, const double *part, int64_t B, int64_t tiles, int64_t columns);
deco_status cuda_add_float_parts(deco_device *dev, float *out, const float *part, int64_t B, int64_t tiles,
                                 int64_t columns); /* in double too */

/* part [runs,O,I] = dyᵀ x for each run of `run` rows of dy [M,O] and x [M,I], both float32 or both bf16; the last run may be shorter (linear.cu). */
deco_status cuda_run_products(deco_device *dev, float *part, const void *dy, const void *x, bool bf16, int64_t M, int64_t O, int64_t I,
                              int64_t run);
/* dw [O,I] = dyᵀ x: runs in float32, added in double. */
deco_status cuda_weight_gradient(deco_device *dev, float *dw, const void *dy, const void *x, bool bf16, int64_t M, int64_t O, int64_t I,
                                 int64_t run);

/* part [tiles,C] = Σ over the rows of a tile of x [M,C], or with means [C] of (x - mean)²; tiles of CUDA_TILE_ROWS rows. */
enum { CUDA_TILE_ROWS = 256 };
deco_status cuda_column_parts(deco_device *dev, double *part, const float *x, const float *mean, int64_t M, int64_t C);

#endif
