/* Settings: YAML into the option table. */
#include "config/options.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    deco_options *o = NULL;

    if (deco_options_create(&o))
        abort();
    deco_options_read_yaml(o, fuzz_file(bytes, n), DECO_FROM_CONFIG);
    deco_options_free(o);
    return 0;
}
