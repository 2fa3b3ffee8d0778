/* Zip archives, as APPNOTE.TXT 6.3 lays them out: local header and bytes of each file, then the directory of all, then where that is. */
#include "formats/zip.h"
#include "base/file.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { LOCAL = 30, CENTRAL = 46, END = 22, END64 = 56, LOCATOR = 20, EXTRA64 = 12, MOST_ENTRIES = 65535, VERSION = 20, VERSION64 = 45 };
static const uint32_t beyond = UINT32_MAX;             /* "see the ZIP64 record" */
static const uint16_t date = (46 << 9) | (1 << 5) | 1; /* 1 January 2026, so that the same maps give the same archive */

typedef struct entry {
    char *name;
    uint64_t at;
    uint32_t size, crc;
} entry;

struct deco_zip {
    deco_file *f;
    char *path;
    uint64_t at;
    entry *entry;
    size_t entries;
};

static uint8_t *put(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *at++ = (uint8_t)(value >> 8 * i);
    return at;
}

static deco_status append_bytes(deco_zip *z, const void *bytes, size_t n)
{
    z->at += n;
    return deco_file_write(z->f, bytes, n);
}

deco_status deco_zip_create(deco_zip **out, const char *path)
{
    deco_status st = DECO_OK;
    deco_zip *z = NULL;

    *out = NULL;
    TRY(deco_alloc(&z, 1, sizeof *z, "an archive"));
    if (!(z->path = strdup(path)))
        TRY(deco_fail_memory(strlen(path), "a file's name"));
    TRY(deco_file_create(&z->f, path));
    *out = z;
    z = NULL;
out:
    deco_zip_abandon(z);
    return st;
}

/* What local header and directory have in common, from the needed version to the length of the name. */
static uint8_t *put_common(uint8_t *at, const entry *e, int version)
{
    at = put(at, (uint64_t)version, 2);
    at = put(at, 0, 2); /* flags */
    at = put(at, 0, 2); /* stored */
    at = put(at, 0, 2); /* midnight */
    at = put(at, date, 2);
    at = put(at, e->crc, 4);
    at = put(at, e->size, 4);
    at = put(at, e->size, 4);
    return put(at, strlen(e->name), 2);
}

static deco_status list(deco_zip *z, const entry *e)
{
    entry *more = realloc(z->entry, (z->entries + 1) * sizeof *more);

    if (!more)
        return deco_fail_memory(z->entries * sizeof *more, "an archive's directory");
    z->entry = more;
    z->entry[z->entries++] = *e;
    return DECO_OK;
}

deco_status deco_zip_add(deco_zip *z, const char *name, const char *source)
{
    deco_status st = DECO_OK;
    uint8_t head[LOCAL];
    char *bytes = NULL;
    size_t size;
    entry e = {.at = z->at};

    TRY(deco_file_get(&bytes, &size, source, beyond - 1));
    if (z->entries == MOST_ENTRIES - 1)
        TRY(deco_fail(DECO_E_ARGUMENT, "%s: cannot hold more than %d files", z->path, MOST_ENTRIES - 1));
    e.size = (uint32_t)size;
    e.crc = (uint32_t)crc32_z(0, (const uint8_t *)bytes, size);
    if (!(e.name = strdup(name)))
        TRY(deco_fail_memory(strlen(name), "a file's name"));
    put(put_common(put(head, 0x04034b50, 4), &e, VERSION), 0, 2);
    TRY(append_bytes(z, head, sizeof head));
    TRY(append_bytes(z, name, strlen(name)));
    TRY(append_bytes(z, bytes, size));
    TRY(list(z, &e));
    e.name = NULL;
out:
    free(e.name);
    free(bytes);
    return st;
}

static deco_status write_directory_entry(deco_zip *z, const entry *e)
{
    deco_status st = DECO_OK;
    uint8_t record[CENTRAL + EXTRA64], *at;
    bool far = e->at >= beyond;

    at = put(put(record, 0x02014b50, 4), far ? VERSION64 : VERSION, 2);
    at = put_common(at, e, far ? VERSION64 : VERSION);
    at = put(at, far ? EXTRA64 : 0, 2);
    at = put(put(at, 0, 6), 0, 4); /* comment, disk, kind; attributes */
    put(at, far ? beyond : e->at, 4);
    TRY(append_bytes(z, record, CENTRAL));
    TRY(append_bytes(z, e->name, strlen(e->name)));
    if (far) {
        put(put(put(record, 1, 2), EXTRA64 - 4, 2), e->at, 8);
        TRY(append_bytes(z, record, EXTRA64));
    }
out:
    return st;
}

static deco_status write_end(deco_zip *z, uint64_t directory)
{
    deco_status st = DECO_OK;
    uint8_t record[END64 + LOCATOR + END], *at = record;
    uint64_t size = z->at - directory;
    bool far = z->at >= beyond;

    if (far) {
        at = put(put(at, 0x06064b50, 4), END64 - 12, 8);
        at = put(put(at, VERSION64, 2), VERSION64, 2);
        at = put(at, 0, 8); /* this disk, the directory's disk */
        at = put(put(at, z->entries, 8), z->entries, 8);
        at = put(put(at, size, 8), directory, 8);
        at = put(put(at, 0x07064b50, 4), 0, 4);
        at = put(put(at, z->at, 8), 1, 4);
    }
    at = put(put(at, 0x06054b50, 4), 0, 4);
    at = put(put(at, z->entries, 2), z->entries, 2);
    at = put(put(at, far ? beyond : size, 4), far ? beyond : directory, 4);
    at = put(at, 0, 2);
    TRY(append_bytes(z, record, (size_t)(at - record)));
out:
    return st;
}

deco_status deco_zip_commit(deco_zip *z)
{
    deco_status st = DECO_OK;
    uint64_t directory = z->at;

    for (size_t i = 0; i < z->entries; i++)
        TRY(write_directory_entry(z, &z->entry[i]));
    TRY(write_end(z, directory));
    st = deco_file_commit(z->f);
    z->f = NULL;
out:
    deco_zip_abandon(z);
    return st;
}

void deco_zip_abandon(deco_zip *z)
{
    if (!z)
        return;
    deco_file_abandon(z->f);
    for (size_t i = 0; i < z->entries; i++)
        free(z->entry[i].name);
    free(z->entry);
    free(z->path);
    free(z);
}
