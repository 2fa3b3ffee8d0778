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

/* The PNGs that stand in one folder, by name. */
static deco_status put_folder(FILE *to, const char *folder, const char *shown)
{
    deco_status st = DECO_OK;
    struct dirent **list = NULL;
    int n = scandir(folder, &list, is_png, alphasort);
    char *path = NULL, *bytes = NULL;
    size_t size;

    for (int i = 0; i < n; i++) {
        if (!(path = deco_path_join(folder, list[i]->d_name)))
            TRY(deco_fail_memory(strlen(folder), "a file's name"));
        TRY(deco_file_get(&bytes, &size, path, 0));
        fputs("<figure><img loading=\"lazy\" alt=\"", to);
        html_text(to, list[i]->d_name);
        fputs("\" src=\"data:image/png;base64,", to);
        report_base64(to, (const unsigned char *)bytes, size);
        fputs("\"><figcaption>", to);
        html_text(to, shown);
        html_text(to, list[i]->d_name);
        fputs("</figcaption></figure>\n", to);
        free(bytes);
        free(path);
        bytes = path = NULL;
    }
out:
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
    free(bytes);
    free(path);
    return st;
}

deco_status report_pictures(FILE *to, const char *directory, const char *clustering)
{
    static const char *const below[] = {"pc1_10", "pc2_10"};
    deco_status st = DECO_OK;
    char *folder = NULL, *shown = NULL;

    fputs("<h2 id=\"plots\">Plots</h2>\n", to);
    TRY(put_folder(to, directory, ""));
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        if (!(folder = deco_path_join(directory, below[i])) || !(shown = deco_format("%s/", below[i])))
            TRY(deco_fail_memory(strlen(directory), "a folder's name"));
        TRY(put_folder(to, folder, shown));
        free(folder);
        free(shown);
        folder = shown = NULL;
    }
    if (strcmp(directory, clustering) != 0) {
        if (!(shown = deco_format("%s/", deco_path_name(clustering))))
            TRY(deco_fail_memory(strlen(clustering), "a folder's name"));
        TRY(put_folder(to, clustering, shown));
    }
    free(shown);
    shown = NULL;
    if (!(folder = deco_path_join(clustering, "validation")) || !(shown = deco_format("%s/validation/", deco_path_name(clustering))))
        TRY(deco_fail_memory(strlen(clustering), "a folder's name"));
    TRY(put_folder(to, folder, shown));
out:
    free(folder);
    free(shown);
    return st;
}
