/* Which run an analysis belongs to: what selections made from it must name. docs/formats.md, "Selections". */
#ifndef DECO_ANALYSIS_RUN_NOTE_H
#define DECO_ANALYSIS_RUN_NOTE_H

#include "particles/particles.h"

/* 16 hex digits of the input's digest and the run's seed. */
void deco_run_digest(char out[17], const deco_particles *p, uint64_t seed);

/* run.json in an analysis directory: the beginning of a selection. `analysis` is the directory's final name. */
deco_status deco_run_note_write(const char *directory, const char *analysis, const deco_particles *p, uint64_t seed);

/* Its digest. Of an analysis of an earlier version, which has no run.json, that of the particles and the seed. Fails: FILE, FORMAT. */
deco_status deco_run_note_read(char out[17], const char *directory, const deco_particles *p, uint64_t seed);

#endif
