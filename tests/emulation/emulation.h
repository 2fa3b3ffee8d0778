/* The lower half of cuda/launch.h for the tests: kernels as plain C++ on the CPU. A block's threads are fibres, run one after the other; a
 * meeting point is a switch. Card 0 runs threads and blocks in rising order, card 1 in falling and card 2 in shuffled order, so what depends on
 * an order that is nobody's promise comes out differently.
 *
 * Memory of a card lies where the host cannot reach it (runtime.cc); a pointer that a kernel is given must be of a card. */
#ifndef DECO_EMULATION_H
#define DECO_EMULATION_H

#include <functional>
#include <tuple>
#include <type_traits>

#define __global__ static
#define __host__
#define __device__
#define __launch_bounds__(...)
#define UNROLL
#define UNROLL_4
#define SHARED(type, name, count) static thread_local type name[count]
#define SHARED_BYTES(name)        unsigned char *const name = emulated_shared

typedef struct emulated_index {
    unsigned x;
} emulated_index;
extern thread_local emulated_index threadIdx, blockIdx, blockDim, gridDim;

/* What a kernel has of shared memory whose size its launch says. */
enum { EMULATED_SHARED = 227 << 10 };
extern thread_local unsigned char *emulated_shared;
template <class Kernel> static inline deco_status may_share(deco_device *dev, Kernel *, size_t bytes)
{
    return bytes <= EMULATED_SHARED ? cuda_enter(dev) : cuda_check(cudaErrorInvalidValue, "cudaFuncSetAttribute");
}

/* Where the memory of a card really is; NULL for NULL. Ends the program when `p` is the host's. */
void *emulated_memory(const void *p, const char *kernel);

deco_status emulated_launch(deco_device *dev, const char *name, int64_t blocks, int64_t threads, std::function<void()> kernel);

/* A structure of arguments shows its pointers: x.each_pointer(f) calls f with a reference to each. */
struct emulated_visit {
    template <class T> void operator()(T &) const {}
};
template <class P, class = void> struct emulated_has_pointers : std::false_type {
};
template <class P>
struct emulated_has_pointers<P, std::void_t<decltype(std::declval<P &>().each_pointer(emulated_visit()))>> : std::true_type {
};

template <class P, class A> P emulated_argument(A x, const char *kernel)
{
    if constexpr (std::is_pointer_v<P>) {
        return (P)emulated_memory((const void *)(P)x, kernel);
    } else if constexpr (emulated_has_pointers<P>::value) {
        P there = x;
        there.each_pointer([kernel](auto &p) { p = (std::decay_t<decltype(p)>)emulated_memory((const void *)p, kernel); });
        return there;
    } else {
        return (P)x;
    }
}

template <class... P, class... A>
deco_status emulated_call(deco_device *dev, void (*kernel)(P...), const char *name, int64_t blocks, int64_t threads, A... arguments)
{
    std::tuple<P...> there(emulated_argument<P>(arguments, name)...);
    return emulated_launch(dev, name, blocks, threads, [=] { std::apply(kernel, there); });
}

#define LAUNCH(dev, kernel, blocks, threads, ...) LAUNCH_SHARED(dev, kernel, blocks, threads, 0, __VA_ARGS__)
#define LAUNCH_SHARED(dev, kernel, blocks, threads, bytes, ...) \
    ((blocks) > 0 ? emulated_call(dev, kernel, #kernel, blocks, threads, __VA_ARGS__) : DECO_OK)

/* Ends the program where a card would: at an address that is no multiple of `bytes`. */
void emulated_aligned(const void *p, size_t bytes);

void block_meet(void);

/* What the lanes of a warp show each other, and what they make of it: the same for all, so the first to go on works it out. */
typedef struct emulated_warp {
    unsigned long long bits[WARP], join;
    bool joined;
} emulated_warp;
emulated_warp *emulated_exchange(unsigned long long bits);

/* One meeting of the warp; then the tree that shuffles would walk. */
template <class T, class Join> static inline T warp_join(T x, Join join)
{
    unsigned long long bits = 0;
    T all[WARP];
    static_assert(sizeof x <= sizeof bits, "a shuffle moves 4 or 8 bytes");
    __builtin_memcpy(&bits, &x, sizeof x);
    emulated_warp *warp = emulated_exchange(bits);
    if (!warp->joined) {
        for (int i = 0; i < WARP; i++)
            __builtin_memcpy(&all[i], &warp->bits[i], sizeof x);
        for (int n = WARP / 2; n; n /= 2)
            for (int i = 0; i < n; i++)
                all[i] = join(all[i], all[i + n]);
        __builtin_memcpy(&warp->join, &all[0], sizeof x);
        warp->joined = true;
    }
    __builtin_memcpy(&x, &warp->join, sizeof x);
    return x;
}

static inline bool first_to_take(int *flag) /* one thread runs at a time */
{
    bool first = !*flag;
    *flag = 1;
    return first;
}

#endif
