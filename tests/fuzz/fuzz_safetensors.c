/* safetensors: every tensor of a file that is accepted can be read whole. */
#include "formats/safetensors.h"
#include "input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    deco_tensors *t = NULL;
    const char *path = fuzz_file(bytes, n);

    if (!deco_safetensors_read(&t, path))
        for (int64_t i = 0; i < t->count; i++) {
            const deco_tensor *tensor = &t->tensor[i];
            float *values = calloc((size_t)tensor->count + 1, sizeof *values);
            fuzz_touch(tensor->data, (size_t)tensor->count * tensor->item);
            if (values)
                deco_tensor_floats(values, tensor, path);
            free(values);
        }
    deco_safetensors_free(t);
    return 0;
}
