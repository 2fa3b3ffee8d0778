/* Settings: YAML into the option table. */
#include "config/options.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static deco_options *defaults; /* read from the table once: that takes longer than most inputs do */
    deco_options *o = NULL;

    if ((!defaults && deco_options_create(&defaults)) || deco_options_copy(&o, defaults))
        abort();
    deco_options_read_yaml(o, fuzz_file(bytes, n), DECO_FROM_CONFIG);
    deco_options_free(o);
    return 0;
}
