/* What the code of a device is given and gives, be it in this library or in one of its own that is opened at run time.
 *
 * A device "name" or "name:N" other than the CPU is looked for in libcryodeco_<name>.so, beside this library and then where the system's
 * loader looks. Read by C++ as well. */
#ifndef DECO_COMPUTE_BACKEND_H
#define DECO_COMPUTE_BACKEND_H

#include "compute/ops.h"

typedef struct deco_ops deco_ops; /* the table: table.h */

typedef deco_status deco_op_2(deco_device *, deco_array, deco_array);
typedef deco_status deco_op_3(deco_device *, deco_array, deco_array, deco_array);
typedef deco_status deco_op_4(deco_device *, deco_array, deco_array, deco_array, deco_array);
typedef deco_status deco_op_5(deco_device *, deco_array, deco_array, deco_array, deco_array, deco_array);
typedef deco_status deco_op_6(deco_device *, deco_array, deco_array, deco_array, deco_array, deco_array, deco_array);
typedef deco_status deco_op_7(deco_device *, deco_array, deco_array, deco_array, deco_array, deco_array, deco_array, deco_array);

/* What every backend's create and destroy begin and end with. `pool` is taken, also when the call fails. */
deco_status deco_device_begin(deco_device *dev, const deco_ops *ops, deco_pool *pool, const char *name);
void deco_device_end(deco_device *dev);

/* Device memory for the length of one call, not cleared. Blocks are kept and lent again, so that a step that has run once does not
 * allocate; calls from several threads get blocks of their own. Give every block back (give takes NULL). */
deco_status deco_scratch_take(deco_device *dev, void *out_pointer, size_t bytes, const char *what);
void deco_scratch_give(deco_device *dev, void *p);

/* ---- a library of its own ----------------------------------------------------------------------------------------------- */

/* Goes up with every change of this file, table.h or a structure that an operation takes. */
enum { DECO_BACKEND_VERSION = 2 };

/* What the library may call here: it sees none of our symbols. */
typedef struct deco_backend_host {
    deco_status (*begin)(deco_device *dev, const deco_ops *ops, deco_pool *pool, const char *name);
    void (*end)(deco_device *dev);
    deco_status (*scratch_take)(deco_device *dev, void *out_pointer, size_t bytes, const char *what);
    void (*scratch_give)(deco_device *dev, void *p);
    void (*pool_free)(deco_pool *pool);
    void (*say)(const char *message); /* this thread's message */
    const deco_ops *composed;         /* the blocks made of primitives; its other slots are NULL */
} deco_backend_host;

/* `version` and the sizes are looked at before anything else is. */
typedef struct deco_backend {
    int version;
    size_t ops_bytes, device_bytes;

    /* How many cards this process may use: 0 where there is none. Fails: DEVICE (what is found, what is needed). */
    deco_status (*cards)(int *count);
    /* Card number `card`; `pool` is taken, also when the call fails. */
    deco_status (*create)(deco_device **out, int card, deco_pool *pool);
} deco_backend;

/* The library's one symbol, `cryodeco_backend`. `host` outlives it. */
typedef const deco_backend *deco_backend_entry(const deco_backend_host *host);

/* A device by name. `threads` as for deco_device_create. */
deco_status deco_backend_create(deco_device **out, const char *name, int threads);
/* "auto": a device on a card where there is one, *out NULL where there is none. Fails where there is one that cannot be used. Where nothing
 * speaks of a card, no library is opened: that costs 60 ms with all that it needs. */
deco_status deco_backend_best(deco_device **out, int threads);

/* Where the system lists its PCI devices, and its device files; tests name other places. */
extern const char *deco_pci_devices, *deco_device_files;

#endif
