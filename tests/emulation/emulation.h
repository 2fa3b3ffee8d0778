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
#define __device__
#define SHARED(type, name, count) static thread_local type name[count]

typedef struct emulated_index {
    unsigned x;
} emulated_index;
extern thread_local emulated_index threadIdx, blockIdx, blockDim, gridDim;

/* Where the memory of a card really is; NULL for NULL. Ends the program when `p` is the host's. */
void *emulated_memory(const void *p, const char *kernel);

deco_status emulated_launch(deco_device *dev, const char *name, int64_t blocks, int64_t threads, std::function<void()> kernel);

template <class P, class A> P emulated_argument(A x, const char *kernel)
{
    if constexpr (std::is_pointer_v<P>)
        return (P)emulated_memory((const void *)(P)x, kernel);
    else
        return (P)x;
}

template <class... P, class... A>
deco_status emulated_call(deco_device *dev, void (*kernel)(P...), const char *name, int64_t blocks, int64_t threads, A... arguments)
{
    std::tuple<P...> there(emulated_argument<P>(arguments, name)...);
    return emulated_launch(dev, name, blocks, threads, [=] { std::apply(kernel, there); });
}

#define LAUNCH(dev, kernel, blocks, threads, ...) \
    ((blocks) > 0 ? emulated_call(dev, kernel, #kernel, blocks, threads, __VA_ARGS__) : DECO_OK)

void block_meet(void);
const unsigned long long *emulated_exchange(unsigned long long bits);

/* One meeting of the warp; then every lane walks the tree that shuffles would. */
template <class T, class Join> static inline T warp_join(T x, Join join)
{
    unsigned long long bits = 0;
    T all[WARP];
    static_assert(sizeof x <= sizeof bits, "a shuffle moves 4 or 8 bytes");
    __builtin_memcpy(&bits, &x, sizeof x);
    const unsigned long long *shown = emulated_exchange(bits);
    for (int i = 0; i < WARP; i++)
        __builtin_memcpy(&all[i], &shown[i], sizeof x);
    for (int n = WARP / 2; n; n /= 2)
        for (int i = 0; i < n; i++)
            all[i] = join(all[i], all[i + n]);
    return all[0];
}

static inline bool first_to_take(int *flag) /* one thread runs at a time */
{
    bool first = !*flag;
    *flag = 1;
    return first;
}

#endif
