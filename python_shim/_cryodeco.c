/* _cryodeco: cryodeco.h for Python, and nothing more. Each function takes handles and addresses, releases the GIL, calls one function of the
 * library and turns its status into an exception of the package; the package around it has checked types, sizes and contiguity.
 *
 * Limited API of Python 3.9, which has no Py_buffer (3.11) and no Py_NewRef (3.10): arrays cross as addresses. No Python code runs in a thread
 * of the library: its log lines wait in a queue until the caller's thread fetches them. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cryodeco.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- handles ---- */

/* What a capsule holds. Threads and devices do not survive a fork, so a child may not use its parent's, not even to free them. */
typedef struct handle {
    pid_t process;
    void *object;
} handle;

/* deco_status → the package's exception with the library's message; always NULL. */
static PyObject *raise_status(deco_status st, const char *message)
{
    PyObject *module = PyImport_ImportModule("cryodeco._errors");
    PyObject *raiser = module ? PyObject_GetAttrString(module, "of_status") : NULL;
    PyObject *text = raiser ? PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace") : NULL;
    PyObject *error = text ? PyObject_CallFunction(raiser, "iO", (int)st, text) : NULL;

    if (error)
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    Py_XDECREF(text);
    Py_XDECREF(raiser);
    Py_XDECREF(module);
    return NULL;
}

/* The object behind a capsule, NULL with an exception. */
static void *object_of(PyObject *capsule, const char *name)
{
    handle *h = PyCapsule_GetPointer(capsule, name);

    if (!h)
        return NULL;
    if (h->process != getpid()) {
        raise_status(DECO_E_UNSUPPORTED,
                     "this object was made before a fork: threads and devices do not survive one; open it in this process, or "
                     "start processes with multiprocessing.get_context('spawn')");
        return NULL;
    }
    return h->object;
}

static PyObject *capsule_of(void *object, const char *name, PyCapsule_Destructor destroy, void (*undo)(void *))
{
    handle *h = malloc(sizeof *h);
    PyObject *capsule = NULL;

    if (h) {
        *h = (handle){getpid(), object};
        capsule = PyCapsule_New(h, name, destroy);
    } else {
        PyErr_NoMemory();
    }
    if (!capsule) {
        free(h);
        undo(object);
    }
    return capsule;
}

static void destroy(PyObject *capsule, const char *name, void (*undo)(void *))
{
    handle *h = PyCapsule_GetPointer(capsule, name);

    if (h && h->process == getpid())
        undo(h->object);
    free(h);
}

/* ---- watching a job ---- */

typedef struct line {
    struct line *next;
    deco_level level;
    char text[];
} line;

typedef struct watch {
    deco_monitor *monitor;
    pthread_mutex_t lock; /* of the queue */
    line *first, **end;
} watch;

static void keep_line(void *user, deco_level level, const char *text)
{
    watch *w = user;
    size_t n = strlen(text);
    line *l = malloc(sizeof *l + n + 1);

    if (!l)
        return;
    l->next = NULL;
    l->level = level;
    memcpy(l->text, text, n + 1);
    pthread_mutex_lock(&w->lock);
    *w->end = l;
    w->end = &l->next;
    pthread_mutex_unlock(&w->lock);
}

static line *take_lines(watch *w)
{
    pthread_mutex_lock(&w->lock);
    line *first = w->first;
    w->first = NULL;
    w->end = &w->first;
    pthread_mutex_unlock(&w->lock);
    return first;
}

static void free_lines(line *l)
{
    for (line *next; l; l = next) {
        next = l->next;
        free(l);
    }
}

