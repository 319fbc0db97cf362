/* Makes every flush to disk take FLUSH_DELAY_US microseconds longer: what a slower disk would do to both sides of a comparison. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void delay(void) {
  static long microseconds = -1;
  if (microseconds < 0) {
    const char *text = getenv("FLUSH_DELAY_US");
    microseconds = text ? atol(text) : 0;
  }
  struct timespec pause = {microseconds / 1000000, (microseconds % 1000000) * 1000};
  nanosleep(&pause, NULL);
}

#define SLOW(name)                                  \
  int name(int file) {                              \
    static int (*real)(int);                        \
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name); \
    delay();                                        \
    return real(file);                              \
  }

SLOW(fsync)
SLOW(fdatasync)
