/* Learning rates over a run against the golden numbers (l_analysis/learning_rates). METHOD.md section 5. */
#include "support/golden.h"
#include "training/train.h"

#include <math.h>
#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Columns: total epochs, fractional epoch, encoder's rate (6e-5, min 1e-5), latent table's (1e-2 over 30 epochs, min 0). The reference's table
 * rate is not a number at the very end of a run, where no step is taken. */
static void rates_are_the_reference_s(void **state)
{
    golden_array g = golden_read("l_analysis/learning_rates.npy");
    double *mine = calloc((size_t)g.count, sizeof *mine);

    (void)state;
    assert_int_equal(g.shape[1], 4);
    for (int64_t i = 0; i < g.count; i += 4) {
        double total = mine[i] = g.v[i], e = mine[i + 1] = g.v[i + 1];
        mine[i + 2] = deco_lr_encoder(6e-5, 1e-5, 1, total, e);
        mine[i + 3] = isnan(g.v[i + 3]) ? NAN : deco_lr_latents(1e-2, 0, 30, e);
    }
    golden_expect("l_analysis/learning_rates.npy", mine, g.count);
    free(mine);
    golden_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rates_are_the_reference_s)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
