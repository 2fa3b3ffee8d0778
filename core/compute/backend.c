/* Devices of other libraries: found, opened, asked. What there is to look for stands in one list. */
#include "compute/composed.h"
#include "compute/cpu/dnnl.h"
#include "compute/table.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A card is a display controller or accelerator of this vendor, or there is its driver's file (in a container, perhaps without a list of
 * devices). Of what lies behind the file `shared`, the driver alone knows: Windows lends its cards through it. */
typedef struct known {
    const char *name, *card;
    unsigned vendor;
    const char *file, *shared;
} known;

static const known list[] = {{"cuda", "NVIDIA card", 0x10de, "nvidiactl", "dxg"}};
enum { KNOWN = sizeof list / sizeof *list };

const char *deco_pci_devices = "/sys/bus/pci/devices", *deco_device_files = "/dev";

static const deco_ops composed = {
    .hypervolume_values = composed_hypervolume_values,
    .hypervolume_backward = composed_hypervolume_backward,
    .hypervolume_saved_bytes = composed_hypervolume_saved_bytes,
    .hypervolume_bank = composed_hypervolume_bank,
    .slice_loss = composed_slice_loss,
    .vit_attention = composed_vit_attention,
    .vit_attention_backward = composed_vit_attention_backward,
    .vit_class_attention = composed_vit_class_attention,
    .vit_mlp = composed_vit_mlp,
    .vit_mlp_backward = composed_vit_mlp_backward,
};

static const deco_backend_host host = {
    .begin = deco_device_begin,
    .end = deco_device_end,
    .scratch_take = deco_scratch_take,
    .scratch_give = deco_scratch_give,
    .pool_free = deco_pool_free,
    .say = deco_error_set,
    .composed = &composed,
};

/* ---- the library -------------------------------------------------------------------------------------------------------- */

static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
static const deco_backend *opened[KNOWN]; /* never closed: drivers do not bear it */

/* Beside this library, where that file is there; otherwise the bare name, for the loader to look for. */
static void library_path(char *path, size_t size, const char *name)
{
    Dl_info self;
    const char *slash = dladdr((void *)&opening, &self) && self.dli_fname ? strrchr(self.dli_fname, '/') : NULL;

    if (slash) {
        snprintf(path, size, "%.*s/libcryodeco_%s.so", (int)(slash - self.dli_fname), self.dli_fname, name);
        if (!access(path, F_OK))
            return;
    }
    snprintf(path, size, "libcryodeco_%s.so", name);
}

static deco_status check_interface(const deco_backend *b, const char *path)
{
    if (b->version != DECO_BACKEND_VERSION || b->ops_bytes != sizeof(deco_ops) || b->device_bytes != sizeof(deco_device))
        return deco_fail(DECO_E_DEVICE,
                         "%s is of another version of cryodeco: its interface is %d (%zu, %zu bytes), this program's %d (%zu, %zu bytes); "
                         "install both from one build, or choose --device cpu",
                         path, b->version, b->ops_bytes, b->device_bytes, DECO_BACKEND_VERSION, sizeof(deco_ops), sizeof(deco_device));
    return DECO_OK;
}

static deco_status open_library(const deco_backend **out, int i)
{
    deco_status st = DECO_OK;
    char path[PATH_MAX];
    deco_backend_entry *entry = NULL;
    void *handle = NULL, *symbol = NULL;

    pthread_mutex_lock(&opening);
    if (opened[i])
        goto out;
    library_path(path, sizeof path, list[i].name);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *why = dlerror();
        st = deco_fail(DECO_E_DEVICE,
                       "%s; install or build it and what it needs (INSTALL.md, \"GPU or CPU\"; for a wheel: pip install 'cryodeco[cuda]'), "
                       "or choose --device cpu",
                       why ? why : path);
        goto out;
    }
    symbol = dlsym(handle, "cryodeco_backend");
    if (!symbol) {
        st = deco_fail(DECO_E_DEVICE, "%s is no device library of cryodeco; remove it, or choose --device cpu", path);
        goto out;
    }
    memcpy(&entry, &symbol, sizeof entry);
    const deco_backend *b = entry(&host);
    TRY(check_interface(b, path));
    opened[i] = b;
    handle = NULL;
