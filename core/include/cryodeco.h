/* cryodeco: structures, poses and states from single-particle images, with no starting model.
 *
 * The one public header, from simple to advanced:
 *   1. status and message        how every function fails
 *   2. options                   one table: names, types, defaults, ranges
 *   3. watching and stopping     log lines, progress, the stop flag
 *   4. jobs                      run, analyze, info, simulate: what the command line does
 *   5. a finished run            open it, see its arrays, decode a density map
 *   6. the plugin                what a host program needs to know
 *
 * The library never exits, never prints, installs no signal handler and changes no setting of the process. */
#ifndef CRYODECO_H
#define CRYODECO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DECO_API __attribute__((visibility("default")))

/* ---- 1. Status and message ------------------------------------------------------------------------------------- */

/* Codes are for programs, so there are few; the message is for people. */
typedef enum deco_status {
    DECO_OK = 0,
    DECO_E_ARGUMENT,    /* an option or an argument is wrong: name, value and range are in the message */
    DECO_E_FORMAT,      /* a file is there but its content cannot be used */
    DECO_E_FILE,        /* a file is missing, cannot be read, or cannot be written (disk full) */
    DECO_E_MEMORY,      /* no memory */
    DECO_E_DEVICE,      /* the device or its library failed */
    DECO_E_UNSUPPORTED, /* understood, but this version cannot do it; the message names what works instead */
    DECO_E_DIVERGED,    /* the loss became NaN or infinite */
    DECO_E_STOPPED      /* stopped on request, with a whole checkpoint on disk */
} deco_status;

/* The message of this thread's last failure: file, row, value, what to do. Never NULL; good until this thread's next
 * failing call. */
DECO_API const char *deco_error(void);

/* "0.1.0 (commit)"; static storage. */
DECO_API const char *deco_version(void);

/* ---- 2. Options ------------------------------------------------------------------------------------------------ */

/* Every setting of every command, by the names of `cryodeco options`. */
typedef struct deco_options deco_options;

/* All options at their defaults. Fails: MEMORY. */
DECO_API deco_status deco_options_create(deco_options **out);
DECO_API void deco_options_free(deco_options *o);

/* Set one option from text, as on the command line. '-' and '_' are the same in names.
 * Fails: ARGUMENT (unknown name, with the nearest ones; unreadable or out-of-range value), UNSUPPORTED. */
DECO_API deco_status deco_options_set(deco_options *o, const char *name, const char *value);

/* Read a command's arguments, argv[0] being the first of them: `--name value`, `--name=value`, `--config FILE`.
 * Order of force, whatever the order given: defaults, preset, config, command line.
 * `command` is "run", "analyze" ...; words that are no options fill its positional option. Fails: as deco_options_set; FILE, FORMAT (config). */
DECO_API deco_status deco_options_parse(deco_options *o, const char *command, int argc, char *const *argv);

/* The help of one command, or with NULL the list of commands; with `table` the option table with defaults, ranges and
 * units. Free with deco_text_free. */
DECO_API deco_status deco_options_help(char **out, const char *command, bool table);
DECO_API void deco_text_free(char *text);

/* ---- 3. Watching and stopping ---------------------------------------------------------------------------------- */

typedef enum deco_level { DECO_LOG_DEBUG, DECO_LOG_INFO, DECO_LOG_WARNING, DECO_LOG_ERROR, DECO_LOG_PROGRESS } deco_level;

/* One line without its newline. PROGRESS lines replace one another on a terminal. Called from any thread, one at a
 * time; the text is the library's. */
typedef void (*deco_log_sink)(void *user, deco_level level, const char *line);

/* What a job tells its host, and how the host stops it. */
typedef struct deco_monitor deco_monitor;
DECO_API deco_status deco_monitor_create(deco_monitor **out, deco_log_sink sink, void *user);
DECO_API void deco_monitor_free(deco_monitor *m);

/* Whether the sink is a terminal: progress then comes every second, otherwise (the default) every half minute. */
DECO_API void deco_monitor_set_terminal(deco_monitor *m, bool terminal);

/* Ask the job to stop at its next step with a whole checkpoint. Safe from a signal handler and from any thread. */
DECO_API void deco_monitor_stop(deco_monitor *m);

/* Ask a run to write a checkpoint at its next step and go on. As safe. */
DECO_API void deco_monitor_checkpoint(deco_monitor *m);

/* How far the job's present phase is. */
typedef struct deco_progress {
    char what[128]; /* "epoch 3/12" */
    char unit[32];  /* "images" */
    int64_t done, total;
    double seconds; /* since the phase began */
} deco_progress;

/* Where the job stands at this moment, from any thread; false, and all zero, while no phase is at work. */
DECO_API bool deco_monitor_progress(deco_progress *out, deco_monitor *m);

/* ---- 4. Jobs --------------------------------------------------------------------------------------------------- */

/* Exit codes, the same for every command. */
enum {
    DECO_EXIT_DONE = 0,
    DECO_EXIT_FAILED = 1,       /* failed while running; what was whole stays whole */
    DECO_EXIT_BAD_INPUT = 2,    /* bad input or usage; nothing was written */
    DECO_EXIT_CANCELLED = 3,    /* stopped from CryoSPARC */
    DECO_EXIT_NOT_STARTED = 4,  /* the CryoSPARC job could not start */
    DECO_EXIT_CHECKPOINTED = 75 /* stopped with a whole checkpoint: go on with --resume auto */
};

