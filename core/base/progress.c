/* The words of a progress line. */
#include "base/progress.h"

#include <stdio.h>

static void clock_words(char *out, size_t size, double seconds)
{
    long long s = seconds < 1e9 ? (long long)(seconds + 0.5) : 1000000000;

    if (s >= 3600)
        snprintf(out, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, size, "%lld:%02lld", s / 60, s % 60);
}

void deco_progress_words(char *out, size_t size, const char *what, const char *unit, int64_t done, int64_t total, double seconds)
{
    double rate = seconds > 0 ? (double)done / seconds : 0;
    int percent = total > 0 ? (int)(100.0 * (double)(done < total ? done : total) / (double)total) : 100;
    char left[32];

    if (rate <= 0) {
        snprintf(out, size, "%s  %d %%", what, percent);
        return;
    }
    clock_words(left, sizeof left, done < total ? (double)(total - done) / rate : 0);
    snprintf(out, size, rate < 10 ? "%s  %d %%  %.2f %s/s  %s left" : "%s  %d %%  %.0f %s/s  %s left", what, percent, rate, unit, left);
}
