/* Fibres that stay on one thread of the host: made once with ucontext, then switched with setjmp and longjmp, which cost 10 ns where swapcontext
 * asks the kernel for the signal mask. The address sanitizer is told of every switch. */
#ifndef DECO_EMULATION_FIBRES_H
#define DECO_EMULATION_FIBRES_H

typedef struct fibre fibre;

/* A fibre of this thread, at rest; kept for the life of the thread. */
fibre *fibre_take(void);
void fibre_give(fibre *f);

/* Runs work(context) on the fibre until it calls fibre_pause (false) or returns (true). The first call after fibre_take starts it. */
bool fibre_run(fibre *f, void (*work)(void *), void *context);
void fibre_pause(void);

#endif
