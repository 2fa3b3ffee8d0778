/* `cryodeco encode`: latents of other particles from a finished run's encoder, and with known poses each image's distance from its slice. */
#include "base/file.h"
#include "formats/npy.h"
#include "job/job.h"
#include "job/outdir.h"
#include "model/checkpoints.h"
#include "particles/loader.h"
#include "training/encoded.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 32, AHEAD = 2 };

typedef struct encode_job {
    const deco_options *o;
    deco_monitor *m;
    deco_device *dev;
    deco_model *model;
    deco_particles *p;
    deco_mask *mask;
    deco_loader *loader;
    deco_encoded *encoded;
    int64_t *order; /* [N] */
    float *z;       /* [N,Z] */
    float *error;   /* [N], with poses: mean (CTF·slice - image)² over the mask's points, of normalised images */
    float *dev_z;   /* [BATCH,Z], and what follows on the device too */
    float *k, *R, *shift, *images, *shifted, *slices, *ctf_values; /* with poses */
    deco_ctf_row *ctf;
    float *host[2]; /* [BATCH,P]: slices, shifted images */
} encode_job;

static deco_status read_run(encode_job *j)
{
    deco_status st = DECO_OK;
    deco_checkpoint *list = NULL;
    int64_t count = 0;
    deco_position at;
    char *path = NULL;
    const char *from;

    if (deco_option_given(j->o, DECO_OPT_epoch)) {
        TRY(deco_checkpoint_path(&path, j->o->outdir, j->o->epoch));
        from = path;
    } else {
        TRY(deco_checkpoints_list(&list, &count, j->o->outdir));
        if (!list || !count)
            TRY(deco_fail(DECO_E_FILE, "%s/out holds no weights.<epoch>.safetensors: name the directory of a finished run", j->o->outdir));
        from = list[0].path;
    }
    TRY(deco_checkpoint_read(&j->model, &at, j->dev, from, DECO_READ_ENCODER));
    if (!j->model->encoder)
        TRY(deco_fail(DECO_E_ARGUMENT,
                      "%s: its latents are a table with a row a particle: other particles have none there. A run with the encoder "
                      "(use_conf_encoder True) can be asked",
                      from));
    deco_info(j->m, "encoder and decoder of %s", from);
out:
    deco_checkpoints_free(list, count);
    free(path);
    return st;
}

static deco_status open_input(encode_job *j)
{
    deco_status st = DECO_OK;
    deco_input in = deco_input_of(j->o);
    bool poses = j->o->use_gt_poses;

    in.box = j->model->D;
    TRY(deco_output_check("output", j->o->output, j->o->particles.items[0]));
    TRY(deco_particles_open_input(&j->p, &in, DECO_NEED_STACKS | (poses ? DECO_NEED_POSES | DECO_NEED_SHIFTS : 0), j->m));
    if (j->p->D != j->model->D)
        TRY(deco_fail(DECO_E_ARGUMENT, "%s: images of %" PRId64 " px; the run's are of %" PRId64, j->p->source, j->p->D, j->model->D));
    if (fabs(j->p->psize_A / j->model->psize_A - 1) > 0.01)
        deco_warn(j->m, "%s: a pixel is %.4g A, of the run's images %.4g A: what the encoder learnt at one scale it may not see at another",
                  j->p->source, j->p->psize_A, j->model->psize_A);
out:
    return st;
}

