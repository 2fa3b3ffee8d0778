/* The stand-in for CUDA's runtime, cuBLASLt and cuFFT: what tests set and read, and what its parts share. Three cards, whose streams run at once,
 * but for card 1's: its work waits until somebody waits for it. */
#ifndef DECO_EMULATION_STUB_H
#define DECO_EMULATION_STUB_H

#include <stdbool.h>
#include <stddef.h>

typedef struct stub_state {
    int cards;          /* how many there are */
    int driver;         /* version served by the driver, as 13000; 0: no driver */
    int major, minor;   /* compute capability */
    bool has_kernels;   /* for that capability */
    size_t memory;      /* of a card, bytes */
    long calls;         /* made so far, those that cannot fail left out */
    long fail_at;       /* number of the call that fails; 0: none */
    long alive;         /* allocations, streams, handles, plans, descriptions not yet taken back */
    size_t used;        /* of a card's memory, all cards together */
    const char *failed; /* name of the call that was made to fail */
} stub_state;

#ifdef __cplusplus
extern "C" {
#endif
/* The state, which tests may change between calls. Exported from the emulated library. */
__attribute__((visibility("default"))) stub_state *deco_stub(void);
#ifdef __cplusplus
}

#include <functional>

/* Counts a call; true when this one is to fail. */
bool stub_fails(const char *name);
/* Does it now, or leaves it to the stream. */
void stub_enqueue(struct CUstream_st *stream, std::function<void()> work);
void stub_lives(long change);
#endif

#endif
