/* What cannot be together, what means nothing here, and what this version cannot do yet: said before anything is read or written. */
#include "base/file.h"
#include "config/options.h"
#include "config/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Names of CryoDECO that ask for something that has no meaning here. */
static deco_status check_meaning(const deco_options *o)
{
    if (o->lazy)
        return deco_fail(DECO_E_UNSUPPORTED, "lazy has no meaning here: images are always read ahead in bounded memory; leave it out");
    if (!o->shuffle)
        return deco_fail(DECO_E_UNSUPPORTED, "shuffle False is not here: every epoch takes a fresh random order; leave it out");
    if (o->processed_data)
        return deco_fail(DECO_E_UNSUPPORTED, "processed_data is CryoDECO's cache of pickles and is not read here; leave it out and name "
                                             "the job with --particles (--cache_dir DIR "
                                             "keeps prepared images)");
    if (o->labels_evaluate)
        return deco_fail(DECO_E_UNSUPPORTED, "labels_evaluate names a pickle, and no scores are made while training; compare "
                                             "clustering<K>/labels.npy afterwards, its rows are those of out/uid.npy");
    if (o->cluster_num_evaluate)
        return deco_fail(DECO_E_UNSUPPORTED,
                         "cluster_num_evaluate is %" PRId64 ", but no scores are made while training; leave it out and set k_num",
                         o->cluster_num_evaluate);
    if (o->epochs_init_conf_table != -2)
        return deco_fail(DECO_E_UNSUPPORTED, "epochs_init_conf_table is for the fused encoders, which are not here; leave it out");
    if (strcasestr(o->encoder_type ? o->encoder_type : "", "fuse"))
        return deco_fail(DECO_E_UNSUPPORTED, "encoder_type %s is a fused encoder, which is not here; vit_small is the default",
                         o->encoder_type);
    return DECO_OK;
}

static deco_status check_decay(const deco_options *o)
{
    if (o->wd > 0 && !strcmp(o->hypervolume_optimizer_type, "adam"))
        return deco_fail(DECO_E_ARGUMENT, "wd is %g, but hypervolume_optimizer_type adam has no weight decay: leave one of them out",
                         o->wd);
    return DECO_OK;
}

static deco_status check_whole(const deco_list *l, const char *name)
{
    for (int64_t i = 0; i < l->count; i++)
        if (deco_list_number(l, i) != floor(deco_list_number(l, i)))
            return deco_fail(DECO_E_ARGUMENT, "%s holds %s; it must be whole numbers, as 8,10,12", name, l->items[i]);
    return DECO_OK;
}

/* A run whose poses change. */
static deco_status check_poses(const deco_options *o)
{
    deco_status st = DECO_OK;
    bool after = o->epochs_sgd || o->refine_radii.count || o->refine_gt_poses;

    if (o->refine_gt_poses && o->use_gt_poses)
        TRY(deco_fail(DECO_E_ARGUMENT, "use_gt_poses keeps the input's poses and refine_gt_poses improves them: give one of them"));
    if (o->refine_gt_poses && !strcmp(o->pose_refine, "none"))
        TRY(deco_fail(DECO_E_ARGUMENT, "refine_gt_poses improves poses, but pose_refine is none: give --pose_refine table or gauss_newton, "
                                       "or use_gt_poses in its place"));

    if (o->hps_stop > 0 && o->search_radii.count)
        TRY(deco_fail(DECO_E_ARGUMENT,
                      "hps_stop ends a search of n_imgs_pose_search images early, but search_radii (of a preset, perhaps) lists the "
                      "epochs: leave one of them out"));
    if (o->initial_radii.count && !o->n_imgs_pretrain && !o->use_gt_poses && !o->refine_gt_poses)
        TRY(deco_fail(DECO_E_ARGUMENT, "initial_radii (of a preset, perhaps) asks for an initial model, which pretraining begins with, but "
                                       "n_imgs_pretrain is 0: give at least 1"));
    TRY(check_whole(&o->initial_radii, "initial_radii"));
    TRY(check_whole(&o->initial_state_radii, "initial_state_radii"));
    TRY(check_whole(&o->search_radii, "search_radii"));
    TRY(check_whole(&o->search_n_iter, "search_n_iter"));
    TRY(check_whole(&o->refine_radii, "refine_radii"));
    if (after && o->use_gt_trans && !strcmp(o->pose_refine, "gauss_newton"))
        TRY(deco_fail(DECO_E_ARGUMENT,
                      "pose_refine gauss_newton moves shifts, but use_gt_trans keeps the input's: give --pose_refine table or none"));
out:
    return st;
}

