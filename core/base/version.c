/* Which version this is. The build gives version and commit; a bare compile says so. */
#include "cryodeco.h"

#ifndef DECO_VERSION
#define DECO_VERSION "0.0.0"
#endif
#ifndef DECO_COMMIT
#define DECO_COMMIT "unknown commit"
#endif

const char *deco_version(void) { return DECO_VERSION " (" DECO_COMMIT ")"; }
