/* A kernel's blocks, one after the other, and a block's threads, each until it meets the others. */
#include "launch.h"

#include "fibres.h"
#include "stub.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <vector>

thread_local emulated_index threadIdx, blockIdx, blockDim, gridDim;
thread_local unsigned char *emulated_shared;

enum thread_state { WAITS_TO_START, RUNS, WAITS_FOR_BLOCK, WAITS_FOR_WARP, ENDED };

struct emulated_thread {
    thread_state state = WAITS_TO_START;
    fibre *f = nullptr;
    int exchange = 0; /* how many it has been to */
};

struct emulated_block {
    std::vector<emulated_thread> thread;
    std::vector<emulated_warp> shown[2]; /* two, because a thread may be at its next exchange while another still reads */
    const std::vector<unsigned> *order = nullptr;
    unsigned next = 0; /* in `order`: who starts next */
    fibre *running = nullptr;
    const std::function<void()> *kernel = nullptr;
    const char *name = nullptr;
};
static thread_local emulated_block *block; /* this thread's; a plain pointer, which is read without asking whether it has been made */

[[noreturn]] static void stuck(const char *why)
{
    fprintf(stderr, "emulation: %s, block %u: %s\n", block->name, blockIdx.x, why);
    abort();
}

void emulated_aligned(const void *p, size_t bytes)
{
    if ((uintptr_t)p % bytes)
        stuck("16 bytes at once from an address that is no multiple of 16");
}

void block_meet()
{
    unsigned me = threadIdx.x;
    block->thread[me].state = WAITS_FOR_BLOCK;
    fibre_pause();
    threadIdx.x = me;
}

emulated_warp *emulated_exchange(unsigned long long bits)
{
    unsigned me = threadIdx.x;
    emulated_thread &t = block->thread[me];
    emulated_warp *warp = &block->shown[t.exchange++ & 1][me / WARP];
    warp->bits[me % WARP] = bits;
    warp->joined = false;
    t.state = WAITS_FOR_WARP;
    fibre_pause();
    threadIdx.x = me;
    return warp;
}

/* ---- a block ------------------------------------------------------------------------------------------------------------------- */

/* A fibre runs one thread after the other to its end; the first that stops to meet the others keeps it. */
static void start_threads(void *)
{
    fibre *mine = block->running;
    while (block->next < block->order->size()) {
        unsigned i = (*block->order)[block->next++];
        emulated_thread &t = block->thread[i];
        t.f = mine;
        t.state = RUNS;
        threadIdx.x = i;
        (*block->kernel)();
        t.state = ENDED;
    }
}

static void advance(unsigned i)
{
    emulated_thread &t = block->thread[i];
    fibre *f = t.state == WAITS_TO_START ? fibre_take() : t.f;
    block->running = f;
    threadIdx.x = i;
    if (fibre_run(f, start_threads, nullptr))
        fibre_give(f);
}

/* Lets those go on that are all there. All threads of [begin, end) must wait for the same. */
static bool release(unsigned begin, unsigned end, thread_state what)
{
    unsigned waiting = 0, ended = 0;
    for (unsigned i = begin; i < end; i++) {
        waiting += block->thread[i].state == what;
        ended += block->thread[i].state == ENDED;
    }
    if (waiting && ended)
        stuck("some threads have ended, others wait for them");
    if (!waiting || waiting < end - begin)
        return false;
    for (unsigned i = begin; i < end; i++)
        block->thread[i].state = RUNS;
    return true;
}

static void run_block(const std::vector<unsigned> &order)
{
    unsigned n = (unsigned)order.size();
    for (emulated_thread &t : block->thread)
        t = emulated_thread();
    block->next = 0;
    for (;;) {
        unsigned ended = 0;
        for (unsigned i : order) {
            emulated_thread &t = block->thread[i];
            if (t.state == WAITS_TO_START || t.state == RUNS)
                advance(i);
            ended += t.state == ENDED;
        }
        if (ended == n)
            return;
        bool goes_on = release(0, n, WAITS_FOR_BLOCK);
        for (unsigned w = 0; w < n; w += WARP)
            goes_on |= release(w, w + WARP, WAITS_FOR_WARP);
        if (!goes_on)
            stuck("its threads wait in different places");
    }
}

/* ---- a grid -------------------------------------------------------------------------------------------------------------------- */

static std::vector<unsigned> order_of(int card, unsigned n)
{
    std::vector<unsigned> order(n);
    std::iota(order.begin(), order.end(), 0U);
    for (unsigned i = 0; card == 1 && i < n / 2; i++)
        std::swap(order[i], order[n - 1 - i]);
    unsigned long long random = 1;
    for (unsigned i = n; card == 2 && i > 1; i--) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        std::swap(order[i - 1], order[(random >> 33) % i]);
    }
    return order;
}

static void run_grid(int card, const char *name, unsigned blocks, unsigned threads, const std::function<void()> &kernel)
{
    static thread_local emulated_block mine;
    std::vector<unsigned> order = order_of(card, threads), in_turn = order_of(card, blocks);
    static thread_local std::unique_ptr<unsigned char, void (*)(void *)> shared((unsigned char *)aligned_alloc(128, EMULATED_SHARED), free);
    block = &mine;
    emulated_shared = shared.get();
    block->thread.resize(threads);
    for (std::vector<emulated_warp> &shown : block->shown)
        shown.resize(threads / WARP);
    block->order = &order;
    block->kernel = &kernel;
    block->name = name;
    blockDim.x = threads;
    gridDim.x = blocks;
    for (unsigned b : in_turn) {
        blockIdx.x = b;
        run_block(order);
    }
}

deco_status emulated_launch(deco_device *dev, const char *name, int64_t blocks, int64_t threads, std::function<void()> kernel)
{
    deco_status entered = cuda_enter(dev);
    if (entered)
        return entered;
    if (blocks > INT32_MAX || threads > 1024 || threads % WARP)
        return cuda_check(cudaErrorInvalidConfiguration, name);
    if (stub_fails("kernel"))
        return cuda_check(cudaErrorLaunchOutOfResources, name);
    int card = 0;
    cudaGetDevice(&card);
    stub_enqueue(cuda_stream(dev), [=] { run_grid(card, name, (unsigned)blocks, (unsigned)threads, kernel); });
    return DECO_OK;
}
