/* The simulator's rooms: structure -> density -> views -> images -> job directory and truth. One header, since only simulate*.c see it. */
#ifndef DECO_PARTICLES_SIMULATE_PARTS_H
#define DECO_PARTICLES_SIMULATE_PARTS_H

#include "base/monitor.h"
#include "compute/device.h"
#include "config/options.h"
#include "formulas/ctf.h"

/* What the options come to, everything derived filled in. */
typedef struct sim_settings {
    const deco_options *o;
    int64_t D, N, maps, stacks, micrographs;
    double psize_A, psize_align_A, resolution_A, mask_radius_px;
    uint64_t seed;
    bool continuous, from_maps;
    double *share; /* [maps] cumulated weights of the classes, the last is 1 */
} sim_settings;

/* Fails: ARGUMENT. s->share is the caller's to free, also then. */
deco_status sim_settle(sim_settings *s, const deco_options *o);

/* ---- structures: simulate_structure.c, simulate_mmcif.c ------------------------------------------------------ */

typedef struct sim_atoms {
    int64_t count, room;
    double *x;     /* [count,3] Å */
    float *weight; /* [count] electrons */
} sim_atoms;

/* A file's atom before it is kept or passed over. Texts may have blanks around them and NULL means not given. */
typedef struct sim_atom_record {
    const char *element, *residue_name, *chain, *residue; /* residue: what tells it from its neighbours */
    char alternative;                                     /* 0: none */
    double x[3];
} sim_atom_record;

/* Keeps what of a file counts: no hydrogens, no water, of alternative places the first in its residue, the chains asked for. */
typedef struct sim_sieve {
    const char *path, *chains; /* NULL: all */
    const char *unit;          /* what `number` counts: "line" or "atom" */
    sim_atoms *atoms;
    char *residue;    /* the one at hand */
    char alternative; /* its chosen place; 0: none yet */
    char seen[64];    /* chains met, for the message */
} sim_sieve;
deco_status sim_sieve_add(sim_sieve *s, const sim_atom_record *a, int64_t number);
deco_status sim_sieve_end(sim_sieve *s); /* fails when nothing was kept */

deco_status sim_pdb_read(sim_sieve *s, const char *text);
deco_status sim_mmcif_read(sim_sieve *s);

/* "file.pdb", "file.cif:AB" (chains A and B), "file.cif:AA+B" (chains AA and B). Fails: FILE, FORMAT, ARGUMENT (no such chain). */
deco_status sim_structure_read(sim_atoms *out, const char *source);
void sim_atoms_free(sim_atoms *a);
bool sim_is_map(const char *source); /* .mrc, .map */

/* ---- densities: simulate_density.c, simulate_map.c ----------------------------------------------------------------- */

/* v [D,D,D]: Gaussians of `resolution_A`, band-limited to the Nyquist sphere; `centre` comes to voxel D/2. */
deco_status sim_density_of_atoms(float *v, const sim_settings *s, const sim_atoms *a, const double centre[3], deco_device *dev);

/* v [D,D,D] of an MRC map of the same field of view (or padded or cut to it): voxel n/2 comes to voxel D/2. */
deco_status sim_density_of_map(float *v, const sim_settings *s, const char *path, deco_device *dev);

/* Central D³ of n³, or into the middle of it when D is larger (the rest zero). */
void sim_central(float *out, int64_t D, const float *in, int64_t n);

/* Multiplies a centred D³ transform by 1 inside, falling to 0 at the Nyquist radius. */
void sim_band_limit(float *h, int64_t D);

/* All densities of the set, [maps] of [D,D,D]. */
deco_status sim_densities_make(float **map, const sim_settings *s, deco_device *dev, deco_monitor *m);

/* ---- views: simulate_draw.c ---------------------------------------------------------------------------------------- */

typedef struct sim_particle {
    uint64_t uid;
    int64_t micrograph;
    int32_t label, map, split;
    float t, pose[3], shift[2], contrast, noise_sigma, centre_frac[2];
    double R[9];
    deco_ctf_row ctf;
} sim_particle;

typedef struct sim_micrograph {
    uint64_t uid;
    double defocus_A, astigmatism_A, astig_rad, noise_sigma;
    int64_t group;
} sim_micrograph;

/* Everything about the particles but their pixels: a function of seed and number alone. micrograph [s->micrographs], particle [s->N];
 * by_uid [N] gets the order of rising uid. */
deco_status sim_draw(sim_particle *particle, sim_micrograph *micrograph, int64_t *by_uid, const sim_settings *s);

/* ---- images: simulate_images.c, simulate_slice.c --------------------------------------------------------------------- */

/* The transform of a map on twice its box, made for reading between its points (Kaiser–Bessel, 4 points an axis). */
deco_status sim_transform_make(float **out, const float *v, int64_t D, deco_device *dev);
size_t sim_transform_count(int64_t D);
void sim_transform_scale(float *h, int64_t D, double factor);

/* out [2D,2D]: contrast · CTF · slice of h at c @ R, moved by -shift; zero outside the Nyquist circle. */
void sim_slice(float *out, const float *h, int64_t D, const sim_particle *p);

/* Images of a run of particles, made a chunk at a time. */
typedef struct sim_imager sim_imager;
deco_status sim_imager_create(sim_imager **out, const sim_settings *s, float *const *transform, const sim_particle *particle,
                              deco_device *dev);
void sim_imager_free(sim_imager *g);
int64_t sim_imager_chunk(const sim_imager *g); /* the most images of a call */

/* Images of the particles row[0..n): borrowed [n,D,D], good until the next call. signal [n] gets the variance of the noise-free image
 * inside the mask. Without `noise` the images are noise-free. */
deco_status sim_images_make(const float **out, double *signal, sim_imager *g, const int64_t *row, int64_t n, bool noise);

/* ---- files: simulate_job.c, simulate_job_json.c, simulate_truth.c ------------------------------------------------------ */

#define SIM_JOB "J1"

deco_status sim_stack_path(char *out, size_t size, int64_t stack); /* as in blob/path: from the project */
int64_t sim_stack_first(const sim_settings *s, int64_t stack);     /* its first particle; that of `stacks` is N */

/* The .cs files of the job below `root`. */
deco_status sim_job_write(const char *root, const sim_settings *s, const sim_particle *particle, const sim_micrograph *micrograph);
deco_status sim_job_json_write(const char *path, int64_t particles, bool with_poses);

typedef struct sim_measured {
    double gain, snr;
} sim_measured;
deco_status sim_truth_write(const char *root, const sim_settings *s, float *const *map, const sim_particle *particle, const int64_t *by_uid,
                            sim_measured measured);

#endif
