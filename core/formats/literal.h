/* The parts of a Python literal that NumPy writes into headers. Blanks before each part are passed over. */
#ifndef DECO_FORMATS_LITERAL_H
#define DECO_FORMATS_LITERAL_H

#include "base/status.h"

typedef struct literal {
    const char *at, *begin, *end;
    bool latin1;      /* bytes of strings are Latin-1, else UTF-8 */
    const char *path; /* for messages */
} literal;

/* FORMAT: "byte 17 of its header is 'x' where <what> should stand". */
deco_status literal_expected(const literal *r, const char *what);

char literal_peek(literal *r); /* the next character; 0 at the end */
bool literal_accept(literal *r, char c);
bool literal_accept_word(literal *r, const char *word);

/* After an element of a list: true when another follows, false when the list has ended with `close`. Otherwise *st fails. */
bool literal_another(literal *r, char close, deco_status *st);

/* A quoted string with Python's escapes, as UTF-8 of its own. Fails: FORMAT, MEMORY. */
deco_status literal_string(literal *r, char **out, const char *what);

/* A whole number from 0 to 2^63 - 1. */
deco_status literal_size(literal *r, int64_t *out);

#endif
