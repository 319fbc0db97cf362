// A device that fails: while the file named by CAMBIUM_EIO exists, every sync reports EIO. For LD_PRELOAD.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int is_broken(void) {
    const char *flag = getenv("CAMBIUM_EIO");
    return flag && access(flag, F_OK) == 0;
}

int fdatasync(int file) {
    static int (*real)(int);
    if (is_broken()) { errno = EIO; return -1; }
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return real(file);
}

int fsync(int file) {
    static int (*real)(int);
    if (is_broken()) { errno = EIO; return -1; }
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(file);
}
