/* Decode one state of a finished run and print what the map holds.
 *
 *     decode_volume OUTDIR z1 z2 ...        the latent, as many numbers as the model has (a row of OUTDIR/out/conf.<epoch>.npy)
 *
 * cc decode_volume.c $(pkg-config --cflags --libs cryodeco) */
#include <cryodeco.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    deco_model *model = NULL;
    float *z = NULL, *map = NULL;
    int code = 1;

    if (argc < 2) {
        fprintf(stderr, "usage: %s OUTDIR z1 z2 ...\n", argv[0]);
        return 2;
    }
    if (deco_model_open(&model, argv[1], -2, 0))
        goto out;
    size_t D = deco_model_box(model), nz = (size_t)argc - 2;
    z = calloc(nz + 1, sizeof *z);
    map = malloc(D * D * D * sizeof *map);
    if (!z || !map) {
        fprintf(stderr, "no memory\n");
        goto out;
    }
    for (size_t i = 0; i < nz; i++)
        z[i] = strtof(argv[i + 2], NULL);
    if (deco_volume_decode(map, model, z, nz))
        goto out;

    double sum = 0, top = map[0];
    for (size_t i = 0; i < D * D * D; i++) {
        sum += map[i];
        top = map[i] > top ? map[i] : top;
    }
    printf("%zu voxels a side of %.4g Å; mean %.4g, maximum %.4g\n", D, deco_model_psize_A(model), sum / (double)(D * D * D), top);
    code = 0;
out:
    if (code)
        fprintf(stderr, "%s\n", deco_error());
    free(map);
    free(z);
    deco_model_free(model);
    return code;
}
