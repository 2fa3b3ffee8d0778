/* Subsets as .cs and .csg. The STAR file beside them is in subset_star.c. */
#include "analysis/subsets.h"
#include "analysis/figures.h"
#include "analysis/subset_star.h"
#include "base/file.h"
#include "formats/cs.h"
#include "formats/csg.h"
#include "formulas/rotation.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* alignments3D/pose, shift and psize_A of the rows become those of the run. */
static deco_status put_poses(deco_table *t, const deco_subset_input *in, const int64_t *row)
{
    deco_status st = DECO_OK;
    deco_column *pose, *shift, *psize;

    TRY(deco_table_add(t, &pose, "alignments3D/pose", 'f', 4, 1, (const int64_t[]){3}));
    for (int64_t i = 0; i < t->rows; i++) {
        double R[9], v[3];
        for (int k = 0; k < 9; k++)
            R[k] = in->R[row[i] * 9 + k];
        deco_axis_angle_from_rotation(v, R);
        for (int k = 0; k < 3; k++)
            deco_cell_set_real(pose, i, k, v[k]);
    }
    TRY(deco_table_add(t, &shift, "alignments3D/shift", 'f', 4, 1, (const int64_t[]){2}));
    for (int64_t i = 0; i < t->rows; i++)
        for (int k = 0; k < 2; k++)
            deco_cell_set_real(shift, i, k, in->shift[row[i] * 2 + k]);
    TRY(deco_table_add(t, &psize, "alignments3D/psize_A", 'f', 4, 0, NULL));
    for (int64_t i = 0; i < t->rows; i++)
        deco_cell_set_real(psize, i, 0, in->particles->psize_A);
out:
    return st;
}

static void time_now(char out[40])
{
    struct timespec now;
    struct tm t;
    size_t n;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &t);
    n = strftime(out, 30, "%Y-%m-%d %H:%M:%S", &t);
    snprintf(out + n, 40 - n, ".%06ld", now.tv_nsec / 1000);
}

typedef struct subset {
    const deco_subset_input *in;
    const deco_clustering *c;
    const deco_star_groups *groups;
    const char *directory, *created;
    int64_t cluster;
    const int64_t *row; /* [n] */
    int64_t n;
} subset;

static deco_status write_csg(const subset *s, const deco_table *t, const char *path, const char *metafile)
{
    deco_status st = DECO_OK;
    char grouped[32], all[32];
    char *name = deco_format("cluster_%lld", (long long)s->cluster);
    char *title = deco_format("Cluster %lld (%s particle%s)", (long long)s->cluster, deco_grouped(grouped, s->n), s->n == 1 ? "" : "s");
    char *description = deco_format("%s of %s particles of %s: cluster %lld of %lld (%s) of %s; cryodeco %s", grouped,
                                    deco_grouped(all, s->in->particles->N), deco_path_name(s->in->particles->cs_path),
                                    (long long)s->cluster, (long long)s->c->found.K, s->c->method, s->in->analysis, deco_version());

    if (!name || !title || !description)
        TRY(deco_fail_memory(256, "a subset's description"));
    TRY(deco_csg_write(path, t, metafile, name, title, description, s->created, s->in->particles->version));
out:
    free(name);
    free(title);
    free(description);
    return st;
}

static deco_status write_subset(const subset *s)
{
    deco_status st = DECO_OK;
    deco_table *t = NULL;
    char *cs = deco_format("%s/cluster_%lld.cs", s->directory, (long long)s->cluster);
    char *csg = deco_format("%s/cluster_%lld.csg", s->directory, (long long)s->cluster);
    char *star = deco_format("%s/cluster_%lld.star", s->directory, (long long)s->cluster);

    if (!cs || !csg || !star)
        TRY(deco_fail_memory(strlen(s->directory), "a file's name"));
    TRY(deco_table_select(&t, s->in->particles->rows, s->row, s->n));
    if (s->in->poses_estimated)
        TRY(put_poses(t, s->in, s->row));
    TRY(deco_cs_write(cs, t));
    TRY(write_csg(s, t, csg, deco_path_name(cs)));
    TRY(deco_subset_star_write(star, s->in, s->groups, s->row, s->n, s->cluster));
out:
    deco_table_free(t);
    free(cs);
    free(csg);
    free(star);
    return st;
}

deco_status deco_subsets_write(const char *directory, const deco_subset_input *in, const deco_clustering *c)
{
    deco_status st = DECO_OK;
    deco_star_groups groups = {0};
    int64_t *row = NULL;
    char created[40];

    time_now(created);
    TRY(deco_directory_make(directory));
    TRY(deco_star_groups_find(&groups, in->particles));
    TRY(deco_alloc(&row, (size_t)c->found.N, sizeof *row, "rows of a subset"));
    for (int64_t k = 0; k < c->found.K; k++) {
        subset s = {in, c, &groups, directory, created, k, row, 0};
        for (int64_t i = 0; i < c->found.N; i++)
            if (c->found.label[i] == k)
                row[s.n++] = i;
        TRY(write_subset(&s));
    }
out:
    deco_star_groups_free(&groups);
    free(row);
    return st;
}
