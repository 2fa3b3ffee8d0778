/* Large blocks of memory in large pages: what is gone through with strides, or at random, else waits for the processor's page tables. */
#ifndef DECO_BASE_PAGES_H
#define DECO_BASE_PAGES_H

#include <stddef.h>

/* At least `bytes`, 64-byte aligned, not cleared; to be freed with free(). Where the kernel gives large pages to those who ask (Linux:
 * transparent_hugepage/enabled), blocks of a MiB and more lie in them. NULL: no memory. */
void *deco_pages(size_t bytes);

/* The size that such a block really has, at most a large page less a byte more than was asked for; `bytes` is one that there may be. */
size_t deco_pages_size(size_t bytes);

/* Gives freed memory back to the system, where the C library keeps it behind what is still in use: after work that took much, in small pieces. */
void deco_pages_return(void);

#endif
