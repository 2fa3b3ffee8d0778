#include "job/report_table.h"
#include "base/file.h"
#include "job/html.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cJSON *part(const cJSON *of, const char *name) { return cJSON_GetObjectItemCaseSensitive(of, name); }

static double number(const cJSON *of, const char *name)
{
    const cJSON *n = part(of, name);
    return cJSON_IsNumber(n) ? n->valuedouble : NAN;
}

static void put_number(FILE *to, const char *format, double value)
{
    fputs("<td>", to);
    if (isfinite(value))
        fprintf(to, format, value);
    else
        fputs("\u2013", to);
    fputs("</td>", to);
}

static void put_resolution(FILE *to, const cJSON *at, const char *limit)
{
    if (cJSON_IsTrue(part(at, "at_limit")))
        fprintf(to, "<td>%s</td>", limit);
    else
        put_number(to, "%.3g \u00c5", number(at, "resolution_A"));
}

/* In words, not by colour alone. */
static void put_marks(FILE *to, const cJSON *marks)
{
    static const char *const words[][2] = {{"twin_disagrees", "map and particles disagree"},
                                           {"another_cluster", "like another cluster's particles"},
                                           {"not_confirmed", "not confirmed"},
                                           {"too_few_particles", "too few particles"},
                                           {"noise", "noise"},
                                           {"anisotropic", "directions differ"}};
    const cJSON *m;
    const char *between = "CHECK: ";

    fputs("<td>", to);
    cJSON_ArrayForEach(m, marks)
    {
        const char *name = cJSON_GetStringValue(m), *said = name ? name : "";
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            said = strcmp(said, words[i][0]) == 0 ? words[i][1] : said;
        fputs(between, to);
        html_text(to, said);
        between = ", ";
    }
    fputs(cJSON_GetArraySize(marks) ? "</td>" : "nothing to mark</td>", to);
}

static void put_map(FILE *to, const cJSON *c, double all, bool one)
{
    const cJSON *twin = part(c, "twin");
    double particles = number(c, "particles");

    if (one)
        fputs("<tr><th scope=\"row\">map</th>", to);
    else
        fprintf(to, "<tr><th scope=\"row\">cluster %.0f</th>", number(c, "cluster"));
    put_number(to, "%.0f", particles);
    put_number(to, "%.0f %%", all > 0 ? 100 * particles / all : NAN);
    put_resolution(to, part(c, "corrected_0.143"), "the box\u2019s limit");
    put_resolution(to, part(twin, "follows"), "all they hold");
    put_number(to, "%.1f %%", 100 * number(twin, "disagreeing_share"));
    put_number(to, "%.2f", number(c, "cone_fsc_area_ratio"));
    put_marks(to, part(c, "marks"));
    fputs("</tr>\n", to);
}

void report_table(FILE *to, const char *clustering)
{
    char *path = deco_path_join(clustering, "validation/validation.json"), *text = NULL;
    const cJSON *clusters, *c;
    cJSON *root = NULL;
    double all = 0;
    size_t size;

    if (path && deco_path_exists(path) && !deco_file_get(&text, &size, path, 0))
        root = cJSON_Parse(text);
    clusters = part(root, "clusters");
    if (cJSON_GetArraySize(clusters)) {
        cJSON_ArrayForEach(c, clusters) all += number(c, "particles");
        fputs("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Each map held against its own particles\"><table>\n"
              "<caption>Each map held against its own particles (docs/validation.md)</caption>\n<tr><th scope=\"col\">of</th><th "
              "scope=\"col\">particles</th><th scope=\"col\">share</th><th scope=\"col\">half maps agree to</th><th scope=\"col\">the map "
              "follows them to</th><th scope=\"col\">density not the same</th><th scope=\"col\">worst over best direction</th><th "
              "scope=\"col\">to check</th></tr>\n",
              to);
        cJSON_ArrayForEach(c, clusters) put_map(to, c, all, cJSON_GetArraySize(clusters) == 1);
        fputs("</table></div>\n", to);
    }
    cJSON_Delete(root);
    free(text);
    free(path);
}
