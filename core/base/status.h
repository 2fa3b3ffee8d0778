/* One way to fail: a status, and a thread-local message with file, row, value and what to do. */
#ifndef DECO_BASE_STATUS_H
#define DECO_BASE_STATUS_H

#include "cryodeco.h"

/* Longest message, its zero byte included; longer ones are cut between characters and end in "...". */
enum { DECO_MESSAGE_SIZE = 8192 };

/* Sets this thread's message and returns `status`. Write it where the facts are known; everyone above passes it on. */
deco_status deco_fail(deco_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "…: <strerror>", from errno as it is on entry. `format` names the file and what was tried. */
deco_status deco_fail_errno(deco_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts words in front of this thread's message: "<words>: <message>". Returns `status`. */
deco_status deco_fail_context(deco_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

deco_status deco_fail_memory(size_t bytes, const char *what);

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
