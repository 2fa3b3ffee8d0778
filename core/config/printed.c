#include "config/printed.h"
#include <stdlib.h>

deco_status option_printed(char **out, const char *what, void (*print)(FILE *to, const void *context), const void *context)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);

    *out = NULL;
    if (!to)
        return deco_fail_memory(0, what);
    print(to, context);
    if (fclose(to)) {
        free(text);
        return deco_fail_memory(n, what);
    }
    *out = text;
    return DECO_OK;
}
