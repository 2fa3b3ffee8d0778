/* The progress page: one file, no scripts from elsewhere, pictures beside it in progress/. */
#include "job/progress_html.h"
#include "base/file.h"
#include "job/forecast.h"
#include "job/html.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EPOCHS_SHOWN = 100, MAPS_SHOWN = 8 };

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--fg:#1c2128;--soft:#5b6570;--line:#d8dde3;--blue:#0072b2;--orange:#b84f00;"
    "--band:#eceff3;--run:#0072b2;--good:#00704f;--bad:#a3211f;--wait:#8a5a00}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1d2127;--fg:#e4e8ec;--soft:#9aa5b1;--line:#363d46;--blue:#56b4e9;"
    "--orange:#f0a04b;--band:#262c34;--run:#56b4e9;--good:#3fc59a;--bad:#ff8a80;--wait:#f0c05a}}\n"
    "body{margin:0 auto;max-width:1120px;padding:1rem 1.2rem 3rem;background:var(--bg);color:var(--fg);font:15px/1.45 "
    "system-ui,sans-serif}\n"
    "h1{font-size:1.35rem;margin:.4rem 0;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:1.6rem 0 .5rem}p{margin:.35rem 0}\n"
    ".state{display:inline-block;padding:.1rem .7rem;border-radius:1rem;border:2px solid currentColor;font-weight:600;margin-right:.5rem}\n"
    ".running{color:var(--run)}.done{color:var(--good)}.failed{color:var(--bad)}.stopped,.silent{color:var(--wait)}.soft,figcaption{color:"
    "var(--soft)}\n"
    "progress{width:100%;height:.8rem;margin:.5rem 0}pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;font-size:13px}\n"
    ".card,figure,pre.words{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem;margin:0}\n"
    ".grid{display:grid;gap:.8rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,410px),1fr))}\n"
    "figure img{width:100%;height:auto;display:block;border-radius:4px}figcaption{font-size:13px;padding-top:.4rem}\n"
    "svg{width:100%;height:auto;display:block;font:12px system-ui,sans-serif}svg text{fill:var(--fg)}svg "
    ".title{font-weight:600;font-size:13px}\n"
    "svg .small{font-size:10.5px;fill:var(--soft)}.grid>svg{background:var(--card);border:1px solid var(--line);border-radius:8px}\n"
    ".band0{fill:none}.band1{fill:var(--band)}line.grid{stroke:var(--line)}rect.frame{fill:none;stroke:var(--soft)}\n"
    ".line0,.line1{fill:none;stroke-width:2;stroke:var(--blue);stroke-linejoin:round}.line1{stroke:var(--orange);stroke-dasharray:5 3}\n"
    ".dot0{fill:var(--blue)}.dot1{fill:var(--orange)}svg .key0{fill:var(--blue)}svg .key1{fill:var(--orange)}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}th,td{padding:.2rem .6rem;text-align:right;"
    "border-bottom:1px solid var(--line)}th:nth-child(2),td:nth-child(2){text-align:left}thead th{color:var(--soft);font-weight:600}\n"
    "a{color:var(--blue)}.scroll{overflow-x:auto}dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:0}"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}.warnings{border-left:5px solid var(--wait)}.warnings p{margin:.15rem "
    "0;font-size:13.5px}\n";

/* How old the page is, where scripts run; and that nothing has come when something was due, which a killed run cannot say itself. */
static const char script[] =
    "(function(){var s=document.getElementById('state'),a=document.getElementById('age'),t=+s.dataset.updated,due=+s.dataset.due;\n"
    "function words(d){return d<100?Math.round(d)+' s':d<6000?Math.round(d/60)+' min':d<172800?Math.round(d/3600)+' "
    "h':Math.round(d/86400)+' "
    "days'}\n"
    "function tick(){var n=Date.now()/1000;a.textContent=' ('+words(Math.max(0,n-t))+' ago)';if(due&&n>due){s.className='state silent';"
    "s.textContent='No news';document.getElementById('silent').hidden=false}}\n"
    "tick();setInterval(tick,1000)})()";

static const char *time_words(char out[64], double unix_seconds)
{
    time_t t = (time_t)unix_seconds;
    struct tm local;

    localtime_r(&t, &local);
    strftime(out, 64, "%Y-%m-%d %H:%M:%S", &local);
    return out;
}

static const char *state_name(deco_page_state s)
{
    static const char *const name[] = {"Running", "Stopped", "Done", "Failed"};
    return name[s];
}

static const char *state_class(deco_page_state s)
{
    static const char *const name[] = {"running", "stopped", "done", "failed"};
    return name[s];
}

static void put_words(FILE *to, const char *before, const char *text, const char *after)
{
    fputs(before, to);
    html_text(to, text);
    fputs(after, to);
}

static void put_resume(FILE *to, const progress_view *v)
{
    put_words(to, "<code>cryodeco run --outdir ", v->outdir, " --resume auto</code>");
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

static void put_head(FILE *to, const progress_view *v)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
          to);
    if (v->state == DECO_PAGE_RUNNING)
        fprintf(to, "<meta http-equiv=\"refresh\" content=\"%d\">\n", v->refresh);
    fprintf(to, "<title>%s", state_name(v->state));
    if (v->state == DECO_PAGE_RUNNING && v->total > 0)
        fprintf(to, " %" PRId64 "/%" PRId64, v->done + 1 > 0 ? v->done + 1 : 0, v->total);
    put_words(to, " · ", deco_path_name(v->outdir), " · cryodeco</title>\n");
    fprintf(to, "<style>\n%s</style>\n</head>\n<body>\n", style);
}

