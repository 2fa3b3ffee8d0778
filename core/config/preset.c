/* Where presets are: YAML files in blueprints/. */
#include "base/file.h"
#include "config/table.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#ifndef DECO_SHARE_DIR
#define DECO_SHARE_DIR "/usr/local/share/cryodeco"
#endif

enum { PLACES = 5 };

static void free_places(char *place[PLACES])
{
    for (int i = 0; i < PLACES; i++)
        free(place[i]);
}

/* $CRYODECO_BLUEPRINTS; beside this library as installed anywhere, or as built in a source tree; where it was to be installed.
 * NULL where there is none. */
static void list_places(char *place[PLACES])
{
    static const char *const beside[] = {"../share/cryodeco/blueprints", "../blueprints", "../../blueprints"};
    const char *own = getenv("CRYODECO_BLUEPRINTS");
    Dl_info here;
    char *folder = dladdr((void *)&option_table, &here) && here.dli_fname ? deco_path_directory(here.dli_fname) : NULL;

    for (int i = 0; i < PLACES; i++)
        place[i] = NULL;
    if (own && *own)
        place[0] = strdup(own);
    for (int i = 0; folder && i < 3; i++)
        place[1 + i] = deco_path_join(folder, beside[i]);
    place[4] = strdup(DECO_SHARE_DIR "/blueprints");
    free(folder);
}

static int is_yaml(const struct dirent *e)
{
    size_t n = strlen(e->d_name);
    return n > 5 && !strcmp(e->d_name + n - 5, ".yaml");
}

/* Names of the presets in `dir`, sorted. */
static void list_names(char *names, size_t size, const char *dir)
{
    struct dirent **entry = NULL;
    int n = scandir(dir, &entry, is_yaml, alphasort);

    for (int i = 0; i < n; i++) {
        size_t used = strlen(names);
        snprintf(names + used, size - used, "%s%.*s", used ? ", " : "", (int)strlen(entry[i]->d_name) - 5, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
}

deco_status option_find_preset(char **path, const char *name)
{
    deco_status st = DECO_OK;
    char *place[PLACES], names[1024] = "", *file = NULL;
    size_t n = strlen(name);

    *path = NULL;
    list_places(place);
    if (strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".yaml"))) {
        if (!(*path = strdup(name)))
            st = deco_fail_memory(n, "the preset's path");
        goto out;
    }
    for (int i = 0; i < PLACES; i++) {
        if (!place[i])
            continue;
        if (!(file = deco_format("%s/%s.yaml", place[i], name)))
            TRY(deco_fail_memory(n, "the preset's path"));
        if (deco_path_exists(file)) {
            *path = file;
            file = NULL;
            goto out;
        }
        free(file);
        file = NULL;
        if (!*names)
            list_names(names, sizeof names, place[i]);
    }
    if (*names)
        st = deco_fail(DECO_E_ARGUMENT, "there is no preset '%s'; there are: %s", name, names);
    else
        st = deco_fail(DECO_E_ARGUMENT,
                       "preset '%s' is not found, nor any other; CRYODECO_BLUEPRINTS can name the folder of the blueprints", name);
out:
    free(file);
    free_places(place);
    return st;
}
