/* The uids of RELION's particles, which have none: of their images, and where rows share an image, of which row of it each is. */
#include "particles/star_rows.h"

#include <stdlib.h>

/* Near numbers become far ones. Never 0. */
static uint64_t mixed(uint64_t h)
{
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    h ^= h >> 31;
    return h ? h : 1;
}

/* FNV-1a of the path, and the number. */
uint64_t particles_image_uid(const char *path, int64_t index)
{
    uint64_t h = 0xcbf29ce484222325u;

    while (path[0] == '.' && path[1] == '/')
        path += 2;
    for (const char *c = path; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    return mixed(h ^ (uint64_t)index * 0x9e3779b97f4a7c15u);
}

uint64_t particles_copy_uid(uint64_t uid, int64_t copy) { return copy ? mixed(uid ^ (uint64_t)copy * 0xd6e8feb86659fd93u) : uid; }

typedef struct image_row {
    uint64_t uid;
    int64_t row;
} image_row;

static int by_image(const void *a, const void *b)
{
    const image_row *x = a, *y = b;

    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

deco_status star_tell_copies_apart(star_rows *s, deco_monitor *m)
{
    deco_status st = DECO_OK;
    deco_column *uid = (deco_column *)deco_table_find(s->t, "uid");
    image_row *sorted = NULL;
    int64_t N = s->t->rows, copies = 0, copy = 0;

    TRY(deco_alloc(&sorted, (size_t)N + 1, sizeof *sorted, "uids"));
    for (int64_t i = 0; i < N; i++)
        sorted[i] = (image_row){deco_cell_u64(uid, i, 0), i};
    qsort(sorted, (size_t)N, sizeof *sorted, by_image);
    for (int64_t i = 1; i < N; i++) {
        copy = sorted[i].uid == sorted[i - 1].uid ? copy + 1 : 0;
        copies += copy > 0;
        deco_cell_set_u64(uid, sorted[i].row, 0, particles_copy_uid(sorted[i].uid, copy));
    }
    if (copies)
        deco_info(m,
                  "%s: %lld of its %lld rows name an image that an earlier row names too (symmetry expansion, or particles picked twice); "
                  "every row is a particle of its own, with its own uid",
                  s->file->source, (long long)copies, (long long)N);
out:
    free(sorted);
    return st;
}