out:
    if (handle)
        dlclose(handle);
    *out = opened[i];
    pthread_mutex_unlock(&opening);
    return st;
}

static deco_status create_on(deco_device **out, const deco_backend *b, int card, int threads)
{
    deco_status st = DECO_OK;
    deco_pool *pool = NULL;

    TRY(deco_pool_create(&pool, threads, deco_cpu_worker_start)); /* host code of a run works on it as on the CPU's */
    st = b->create(out, card, pool);
out:
    return st;
}

/* ---- by name ------------------------------------------------------------------------------------------------------------ */

/* The number behind "name:", 0 where there is none; -1: that is no device of this name. */
static int card_of(const char *device, const char *name)
{
    size_t n = strlen(name);
    char *end = NULL;
    if (strncasecmp(device, name, n) != 0)
        return -1;
    if (!device[n])
        return 0;
    if (device[n] != ':' || device[n + 1] < '0' || device[n + 1] > '9')
        return -1;
    long card = strtol(device + n + 1, &end, 10);
    return *end || card > 1023 ? -1 : (int)card;
}

deco_status deco_backend_create(deco_device **out, const char *name, int threads)
{
    deco_status st = DECO_OK;
    const deco_backend *b = NULL;
    int cards = 0;

    *out = NULL;
    for (int i = 0; i < KNOWN; i++) {
        int card = card_of(name, list[i].name);
        if (card < 0)
            continue;
        if (open_library(&b, i) || b->cards(&cards))
            return deco_fail_context(DECO_E_DEVICE, "device \"%s\"", name);
        if (cards == 0)
            return deco_fail(DECO_E_DEVICE, "device \"%s\": this process sees no %s; --device cpu runs everything", name, list[i].card);
        if (card >= cards)
            return deco_fail(DECO_E_DEVICE, "device \"%s\": there %s %d, counted from 0; --device cpu runs everything", name,
                             cards == 1 ? "is" : "are", cards);
        st = create_on(out, b, card, threads);
        return st ? deco_fail_context(st, "device \"%s\"", name) : DECO_OK;
    }
    return deco_fail(DECO_E_ARGUMENT, "device \"%s\": no such device; there are \"auto\", \"cpu\", \"cuda\" and \"cuda:N\"", name);
}

/* ---- the best one ------------------------------------------------------------------------------------------------------- */

static unsigned read_hex(const char *device, const char *what)
{
    char path[PATH_MAX];
    unsigned value = 0;
    snprintf(path, sizeof path, "%s/%s/%s", deco_pci_devices, device, what);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%x", &value) != 1)
        value = 0;
    if (f)
        fclose(f);
    return value;
}

static bool has_file(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", deco_device_files, name);
    return !access(path, F_OK);
}

/* Display controllers are class 3, processing accelerators class 0x12. */
static bool has_card(const known *k)
{
    bool found = has_file(k->file);
    DIR *d = opendir(deco_pci_devices);
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        unsigned class = e->d_name[0] == '.' ? 0 : read_hex(e->d_name, "class") >> 16;
        found = (class == 0x03 || class == 0x12) && read_hex(e->d_name, "vendor") == k->vendor;
    }
    if (d)
        closedir(d);
    return found;
}

deco_status deco_backend_best(deco_device **out, int threads)
{
    *out = NULL;
    for (int i = 0; i < KNOWN; i++) {
        const deco_backend *b = NULL;
        int cards = 0;
        bool sure = has_card(&list[i]);
        if (!sure && !has_file(list[i].shared))
            continue;
        deco_status st = open_library(&b, i);
        if (!st)
            st = b->cards(&cards);
        if (st && sure)
            return deco_fail_context(st, "device \"auto\": there is an %s", list[i].card);
        if (st || !cards)
            continue;
        st = create_on(out, b, 0, threads);
        return st ? deco_fail_context(st, "device \"auto\", \"%s\"", list[i].name) : DECO_OK;
    }
    return DECO_OK;
}
