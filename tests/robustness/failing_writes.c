/* Makes the writes of a process to regular files fail from the n-th on, as on a full or broken
 * disk. Build: cc -shared -fPIC -o failing_writes.so failing_writes.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long writes;
static long first_failing;
static int failure;

/* Counts from now on, and fails from the n-th write on; never if n is 0. */
void arm(long n, int error) { writes = 0; first_failing = n; failure = error; }

long count(void) { return writes; }

static int fails(int file) {
    struct stat status;
    int saved = errno;
    if (fstat(file, &status) || !S_ISREG(status.st_mode)) { errno = saved; return 0; }
    errno = saved;
    if (++writes < first_failing || !first_failing) return 0;
    errno = failure;
    return 1;
}

#define WRAP(type, name, parameters, file, arguments)                  \
    type name parameters {                                             \
        static type (*real) parameters;                                \
        if (!real) real = (type (*) parameters) dlsym(RTLD_NEXT, #name); \
        return fails(file) ? -1 : real arguments;                      \
    }

WRAP(ssize_t, write, (int f, const void *b, size_t n), f, (f, b, n))
WRAP(ssize_t, writev, (int f, const struct iovec *v, int n), f, (f, v, n))
WRAP(ssize_t, pwrite, (int f, const void *b, size_t n, off_t o), f, (f, b, n, o))
WRAP(ssize_t, pwrite64, (int f, const void *b, size_t n, off64_t o), f, (f, b, n, o))
WRAP(ssize_t, sendfile, (int f, int i, off_t *o, size_t n), f, (f, i, o, n))
WRAP(ssize_t, sendfile64, (int f, int i, off64_t *o, size_t n), f, (f, i, o, n))
WRAP(ssize_t, copy_file_range,
     (int i, off64_t *p, int f, off64_t *o, size_t n, unsigned int s), f, (i, p, f, o, n, s))
WRAP(int, ftruncate, (int f, off_t n), f, (f, n))
WRAP(int, ftruncate64, (int f, off64_t n), f, (f, n))
WRAP(int, fsync, (int f), f, (f))
