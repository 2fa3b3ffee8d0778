/* CUDA's runtime on the host's memory: three cards, streams, failures at will.
 *
 * An address of a card's memory belongs to a range that nobody may touch; what is stored there lies a fixed distance away, where only kernels
 * and copies look. So host code that reads a card's memory dies here as it would beside a card. */
#include "cuda_runtime_api.h"

#include "stub.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)
#define ASAN_UNPOISON_MEMORY_REGION(p, n)
#endif

static const int most_cards = 3;
static stub_state state = {most_cards, 13000, 9, 0, true, (size_t)2 << 30, 0, 0, 0, 0, nullptr};
static std::recursive_mutex lock; /* of everything here; one kernel runs at a time */
typedef std::lock_guard<std::recursive_mutex> locked;

extern "C" stub_state *deco_stub(void) { return &state; }

bool stub_fails(const char *name)
{
    locked l(lock);
    if (++state.calls != state.fail_at)
        return false;
    state.failed = name;
    return true;
}

void stub_lives(long change)
{
    locked l(lock);
    state.alive += change;
}

/* ---- errors and cards -------------------------------------------------------------------------------------------------------- */

static thread_local cudaError_t last;
static thread_local int current;

static cudaError_t result(cudaError_t e)
{
    if (e != cudaSuccess)
        last = e;
    return e;
}

#define FALLIBLE(error) \
    locked l(lock); \
    if (stub_fails(__func__)) \
    return result(error)

const char *cudaGetErrorName(cudaError_t e)
{
    switch (e) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNoKernelImageForDevice: return "cudaErrorNoKernelImageForDevice";
    case cudaErrorLaunchOutOfResources: return "cudaErrorLaunchOutOfResources";
    default: return "cudaErrorUnknown";
    }
}
const char *cudaGetErrorString(cudaError_t e) { return cudaGetErrorName(e) + strlen("cuda"); }