static void free_watch(void *object)
{
    watch *w = object;

    deco_monitor_free(w->monitor);
    free_lines(w->first);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

#define WATCH "cryodeco.watch"
static void destroy_watch(PyObject *capsule) { destroy(capsule, WATCH, free_watch); }

static PyObject *py_watch(PyObject *self, PyObject *nothing)
{
    watch *w = calloc(1, sizeof *w);
    (void)self, (void)nothing;

    if (!w)
        return PyErr_NoMemory();
    w->end = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    deco_status st = deco_monitor_create(&w->monitor, keep_line, w);
    if (st) {
        free_watch(w);
        return raise_status(st, deco_error());
    }
    return capsule_of(w, WATCH, destroy_watch, free_watch);
}

static PyObject *py_stop(PyObject *self, PyObject *capsule)
{
    watch *w = object_of(capsule, WATCH);
    (void)self;

    if (!w)
        return NULL;
    deco_monitor_stop(w->monitor);
    return Py_BuildValue("");
}

static PyObject *py_lines(PyObject *self, PyObject *capsule)
{
    watch *w = object_of(capsule, WATCH);
    line *first = w ? take_lines(w) : NULL;
    PyObject *list = w ? PyList_New(0) : NULL;
    (void)self;

    for (line *l = first; list && l; l = l->next) {
        PyObject *text = PyUnicode_DecodeUTF8(l->text, (Py_ssize_t)strlen(l->text), "replace");
        PyObject *pair = text ? Py_BuildValue("iN", (int)l->level, text) : NULL;
        if (!pair || PyList_Append(list, pair)) {
            Py_DECREF(list);
            list = NULL;
        }
        Py_XDECREF(pair);
    }
    free_lines(first);
    return list;
}

static PyObject *py_progress(PyObject *self, PyObject *capsule)
{
    watch *w = object_of(capsule, WATCH);
    deco_progress p;
    (void)self;

    if (!w)
        return NULL;
    if (!deco_monitor_progress(&p, w->monitor))
        return Py_BuildValue("");
    return Py_BuildValue("ssLLd", p.what, p.unit, (long long)p.done, (long long)p.total, p.seconds);
}

/* ---- commands ---- */

/* argv of a list of str, for free_words. NULL with an exception. */
static char **words_of(PyObject *list, Py_ssize_t *count)
{
    *count = PyList_Size(list);
    char **words = *count < 0 ? NULL : calloc((size_t)*count + 1, sizeof *words);

    if (!words && *count >= 0)
        PyErr_NoMemory();
    for (Py_ssize_t i = 0; words && i < *count; i++) {
        PyObject *item = PyList_GetItem(list, i), *bytes = item ? PyUnicode_EncodeFSDefault(item) : NULL;
        const char *text = bytes ? PyBytes_AsString(bytes) : NULL;
        words[i] = text ? strdup(text) : NULL;
        if (text && !words[i])
            PyErr_NoMemory();
        Py_XDECREF(bytes);
        if (!words[i]) {
            while (i--)
                free(words[i]);
            free(words);
            words = NULL;
        }
    }
    return words;
}

static PyObject *py_command(PyObject *self, PyObject *args)
{
    const char *command;
    PyObject *list, *capsule;
    Py_ssize_t count;
    deco_options *options = NULL;
    char *text = NULL;
    int code = DECO_EXIT_BAD_INPUT;
    deco_status st;
    (void)self;

    if (!PyArg_ParseTuple(args, "sOO:command", &command, &list, &capsule))
        return NULL;
    watch *w = object_of(capsule, WATCH);
    char **words = w ? words_of(list, &count) : NULL;
    if (!words)
        return NULL;
    Py_BEGIN_ALLOW_THREADS st = deco_options_create(&options);
    if (!st)
        st = deco_options_parse(options, command, (int)count, words);
    if (!st)
        st = deco_command_run(command, options, w->monitor, &text, &code);
    Py_END_ALLOW_THREADS PyObject *result = st ? raise_status(st, deco_error()) : Py_BuildValue("zi", text, code);
    deco_text_free(text);
    deco_options_free(options);
    for (Py_ssize_t i = 0; i < count; i++)
        free(words[i]);
    free(words);
    return result;
}

/* ---- a finished run ---- */

#define RESULT "cryodeco.result"
static void free_result(void *object) { deco_result_free(object); }
static void destroy_result(PyObject *capsule) { destroy(capsule, RESULT, free_result); }

static PyObject *py_result(PyObject *self, PyObject *args)
{
    PyObject *outdir = NULL;
    const char *clustering;
    long long epoch;
    deco_result *r = NULL;
    deco_status st;
    (void)self;

    if (!PyArg_ParseTuple(args, "O&Lz:result", PyUnicode_FSConverter, &outdir, &epoch, &clustering))
        return NULL;
    const char *path = PyBytes_AsString(outdir);
    Py_BEGIN_ALLOW_THREADS st = deco_result_open(&r, path, epoch, clustering);
    Py_END_ALLOW_THREADS Py_DECREF(outdir);
    if (st)
        return raise_status(st, deco_error());
    PyObject *capsule = capsule_of(r, RESULT, destroy_result, free_result);
    return capsule ? Py_BuildValue("NLs", capsule, (long long)deco_result_epoch(r), deco_result_clustering(r)) : NULL;
}

/* Under the GIL all along, which makes it one call at a time. */
static PyObject *py_view(PyObject *self, PyObject *args)
{
    PyObject *capsule;
    int which;
    deco_view v;
    (void)self;

    if (!PyArg_ParseTuple(args, "Oi:view", &capsule, &which))
        return NULL;
    deco_result *r = object_of(capsule, RESULT);
    if (!r)
        return NULL;
    deco_status st = deco_result_view(&v, r, (deco_result_array)which);
    if (st)
        return raise_status(st, deco_error());
    PyObject *shape = PyTuple_New(v.dims);
    for (int d = 0; shape && d < v.dims; d++) {
        PyObject *n = PyLong_FromSize_t(v.shape[d]);
        if (!n || PyTuple_SetItem(shape, d, n)) {
            Py_DECREF(shape);
            shape = NULL;
        }
    }
    return shape ? Py_BuildValue("KsN", (unsigned long long)(uintptr_t)v.data, v.dtype, shape) : NULL;
}

#define MODEL "cryodeco.model"
static void free_model(void *object) { deco_model_free(object); }
static void destroy_model(PyObject *capsule) { destroy(capsule, MODEL, free_model); }

static PyObject *py_model(PyObject *self, PyObject *args)
{
    PyObject *capsule;
    int threads;
    deco_model *m = NULL;
    deco_status st;
    (void)self;

    if (!PyArg_ParseTuple(args, "Oi:model", &capsule, &threads))
        return NULL;
    deco_result *r = object_of(capsule, RESULT);
    if (!r)
        return NULL;
    Py_BEGIN_ALLOW_THREADS st = deco_result_model(&m, r, threads);
    Py_END_ALLOW_THREADS if (st) return raise_status(st, deco_error());
    capsule = capsule_of(m, MODEL, destroy_model, free_model);
    return capsule ? Py_BuildValue("Nnnd", capsule, (Py_ssize_t)deco_model_box(m), (Py_ssize_t)deco_model_latent(m), deco_model_psize_A(m))
                   : NULL;
}

static PyObject *py_decode(PyObject *self, PyObject *args)
{
    PyObject *capsule;
    unsigned long long out, z;
    Py_ssize_t nz;
    deco_status st;
    (void)self;

    if (!PyArg_ParseTuple(args, "KOKn:decode", &out, &capsule, &z, &nz))
        return NULL;
    deco_model *m = object_of(capsule, MODEL);
    if (!m)
        return NULL;
    Py_BEGIN_ALLOW_THREADS st = deco_volume_decode((float *)(uintptr_t)out, m, (const float *)(uintptr_t)z, (size_t)nz);
    Py_END_ALLOW_THREADS return st ? raise_status(st, deco_error()) : Py_BuildValue("");
}

#define LOCK "cryodeco.lock"
static void free_lock(void *object) { deco_lock_release(object); }
static void destroy_lock(PyObject *capsule) { destroy(capsule, LOCK, free_lock); }

static PyObject *py_lock(PyObject *self, PyObject *args)
{
    PyObject *directory = NULL;
    deco_lock *l = NULL;
    deco_status st;
    (void)self;

    if (!PyArg_ParseTuple(args, "O&:lock", PyUnicode_FSConverter, &directory))
        return NULL;
    const char *path = PyBytes_AsString(directory);
    Py_BEGIN_ALLOW_THREADS st = deco_lock_take(&l, path, NULL);
    Py_END_ALLOW_THREADS Py_DECREF(directory);
    return st ? raise_status(st, deco_error()) : capsule_of(l, LOCK, destroy_lock, free_lock);
}

static PyObject *py_version(PyObject *self, PyObject *nothing)
{
    (void)self, (void)nothing;
    return PyUnicode_FromString(deco_version());
}

static PyMethodDef methods[] = {
    {"version", py_version, METH_NOARGS, "version() -> str"},
    {"watch", py_watch, METH_NOARGS, "watch() -> handle of a job's monitor"},
    {"stop", py_stop, METH_O, "stop(watch): ask the job to stop with a whole checkpoint"},
    {"lines", py_lines, METH_O, "lines(watch) -> [(level, text)] since the last call"},
    {"progress", py_progress, METH_O, "progress(watch) -> (what, unit, done, total, seconds) or None"},
    {"command", py_command, METH_VARARGS, "command(name, words, watch) -> (text, exit code)"},
    {"result", py_result, METH_VARARGS, "result(outdir, epoch, clustering) -> (handle, epoch, clustering)"},
    {"view", py_view, METH_VARARGS, "view(result, which) -> (address, typestr, shape)"},
    {"model", py_model, METH_VARARGS, "model(result, threads) -> (handle, D, Z, psize_A)"},
    {"decode", py_decode, METH_VARARGS, "decode(address of [D,D,D] f4, model, address of [Z] f4, Z)"},
    {"lock", py_lock, METH_VARARGS, "lock(directory) -> handle that holds directory/run.lock while it lives"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_cryodeco", "cryodeco.h for the package cryodeco.", 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__cryodeco(void); /* older headers do not declare it */
PyMODINIT_FUNC PyInit__cryodeco(void) { return PyModuleDef_Init(&definition); }
