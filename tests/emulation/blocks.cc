/* A kernel's blocks, one after the other, and a block's threads, each until it meets the others. */
#include "launch.h"

#include "fibres.h"
#include "stub.h"

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

thread_local emulated_index threadIdx, blockIdx, blockDim, gridDim;

enum thread_state { WAITS_TO_START, RUNS, WAITS_FOR_BLOCK, WAITS_FOR_WARP, ENDED };

struct emulated_thread {
    thread_state state = WAITS_TO_START;
    fibre *f = nullptr;
    int exchange = 0; /* how many it has been to */
};

struct emulated_block {
    std::vector<emulated_thread> thread;
    std::vector<unsigned long long> shown[2]; /* to the warp: two, because one may be at its next exchange while another still reads */
    const std::function<void()> *kernel = nullptr;
    const char *name = nullptr;
};
static thread_local emulated_block block;

[[noreturn]] static void stuck(const char *why)
{
    fprintf(stderr, "emulation: %s, block %u: %s\n", block.name, blockIdx.x, why);
    abort();
}

void block_meet()
{
    unsigned me = threadIdx.x;
    block.thread[me].state = WAITS_FOR_BLOCK;
    fibre_pause();
    threadIdx.x = me;
}

const unsigned long long *emulated_exchange(unsigned long long bits)
{
    unsigned me = threadIdx.x;
    emulated_thread &t = block.thread[me];
    std::vector<unsigned long long> &shown = block.shown[t.exchange++ & 1];
    shown[me] = bits;
    t.state = WAITS_FOR_WARP;
    fibre_pause();
    threadIdx.x = me;
    return &shown[me / WARP * WARP];
}

/* ---- a block ------------------------------------------------------------------------------------------------------------------- */

static void run_kernel(void *) { (*block.kernel)(); }

static void advance(unsigned i)
{
    emulated_thread &t = block.thread[i];
    if (t.state == WAITS_TO_START)
        t.f = fibre_take();
    t.state = RUNS;
    threadIdx.x = i;
    if (fibre_run(t.f, run_kernel, nullptr)) {
        t.state = ENDED;
        fibre_give(t.f);
    }
}

/* Lets those go on that are all there. All threads of [begin, end) must wait for the same. */
static bool release(unsigned begin, unsigned end, thread_state what)
{
    unsigned waiting = 0, ended = 0;
    for (unsigned i = begin; i < end; i++) {
        waiting += block.thread[i].state == what;
        ended += block.thread[i].state == ENDED;
    }
    if (waiting && ended)
        stuck("some threads have ended, others wait for them");
    if (!waiting || waiting < end - begin)
        return false;
    for (unsigned i = begin; i < end; i++)
        block.thread[i].state = RUNS;
    return true;
}

static void run_block(const std::vector<unsigned> &order)
{
    unsigned n = (unsigned)order.size();
    for (emulated_thread &t : block.thread)
        t = emulated_thread();
    for (;;) {
        unsigned ended = 0;
        for (unsigned i : order) {
            emulated_thread &t = block.thread[i];
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
    std::vector<unsigned> order = order_of(card, threads), in_turn = order_of(card, blocks);
    block.thread.resize(threads);
    block.shown[0].resize(threads), block.shown[1].resize(threads);
    block.kernel = &kernel;
    block.name = name;
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
