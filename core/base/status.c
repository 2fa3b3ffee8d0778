/* The thread's message, and allocation that fails with one. */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char message[DECO_MESSAGE_SIZE];

const char *deco_error(void) { return message; }

/* A message that did not fit ends in "..." and never inside a UTF-8 character. */
static void cut_cleanly(char *text, size_t needed)
{
    if (needed < DECO_MESSAGE_SIZE)
        return;
    size_t end = DECO_MESSAGE_SIZE - 4;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
        end--;
    memcpy(text + end, "...", 4);
}

/* Arguments may point into the old message, so the new one is made beside it. */
static void say(const char *format, va_list args, const char *after)
{
    char text[DECO_MESSAGE_SIZE];
    /* clang-tidy 14 loses sight of a va_start one call above. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
    int n = vsnprintf(text, sizeof text, format, args);
    size_t used = n < 0 ? 0 : (size_t)n;

    if (n < 0)
        text[0] = 0;
    if (after) {
        if (used < sizeof text)
            snprintf(text + used, sizeof text - used, ": %s", after);
        used += 2 + strlen(after);
    }
    cut_cleanly(text, used);
    memcpy(message, text, strlen(text) + 1);
}

void deco_say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args, NULL);
    va_end(args);
}

void deco_say_errno(const char *format, ...)
{
    char reason[128];
    int number = errno;
    va_list args;

    /* glibc's strerror_r may answer with a string of its own and leave `reason` alone. */
    const char *words = strerror_r(number, reason, sizeof reason);
    va_start(args, format);
    say(format, args, words);
    va_end(args);
}

void deco_say_context(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args, message);
    va_end(args);
}

void deco_error_set(const char *text)
{
    char copy[DECO_MESSAGE_SIZE];
    size_t n = strlen(text);

    memcpy(copy, text, n < DECO_MESSAGE_SIZE ? n + 1 : DECO_MESSAGE_SIZE);
    cut_cleanly(copy, n);
    memcpy(message, copy, strlen(copy) + 1);
}

deco_status deco_alloc(void *out_pointer, size_t count, size_t size, const char *what)
{
    void *p = NULL;
    size_t bytes;

    memcpy(out_pointer, &p, sizeof p);
    if (__builtin_mul_overflow(count, size, &bytes))
        return deco_fail(DECO_E_MEMORY, "%s: %zu items of %zu bytes are more than memory can address", what, count, size);
    p = calloc(count ? count : 1, size ? size : 1);
    if (!p)
        return deco_fail_memory(bytes, what);
    memcpy(out_pointer, &p, sizeof p);
    return DECO_OK;
}
