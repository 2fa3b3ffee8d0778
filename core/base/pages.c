/* Memory in large pages. */
#include "base/pages.h"

#include <stdint.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <sys/mman.h>

#define LINE  ((size_t)64)
#define PAGE  ((size_t)2 << 20)
#define LARGE ((size_t)1 << 20)

size_t deco_pages_size(size_t bytes)
{
    size_t unit = bytes >= LARGE ? PAGE : LINE;
    return bytes ? (bytes + unit - 1) / unit * unit : unit;
}

void *deco_pages(size_t bytes)
{
    size_t size = deco_pages_size(bytes);
    void *p = bytes > PTRDIFF_MAX ? NULL : aligned_alloc(size >= PAGE ? PAGE : LINE, size);

    if (p && size >= PAGE)
        madvise(p, size, MADV_HUGEPAGE); /* a wish: without large pages all is as before */
    return p;
}

void deco_pages_return(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
