/* Pieces of an HTML page: text that cannot break out of it, and curves as inline SVG. */
#ifndef DECO_JOB_HTML_H
#define DECO_JOB_HTML_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Text as text, between tags and in quoted attributes: markup is escaped, and what is not UTF-8, or may not stand in a page, becomes U+FFFD. */
void html_text(FILE *to, const char *text);

typedef struct html_series {
    const char *name;    /* for the key; NULL: none */
    const double *x, *y; /* [n]; points whose y is NAN are left out */
    int64_t n;
} html_series;

typedef struct html_band {
    double from, to; /* along x */
    const char *name;
} html_band;

typedef struct html_curve {
    const char *title, *x_label;
    double x_low, x_high;
    double least;          /* above 0: the y axis is logarithmic, and lower values stand at this one */
    bool from_above;       /* smaller is better: the y axis points down, as a resolution's does */
    const html_band *band; /* phases, shaded by turns */
    int64_t bands;
    const html_series *series; /* one or two */
    int count;
} html_curve;

/* Without any point to draw, a line of text that says so. */
void html_curve_write(FILE *to, const html_curve *c);

#endif
