/* The report: what was found in words first, then pictures to turn and choose in, then everything else. */
#include "job/report.h"
#include "analysis/cluster_count.h"
#include "analysis/palette.h"
#include "analysis/run_note.h"
#include "base/file.h"
#include "formats/mrc.h"
#include "formats/npy.h"
#include "job/html.h"
#include "job/report_assets.h"
#include "job/report_pack.h"
#include "job/report_table.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* So that 60 MB hold it all: maps of clusters, frames of a traversal, columns; the log's end. */
enum { MOST_MAPS = 8, MOST_FRAMES = 20, PALETTE = 32, LOG_BYTES = 200000 };

typedef struct report {
    FILE *to;
    const char *outdir, *directory, *name;
    char *clustering; /* directory of the clustering; with one state that of the analysis */
    int64_t K;        /* k_num, or what was chosen for auto; 0: nothing was */
    const deco_particles *p;
    const float *shift;
    const deco_options *o;
    char nonce[17]; /* the run's digest, too */
    int64_t points;
    cJSON *meta, *columns, *maps;
    int packed; /* arrays so far */
} report;

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static void put_text(FILE *to, const char *before, const char *text, const char *after)
{
    fputs(before, to);
    html_text(to, text);
    fputs(after, to);
}

/* A file's text, its last LOG_BYTES where it is longer; nothing where there is none. */
static void put_file(report *r, const char *path)
{
    char *text = NULL;
    size_t size = 0;

    if (!path || deco_file_get(&text, &size, path, 0)) {
        fputs("<p>not there</p>\n", r->to);
        return;
    }
    if (size > LOG_BYTES)
        fprintf(r->to, "<p>its last %d kB:</p>\n", LOG_BYTES / 1000);
    put_text(r->to, "<pre tabindex=\"0\">", text + (size > LOG_BYTES ? size - LOG_BYTES : 0), "</pre>\n");
    free(text);
}

static void put_head(report *r, const char *run, const char *name)
{
    fprintf(r->to,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" "
            "content=\"default-src 'none'; script-src 'nonce-%s'; "
            "style-src 'nonce-%s'; img-src data: blob:; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" "
            "content=\"width=device-width\">\n",
            r->nonce, r->nonce);
    put_text(r->to, "<title>", run, ": ");
    put_text(r->to, "", name, " (CryoDECO)</title>\n");
    fprintf(r->to, "<style nonce=\"%s\">\n%.*s</style>\n</head>\n<body>\n<main>\n", r->nonce, (int)(report_css_end - report_css),
            report_css);
    put_text(r->to, "<h1>", run, ", ");
    put_text(r->to, "", name, "</h1>\n");
    fputs("<nav aria-label=\"parts\"><a href=\"#found\">What was found</a><a href=\"#particles\">Particles</a><a "
          "href=\"#mapsSection\">Maps</a><a href=\"#plots\">Plots</a>"
          "<a href=\"#parameters\">Parameters</a><a href=\"#log\">Log</a></nav>\n<p id=\"said\" role=\"status\"></p>\n",
          r->to);
}

static bool asks(const cJSON *w) { return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(w, "check")); }

static void put_word(FILE *to, const cJSON *w, bool first)
{
    const char *line = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(w, "text"));

    fprintf(to, "<p class=\"%s%s\">", first ? "answer" : "", asks(w) ? " check" : "");
    html_text(to, line ? line : "");
    fputs("</p>\n", to);
}

