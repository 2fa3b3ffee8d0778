#include "job/training_plots.h"
#include "analysis/figures.h"
#include "base/file.h"
#include "job/progress_data.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* At most so many lines a plot. */
enum { LINES = 3 };

typedef struct training_plot {
    const char *name, *title, *label;
    bool log;
    int lines;
    struct {
        const char *name;
        size_t field; /* of progress_epoch */
    } line[LINES];
} training_plot;

#define FIELD(name) offsetof(progress_epoch, name)

static const training_plot plots[] = {
    {"loss.png", "Loss: mean squared error of the images", "loss", false, 1, {{"loss", FIELD(loss)}}},
    {"learning_rates.png",
     "Learning rates at the end of each epoch",
     "learning rate",
     true,
     3,
     {{"decoder", FIELD(lr_decoder)}, {"latents", FIELD(lr_latents)}, {"poses", FIELD(lr_poses)}}},
    {"pose_change.png", "How far each epoch turned the poses (median)", "degrees", true, 1, {{"rotation", FIELD(moved_deg)}}},
    {"shift_change.png", "How far each epoch moved the shifts (median)", "pixels", true, 1, {{"shift", FIELD(moved_px)}}},
    {"latent_change.png",
     "How far each epoch moved the latents (median)",
     "distance of latents",
     true,
     1,
     {{"latent", FIELD(moved_latents)}}},
};

static deco_status draw(const char *path, const training_plot *plot, const progress_data *d, int64_t epochs, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_epoch_line line[LINES];
    double *x = NULL;

    TRY(deco_alloc(&x, (LINES + 1) * (size_t)epochs + 1, sizeof *x, "curves of a run"));
    for (int64_t i = 0; i < epochs; i++)
        x[i] = (double)d->epoch[i].epoch;
    for (int k = 0; k < plot->lines; k++) {
        double *y = x + (k + 1) * epochs;
        for (int64_t i = 0; i < epochs; i++)
            memcpy(&y[i], (const char *)&d->epoch[i] + plot->line[k].field, sizeof *y);
        line[k] = (deco_epoch_line){plot->line[k].name, y};
    }
    TRY(deco_figure_optional(deco_figure_epochs(path, plot->title, plot->label, plot->log, x, epochs, line, plot->lines), m));
out:
    free(x);
    return st;
}

static deco_status read_epochs(progress_data *d, int64_t *epochs, const char *outdir, int64_t epoch)
{
    deco_status st = progress_data_read(d, outdir);

    *epochs = 0;
    while (!st && *epochs < d->epochs && d->epoch[*epochs].epoch <= epoch)
        ++*epochs;
    return st;
}

deco_status deco_training_loss_write(const char *path, const char *outdir, int64_t epoch, deco_monitor *m)
{
    deco_status st = DECO_OK;
    progress_data d = {0};
    int64_t epochs;

    TRY(read_epochs(&d, &epochs, outdir, epoch));
    TRY(draw(path, &plots[0], &d, epochs, m));
out:
    progress_data_free(&d);
    return st;
}

deco_status deco_training_plots_write(const char *directory, const char *outdir, int64_t epoch, deco_monitor *m)
{
    deco_status st = DECO_OK;
    progress_data d = {0};
    int64_t epochs;
    char *path = NULL;

    TRY(read_epochs(&d, &epochs, outdir, epoch));
    for (size_t i = 0; i < sizeof plots / sizeof *plots; i++) {
        free(path);
        if (!(path = deco_path_join(directory, plots[i].name)))
            TRY(deco_fail_memory(strlen(directory), "a file's name"));
        TRY(draw(path, &plots[i], &d, epochs, m));
    }
out:
    free(path);
    progress_data_free(&d);
    return st;
}
