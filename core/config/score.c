/* min_score: a column's name and a number. */
#include "config/options.h"
#include "config/table.h"

#include <stdlib.h>
#include <string.h>

deco_status deco_option_score(char **column, double *least, const char *text)
{
    const char *colon = strrchr(text, ':');

    *column = NULL;
    if (!colon || colon == text || !option_read_real(least, colon + 1))
        return deco_fail(DECO_E_ARGUMENT, "min_score is '%s'; it must be COLUMN:VALUE, as alignments3D/cross_cor:0.5", text);
    *column = strndup(text, (size_t)(colon - text));
    return *column ? DECO_OK : deco_fail_memory(strlen(text), "min_score");
}
