/* Text that is printed piece by piece, in memory. */
#ifndef DECO_CONFIG_PRINTED_H
#define DECO_CONFIG_PRINTED_H

#include "base/status.h"
#include <stdio.h>

/* All that print(to, context) writes. Free with free(). `what` names it where memory does not suffice. Fails: MEMORY; *out is then NULL. */
deco_status option_printed(char **out, const char *what, void (*print)(FILE *to, const void *context), const void *context);

#endif