static void put_progress(FILE *to, const progress_view *v)
{
    char until[64];

    put_words(to, "<p>", v->doing, "");
    if (v->left > 0) {
        fprintf(to, "; training takes about %s more, until %s", deco_time_text(v->left), time_words(until, v->now + v->left));
        fputs(", then the analysis", to);
    }
    fprintf(to, "</p>\n<progress max=\"%" PRId64 "\" value=\"%" PRId64 "\" aria-label=\"epochs done\"></progress>\n", v->total - v->first,
            v->done >= v->first ? v->done - v->first + 1 : 0);
    fputs("<p id=\"silent\" class=\"silent\" hidden>Nothing has come for much longer than an epoch takes. If the program is not running "
          "any more, it was "
          "killed: go on with ",
          to);
    put_resume(to, v);
    fputs("</p>\n", to);
}

static void put_end(FILE *to, const progress_view *v)
{
    if (v->state == DECO_PAGE_STOPPED) {
        fputs("<p>Stopped on request, with a whole checkpoint; go on with ", to);
        put_resume(to, v);
        fputs("</p>\n", to);
    }
    if (v->words && *v->words)
        put_words(to, "<pre class=\"words\">", v->words, "</pre>\n");
}

static void put_state(FILE *to, const progress_view *v)
{
    char at[64];
    double due = v->state != DECO_PAGE_RUNNING ? 0 : v->now + 60 + 4 * (v->next > 0 ? v->next : 600);

    put_words(to, "<header>\n<h1>", v->p->source, "</h1>\n");
    fprintf(to, "<p><span id=\"state\" class=\"state %s\" data-updated=\"%.0f\" data-due=\"%.0f\" role=\"status\">%s</span>",
            state_class(v->state), v->now, due, state_name(v->state));
    fprintf(to, "<span class=\"soft\">%s %s<span id=\"age\"></span></span></p>\n", v->state == DECO_PAGE_RUNNING ? "as of" : "since",
            time_words(at, v->now));
    if (v->state == DECO_PAGE_RUNNING)
        put_progress(to, v);
    else
        put_end(to, v);
    fputs("</header>\n", to);
}

