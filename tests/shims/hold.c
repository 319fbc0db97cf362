/* Flushes to disk wait while the file named by CAMBIUM_HOLD exists: what is on its way stays on its way. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void wait_while_held(void) {
  const char *flag = getenv("CAMBIUM_HOLD");
  struct timespec pause = {0, 1000000};
  while (flag && access(flag, F_OK) == 0) nanosleep(&pause, NULL);
}

#define HELD(name)                                           \
  int name(int file) {                                       \
    static int (*real)(int);                                 \
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name); \
    wait_while_held();                                       \
    return real(file);                                       \
  }

HELD(fsync)
HELD(fdatasync)
