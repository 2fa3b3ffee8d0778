/* Setting an option, for the command line and YAML alike. */
#ifndef DECO_CONFIG_PUT_H
#define DECO_CONFIG_PUT_H

#include "config/options.h"

/* deco_options_put; with `append` a list of the same origin grows instead of starting anew. */
deco_status option_put(deco_options *o, const char *name, const char *text, deco_origin origin, bool append);

#endif