static deco_status make_room(encode_job *j)
{
    deco_status st = DECO_OK;
    const deco_image_stats images = {.std = j->model->std, .encoder = true, .float32 = true};
    size_t N = (size_t)j->p->N, Z = (size_t)j->model->shape.Z, f = sizeof(float), BP;

    TRY(deco_mask_create(&j->mask, j->model->shape.L, j->model->radius));
    TRY(deco_loader_create(&j->loader, j->p, j->mask, &images, j->dev, BATCH, AHEAD));
    TRY(deco_encoded_create(&j->encoded, j->model, BATCH, false, false));
    TRY(deco_alloc(&j->order, N, sizeof *j->order, "rows"));
    TRY(deco_alloc(&j->z, N * Z, f, "latents"));
    TRY(deco_device_alloc(j->dev, &j->dev_z, BATCH * Z * f, "latents"));
    if (!j->o->use_gt_poses)
        goto out;
    BP = BATCH * (size_t)j->mask->P * f;
    TRY(deco_alloc(&j->error, N, f, "errors"));
    TRY(deco_device_alloc(j->dev, &j->k, 2 * (size_t)j->mask->P * f, "a batch"));
    TRY(deco_device_upload(j->dev, j->k, j->mask->k, 2 * (size_t)j->mask->P * f));
    TRY(deco_device_alloc(j->dev, &j->R, BATCH * 9 * f, "a batch"));
    TRY(deco_device_alloc(j->dev, &j->shift, BATCH * 2 * f, "a batch"));
    TRY(deco_device_alloc(j->dev, &j->ctf, BATCH * sizeof *j->ctf, "a batch"));
    TRY(deco_device_alloc(j->dev, &j->images, BP, "a batch"));
    TRY(deco_device_alloc(j->dev, &j->shifted, BP, "a batch"));
    TRY(deco_device_alloc(j->dev, &j->slices, BP, "a batch"));
    TRY(deco_device_alloc(j->dev, &j->ctf_values, BP, "a batch"));
    for (int i = 0; i < 2; i++)
        TRY(deco_alloc(&j->host[i], BATCH * (size_t)j->mask->P, f, "a batch"));
out:
    return st;
}

static void let_go(encode_job *j)
{
    void *device[] = {j->dev_z, j->k, j->R, j->shift, j->images, j->shifted, j->slices, j->ctf_values, j->ctf};
    for (size_t i = 0; j->dev && i < sizeof device / sizeof *device; i++)
        deco_device_release(j->dev, device[i]);
    free(j->host[0]);
    free(j->host[1]);
    free(j->order);
    free(j->z);
    free(j->error);
    deco_loader_free(j->loader);
    deco_encoded_free(j->encoded);
    deco_mask_free(j->mask);
    deco_particles_free(j->p);
    deco_model_free(j->model);
    deco_device_free(j->dev);
}

/* The rows of a batch stand one after the other. */
static deco_status measure(encode_job *j, const deco_batch *b)
{
    deco_status st = DECO_OK;
    const deco_model *m = j->model;
    int64_t P = j->mask->P, B = b->B, first = b->row[0];
    size_t f = sizeof(float), n = (size_t)(B * P);
    deco_array k = deco_f32_2(j->k, P, 2), images = deco_f32_2(j->images, B, P), shifted = deco_f32_2(j->shifted, B, P);
    deco_array slices = deco_f32_2(j->slices, B, P), ctf_values = deco_f32_2(j->ctf_values, B, P), R = deco_f32_3(j->R, B, 3, 3);
    deco_array ctf = deco_array_of(j->ctf, DECO_BYTES, 1, B, 1, 1, 1);

    ctf.item = sizeof *j->ctf;
    TRY(deco_device_upload(j->dev, j->images, b->images, n * f));
    TRY(deco_device_upload(j->dev, j->R, j->p->R + 9 * first, (size_t)B * 9 * f));
    TRY(deco_device_upload(j->dev, j->shift, j->p->shift + 2 * first, (size_t)B * 2 * f));
    TRY(deco_device_upload(j->dev, j->ctf, j->p->ctf + first, (size_t)B * sizeof *j->ctf));
    TRY(deco_hypervolume_values(j->dev, &m->shape, slices, deco_none(), deco_f32_1(m->mean, m->decoder.count),
                                deco_f32_2(m->freqs, 3 * m->shape.pe_dim, 3), k, R, deco_f32_2(j->dev_z, B, m->shape.Z)));
    TRY(deco_ctf_values(j->dev, ctf_values, ctf, k));
    TRY(deco_multiply(j->dev, slices, slices, ctf_values));
    TRY(deco_shift(j->dev, shifted, images, deco_f32_2(j->shift, B, 2), k));
    TRY(deco_device_download(j->dev, j->host[0], j->slices, n * f));
    TRY(deco_device_download(j->dev, j->host[1], j->shifted, n * f));
    for (int64_t i = 0; i < B; i++) {
        double sum = 0;
        for (int64_t q = i * P; q < (i + 1) * P; q++)
            sum += ((double)j->host[0][q] - j->host[1][q]) * ((double)j->host[0][q] - j->host[1][q]);
        j->error[first + i] = (float)(sum / (double)P);
    }
out:
    return st;
}

