/* One way to fail: a status, and a thread-local message with file, row, value and what to do. */
#ifndef DECO_BASE_STATUS_H
#define DECO_BASE_STATUS_H

#include "cryodeco.h"

/* Longest message, its zero byte included; longer ones are cut between characters and end in "...". */
enum { DECO_MESSAGE_SIZE = 8192 };

/* Set this thread's message; used through the macros below. */
void deco_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void deco_say_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));
void deco_say_context(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline deco_status deco_status_itself(deco_status status) { return status; }

/* Each sets the message and gives `status`. Macros, so that compiler and analyser see which status comes back. */

/* Write it where the facts are known; everyone above passes it on. */
#define deco_fail(status, ...) (deco_say(__VA_ARGS__), deco_status_itself(status))

/* "…: <strerror>", from errno as it is on entry. The format names the file and what was tried. */
#define deco_fail_errno(status, ...) (deco_say_errno(__VA_ARGS__), deco_status_itself(status))

/* Puts words in front of this thread's message: "<words>: <message>". */
#define deco_fail_context(status, ...) (deco_say_context(__VA_ARGS__), deco_status_itself(status))

static inline deco_status deco_fail_memory(size_t bytes, const char *what)
{
    return deco_fail(DECO_E_MEMORY, "%s: no memory for %zu bytes", what, bytes);
}

/* A worker's message moves to the thread that joins it. */
void deco_error_set(const char *message);

/* Success and failure leave by the same label, so every test of success tests the cleanup too. */
#define TRY(call) \
    do { \
        st = (call); \
        if (st) \
            goto out; \
    } while (0)

/* Allocation that fails with a message: TRY(deco_alloc(&p, n, sizeof *p, "latents")). Zeroed; checks n*size for overflow. */
deco_status deco_alloc(void *out_pointer, size_t count, size_t size, const char *what);

#endif