static deco_status check_encoder(const deco_options *o)
{
    bool random = !strcmp(o->finetune_strategy, "random_initial");

    if (!o->use_conf_encoder)
        return DECO_OK;
    if (!random && !o->pretrained_model_path)
        return deco_fail(
            DECO_E_ARGUMENT,
            "latents come from Cryo-IEF's vision transformer, and pretrained_model_path names no weights. Download them "
            "(https://huggingface.co/westlake-repl/Cryo-IEF, cryo_ief_checkpoint; academic use only) and give "
            "--pretrained_model_path DIR. Without them what it learnt from 65 million particle images is lost: then --use_conf_encoder "
            "False, a table of latents, is the better choice, and --finetune_strategy random_initial trains a transformer from "
            "nothing");
    if (!random && (o->encoder_width || o->encoder_depth))
        return deco_fail(DECO_E_ARGUMENT,
                         "%s is given, but the size of weights is their own: leave it out, or --finetune_strategy random_initial",
                         o->encoder_width ? "encoder_width" : "encoder_depth");
    return DECO_OK;
}

/* What goes together in a run whose poses change, or do not. */
static deco_status check_ability(const deco_options *o)
{
    deco_status bad = check_encoder(o);

    if (bad)
        return bad;
    return o->use_gt_poses && !o->refine_gt_poses ? DECO_OK : check_poses(o);
}

static deco_status check_device(const deco_options *o)
{
    const char *d = o->device ? o->device : "auto";
    int64_t n;

    if (!strcasecmp(d, "cpu") || !strcasecmp(d, "auto") || !strcasecmp(d, "cuda"))
        return DECO_OK;
    if (!strncasecmp(d, "cuda:", 5) && strchr(d, ','))
        return deco_fail(DECO_E_UNSUPPORTED, "device is '%s'; several GPUs are not in this version yet: name one", d);
    if (!strncasecmp(d, "cuda:", 5) && option_read_int(&n, d + 5) && n >= 0 && n < 1024)
        return DECO_OK;
    return deco_fail(DECO_E_ARGUMENT, "device is '%s'; it must be cpu, cuda, cuda:N (N counts from 0) or auto", d);
}

static deco_status check_box(const deco_options *o)
{
    return o->box % 2 ? deco_fail(DECO_E_ARGUMENT, "box is %" PRId64 "; it must be even", o->box) : DECO_OK;
}

static deco_status check_landscape(const deco_options *o)
{
    if (o->landscape == 1)
        return deco_fail(DECO_E_ARGUMENT, "landscape is 1; maps are compared with one another, so it must be at least 2, or 0 for none");
    if (o->landscape_box % 2)
        return deco_fail(DECO_E_ARGUMENT, "landscape_box is %" PRId64 "; it must be even", o->landscape_box);
    return DECO_OK;
}

/* What is asked of the input. */
static deco_status check_input(const deco_options *o)
{
    deco_status st = check_box(o);
    char *column = NULL;
    double least;

    if (!st && o->min_score)
        st = deco_option_score(&column, &least, o->min_score);
    free(column);
    return st;
}

/* What a training needs, wherever it is written. */
static deco_status check_training(const deco_options *o)
{
    deco_status st = DECO_OK;

    TRY(check_device(o));
    TRY(check_input(o));
    TRY(check_decay(o));
    TRY(check_meaning(o));
    TRY(check_ability(o));
out:
    return st;
}

static deco_status check_run(const deco_options *o)
{
    deco_status st = DECO_OK;

    if (!o->outdir)
        return deco_fail(DECO_E_ARGUMENT, "outdir is not given: name a directory for the results with --outdir DIR");
    TRY(check_device(o));
    TRY(check_landscape(o));
    if (o->skip_train) /* names that speak of training do no harm then: the same command line serves again */
        goto out;
    if (deco_options_resume(o)) /* most options are the run's own, and are checked together with these */
        goto out;
    if (!o->particles.count)
        return deco_fail(DECO_E_ARGUMENT,
                         "particles is not given: name a CryoSPARC job directory, a .cs, .csg or .star file with --particles PATH");
    if (deco_option_given(o, DECO_OPT_epoch))
        return deco_fail(DECO_E_ARGUMENT, "epoch names a checkpoint to analyse, with --skip_train True; the length of a run is epochs_sgd");
    TRY(check_training(o));
out:
    return st;
}

