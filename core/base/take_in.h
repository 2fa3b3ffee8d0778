/* A file's bytes in the library: TAKE_IN(name, "path") defines name and name_end, which a declaration makes known to C. A zero follows them. */
#ifndef DECO_BASE_TAKE_IN_H
#define DECO_BASE_TAKE_IN_H

#define TAKE_IN(name, path) \
    __asm__(".section .rodata\n.global " #name "\n.hidden " #name "\n.global " #name "_end\n.hidden " #name "_end\n" #name \
            ":\n.incbin \"" path "\"\n" #name "_end:\n.byte 0\n.text\n")

#endif