/* The words of answers.json: the answer and what to check; the maps at a glance; all the rest folded up. */
static void put_words(report *r)
{
    char *path = deco_path_join(r->clustering, "answers.json"), *text = NULL;
    size_t size;
    const cJSON *words, *w;
    cJSON *root = NULL;

    fputs("<h2 id=\"found\">What was found</h2>\n", r->to);
    if (path && !deco_file_get(&text, &size, path, 0))
        root = cJSON_Parse(text);
    words = cJSON_GetObjectItemCaseSensitive(root, "words");
    if (!words)
        fputs("<p>This analysis has no answers.json; <code>cryodeco analyze</code> makes one.</p>\n", r->to);
    cJSON_ArrayForEach(w, words)
    {
        if (w == words->child || asks(w))
            put_word(r->to, w, w == words->child);
    }
    if (deco_searches_poses(r->o))
        fputs("<p>The hand of these maps is arbitrary, a coin's toss: images alone cannot tell it. <code>--flip_hand True</code> gives the "
              "other.</p>\n",
              r->to);
    report_table(r->to, r->clustering);
    if (words)
        fputs("<details><summary>The rest in words: how stable the clusters are, what is independent, each map</summary>\n", r->to);
    cJSON_ArrayForEach(w, words)
    {
        if (w != words->child && !asks(w))
            put_word(r->to, w, false);
    }
    if (words)
        fputs("</details>\n", r->to);
    cJSON_Delete(root);
    free(text);
    free(path);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* A column for the scatter. `axis`: its name where a selection may be drawn over it, or NULL. */
static deco_status add_column(report *r, const char *name, const char *axis, bool classes, const double *x)
{
    deco_status st = DECO_OK;
    cJSON *c;
    double low, high;
    char id[24];

    snprintf(id, sizeof id, "d%d", r->packed++);
    TRY(report_pack_column(r->to, id, x, r->points, &low, &high));
    c = cJSON_CreateObject();
    cJSON_AddItemToArray(r->columns, c);
    cJSON_AddStringToObject(c, "id", id);
    cJSON_AddStringToObject(c, "name", name);
    cJSON_AddNumberToObject(c, "low", low);
    cJSON_AddNumberToObject(c, "high", high);
    if (axis)
        cJSON_AddStringToObject(c, "axis", axis);
    if (classes)
        cJSON_AddBoolToObject(c, "classes", true);
out:
    return st;
}

static int64_t row_of(const report *r, int64_t i) { return (int64_t)((double)i * (double)r->p->N / (double)r->points); }

/* The first `most` columns of an array [N,…] of the analysis as "<title> 1" …, whatever there is. */
static deco_status add_array(report *r, const char *folder, const char *file, const char *title, const char *axis, int64_t most,
                             bool classes)
{
    deco_status st = DECO_OK;
    deco_npy a = {0};
    char *path = deco_path_join(folder, file), name[48], axis_name[32];
    double *x = NULL;

    if (!path)
        TRY(deco_fail_memory(strlen(folder), "a file's name"));
    if (!deco_path_exists(path))
        goto out;
    TRY(deco_npy_read(&a, path));
    int64_t wide = a.dims > 1 ? a.shape[1] : 1;
    if (a.shape[0] != r->p->N || a.item != 4)
        goto out;
    TRY(deco_alloc(&x, (size_t)r->points, sizeof *x, "a column"));
    for (int64_t c = 0; c < wide && c < most; c++) {
        for (int64_t i = 0; i < r->points; i++) {
            int64_t at = row_of(r, i) * wide + c;
            x[i] = a.kind == 'f' ? (double)((const float *)a.data)[at] : (double)((const int32_t *)a.data)[at];
        }
        snprintf(name, sizeof name, axis ? "%s %lld" : "%s", title, (long long)c + 1);
        snprintf(axis_name, sizeof axis_name, "%s_%lld", axis ? axis : "", (long long)c + 1);
        TRY(add_column(r, name, axis ? axis_name : NULL, classes, x));
    }
out:
    deco_npy_free(&a);
    free(x);
    free(path);
    return st;
}

static deco_status add_microscope(report *r)
{
    deco_status st = DECO_OK;
    double *x = NULL;

    TRY(deco_alloc(&x, (size_t)r->points, sizeof *x, "a column"));
    for (int64_t i = 0; i < r->points; i++)
        x[i] = 0.5 * ((double)r->p->ctf[row_of(r, i)].defocus_u_A + r->p->ctf[row_of(r, i)].defocus_v_A);
    TRY(add_column(r, "defocus (\u00c5)", NULL, false, x));
    for (int64_t i = 0; i < r->points && r->shift; i++)
        x[i] = hypot((double)r->shift[2 * row_of(r, i)], (double)r->shift[2 * row_of(r, i) + 1]);
    if (r->shift)
        TRY(add_column(r, "shift (px)", NULL, false, x));
out:
    free(x);
    return st;
}

static deco_status add_map(report *r, const char *folder, const char *group, const char *name, int64_t number, bool half)
{
    deco_status st = DECO_OK;
    deco_mrc *file = NULL;
    float *map = NULL;
    char *path = deco_format("%s/vol_%03" PRId64 ".mrc", folder, number), id[24];
    int64_t side;
    cJSON *m;

    if (!path)
        TRY(deco_fail_memory(strlen(folder), "a file's name"));
    if (!deco_path_exists(path))
        goto out;
    TRY(deco_mrc_open(&file, path));
    TRY(deco_alloc(&map, (size_t)(file->nx * file->ny * file->nz), sizeof *map, "a map"));
    TRY(deco_mrc_read(file, map, 0, file->nz));
    snprintf(id, sizeof id, "d%d", r->packed++);
    TRY(report_pack_map(r->to, id, map, file->nx, half, &side));
    m = cJSON_CreateObject();
    cJSON_AddItemToArray(r->maps, m);
    cJSON_AddStringToObject(m, "id", id);
    cJSON_AddStringToObject(m, "group", group);
    cJSON_AddStringToObject(m, "name", name);
    cJSON_AddNumberToObject(m, "number", (double)number);
    cJSON_AddNumberToObject(m, "side", (double)side);
out:
    deco_mrc_close(file);
    free(map);
    free(path);
    return st;
}

static deco_status add_maps(report *r, bool one)
{
    deco_status st = DECO_OK;
    char name[64], *walk = deco_path_join(r->directory, "pc1_10");

    for (int64_t i = 0; i < MOST_MAPS; i++) {
        snprintf(name, sizeof name, one ? "map" : "cluster %" PRId64, i);
        TRY(add_map(r, r->clustering, "clusters", name, i, false));
    }
    for (int64_t i = 0; i < MOST_FRAMES && walk; i++) {
        snprintf(name, sizeof name, "along PC1, frame %" PRId64, i);
        TRY(add_map(r, walk, "pc1", name, i, true));
    }
out:
    free(walk);
    return st;
}

static cJSON *colour_of(deco_colour c)
{
    const int rgb[3] = {(int)(255 * c.r + 0.5), (int)(255 * c.g + 0.5), (int)(255 * c.b + 0.5)};
    return cJSON_CreateIntArray(rgb, 3);
}

/* JSON in a script element: no '<' may stand in it, or a name could end it. */
static deco_status put_meta(report *r)
{
    cJSON *palette = cJSON_AddArrayToObject(r->meta, "palette"), *amounts = cJSON_AddArrayToObject(r->meta, "amounts");
    char *text;

    for (int i = 0; i < PALETTE; i++)
        cJSON_AddItemToArray(palette, colour_of(deco_palette_colour(i)));
    for (int i = 0; i < 256; i++)
        cJSON_AddItemToArray(amounts, colour_of(deco_palette_amount(i / 255.0)));
    cJSON_AddNumberToObject(r->meta, "n", (double)r->p->N);
    cJSON_AddNumberToObject(r->meta, "points", (double)r->points);
    cJSON_AddStringToObject(r->meta, "run", r->nonce);
    cJSON_AddStringToObject(r->meta, "analysis", r->name);
    if (!(text = cJSON_PrintUnformatted(r->meta)))
        return deco_fail_memory(4096, "a report");
    fputs("<script type=\"application/json\" id=\"meta\">", r->to);
    for (const char *c = text; *c; c++)
        if (*c == '<')
            fputs("\\u003c", r->to);
        else
            fputc(*c, r->to);
    fputs("</script>\n", r->to);
    cJSON_free(text);
    return DECO_OK;
}

/* ---- what is worked with ------------------------------------------------------------------------------------------ */

static void put_scatter(report *r, int64_t K)
{
    fprintf(
        r->to, "<h2 id=\"particles\">Particles</h2>\n<p>%s",
        "Drag to move, wheel to zoom; shift and drag, or tick <em>lasso</em>, to choose. With the keyboard: arrows, +, \u2212 and 0 "
        "in the picture; l begins a lasso there, whose pen the arrows move (with shift by less): Enter sets a corner, c closes it, Escape "
        "leaves it. And the form below.");
    if (r->points < r->p->N)
        fprintf(r->to,
                " Drawn: %" PRId64 " of %" PRId64 " particles, evenly spread; a lasso over UMAP or PC axes is applied to all of them.",
                r->points, r->p->N);
    fputs("</p>\n<div class=\"row\"><label>across<select id=\"x\"></select></label><label>up<select "
          "id=\"y\"></select></label><label>colour<select id=\"colour\"></select></label>"
          "<label class=\"inline\"><input type=\"checkbox\" id=\"lasso\">lasso</label></div>\n"
          "<div class=\"stage\" id=\"scatter\"><svg aria-hidden=\"true\"><polygon id=\"outline\" points=\"\"/></svg><div id=\"tip\" "
          "hidden></div></div>\n"
          "<div class=\"row\"><fieldset id=\"clusters\"><legend>clusters</legend>",
          r->to);
    for (int64_t k = 0; k < K; k++)
        fprintf(r->to, "<label class=\"inline\"><input type=\"checkbox\" value=\"%" PRId64 "\">%" PRId64 "</label> ", k, k);
    fputs("</fieldset><label>range of<select id=\"range\"></select></label><label>from<input id=\"from\" type=\"number\" "
          "step=\"any\"></label><label>to<input id=\"to\" type=\"number\" "
          "step=\"any\"></label>\n<button id=\"choose\" type=\"button\">Select</button><button id=\"clear\" "
          "type=\"button\">Clear</button><button id=\"save\" type=\"button\" disabled>Save "
          "selection.json</button></div>\n<p id=\"count\" role=\"status\"></p>\n",
          r->to);
}

static void put_surfaces(report *r)
{
    fputs("<section id=\"mapsSection\" aria-labelledby=\"maps\"><h2 id=\"maps\">Maps</h2>\n<p>Drag or arrow keys turn, wheel or + and "
          "\u2212 zoom.</p>\n<div class=\"row\"><label>map<select "
          "id=\"map\"></select></label><label>level<input id=\"level\" type=\"range\" min=\"1\" max=\"99\" value=\"25\"></label><span "
          "id=\"levelText\"></span>"
          "<label class=\"inline\"><input type=\"checkbox\" id=\"beside\">side by side</label><button id=\"play\" type=\"button\" "
          "aria-pressed=\"false\">Play</button></div>\n"
          "<div class=\"stage\" id=\"surface\"></div>\n<p id=\"shown\" role=\"status\"></p></section>\n",
          r->to);
}

static void put_commands(report *r)
{
    char k[32];

    snprintf(k, sizeof k, r->K ? "%" PRId64 : "auto", r->K);
    fputs("<h2 id=\"parameters\">Parameters and commands</h2>\n<pre tabindex=\"0\"># the run again\ncryodeco run --config ", r->to);
    put_text(r->to, "", r->outdir, "/job.yaml --outdir NEW\n# this analysis again\ncryodeco analyze ");
    put_text(r->to, "", r->outdir, " --k_num ");
    put_text(r->to, "", k, " --clustering_type ");
    put_text(r->to, "", r->o->clustering_type, "\n# particles of a selection saved above\ncryodeco subset ");
    put_text(r->to, "", r->outdir, " --selection selection.json</pre>\n");
}

static void put_script(report *r, const char *text, const char *end)
{
    fprintf(r->to, "<script nonce=\"%s\">\n", r->nonce);
    fwrite(text, 1, (size_t)(end - text), r->to);
    fputs("\n</script>\n", r->to);
}

static deco_status put_all(report *r)
{
    deco_status st = DECO_OK;
    char *log = deco_path_join(r->outdir, "run.log"), *job = deco_path_join(r->outdir, "job.yaml"),
         *labels = deco_path_join(r->clustering, "labels.npy");
    bool one = !labels || !deco_path_exists(labels);

    put_head(r, deco_path_name(r->outdir), r->name);
    put_words(r);
    put_scatter(r, one ? 1 : r->K);
    put_surfaces(r);
    TRY(report_pictures(r->to, r->directory, r->clustering));
    put_commands(r);
    put_file(r, job);
    fputs("<h2 id=\"log\">Log</h2>\n", r->to);
    put_file(r, log);
    fputs("</main>\n", r->to);
    TRY(add_array(r, r->directory, "umap.npy", "UMAP", "umap", 2, false));
    TRY(add_array(r, r->directory, "z_pca.npy", "PC", "pc", 4, false));
    TRY(add_array(r, r->clustering, "labels.npy", "cluster", NULL, 1, true));
    TRY(add_microscope(r));
    TRY(add_maps(r, one));
    TRY(put_meta(r));
    put_script(r, report_three, report_three_end);
    put_script(r, report_cubes, report_cubes_end);
    put_script(r, report_js, report_js_end);
    fputs("</body>\n</html>\n", r->to);
out:
    free(log);
    free(job);
    free(labels);
    return st;
}

deco_status deco_report_write(const char *outdir, const char *directory, const char *name, const deco_particles *p, const float *shift,
                              const deco_options *o, deco_monitor *m)
{
    deco_status st = DECO_OK;
    report r = {.outdir = outdir, .directory = directory, .name = name, .p = p, .shift = shift, .o = o};
    char *text = NULL, *path = deco_path_join(directory, "report.html");
    size_t size = 0;

    TRY(deco_clustering_directory(&r.clustering, &r.K, directory, o));
    if (!r.clustering || !deco_path_exists(r.clustering)) {
        free(r.clustering);
        r.clustering = strdup(directory);
    }
    r.to = open_memstream(&text, &size);
    if (!path || !r.clustering || !r.to)
        TRY(deco_fail_memory(strlen(directory), "a report"));
    r.points = p->N < DECO_REPORT_POINTS ? p->N : DECO_REPORT_POINTS;
    TRY(deco_run_note_read(r.nonce, directory, p, (uint64_t)o->seed));
    r.meta = cJSON_CreateObject();
    r.columns = cJSON_AddArrayToObject(r.meta, "columns");
    r.maps = cJSON_AddArrayToObject(r.meta, "maps");
    TRY(put_all(&r));
    if (fflush(r.to) || ferror(r.to))
        TRY(deco_fail_memory(size, "a report"));
    TRY(deco_file_put(path, text, size));
    deco_info(m, "report: %.1f MB", (double)size / 1e6);
out:
    if (r.to)
        fclose(r.to);
    cJSON_Delete(r.meta);
    free(r.clustering);
    free(text);
    free(path);
    return st;
}
