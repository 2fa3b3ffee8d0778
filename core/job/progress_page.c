/* When the progress page is written, and with what. Nothing here fails a run. */
#include "job/progress_page.h"
#include "analysis/analysis.h"
#include "analysis/cluster_count.h"
#include "base/file.h"
#include "job/progress_html.h"
#include "job/summaries.h"
#include "training/search_stop.h"
#include "training/train.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A page whose writing takes t seconds is written every 200 t at most: half a per cent of the time. */
static const double share = 200, least_gap = 1;

struct deco_progress_page {
    const deco_options *o;
    const deco_particles *p;
    deco_monitor *m;
    double forecast;
    progress_data data;
    deco_heavy heavy;
    deco_summaries summaries;
    char *path, *yaml, *outdir, host[256];
    deco_schedule schedule;
    int64_t done, skipped;          /* epochs: the last one, and those that hps_stop left out */
    bool analysing, broken, silent; /* silent: no summaries any more */
    double written, took;           /* deco_seconds() of the last page; what it took */
};

deco_status deco_progress_page_create(deco_progress_page **out, const deco_options *o, const deco_particles *p, double forecast,
                                      deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_progress_page *page = NULL;

    *out = NULL;
    TRY(deco_alloc(&page, 1, sizeof *page, "the progress page"));
    *page = (deco_progress_page){.o = o, .p = p, .m = m, .forecast = forecast, .schedule = deco_schedule_of(o, p->N, p->D), .done = -2};
    if (!(page->path = deco_format("%s/out/progress.html", o->outdir)))
        TRY(deco_fail_memory(strlen(o->outdir), "a file's name"));
    if (!(page->outdir = realpath(o->outdir, NULL)) && !(page->outdir = strdup(o->outdir)))
        TRY(deco_fail_memory(strlen(o->outdir), "a folder's name"));
    TRY(deco_options_write_yaml(&page->yaml, o, DECO_FOR_RUN));
    if (gethostname(page->host, sizeof page->host - 1))
        page->host[0] = 0;
    *out = page;
    page = NULL;
out:
    deco_progress_page_free(page);
    return st;
}

void deco_progress_page_free(deco_progress_page *page)
{
    if (!page)
        return;
    progress_data_free(&page->data);
    deco_heavy_free(&page->heavy);
    deco_summaries_free(&page->summaries);
    free(page->path);
    free(page->yaml);
    free(page->outdir);
    free(page);
}

/* Said once; the page then stays as it is. */
static void give_up(deco_progress_page *page, deco_status st)
{
    if (st && !page->broken)
        deco_warn(page->m, "the progress page is not kept up to date any more: %s", deco_error());
    page->broken = page->broken || st;
}

static double work_of(const deco_progress_page *page, int64_t epoch)
{
    deco_epoch_plan e = deco_epoch_plan_of(page->o, page->p->N, page->p->D, deco_scheduled_epoch(epoch, page->skipped));
    return (double)e.images * (double)(e.radius * e.radius);
}

static int64_t first_epoch(const deco_progress_page *page) { return page->schedule.pretrain_images ? -1 : 0; }
static int64_t all_epochs(const deco_progress_page *page) { return page->schedule.total - page->skipped; }

/* By the work of the epochs that are left, at the pace of the last one; before that, the forecast. *next: of the epoch that runs now. */
static double time_left(const deco_progress_page *page, double *next)
{
    const progress_data *d = &page->data;
    double now = 0, all = 0, left = 0, pace;
    int64_t coming = page->done + 1 > first_epoch(page) ? page->done + 1 : first_epoch(page);

    for (int64_t e = first_epoch(page); e < all_epochs(page); e++) {
        double work = work_of(page, e);
        all += work;
        now = e == coming ? work : now;
        left += e >= coming ? work : 0;
    }
    if (d->epochs && work_of(page, d->epoch[d->epochs - 1].epoch) > 0)
        pace = d->epoch[d->epochs - 1].seconds / work_of(page, d->epoch[d->epochs - 1].epoch);
    else
        pace = all > 0 ? page->forecast / all : NAN;
    *next = pace * now;
    return pace * left;
}

