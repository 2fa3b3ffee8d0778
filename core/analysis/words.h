/* What an analysis has to say, gathered line by line for the log, a text file and the report. */
#ifndef DECO_ANALYSIS_WORDS_H
#define DECO_ANALYSIS_WORDS_H

#include "base/monitor.h"

typedef struct deco_words {
    deco_monitor *m; /* each line goes to it at once; a warning where it asks for a look */
    int64_t count, room;
    struct deco_words_line {
        bool look; /* the reader should check something */
        char *text;
    } * line;
} deco_words;

/* One more line. Fails: MEMORY. */
deco_status deco_words_add(deco_words *w, bool look, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A line each; those that ask for a look begin with "CHECK: ". Whole or absent. */
deco_status deco_words_write(const deco_words *w, const char *path);

void deco_words_free(deco_words *w);

#endif