cudaError_t cudaGetLastError()
{
    cudaError_t e = last;
    last = cudaSuccess;
    return e;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    FALLIBLE(cudaErrorUnknown);
    *count = 0;
    if (state.driver < CUDART_VERSION)
        return result(cudaErrorInsufficientDriver);
    *count = state.cards;
    return result(state.cards ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int *device)
{
    *device = current;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    FALLIBLE(cudaErrorUnknown);
    if (device < 0 || device >= most_cards)
        return result(cudaErrorInvalidDevice);
    current = device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    FALLIBLE(cudaErrorUnknown);
    memset(prop, 0, sizeof *prop);
    snprintf(prop->name, sizeof prop->name, "emulated card");
    prop->totalGlobalMem = state.memory;
    prop->major = state.major;
    prop->minor = state.minor;
    prop->multiProcessorCount = 3;
    prop->sharedMemPerBlockOptin = 227 << 10;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    FALLIBLE(cudaErrorUnknown);
    *version = state.driver;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    FALLIBLE(cudaErrorUnknown);
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *kernel)
{
    FALLIBLE(cudaErrorUnknown);
    attributes->maxThreadsPerBlock = 1024;
    return result(state.has_kernels ? cudaSuccess : cudaErrorNoKernelImageForDevice);
}

/* ---- memory ------------------------------------------------------------------------------------------------------------------ */

static const size_t page = 4096, range = (size_t)256 << 30;
static char *addresses, *storage; /* [range] each: what pointers say, and where it is */
static size_t taken;
static std::map<char *, size_t> blocks;

static bool reserve()
{
    if (addresses)
        return true;
    void *p = mmap(nullptr, 2 * range, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    addresses = (char *)p;
    storage = addresses + range;
    return true;
}

static bool of_card(const void *p) { return addresses && (const char *)p >= addresses && (const char *)p < addresses + range; }

void *emulated_memory(const void *p, const char *kernel);
void *emulated_memory(const void *p, const char *kernel)
{
    if (!p)
        return nullptr;
    if (!of_card(p)) {
        fprintf(stderr, "emulation: %s is given memory of the host\n", kernel);
        abort();
    }
    return storage + ((const char *)p - addresses);
}

/* Whole pages, and one between blocks that stays shut. Addresses are not used again: what is freed too early shows. */
cudaError_t cudaMalloc(void **p, size_t bytes)
{
    FALLIBLE(cudaErrorMemoryAllocation);
    size_t whole = (bytes + page - 1) / page * page;
    *p = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    if (whole < bytes || whole > state.memory || state.used > state.memory - whole || !reserve() || taken + whole + page > range)
        return result(cudaErrorMemoryAllocation);
    if (mprotect(storage + taken, whole, PROT_READ | PROT_WRITE))
        return result(cudaErrorMemoryAllocation);
    memset(storage + taken, 0xA5, bytes < page ? bytes : page); /* not cleared: a start will do */
    ASAN_POISON_MEMORY_REGION(storage + taken + bytes, whole - bytes);
    *p = addresses + taken;
    blocks[(char *)*p] = whole;
    taken += whole + page;
    state.used += whole;
    state.alive++;
    return cudaSuccess;
}

static void drain_all();

cudaError_t cudaFree(void *p)
{
    locked l(lock);
    if (!p)
        return cudaSuccess;
    auto b = blocks.find((char *)p);
    if (b == blocks.end())
        return result(cudaErrorInvalidValue);
    drain_all();
    char *there = storage + ((char *)p - addresses);
    ASAN_UNPOISON_MEMORY_REGION(there, b->second);
    madvise(there, b->second, MADV_DONTNEED);
    mprotect(there, b->second, PROT_NONE);
    state.used -= b->second;
    state.alive--;
    blocks.erase(b);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total)
{
    FALLIBLE(cudaErrorUnknown);
    *free_bytes = state.memory - state.used;
    *total = state.memory;
    return cudaSuccess;
}

/* ---- streams ------------------------------------------------------------------------------------------------------------------- */

struct CUstream_st {
    bool delayed;
    std::deque<std::function<void()>> work;
};
static std::map<cudaStream_t, int> streams;

static void drain(cudaStream_t s)
{
    while (!s->work.empty()) {
        std::function<void()> now = s->work.front();
        s->work.pop_front();
        now();
    }
}

static void drain_all()
{
    for (auto &s : streams)
        drain(s.first);
}

void stub_enqueue(cudaStream_t stream, std::function<void()> work)
{
    locked l(lock);
    if (stream->delayed)
        stream->work.push_back(work);
    else
        work();
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    FALLIBLE(cudaErrorUnknown);
    *stream = new CUstream_st{current == 1, {}};
    streams[*stream] = current;
    state.alive++;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    FALLIBLE(cudaErrorUnknown);
    drain(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    locked l(lock);
    drain(stream);
    streams.erase(stream);
    state.alive--;
    delete stream;
    return cudaSuccess;
}

/* The host's memory is pageable: it has been read, or written, when the call returns. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    FALLIBLE(cudaErrorUnknown);
    bool to_card = kind != cudaMemcpyDeviceToHost, from_card = kind != cudaMemcpyHostToDevice;
    if (of_card(to) != to_card || of_card(from) != from_card)
        return result(cudaErrorInvalidValue);
    void *there = to_card ? emulated_memory(to, __func__) : to;
    if (!from_card && stream->delayed) {
        auto staged = std::string((const char *)from, bytes);
        stub_enqueue(stream, [=] { memcpy(there, staged.data(), staged.size()); });
        return cudaSuccess;
    }
    const void *source = from_card ? emulated_memory(from, __func__) : from;
    if (!to_card) {
        drain(stream);
        memmove(there, source, bytes);
        return cudaSuccess;
    }
    stub_enqueue(stream, [=] { memmove(there, source, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream)
{
    FALLIBLE(cudaErrorUnknown);
    if (!of_card(p))
        return result(cudaErrorInvalidValue);
    void *there = emulated_memory(p, __func__);
    stub_enqueue(stream, [=] { memset(there, value, bytes); });
    return cudaSuccess;
}