static void put_warnings(FILE *to, const progress_data *d)
{
    if (!d->warnings)
        return;
    fprintf(to, "<section>\n<h2>%" PRId64 " warning%s</h2>\n<div class=\"card warnings\">\n", d->warnings, d->warnings == 1 ? "" : "s");
    if (d->warnings > d->shown)
        fprintf(to, "<p class=\"soft\">the last %d; all are in run.log</p>\n", d->shown);
    for (int i = 0; i < d->shown; i++)
        put_words(to, "<p>", d->warning[i], "</p>\n");
    fputs("</div>\n</section>\n", to);
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

static void put_epoch_name(FILE *to, int64_t epoch)
{
    if (epoch < 0)
        fputs("pretraining", to);
    else
        fprintf(to, "epoch %" PRId64, epoch);
}

static void put_figure(FILE *to, const char *what, int64_t epoch, const char *alt, const char *caption)
{
    fprintf(to, "<figure><a href=\"progress/%s.%" PRId64 ".png\"><img src=\"progress/%s.%" PRId64 ".png\" alt=\"%s after ", what, epoch,
            what, epoch, alt);
    put_epoch_name(to, epoch);
    fputs("\" loading=\"lazy\"></a><figcaption>After ", to);
    put_epoch_name(to, epoch);
    fprintf(to, "%s</figcaption></figure>\n", caption);
}

static void put_clusters(FILE *to, const char *plot)
{
    put_words(to, "<figure><a href=\"", plot, "\">");
    put_words(to, "<img src=\"", plot,
              "\" alt=\"Latents of all particles on their first principal components, coloured by cluster\" loading=\"lazy\"></a>");
    fputs("<figcaption>The analysis: a point a particle, coloured by cluster. Each cluster has a map and a particle subset of its "
          "own.</figcaption>"
          "</figure>\n",
          to);
}

static void put_pictures(FILE *to, const progress_view *v)
{
    const progress_data *d = v->d;
    int64_t last = d->maps - 1, rows = last < MAPS_SHOWN ? last : MAPS_SHOWN;

    if (last < 0) {
        fputs("<section>\n<h2>Map</h2>\n<p class=\"none\">", to);
        fputs(v->o->log_heavy_interval ? "The first comes at the end of the first phase.</p>\n</section>\n"
                                       : "None while it runs (log_heavy_interval 0).</p>\n</section>\n",
              to);
        return;
    }
    fputs("<section>\n<h2>Map</h2>\n", to);
    put_figure(to, "map", d->map[last].epoch, "Map, three central slices and three projections,",
               ": the map at the mean latent, central slices and projections. Protein is bright.");
    fputs("</section>\n", to);
    fputs("<section>\n<h2>Latents and views</h2>\n<div class=\"grid\">\n", to);
    if (v->plot)
        put_clusters(to, v->plot);
    else if (v->o->conf_table_dim)
        put_figure(to, "latents", d->map[last].epoch, "Latents of all particles on their first principal components",
                   ": a point a particle. Clouds apart are states apart; one cloud drawn out is a motion, or nothing yet.");
    put_figure(to, "views", d->map[last].epoch, "Density of view directions on the sphere",
               ": where the particles are seen from. A few bright spots and large dark parts leave a map smeared along them.");
    fputs("</div>\n</section>\n", to);
    if (!rows)
        return;
    fputs("<section>\n<h2>How the map came about</h2>\n<div class=\"grid\">\n", to);
    for (int64_t i = 0; i < rows; i++) /* evenly spread over what came before the last */
        put_figure(to, "map", d->map[rows > 1 ? i * (last - 1) / (rows - 1) : 0].epoch, "Map, slices and projections,", "");
    fputs("</div>\n</section>\n", to);
}

/* ---- curves ------------------------------------------------------------------------------------------------------ */

/* Columns of the epochs, and what is drawn of them. */
typedef struct columns {
    double *x, *y[5], *map_x, *map_y; /* loss, degrees, pixels, latents, Å of the radius; maps */
    html_band *band;
    int64_t bands;
} columns;

static bool columns_make(columns *c, const progress_view *v)
{
    const progress_data *d = v->d;
    size_t n = (size_t)d->epochs + 1;
    double box_A = (double)v->p->D * v->p->psize_A;

    c->x = calloc(n, sizeof(double));
    for (int k = 0; k < 5; k++)
        c->y[k] = calloc(n, sizeof(double));
    c->band = calloc(n, sizeof *c->band);
    c->map_x = calloc((size_t)d->maps + 1, sizeof(double));
    c->map_y = calloc((size_t)d->maps + 1, sizeof(double));
    if (!c->x || !c->y[0] || !c->y[1] || !c->y[2] || !c->y[3] || !c->y[4] || !c->band || !c->map_x || !c->map_y)
        return false;
    for (int64_t i = 0; i < d->epochs; i++) {
        const progress_epoch *e = &d->epoch[i];
        c->x[i] = (double)e->epoch;
        c->y[0][i] = e->loss;
        c->y[1][i] = e->moved_deg;
        c->y[2][i] = e->moved_px;
        c->y[3][i] = e->moved_latents;
        c->y[4][i] = box_A / e->radius;
        if (!c->bands || strcmp(c->band[c->bands - 1].name, e->kind) != 0)
            c->band[c->bands++] = (html_band){(double)e->epoch - 0.5, 0, e->kind};
        c->band[c->bands - 1].to = (double)e->epoch + 0.5;
    }
    for (int64_t i = 0; i < d->maps; i++) {
        c->map_x[i] = (double)d->map[i].epoch;
        c->map_y[i] = d->map[i].agreement_A;
    }
    return true;
}

static void columns_free(columns *c)
{
    free(c->x);
    for (int k = 0; k < 5; k++)
        free(c->y[k]);
    free(c->band);
    free(c->map_x);
    free(c->map_y);
}

static bool any(const double *y, int64_t n)
{
    while (n && !isfinite(y[n - 1]))
        n--;
    return n > 0;
}

static void put_curve(FILE *to, const progress_view *v, const columns *c, const char *title, double least, bool from_above,
                      const html_series *series, int count)
{
    html_curve_write(to, &(html_curve){.title = title,
                                       .x_label = "epoch",
                                       .x_low = (double)v->first - 0.5,
                                       .x_high = (double)v->total - 0.5,
                                       .least = least,
                                       .from_above = from_above,
                                       .band = c->band,
                                       .bands = c->bands,
                                       .series = series,
                                       .count = count});
}

static void put_curves(FILE *to, const progress_view *v)
{
    columns c = {0};
    int64_t n = v->d->epochs;

    fputs("<section>\n<h2>Curves</h2>\n", to);
    if (!n || !columns_make(&c, v)) {
        fputs("<p class=\"none\">They begin with the first epoch.</p>\n</section>\n", to);
        columns_free(&c);
        return;
    }
    fputs("<div class=\"grid\">\n", to);
    put_curve(to, v, &c, "Loss", 0, false, &(html_series){NULL, c.x, c.y[0], n}, 1);
    put_curve(to, v, &c, "Resolution, Å", 0.1, true,
              (const html_series[]){{"trained to", c.x, c.y[4], n}, {"agrees with the map before", c.map_x, c.map_y, v->d->maps}}, 2);
    if (any(c.y[1], n))
        put_curve(to, v, &c, "Poses moved (medians)", 0.01, false,
                  (const html_series[]){{"degrees", c.x, c.y[1], n}, {"pixels", c.x, c.y[2], n}}, 2);
    if (any(c.y[3], n))
        put_curve(to, v, &c, "Latents moved", 0, false, &(html_series){NULL, c.x, c.y[3], n}, 1);
    fputs("</div>\n<p class=\"soft\">“Agrees with the map before”: where the Fourier shell correlation of two maps in turn falls below "
          "0.5. It says that "
          "they stay alike, not that they are right.</p>\n</section>\n",
          to);
    columns_free(&c);
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void put_cell(FILE *to, int decimals, double value)
{
    fputs("<td>", to);
    if (isfinite(value))
        fprintf(to, "%.*f", decimals, value);
    fputs("</td>", to);
}

static void put_map_cell(FILE *to, const progress_data *d, int64_t epoch)
{
    for (int64_t i = 0; i < d->maps; i++)
        if (d->map[i].epoch == epoch) {
            fprintf(to, "<td><a href=\"reconstruct.%" PRId64 ".mrc\">.mrc</a></td>", epoch);
            return;
        }
    fputs("<td></td>", to);
}

static void put_table(FILE *to, const progress_view *v)
{
    const progress_data *d = v->d;
    int64_t first = d->epochs > EPOCHS_SHOWN ? d->epochs - EPOCHS_SHOWN : 0;

    if (!d->epochs)
        return;
    fputs("<section>\n<h2>Epochs</h2>\n<div class=\"card scroll\">\n<table>\n", to);
    if (first)
        fprintf(to, "<caption class=\"soft\">the last %d; all are in metrics.jsonl</caption>\n", EPOCHS_SHOWN);
    fputs("<thead><tr><th scope=\"col\">epoch</th><th scope=\"col\">kind</th><th scope=\"col\">radius, px</th><th scope=\"col\">Å</th><th "
          "scope=\"col\">loss</th><th scope=\"col\">poses moved, °</th><th scope=\"col\">px</th><th scope=\"col\">latents moved</th><th "
          "scope=\"col\">images/s</th><th scope=\"col\">seconds</th><th scope=\"col\">map</th></tr></thead>\n<tbody>\n",
          to);
    for (int64_t i = d->epochs - 1; i >= first; i--) {
        const progress_epoch *e = &d->epoch[i];
        fprintf(to, "<tr><td>%" PRId64 "</td>", e->epoch);
        put_words(to, "<td>", e->kind, "</td>");
        put_cell(to, 0, e->radius);
        put_cell(to, 1, (double)v->p->D * v->p->psize_A / e->radius);
        put_cell(to, 6, e->loss);
        put_cell(to, 1, e->moved_deg);
        put_cell(to, 2, e->moved_px);
        put_cell(to, 3, e->moved_latents);
        put_cell(to, 0, e->images_per_s);
        put_cell(to, 1, e->seconds);
        put_map_cell(to, d, e->epoch);
        fputs("</tr>\n", to);
    }
    fputs("</tbody>\n</table>\n</div>\n</section>\n", to);
}

/* ---- input and parameters ---------------------------------------------------------------------------------------- */

static void put_fact(FILE *to, const char *name, const char *value)
{
    put_words(to, "<dt>", name, "</dt>");
    put_words(to, "<dd>", value, "</dd>\n");
}

static void put_job(FILE *to, const progress_view *v)
{
    const deco_particles *p = v->p;
    char text[200];

    fputs("<section>\n<h2>The job</h2>\n<div class=\"card\">\n<dl>\n", to);
    put_fact(to, "particles", p->source);
    snprintf(text, sizeof text, "%" PRId64 " in %" PRId64 " stacks, box %" PRId64 " px, %.4g Å per pixel", p->N, p->stacks, p->D,
             p->psize_A);
    put_fact(to, "images", text);
    if (p->input_row)
        put_fact(to, "rows", v->o->ind);
    put_fact(to, "poses",
             deco_searches_poses(v->o) ? "searched; the hand of the maps is arbitrary (flip_hand gives the other)"
             : v->o->refine_gt_poses   ? "the input's, refined"
                                       : "the input's");
    put_fact(to, "results", v->outdir);
    snprintf(text, sizeof text, "cryodeco %s on %s, seed %" PRId64, deco_version(), v->host, v->o->seed);
    put_fact(to, "program", text);
    fputs("</dl>\n<details>\n<summary>all parameters (job.yaml)</summary>\n", to);
    put_words(to, "<pre>", v->parameters, "</pre>\n</details>\n</div>\n</section>\n");
}

void progress_html_write(FILE *to, const progress_view *v)
{
    put_head(to, v);
    put_state(to, v);
    fputs("<main>\n", to);
    put_warnings(to, v->d);
    put_pictures(to, v);
    put_curves(to, v);
    put_table(to, v);
    put_job(to, v);
    fprintf(to, "</main>\n<script>\n%s\n</script>\n</body>\n</html>\n", script);
}