static deco_status encode_batch(encode_job *j, const deco_batch *b)
{
    deco_status st = DECO_OK;
    int64_t Z = j->model->shape.Z;
    float *z = j->z + Z * b->row[0];

    TRY(deco_encoded_run(j->encoded, j->dev_z, b->pixels, b->B, DECO_ENCODER_EVAL));
    TRY(deco_device_download(j->dev, z, j->dev_z, (size_t)(b->B * Z) * sizeof *z));
    for (int64_t i = 0; i < b->B * Z; i++)
        if (!isfinite(z[i]))
            TRY(deco_fail(DECO_E_DIVERGED, "the latent of row %" PRId64 " of %s is %g: the run's encoder is lost", b->row[0] + i / Z,
                          j->p->source, (double)z[i]));
    if (j->error)
        TRY(measure(j, b));
out:
    return st;
}

static deco_status encode_all(encode_job *j)
{
    deco_status st = DECO_OK;
    deco_batch b;
    double waited = 0;

    for (int64_t i = 0; i < j->p->N; i++)
        j->order[i] = i;
    deco_progress_begin(j->m, "encoding", j->p->N, "images");
    TRY(deco_loader_start(j->loader, j->order, j->p->N));
    for (;;) {
        if (deco_monitor_stopped(j->m))
            TRY(deco_fail(DECO_E_STOPPED, "stopped on request; nothing was written"));
        TRY(deco_loader_next(j->loader, &b, &waited));
        if (!b.B)
            break;
        TRY(encode_batch(j, &b));
        deco_progress_add(j->m, b.B);
    }
out:
    deco_progress_end(j->m);
    return st;
}

static deco_status put(const encode_job *j, const char *name, const char *descr, int64_t width, const void *data)
{
    deco_status st = DECO_OK;
    char *path = deco_path_join(j->o->output, name);
    const int64_t shape[2] = {j->p->N, width};

    if (!path)
        TRY(deco_fail_memory(strlen(name), "a file's name"));
    TRY(deco_npy_write(path, descr, width ? 2 : 1, shape, data));
out:
    free(path);
    return st;
}

static deco_status write_all(encode_job *j, bool *wrote, char **summary)
{
    deco_status st = DECO_OK;
    int64_t N = j->p->N, Z = j->model->shape.Z;
    uint64_t *uid = NULL;
    double mean = 0;

    TRY(deco_alloc(&uid, (size_t)N, sizeof *uid, "uids"));
    for (int64_t i = 0; i < N; i++)
        uid[i] = deco_particles_uid(j->p, i);
    *wrote = true;
    TRY(deco_directory_make(j->o->output));
    TRY(put(j, "uid.npy", "<u8", 0, uid));
    TRY(put(j, "conf.npy", "<f4", Z, j->z));
    if (j->error)
        TRY(put(j, "error.npy", "<f4", 0, j->error));
    for (int64_t i = 0; j->error && i < N; i++)
        mean += j->error[i] / (double)N;
    if (j->error)
        *summary = deco_format("latents   %s/conf.npy\nuids      %s/uid.npy\nerrors    %s/error.npy (mean %.6g of normalised images)\n",
                               j->o->output, j->o->output, j->o->output, mean);
    else
        *summary = deco_format("latents   %s/conf.npy\nuids      %s/uid.npy\n", j->o->output, j->o->output);
out:
    free(uid);
    return st;
}

deco_status deco_job_encode(const deco_options *o, deco_monitor *m, bool *wrote, char **summary)
{
    deco_status st = DECO_OK;
    encode_job j = {.o = o, .m = m};

    TRY(deco_device_create(&j.dev, o->device, (int)o->threads));
    TRY(read_run(&j));
    TRY(open_input(&j));
    TRY(make_room(&j));
    TRY(encode_all(&j));
    TRY(write_all(&j, wrote, summary));
out:
    let_go(&j);
    return st;
}