static deco_status check_analyze(const deco_options *o)
{
    deco_status st = DECO_OK;

    if (!o->outdir)
        return deco_fail(DECO_E_ARGUMENT, "outdir is not given: name the run to analyse, as in cryodeco analyze OUTDIR");
    TRY(check_device(o));
    TRY(check_landscape(o));
out:
    return st;
}

static deco_status check_cache(const deco_options *o)
{
    if (!o->cache_dir)
        return deco_fail(DECO_E_ARGUMENT, "cache_dir is not given: name the directory of the caches with --cache_dir DIR");
    if (!strcmp(o->action, "build") && !o->particles.count)
        return deco_fail(DECO_E_ARGUMENT,
                         "particles is not given: name a CryoSPARC job directory or .cs file, as in cryodeco cache build "
                         "JOB --cache_dir %s",
                         o->cache_dir);
    return check_box(o);
}

/* Lengths are given in pixels of the box, so they can only be judged together. */
static deco_status check_simulated_box(const deco_options *o)
{
    int64_t box = deco_simulated_box(o);

    if (box > 1024)
        return deco_fail(DECO_E_ARGUMENT, "box is %" PRId64 "; at most 1024 px are simulated", box);
    if (o->mask_radius_px > (double)box / 2)
        return deco_fail(DECO_E_ARGUMENT, "mask_radius_px is %g; in a box of %" PRId64 " it must be at most %" PRId64, o->mask_radius_px,
                         box, box / 2);
    if (o->shift_max_px >= (double)box / 2)
        return deco_fail(DECO_E_ARGUMENT, "shift_max_px is %g; in a box of %" PRId64 " it must be below %" PRId64, o->shift_max_px, box,
                         box / 2);
    if (o->shift_sigma_px > o->shift_max_px)
        return deco_fail(DECO_E_ARGUMENT, "shift_sigma_px is %g, above shift_max_px, %g; hardly any shift would be allowed",
                         o->shift_sigma_px, o->shift_max_px);
    return check_box(o);
}

static deco_status check_simulate(const deco_options *o)
{
    if (!o->from.count)
        return deco_fail(DECO_E_ARGUMENT,
                         "from is not given: name structures (PDB, mmCIF) or maps (MRC), as in cryodeco simulate A.pdb B.pdb --outdir DIR");
    if (!o->outdir)
        return deco_fail(DECO_E_ARGUMENT, "outdir is not given: name a directory for the simulated project with --outdir DIR");
    if (o->motion && o->from.count != 2)
        return deco_fail(DECO_E_ARGUMENT, "motion goes between two conformations, but from names %" PRId64, o->from.count);
    if (o->class_weights.count && (o->motion || o->class_weights.count != o->from.count))
        return deco_fail(DECO_E_ARGUMENT,
                         "class_weights has %" PRId64 " numbers; one is needed for each class, and with motion there are none",
                         o->class_weights.count);
    double sum = 0;
    for (int64_t i = 0; i < o->class_weights.count; i++) {
        double weight = 0;
        option_read_real(&weight, o->class_weights.items[i]);
        sum += weight;
    }
    if (o->class_weights.count && !(sum > 0))
        return deco_fail(DECO_E_ARGUMENT, "class_weights are all 0; one must be above 0");
    if (o->defocus_min_A > o->defocus_max_A)
        return deco_fail(DECO_E_ARGUMENT, "defocus_min_A is %g, above defocus_max_A, %g", o->defocus_min_A, o->defocus_max_A);
    return check_simulated_box(o);
}

/* What is meant is a run and some of its particles, or an input and some of its rows. */
static deco_status check_subset_source(const deco_options *o)
{
    bool chooses = o->labels.count || o->uids || o->rows || o->star || o->selection;

    if (!o->outdir && !o->particles.count)
        return deco_fail(DECO_E_ARGUMENT,
                         "nothing to take particles from: name a run, as in cryodeco subset OUTDIR --labels 0 --output PATH, or "
                         "an input with --particles JOB");
    if (o->outdir && o->particles.count)
        return deco_fail(DECO_E_ARGUMENT, "both a run (%s) and an input (--particles) are named; the run knows its input: leave one out",
                         o->outdir);
    if (o->outdir && o->ind)
        return deco_fail(DECO_E_ARGUMENT, "ind chooses rows of an input; of a run's particles --rows does");
    if (o->outdir && !chooses)
        return deco_fail(DECO_E_ARGUMENT, "nothing says which particles of %s: give --labels, --uids, --rows, --star or --selection",
                         o->outdir);
    if (!o->outdir && o->selection)
        return deco_fail(DECO_E_ARGUMENT, "a selection belongs to a run: name it, as in cryodeco subset OUTDIR --selection %s",
                         o->selection);
    if (!o->outdir && (o->analysis || deco_option_given(o, DECO_OPT_k_num)))
        return deco_fail(DECO_E_ARGUMENT, "%s belongs to a run, but none is named", o->analysis ? "analysis" : "k_num");
    if (!o->outdir && o->labels.count && !o->labels_from)
        return deco_fail(DECO_E_ARGUMENT, "labels are a run's; without one, --labels_from names the file that they stand in");
    if (o->labels_from && !o->labels.count)
        return deco_fail(DECO_E_ARGUMENT, "labels_from is given, but not which labels: --labels 0,2");
    return DECO_OK;
}

