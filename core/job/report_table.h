/* The maps of a clustering at a glance: what its validation.json says of each. */
#ifndef DECO_JOB_REPORT_TABLE_H
#define DECO_JOB_REPORT_TABLE_H

#include <stdio.h>

/* A table of HTML, a line a map; nothing where the clustering was not held against its images. */
void report_table(FILE *to, const char *clustering);

#endif
