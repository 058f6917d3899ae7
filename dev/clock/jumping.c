/* A wall clock that jumps, for a process and its children (LD_PRELOAD): it is ahead of the
 * real one by the seconds that stand in the file $CLOCK_AHEAD, as a 64-bit number, and
 * whoever writes there makes it jump. The monotonic clock goes on as it does.
 *
 * Who waits on a condition until a time of the wall clock, as librdkafka does, waits
 * longer when it is set back: as it would be with the real one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define SLICE_NS 10000000L

static const volatile int64_t *ahead;

__attribute__((constructor)) static void look_at_the_file(void) {
    const char *path = getenv("CLOCK_AHEAD");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) ahead = map;
    if (file >= 0) close(file);
}

static int real_time(clockid_t clock, struct timespec *at) {
    return (int)syscall(SYS_clock_gettime, clock, at);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = real_time(clock, at);
    if (!failed && ahead && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        at->tv_sec += *ahead;
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

static int is_before(const struct timespec *one, const struct timespec *two) {
    return one->tv_sec != two->tv_sec ? one->tv_sec < two->tv_sec : one->tv_nsec < two->tv_nsec;
}

/* In slices, for the kernel knows nothing of our clock. */
int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict lock, const struct timespec *restrict until) {
    static int (*real)(cnd_t *, mtx_t *, const struct timespec *);
    struct timespec now, slice;
    int ended;
    if (!real) real = (int (*)(cnd_t *, mtx_t *, const struct timespec *))dlsym(RTLD_NEXT, "cnd_timedwait");
    do {
        clock_gettime(CLOCK_REALTIME, &now);
        if (!is_before(&now, until)) return thrd_timedout;
        real_time(CLOCK_REALTIME, &slice);
        slice.tv_nsec += SLICE_NS;
        if (now.tv_sec == until->tv_sec && until->tv_nsec - now.tv_nsec < SLICE_NS)
            slice.tv_nsec += until->tv_nsec - now.tv_nsec - SLICE_NS;
        slice.tv_sec += slice.tv_nsec / 1000000000L;
        slice.tv_nsec %= 1000000000L;
        ended = real(condition, lock, &slice);
    } while (ended == thrd_timedout);
    return ended;
}
