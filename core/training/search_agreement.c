#include "training/search_agreement.h"

#include "geometry/lattice.h"
#include "geometry/levels.h"
#include "geometry/so3_grid.h"
#include <math.h>

enum { QUARTER_TURNS = 4, RESCORED = 8 };
static const double pi = 3.14159265358979323846;

/* Steps that change nothing, because the options ask for as much, are passed over. */
static bool has_effect(const deco_options *o, deco_mending step)
{
    switch (step) {
    case DECO_MEND_OVERSAMPLING: return o->snapshot_oversampling < 2;
    case DECO_MEND_RESCORE: return o->snapshot_rescore < RESCORED;
    default: return true;
    }
}

deco_search_sliced_config deco_mended_config(const deco_options *o, int64_t mended)
{
    deco_search_sliced_config c = {.oversampling = o->snapshot_oversampling,
                                   .centroids = o->snapshot_centroids,
                                   .rescore = o->snapshot_rescore,
                                   .base_shift_axis = o->snapshot_shifts};

    if (mended >= DECO_MEND_OVERSAMPLING && has_effect(o, DECO_MEND_OVERSAMPLING))
        c.oversampling = 2;
    if (mended >= DECO_MEND_CENTROIDS)
        c.centroids *= 2;
    if (mended >= DECO_MEND_RESCORE && has_effect(o, DECO_MEND_RESCORE))
        c.rescore = RESCORED;
    return c;
}

static double disc(int64_t radius) { return pi * (double)(radius * radius); }

double deco_exact_points(const deco_search_grid *g, int64_t L)
{
    int base = (int)g->base_healpy, levels = (int)g->n_iter;
    double points = (double)deco_so3_count(base) / QUARTER_TURNS * disc(deco_level_radius(0, levels, g->l_start, g->l_end, L));

    for (int i = 1; i <= levels; i++)
        points += (double)(g->n_kept * DECO_SO3_NEIGHBOURS) * disc(deco_level_radius(i, levels, g->l_start, g->l_end, L));
    return points;
}

/* Level 0, which is nearly all of it: 44 operations a rotation and point at a third of the rate of the decoder's products, of which a point
 * takes about two a parameter. */
double deco_sliced_points(const deco_search_grid *g, const deco_hypervolume *h)
{
    double at = (double)deco_so3_count((int)g->base_healpy) * disc(deco_level_radius(0, (int)g->n_iter, g->l_start, g->l_end, h->L));
    return 3 * 44 * at / (2 * (double)deco_hypervolume_parameters(h));
}

double deco_step_points(int64_t P) { return 3 * (double)P; }

double deco_snapshot_points(const deco_search_sliced_config *c, int64_t l_end)
{
    double r = (double)(c->oversampling * l_end);
    return (double)c->centroids * 4 / 3 * pi * r * r * r;
}

int64_t deco_agreement_sample(const deco_position *at, double points, int64_t most)
{
    double fit = (deco_sample_share * at->work - at->sample_work) / points;
    int64_t limit = most < DECO_SAMPLE_MOST ? most : DECO_SAMPLE_MOST;

    return fit < 1 ? 0 : fit < (double)limit ? (int64_t)fit : limit;
}

void deco_agreement_count(deco_position *at, const float *R_exact, const float *R_sliced, int64_t n)
{
    const double least = 1 + 2 * cos(deco_agree_deg * pi / 180);

    for (int64_t i = 0; i < n; i++) {
        double trace = 0;
        for (int k = 0; k < 9; k++)
            trace += (double)R_exact[9 * i + k] * R_sliced[9 * i + k];
        at->sampled++;
        at->sampled_alike += trace >= least;
    }
}

deco_mending deco_agreement_mend(deco_position *at, const deco_options *o, double exact_points, double points)
{
    int64_t next = at->mended + 1;

    if (at->sampled < DECO_AGREE_LEAST || (double)at->sampled_alike >= deco_agree_share * (double)at->sampled)
        return (deco_mending)at->mended;
    while (next < DECO_MEND_EXACT && !has_effect(o, (deco_mending)next))
        next++;
    if (next > DECO_MEND_EXACT || (next == DECO_MEND_EXACT && exact_points > points))
        return (deco_mending)at->mended;
    at->mended = next;
    at->sampled = at->sampled_alike = 0;
    return (deco_mending)next;
}

const char *deco_mending_name(deco_mending m)
{
    static const char *const name[] = {"as it is", "two points a lattice step in the snapshots", "twice as many snapshots",
                                       "the decoder scores the best 8 poses again", "the exact engine"};
    return name[m];
}
