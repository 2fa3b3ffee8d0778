/* Which files of a CryoSPARC job make one particle set. FORMATS.md section 3. Of the files themselves only job.json is read. */
#ifndef DECO_PARTICLES_JOB_DIRECTORY_H
#define DECO_PARTICLES_JOB_DIRECTORY_H

#include "base/monitor.h"

typedef struct path_list {
    char **path;
    int64_t count;
} path_list;

deco_status path_list_add(path_list *l, const char *path); /* a path already there is left out */
void path_list_free(path_list *l);

bool path_is_file(const char *path);
/* The parent as the user sees it: of "here/J12" it is "here", also where J12 is a link. Allocated; NULL without memory. */
char *path_parent(const char *directory);

typedef struct job_files {
    char *directory;  /* the job's */
    char *project;    /* its parent: blob/path counts from here. RELION: the directory that its job folders lie in */
    char *version;    /* CryoSPARC's, from job.json; NULL when unknown */
    char *rows;       /* the .cs or .star file whose rows, in their order, are the particles */
    path_list joined; /* .cs files whose columns are joined to them on uid */
    bool star;        /* RELION's */
} job_files;

/* `path`: a job directory; "DIRECTORY:GROUP", one of its output groups by CryoSPARC's name; one of its .cs files; a .csg with the files that
 * it names; a .star file. Of a job job.json decides, and where it says nothing a single .csg, and then the names do. Fails: FILE
 * (nothing there); FORMAT (several candidates, with how to name one). */
deco_status job_files_find(job_files *out, const char *path, deco_monitor *m);
void job_files_free(job_files *f); /* frees what is in it */

/* ---- what job.json says ---------------------------------------------------------------------------------------- */

typedef struct job_group {
    char *name;    /* output group: "particles", "split_0" */
    int64_t items; /* -1: not said */
    char *rows;    /* as in job_files; NULL: none of its files exists */
    path_list joined;
    bool has_wanted; /* the file asked for is one of them */
} job_group;

typedef struct job_json {
    char *version;
    job_group *group; /* of type particle */
    int64_t groups;
} job_json;

/* `wanted` (may be NULL) is a .cs file that the user named: a group that lists it takes it, also where a newer iteration exists.
 * A job.json that is absent or makes no sense gives no groups, and a warning. Fails: MEMORY. */
deco_status job_json_read(job_json *out, const char *directory, const char *project, const char *wanted, deco_monitor *m);
void job_json_free(job_json *j);

/* ---- what the names say ---------------------------------------------------------------------------------------- */

/* The particle files of a directory by name: no passthrough files, the highest of several iterations, never new_particles.cs. */
deco_status job_names_candidates(path_list *out, const char *directory);

/* The passthrough file that belongs to `rows`, allocated; NULL when none does. `only` says that rows is the directory's one candidate: then
 * its one passthrough file of particles is taken whatever its group is called. */
deco_status job_names_passthrough(char **out, const char *directory, const char *rows, bool only);

/* Why a directory without candidates has none: what is there instead, for the end of a message. */
void job_names_explain(char *out, size_t size, const char *directory);

/* ---- what a .csg says ------------------------------------------------------------------------------------------ */

/* rows, joined and version of the group in the file `csg`, whose places are set. Fails: FILE (a file it names is not there: all places tried),
 * FORMAT (no group of particles). */
deco_status job_csg_read(job_files *out, const char *csg);

/* Is it a group of particles? False too for what cannot be read. */
bool job_csg_is_particles(const char *csg);

/* The .csg files of a directory, full paths, sorted. */
deco_status job_names_groups(path_list *out, const char *directory);

#endif
