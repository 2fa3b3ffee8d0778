/* .cs in both its forms; what is read is looked at to the last byte, and joined with itself. */
#include "formats/cs.h"
#include "input.h"

static void look_at(const deco_table *t)
{
    char text[64];

    for (int64_t c = 0; c < t->columns; c++) {
        const deco_column *column = &t->column[c];
        for (int64_t r = 0; r < t->rows; r++) {
            deco_cell_text(text, sizeof text, column, r);
            fuzz_touch(column->data + (size_t)r * column->stride, column->item * (size_t)column->cells);
            for (int64_t i = 0; i < column->cells && column->kind != 'S'; i++)
                deco_cell_u64(column, r, i);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    deco_table *t = NULL;
    deco_index *x = NULL;

    if (!deco_cs_read(&t, fuzz_file(bytes, n))) {
        look_at(t);
        if (!deco_index_create(&x, t, "uid") && deco_table_join(t, t, "uid"))
            abort(); /* every row has itself */
    }
    deco_index_free(x);
    deco_table_free(t);
    return 0;
}