static deco_status check_subset(const deco_options *o)
{
    if (!o->output)
        return deco_fail(DECO_E_ARGUMENT, "output is not given: --output PATH makes PATH.cs, PATH.csg and PATH.star");
    if (!*o->output || o->output[strlen(o->output) - 1] == '/' || deco_path_name(o->output)[0] == '.')
        return deco_fail(DECO_E_ARGUMENT, "output is '%s'; it must end in the subset's name, as in states/open", o->output);
    if (!o->forms.count || (deco_list_has(&o->forms, "csg") && !deco_list_has(&o->forms, "cs")))
        return deco_fail(DECO_E_ARGUMENT, o->forms.count ? "forms has csg without cs: a .csg file only points to the .cs beside it"
                                                         : "forms is empty; there are cs, csg and star");
    if (!o->original && (deco_option_given(o, DECO_OPT_match)))
        return deco_fail(DECO_E_ARGUMENT, "match says how original is joined, but original is not given");
    return check_subset_source(o);
}

static deco_status check_encode(const deco_options *o)
{
    if (!o->outdir)
        return deco_fail(DECO_E_ARGUMENT,
                         "outdir is not given: name a finished run, as in cryodeco encode OUTDIR --particles JOB --output DIR");
    if (o->particles.count != 1)
        return deco_fail(DECO_E_ARGUMENT,
                         "particles names %" PRId64 " inputs; encode takes one CryoSPARC job directory or .cs file: --particles PATH",
                         o->particles.count);
    if (!o->output || !*o->output)
        return deco_fail(DECO_E_ARGUMENT, "output is not given: name a directory for conf.npy with --output DIR");
    return check_device(o);
}

static deco_status check_score(const deco_options *o)
{
    if (!o->outdir)
        return deco_fail(DECO_E_ARGUMENT, "outdir is not given: name the run to score, as in cryodeco score OUTDIR --truth DIR");
    if (!o->truth == !o->labels_evaluate)
        return deco_fail(DECO_E_ARGUMENT, "give either truth, the directory with truth.json of a simulated set, or labels_evaluate, an "
                                          ".npy of true labels");
    return DECO_OK;
}

static deco_status check_decode(const deco_options *o)
{
    if (!o->outdir)
        return deco_fail(DECO_E_ARGUMENT, "outdir is not given: name the run, as in cryodeco decode OUTDIR --at 0,7 --output DIR");
    if (!o->output || !*o->output)
        return deco_fail(DECO_E_ARGUMENT, "output is not given: name a directory for the maps with --output DIR");
    if (!o->z == !o->at.count)
        return deco_fail(DECO_E_ARGUMENT, "give either at, the numbers of particles, or z, a file of latents");
    return check_device(o);
}

deco_status deco_options_check(const deco_options *o, int command)
{
    switch (command) {
    case DECO_FOR_RUN: return check_run(o);
    case DECO_FOR_ANALYZE: return check_analyze(o);
    case DECO_FOR_SIMULATE: return check_simulate(o);
    case DECO_FOR_SUBSET: return check_subset(o);
    case DECO_FOR_INFO:
        if (!o->particles.count)
            return deco_fail(DECO_E_ARGUMENT, "info needs what to look at: a CryoSPARC job directory, a .cs, .csg or .star file");
        return o->forecast ? check_training(o) : check_input(o);
    case DECO_FOR_BENCH: return check_device(o);
    case DECO_FOR_CACHE: return check_cache(o);
    case DECO_FOR_SCORE: return check_score(o);
    case DECO_FOR_DECODE: return check_decode(o);
    case DECO_FOR_ENCODE: return check_encode(o);
    default: return DECO_OK;
    }
}
