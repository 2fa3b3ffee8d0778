#include "analysis/hand.h"
#include "analysis/json_file.h"

static void swap_planes(float *a, float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        float kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

void deco_map_mirror(float *map, int64_t D)
{
    for (int64_t z = 1; z < D - z; z++) /* z and D - z lie at equal distances from the centre D/2 */
        swap_planes(map + z * D * D, map + (D - z) * D * D, D * D);
}

void deco_pose_mirror(float *R)
{
    R[2] = -R[2];
    R[5] = -R[5];
    R[6] = -R[6];
    R[7] = -R[7];
}

static const char *hand_of(const deco_hand *h)
{
    if (h->found)
        return "arbitrary";
    return h->flipped ? "opposite to the given poses'" : "the given poses'";
}

deco_status deco_hand_write(const char *directory, const deco_hand *h, deco_monitor *m)
{
    deco_status st = DECO_OK;
    cJSON *root = cJSON_CreateObject();

    cJSON_AddStringToObject(root, "poses", h->found ? "found" : "given");
    cJSON_AddStringToObject(root, "hand", hand_of(h));
    cJSON_AddBoolToObject(root, "flipped", h->flipped);
    TRY(deco_json_file_write(root, directory, "hand.json"));
    if (h->found)
        deco_info(m, "hand: arbitrary, a coin's toss, because images alone cannot tell; these maps and poses are %s",
                  h->flipped ? "flipped together (flip_hand)" : "as the search found them, and --flip_hand True gives the other hand");
    else if (h->flipped)
        deco_info(m, "hand: maps and poses are flipped together (flip_hand), opposite to the given poses");
out:
    return st;
}
