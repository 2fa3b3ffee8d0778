#include "base/file.h"
#include "job/html.h"
#include "job/report_assets.h"
#include "job/report_pack.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static int is_png(const struct dirent *f)
{
    size_t n = strlen(f->d_name);
    return n > 4 && !strcmp(f->d_name + n - 4, ".png");
}

/* Does `name` begin with one of the words? */
static bool begins_with_one(const char *name, const char *words)
{
    for (size_t n; *words; words += n + (words[n] == ' ')) {
        n = strcspn(words, " ");
        if (!strncmp(name, words, n))
            return true;
    }
    return false;
}

static deco_status put_picture(FILE *to, const char *folder, const char *shown, const char *name)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(folder, name), *bytes = NULL;
    size_t size;

    if (!path)
        TRY(deco_fail_memory(strlen(folder), "a file's name"));
    TRY(deco_file_get(&bytes, &size, path, 0));
    fputs("<figure><img loading=\"lazy\" alt=\"", to);
    html_text(to, name);
    fputs("\" src=\"data:image/png;base64,", to);
    report_base64(to, (const unsigned char *)bytes, size);
    fputs("\"><figcaption>", to);
    html_text(to, shown);
    html_text(to, name);
    fputs("</figcaption></figure>\n", to);
out:
    free(bytes);
    free(path);
    return st;
}

/* Plots that belong together, of one folder: those whose names begin with one of `with` (NULL: all) and none of `without`. */
typedef struct section {
    const char *title;
    const char *folder; /* below the analysis; "clustering": the folder of its clusters */
    const char *below;  /* in that */
    const char *with, *without;
} section;

#define TRAINING "loss. learning_rates. pose_change. shift_change. latent_change."

static const section sections[] = {
    {"Maps of the clusters", "clustering", "", "vol_", ""},
    {"Half maps and views", "clustering", "validation", NULL, ""},
    {"Clusters", "clustering", "", NULL, "vol_ " TRAINING},
    {"Latents", "", "", NULL, "vol_ " TRAINING},
    {"Landscape of maps", "landscape", "", NULL, ""},
    {"States of the landscape", "landscape", "states", NULL, ""},
    {"Along the first component", "pc1_10", "", NULL, ""},
    {"Along the second component", "pc2_10", "", NULL, ""},
    {"Training", "", "", TRAINING, ""},
};

static deco_status put_section(FILE *to, const section *s, const char *folder, const char *shown)
{
    deco_status st = DECO_OK;
    struct dirent **list = NULL;
    int n = scandir(folder, &list, is_png, alphasort), shown_so_far = 0;

    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        if ((s->with && !begins_with_one(name, s->with)) || begins_with_one(name, s->without))
            continue;
        if (!shown_so_far++)
            fprintf(to, "<h3>%s</h3>\n<div class=\"figures\">\n", s->title);
        TRY(put_picture(to, folder, shown, name));
    }
    if (shown_so_far)
        fputs("</div>\n", to);
out:
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
    return st;
}

deco_status report_pictures(FILE *to, const char *directory, const char *clustering)
{
    bool one_state = !strcmp(directory, clustering); /* nothing clustered: its map and validation stand in the analysis itself */
    deco_status st = DECO_OK;
    char *folder = NULL, *shown = NULL;

    fputs("<h2 id=\"plots\">Plots</h2>\n", to);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const section *s = &sections[i];
        bool of_clusters = !strcmp(s->folder, "clustering");
        const char *name = of_clusters && !one_state ? deco_path_name(clustering) : of_clusters ? "" : s->folder;
        if (one_state && !*s->folder && !s->with) /* the same as that of the clusters */
            continue;
        shown = deco_format("%s%s%s%s", name, *name ? "/" : "", s->below, *s->below ? "/" : "");
        if (!shown || !(folder = deco_path_join(directory, shown)))
            TRY(deco_fail_memory(strlen(directory), "a folder's name"));
        TRY(put_section(to, s, folder, shown));
        free(folder);
        free(shown);
        folder = shown = NULL;
    }
out:
    free(folder);
    free(shown);
    return st;
}