static void doing_words(char *out, size_t size, const deco_progress_page *page)
{
    int64_t epoch = page->done + 1 > first_epoch(page) ? page->done + 1 : first_epoch(page);
    deco_epoch_plan e = deco_epoch_plan_of(page->o, page->p->N, page->p->D, deco_scheduled_epoch(epoch, page->skipped));
    static const char *const kind[] = {"pretraining of the decoder", "training with poses as they are", "pose search",
                                       "refinement of poses", "training of poses, decoder and latents"};

    if (page->analysing || epoch >= all_epochs(page))
        snprintf(out, size, "Training is done; the analysis makes maps, clusters and subsets");
    else if (epoch < 0)
        snprintf(out, size, "Before epoch 0: %s", kind[0]);
    else
        snprintf(out, size, "Epoch %" PRId64 " of 0 to %" PRId64 ": %s, to radius %" PRId64 " px (%.3g Å)", epoch, all_epochs(page) - 1,
                 (size_t)e.kind < sizeof kind / sizeof *kind ? kind[e.kind] : "training", e.radius,
                 (double)page->p->D * page->p->psize_A / (double)e.radius);
}

static deco_status write_view(const char *path, const progress_view *v)
{
    deco_status st = DECO_OK;
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    if (!to)
        return deco_fail_memory(4096, "the progress page");
    progress_html_write(to, v);
    if (fclose(to))
        st = deco_fail_memory(size, "the progress page");
    else
        st = deco_file_put(path, text, size);
    free(text);
    return st;
}

/* The picture of the analysis, counted from out/; NULL where there is none. Free with free(). */
static char *plot_of(const deco_progress_page *page)
{
    char *directory = deco_analysis_directory(page->o->outdir, page->done, page->o), *clustering = NULL, *plot = NULL, *there = NULL;

    if (directory && !deco_clustering_directory(&clustering, NULL, directory, page->o) && clustering)
        plot = deco_path_join(clustering, "z_pca.png");
    if (plot && deco_path_exists(plot))
        there = deco_format("%s/%s/z_pca.png", deco_path_name(directory), deco_path_name(clustering));
    free(plot);
    free(clustering);
    free(directory);
    return there;
}

static void write_page(deco_progress_page *page, deco_page_state state, const char *words)
{
    char *plot = state == DECO_PAGE_DONE ? plot_of(page) : NULL;
    char doing[200];
    double start = deco_seconds();
    progress_view v = {.o = page->o,
                       .p = page->p,
                       .d = &page->data,
                       .parameters = page->yaml,
                       .outdir = page->outdir,
                       .host = page->host,
                       .state = state,
                       .words = words,
                       .plot = plot,
                       .doing = doing,
                       .first = first_epoch(page),
                       .total = all_epochs(page),
                       .done = page->analysing ? all_epochs(page) - 1 : page->done,
                       .now = (double)time(NULL)};
    deco_status st = progress_data_read(&page->data, page->o->outdir);

    doing_words(doing, sizeof doing, page);
    v.left = page->analysing ? 0 : time_left(page, &v.next);
    v.refresh = (int)fmin(60, fmax(5, v.next > 0 ? v.next / 2 : 0));
    if (!st)
        st = write_view(page->path, &v);
    page->written = deco_seconds();
    page->took = page->written - start;
    give_up(page, st);
    free(plot);
}

void deco_progress_page_begin(deco_progress_page *page, const deco_position *at)
{
    page->done = at->epoch;
    page->skipped = at->skipped;
    write_page(page, DECO_PAGE_RUNNING, NULL);
}

static void summarise(deco_progress_page *page, deco_model *m, int64_t epoch, bool heavy)
{
    if (page->silent || !deco_summaries_epoch(&page->summaries, page->o->outdir, epoch, heavy, m))
        return;
    deco_warn(page->m, "nothing more is written for TensorBoard: %s", deco_error());
    page->silent = true;
}

void deco_progress_page_epoch(deco_progress_page *page, deco_model *m, const deco_position *at)
{
    bool heavy = deco_heavy_due(page->o, page->p->N, page->p->D, at->epoch, at->skipped);
    double gap = fmax(least_gap, share * page->took);

    page->done = at->epoch;
    page->skipped = at->skipped;
    if (heavy && !page->broken)
        give_up(page, deco_heavy_write(&page->heavy, page->o->outdir, m, at->epoch, page->m));
    summarise(page, m, at->epoch, heavy);
    if (page->broken)
        return;
    if (heavy || deco_seconds() - page->written >= gap)
        write_page(page, DECO_PAGE_RUNNING, NULL);
}

void deco_progress_page_analysis(deco_progress_page *page)
{
    page->analysing = true;
    write_page(page, DECO_PAGE_RUNNING, NULL);
}

void deco_progress_page_end(deco_progress_page *page, deco_page_state state, const char *words)
{
    if (page)
        write_page(page, state, words);
}