/* Run one command ("run", "analyze", "info", "simulate", "bench", "selftest", "options", "plugin", "subset") with its options, to
 * the end. `exit_code`, if not NULL, gets one of the codes above; text meant for stdout goes to *out (may be NULL;
 * free with deco_text_free). `monitor` may be NULL. */
DECO_API deco_status deco_command_run(const char *command, const deco_options *o, deco_monitor *monitor, char **out, int *exit_code);

/* How many processes of this machine are to work on the command together (--workers): a program that wants more than 1 starts them. */
DECO_API int deco_workers_wanted(const char *command, const deco_options *o);

/* Of processes that mpirun or srun started together: false in all but the first, which speaks for them of what all find wrong. */
DECO_API bool deco_worker_speaks(void);

/* One process at a time in a directory. */
typedef struct deco_lock deco_lock;

/* Takes DIRECTORY/run.lock, which says host and process, for as long as the process lives or until it is released. Its time is moved on every half
 * minute. What a killed process of this host left there is taken over with a line in the log. When somebody removes the file meanwhile, `monitor` (may
 * be NULL) is asked to stop. Fails: FILE (in use, and by whom; of another host: the time since its sign of life, and what to remove). */
DECO_API deco_status deco_lock_take(deco_lock **out, const char *directory, deco_monitor *monitor);

/* Removes the file. Takes NULL. */
DECO_API void deco_lock_release(deco_lock *lock);

/* ---- 5. A finished run ----------------------------------------------------------------------------------------- */

/* The trained model of a run directory. */
typedef struct deco_model deco_model;

/* Open the newest checkpoint of `outdir`, or the weights of `epoch` when it is not -2. `threads` 0: as many as this process
 * may use. Fails: FILE, FORMAT, MEMORY. */
DECO_API deco_status deco_model_open(deco_model **out, const char *outdir, int64_t epoch, int threads);
DECO_API void deco_model_free(deco_model *m);

DECO_API size_t deco_model_box(const deco_model *m);     /* D, pixels */
DECO_API size_t deco_model_latent(const deco_model *m);  /* Z */
DECO_API double deco_model_psize_A(const deco_model *m); /* Å per pixel of the box */

/* Decode the density of one state.
 *
 *   out  [D,D,D] f32  density, z slowest; protein is positive whatever the contrast of the images
 *   z    [Z] f32      latent, a row of conf.<epoch>.npy
 *
 * D is deco_model_box(m); the pixel size is deco_model_psize_A(m), in Å. Outside the training mask the transform is zero.
 * Fails: ARGUMENT (nz is not the model's Z), MEMORY, DEVICE; then `out` is unspecified.
 * One call per model at a time. METHOD.md section 7. */
DECO_API deco_status deco_volume_decode(float *out, deco_model *m, const float *z, size_t nz);

/* What a run directory holds of its particles. Arrays stay on disk until they are looked at. */
typedef struct deco_result deco_result;

/* Open `outdir`, or of it the state after `epoch` when that is not -2 (newest). `clustering` names a folder below outdir/out, as
 * "analysis_99/clustering8"; NULL: the last one made of that epoch, in the hand of the trained decoder, if there is any.
 * Fails: FILE (no run, no such epoch or clustering), MEMORY. */
DECO_API deco_status deco_result_open(deco_result **out, const char *outdir, int64_t epoch, const char *clustering);
DECO_API void deco_result_free(deco_result *r);

DECO_API int64_t deco_result_epoch(const deco_result *r);
DECO_API const char *deco_result_clustering(const deco_result *r); /* "analysis_99/clustering8", "" without one; borrowed */

/* The arrays of a result. Row i is the same particle in all of them: row i of the input, or with `ind` row ind[i]. */
typedef enum deco_result_array {
    DECO_RESULT_UID,        /* [N] u8, CryoSPARC's uids */
    DECO_RESULT_LATENTS,    /* [N,Z] f4 */
    DECO_RESULT_ROTATION,   /* [N,3,3] f4, of the maps of the clustering, if there is one; an image is the slice at c @ R */
    DECO_RESULT_SHIFT,      /* [N,2] f4, pixels of the box, x first; images are shifted by +shift */
    DECO_RESULT_LABELS,     /* [N] i4, cluster from 0 */
    DECO_RESULT_PROBABILITY /* [N,K] f4, a row adds up to 1 */
} deco_result_array;

/* A look at memory that its owner keeps: read only, C order, this machine's byte order. */
typedef struct deco_view {
    const void *data; /* never NULL */
    char dtype[32];   /* NumPy's name of the type, "<f4" */
    int dims;
    size_t shape[8];
} deco_view;

/* One array, without a copy; borrowed from `r`. From several threads one call at a time.
 * Fails: FILE, FORMAT (not there, cut, or not as many rows as there are particles). */
DECO_API deco_status deco_result_view(deco_view *out, deco_result *r, deco_result_array which);

/* The model that belongs to the result, as deco_model_open. */
DECO_API deco_status deco_result_model(deco_model **out, const deco_result *r, int threads);

/* ---- 6. The plugin --------------------------------------------------------------------------------------------- */

/* JSON: job type, input slots, parameters (from the option table), output groups. Free with deco_text_free. */
DECO_API deco_status deco_plugin_describe(char **out);

#ifdef __cplusplus
}
#endif
#endif
