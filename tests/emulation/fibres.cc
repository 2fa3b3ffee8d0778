#include "fibres.h"

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <ucontext.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#else
static void __sanitizer_start_switch_fiber(void **, const void *, size_t) {}
static void __sanitizer_finish_switch_fiber(void *, const void **, size_t *) {}
#endif

enum { STACK = 128 << 10 };

struct fibre {
    jmp_buf at;
    ucontext_t start;
    void *stack, *fake;
    void (*work)(void *);
    void *context;
    bool done;
};

/* The stack that this thread's fibres come back to. */
struct scheduler {
    jmp_buf home;
    const void *home_stack;
    size_t home_size;
    void *home_fake;
    fibre *current;
};
static thread_local scheduler here;

struct fibres {
    std::vector<fibre *> idle;
    ~fibres()
    {
        for (fibre *f : idle) {
            free(f->stack);
            delete f;
        }
    }
};
static thread_local fibres kept;

__attribute__((noinline)) static void go_home(fibre *f)
{
    if (!_setjmp(f->at)) {
        __sanitizer_start_switch_fiber(&f->fake, here.home_stack, here.home_size);
        _longjmp(here.home, 1);
    }
    __sanitizer_finish_switch_fiber(f->fake, &here.home_stack, &here.home_size);
}

static void fibre_main()
{
    fibre *f = here.current;
    __sanitizer_finish_switch_fiber(nullptr, &here.home_stack, &here.home_size);
    for (;;) {
        f->done = true;
        go_home(f);
        f->work(f->context);
    }
}

__attribute__((noinline)) static void enter(fibre *volatile f, ucontext_t *first)
{
    here.current = f;
    if (!_setjmp(here.home)) {
        __sanitizer_start_switch_fiber(&here.home_fake, f->stack, STACK);
        if (first)
            setcontext(first);
        _longjmp(f->at, 1);
    }
    __sanitizer_finish_switch_fiber(here.home_fake, nullptr, nullptr);
    here.current = nullptr;
}

__attribute__((noinline)) static fibre *make_fibre()
{
    fibre *f = new fibre();
    ucontext_t *first = &f->start;
    f->stack = malloc(STACK);
    if (!f->stack || getcontext(first)) {
        fprintf(stderr, "emulation: no memory for a fibre\n");
        abort();
    }
    first->uc_stack.ss_sp = f->stack;
    first->uc_stack.ss_size = STACK;
    first->uc_link = nullptr;
    makecontext(first, fibre_main, 0);
    enter(f, first); /* to its first rest */
    return f;
}

fibre *fibre_take()
{
    if (kept.idle.empty())
        return make_fibre();
    fibre *f = kept.idle.back();
    kept.idle.pop_back();
    return f;
}

void fibre_give(fibre *f) { kept.idle.push_back(f); }

bool fibre_run(fibre *f, void (*work)(void *), void *context)
{
    if (f->done) {
        f->work = work;
        f->context = context;
        f->done = false;
    }
    enter(f, nullptr);
    return f->done;
}

void fibre_pause() { go_home(here.current); }
