/* A disk that fails on purpose and a clock that is wrong on purpose, preloaded into a program by tests.
 *
 * It counts the write points of one folder: every write, truncation, sync, rename, and every file or folder that is made
 * or removed. Those that FAULT_OP and FAULT_FILE name have numbers from 1. At the point FAULT_AT, and the FAULT_SPAN - 1 after:
 *
 *   enospc, eio   that call fails so; of a write on a full disk the first half is written, of all else nothing
 *   cut           the power goes: what no sync had covered is taken back, but for a part drawn by FAULT_SEED (a disk
 *                 writes in whatever order it likes), and the process is killed
 *
 * FAULT_FOLDER  the folder; FAULT_EXCEPT is a pattern of names in it that are passed over
 * FAULT_OP      write, truncate, sync, rename, create or remove; all without it
 * FAULT_FILE    a pattern (fnmatch) over the path within the folder; all without it
 * FAULT_KEEP    how many of three uncovered changes reach the disk before a cut, on average: 0 to 3
 * FAULT_ARM     counts only once that file is there; without it, from the beginning
 * FAULT_TRACE   a file to which each point is written, `operation path` in a line
 * FAULT_HIT     a file that is made when the first point is hit
 * CLOCK_FILE    a file of eight bytes: by how many seconds the wall clock is wrong, as a signed number; it is mapped
 *
 * A sync covers its file; that a file was made, renamed or removed is covered by a sync of its folder, and may or may not have
 * reached the disk before. Memory that is mapped and shared is not followed: SQLite's shared-memory file is made anew
 * after a power cut anyway.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum what { WROTE, TRUNCATED, RENAMED, MADE, REMOVED };

/* One change that no sync has covered yet, with what stood there before. */
struct change {
    struct change *older;
    enum what what;
    char path[PATH_MAX];
    char other[PATH_MAX]; /* where a renamed file came from */
    char kept[PATH_MAX];  /* another name of the file that a rename replaced or that was removed, or empty */
    off_t at;
    size_t length, before_length;
    off_t before_size;
    unsigned char *bytes, *before;
};

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct change *newest;
static const char *folder, *except, *operation, *file, *arm, *kind, *hit;
static long at_point = -1, span = 1, point;
static unsigned seed = 1, keep = 1;
static unsigned long kept_files;
static int trace = -1;
static const volatile int64_t *wrong_by;
static __thread int inside;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

static int real_open(const char *path, int flags, mode_t mode) {
    return ((int (*)(const char *, int, ...))real("open"))(path, flags, mode);
}

__attribute__((constructor)) static void begin(void) {
    folder = getenv("FAULT_FOLDER");
    except = getenv("FAULT_EXCEPT");
    operation = getenv("FAULT_OP");
    file = getenv("FAULT_FILE");
    arm = getenv("FAULT_ARM");
    kind = getenv("FAULT_KIND");
    hit = getenv("FAULT_HIT");
    if (getenv("FAULT_AT")) at_point = atol(getenv("FAULT_AT"));
    if (getenv("FAULT_SPAN")) span = atol(getenv("FAULT_SPAN"));
    if (getenv("FAULT_SEED")) seed = (unsigned)atol(getenv("FAULT_SEED"));
    if (getenv("FAULT_KEEP")) keep = (unsigned)atol(getenv("FAULT_KEEP"));
    if (getenv("FAULT_TRACE")) trace = real_open(getenv("FAULT_TRACE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (getenv("CLOCK_FILE")) {
        int fd = real_open(getenv("CLOCK_FILE"), O_RDONLY | O_CLOEXEC, 0);
        void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *wrong_by, PROT_READ, MAP_SHARED, fd, 0);
        if (mapped == MAP_FAILED) abort();
        wrong_by = mapped;
        close(fd);
    }
}

/* The part of a path that is within the folder; NULL where it is not, or is passed over. */
static const char *within(const char *path) {
    size_t length = folder ? strlen(folder) : 0;
    if (!length || strncmp(path, folder, length) != 0 || path[length] != '/') return NULL;
    const char *name = path + length + 1;
    if (strstr(name, "-shm") || (except && fnmatch(except, name, 0) == 0)) return NULL;
    return name;
}

/* The path of a descriptor of ours; 0 where it is none. */
static int of(int fd, char path[PATH_MAX]) {
    char name[64];
    if (!folder) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    /* A folder itself is synced by its own name. */
    return within(path) != NULL || strcmp(path, folder) == 0;
}

static void forget(struct change *change) {
    if (change->kept[0]) REAL(unlink)(change->kept);
    free(change->bytes);
    free(change->before);
    free(change);
}

static void restore_bytes(const char *path, off_t at, const unsigned char *bytes, size_t length) {
    int fd = real_open(path, O_WRONLY, 0);
    if (fd < 0) return;
    while (length) {
        ssize_t done = REAL(pwrite)(fd, bytes, length, at);
        if (done <= 0) break;
        bytes += done;
        at += done;
        length -= (size_t)done;
    }
    close(fd);
}

static void undo(struct change *change) {
    switch (change->what) {
    case WROTE:
    case TRUNCATED:
        REAL(truncate)(change->path, change->before_size);
        restore_bytes(change->path, change->at, change->before, change->before_length);
        break;
    case RENAMED:
        REAL(rename)(change->path, change->other);
        if (change->kept[0]) REAL(rename)(change->kept, change->path);
        change->kept[0] = 0;
        break;
    case MADE:
        /* Its content may be synced, and its name not: both come back together or not at all. */
        snprintf(change->kept, sizeof change->kept, "%s.kept-%lu", folder, ++kept_files);
        if (REAL(rename)(change->path, change->kept) != 0) change->kept[0] = 0;
        break;
    case REMOVED:
        if (change->kept[0]) REAL(rename)(change->kept, change->path);
        change->kept[0] = 0;
        break;
    }
}

static void redo(struct change *change) {
    if (change->what == WROTE) restore_bytes(change->path, change->at, change->bytes, change->length);
    if (change->what == TRUNCATED) REAL(truncate)(change->path, change->at);
    if (change->what == RENAMED) REAL(rename)(change->other, change->path);
    if (change->what == REMOVED) REAL(unlink)(change->path);
    if (change->what == MADE && change->kept[0]) REAL(rename)(change->kept, change->path);
}

/* The power goes. Everything uncovered is taken back, newest first; then a part of it had reached the disk after all. */
static void cut(void) {
    size_t many = 0;
    for (struct change *change = newest; change; change = change->older) {
        undo(change);
        many++;
    }
    struct change **oldest_first = calloc(many + 1, sizeof *oldest_first);
    size_t place = many;
    for (struct change *change = newest; change; change = change->older) oldest_first[--place] = change;
    for (size_t next = 0; next < many; next++) {
        seed = seed * 1103515245u + 12345u;
        if ((seed >> 16) % 3 < keep) redo(oldest_first[next]);
    }
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Counts a write point; true when this call has to fail. */
static int fails(const char *what, const char *path) {
    const char *name = strcmp(path, folder) == 0 ? "." : within(path);
    if (!name || (arm && access(arm, F_OK) != 0)) return 0;
    if ((operation && strcmp(operation, what) != 0) || (file && fnmatch(file, name, 0) != 0)) return 0;
    point++;
    if (trace >= 0) {
        char line[PATH_MAX + 32];
        int length = snprintf(line, sizeof line, "%s %s\n", what, name);
        if (length > 0) (void)!REAL(write)(trace, line, (size_t)length);
    }
    if (!kind || at_point < 0 || point < at_point || point >= at_point + span) return 0;
    if (hit) close(real_open(hit, O_WRONLY | O_CREAT, 0600));
    if (strcmp(kind, "cut") == 0) cut();
    errno = strcmp(kind, "eio") == 0 ? EIO : ENOSPC;
    return 1;
}

static int half_written(void) { return kind && strcmp(kind, "enospc") == 0; }

/* Notes what stands where a change is about to be made. */
static struct change *note(enum what what, const char *path, off_t at, size_t length) {
    if (!kind || strcmp(kind, "cut") != 0) return NULL;
    struct stat now;
    struct change *change = calloc(1, sizeof *change);
    if (!change) abort();
    change->what = what;
    change->at = at;
    change->length = length;
    snprintf(change->path, sizeof change->path, "%s", path);
    if (what == WROTE || what == TRUNCATED) {
        if (stat(path, &now) == 0) change->before_size = now.st_size;
        off_t end = what == TRUNCATED ? change->before_size : at + (off_t)length;
        if (end > change->before_size) end = change->before_size;
        if (end > at) {
            change->before = malloc((size_t)(end - at));
            int fd = real_open(path, O_RDONLY, 0);
            ssize_t had = fd < 0 ? 0 : pread(fd, change->before, (size_t)(end - at), at);
            change->before_length = had > 0 ? (size_t)had : 0;
            if (fd >= 0) close(fd);
        }
    }
    change->older = newest;
    newest = change;
    return change;
}

static void take_back(struct change *change) {
    if (!change) return;
    newest = change->older;
    forget(change);
}

/* Keeps a file that is about to lose its name. */
static void keep_name(struct change *change, const char *path) {
    if (!change) return;
    snprintf(change->kept, sizeof change->kept, "%s.kept-%lu", folder, ++kept_files);
    if (REAL(link)(path, change->kept) != 0) change->kept[0] = 0;
}

/* The newest change was made in full or in part, or not at all. */
static void made(struct change *change, ssize_t done, const struct iovec *parts, int count) {
    if (!change) return;
    if (done <= 0) {
        take_back(change);
        return;
    }
    change->length = (size_t)done;
    change->bytes = malloc((size_t)done);
    size_t filled = 0;
    for (int part = 0; part < count && filled < (size_t)done; part++) {
        size_t length = parts[part].iov_len;
        if (length > (size_t)done - filled) length = (size_t)done - filled;
        memcpy(change->bytes + filled, parts[part].iov_base, length);
        filled += length;
    }
}

static int is_in(const char *path, const char *above, size_t length) {
    return strncmp(path, above, length) == 0 && path[length] == '/' && strchr(path + length + 1, '/') == NULL;
}

static void covered(const char *path) {
    struct stat synced;
    int is_folder = stat(path, &synced) == 0 && S_ISDIR(synced.st_mode);
    size_t length = strlen(path);
    struct change **link = &newest;
    while (*link) {
        struct change *change = *link;
        int of_names = change->what == RENAMED || change->what == MADE || change->what == REMOVED;
        int here = is_folder ? of_names && is_in(change->path, path, length)
                             : !of_names && strcmp(change->path, path) == 0;
        if (here) {
            /* What was written under the old name and never synced is now under the new one for good. */
            for (struct change *older = change->older; older && change->what == RENAMED; older = older->older)
                if ((older->what == WROTE || older->what == TRUNCATED) && strcmp(older->path, change->other) == 0)
                    memcpy(older->path, change->path, sizeof older->path);
            *link = change->older;
            forget(change);
        } else {
            link = &change->older;
        }
    }
}

#define GUARDED(fd, path, ours, otherwise)                                                                             \
    char path[PATH_MAX];                                                                                               \
    if (inside || !of(fd, path)) return otherwise;                                                                     \
    inside = 1;                                                                                                        \
    pthread_mutex_lock(&lock);                                                                                         \
    ours;                                                                                                              \
    pthread_mutex_unlock(&lock);                                                                                       \
    inside = 0;

#define NAMED(path, ours, otherwise)                                                                                   \
    if (inside || !within(path)) return otherwise;                                                                     \
    inside = 1;                                                                                                        \
    pthread_mutex_lock(&lock);                                                                                         \
    ours;                                                                                                              \
    pthread_mutex_unlock(&lock);                                                                                       \
    inside = 0;

static off_t place(int fd) {
    struct stat now;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &now) == 0 ? now.st_size : 0;
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t done = -1;
    int error = 0;
    GUARDED(fd, path, {
        if (!fails("write", path)) {
            size_t length = 0;
            for (int part = 0; part < count; part++) length += parts[part].iov_len;
            struct change *change = note(WROTE, path, place(fd), length);
            done = REAL(writev)(fd, parts, count);
            error = errno;
            made(change, done, parts, count);
        } else error = errno;
    }, REAL(writev)(fd, parts, count))
    errno = error;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t done = -1;
    int error = 0;
    struct iovec part = {(void *)bytes, length};
    GUARDED(fd, path, {
        if (!fails("write", path)) {
            struct change *change = note(WROTE, path, place(fd), length);
            done = REAL(write)(fd, bytes, length);
            error = errno;
            made(change, done, &part, 1);
        } else {
            error = errno;
            if (half_written()) (void)!REAL(write)(fd, bytes, length / 2);
        }
    }, REAL(write)(fd, bytes, length))
    errno = error;
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    ssize_t done = -1;
    int error = 0;
    struct iovec part = {(void *)bytes, length};
    GUARDED(fd, path, {
        if (!fails("write", path)) {
            struct change *change = note(WROTE, path, at, length);
            done = REAL(pwrite)(fd, bytes, length, at);
            error = errno;
            made(change, done, &part, 1);
        } else {
            error = errno;
            if (half_written()) (void)!REAL(pwrite)(fd, bytes, length / 2, at);
        }
    }, REAL(pwrite)(fd, bytes, length, at))
    errno = error;
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return pwrite(fd, bytes, length, at); }

int ftruncate(int fd, off_t size) {
    int done = -1, error = 0;
    GUARDED(fd, path, {
        if (!fails("truncate", path)) {
            struct change *change = note(TRUNCATED, path, size, 0);
            done = REAL(ftruncate)(fd, size);
            error = errno;
            if (done != 0) take_back(change);
        } else error = errno;
    }, REAL(ftruncate)(fd, size))
    errno = error;
    return done;
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int fsync(int fd) {
    int done = -1, error = 0;
    GUARDED(fd, path, {
        if (!fails("sync", path)) {
            done = REAL(fsync)(fd);
            error = errno;
            if (done == 0) covered(path);
        } else error = errno;
    }, REAL(fsync)(fd))
    errno = error;
    return done;
}

int fdatasync(int fd) {
    int done = -1, error = 0;
    GUARDED(fd, path, {
        if (!fails("sync", path)) {
            done = REAL(fdatasync)(fd);
            error = errno;
            if (done == 0) covered(path);
        } else error = errno;
    }, REAL(fdatasync)(fd))
    errno = error;
    return done;
}

int rename(const char *from, const char *to) {
    int done = -1, error = 0;
    NAMED(to, {
        if (!fails("rename", to)) {
            struct change *change = note(RENAMED, to, 0, 0);
            if (change) snprintf(change->other, sizeof change->other, "%s", from);
            keep_name(change, to);
            done = REAL(rename)(from, to);
            error = errno;
            if (done != 0) take_back(change);
        } else error = errno;
    }, REAL(rename)(from, to))
    errno = error;
    return done;
}

int link(const char *from, const char *to) {
    int done = -1, error = 0;
    NAMED(to, {
        if (!fails("create", to)) {
            done = REAL(link)(from, to);
            error = errno;
            if (done == 0) note(MADE, to, 0, 0);
        } else error = errno;
    }, REAL(link)(from, to))
    errno = error;
    return done;
}

int mkdir(const char *path, mode_t mode) {
    int done = -1, error = 0;
    NAMED(path, {
        if (access(path, F_OK) == 0) {
            error = EEXIST;
        } else if (!fails("create", path)) {
            done = REAL(mkdir)(path, mode);
            error = errno;
            if (done == 0) note(MADE, path, 0, 0);
        } else error = errno;
    }, REAL(mkdir)(path, mode))
    errno = error;
    return done;
}

static int removed(const char *path, int (*how)(const char *)) {
    int done = -1, error = 0;
    NAMED(path, {
        if (!fails("remove", path)) {
            struct change *change = note(REMOVED, path, 0, 0);
            keep_name(change, path);
            done = how(path);
            error = errno;
            if (done != 0) take_back(change);
        } else error = errno;
    }, how(path))
    errno = error;
    return done;
}

int unlink(const char *path) { return removed(path, REAL(unlink)); }

static int opened(const char *path, int flags, mode_t mode) {
    int done = -1, error = 0;
    if (!(flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE || access(path, F_OK) == 0) {
        /* What a truncation throws away here is not noted: nobody truncates what is worth keeping. */
        return real_open(path, flags, mode);
    }
    NAMED(path, {
        if (!fails("create", path)) {
            done = real_open(path, flags, mode);
            error = errno;
            if (done >= 0) note(MADE, path, 0, 0);
        } else error = errno;
    }, real_open(path, flags, mode))
    errno = error;
    return done;
}

#define MODE(flags, mode)                                                                                              \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                             \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode = va_arg(more, mode_t);                                                                                   \
        va_end(more);                                                                                                  \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, mode)
    return opened(path, flags | O_LARGEFILE, mode);
}

/* The wall clock, wrong by as much as the file says; what only counts on is right. */
int clock_gettime(clockid_t which, struct timespec *now) {
    int done = REAL(clock_gettime)(which, now);
    if (done == 0 && wrong_by && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) now->tv_sec += *wrong_by;
    return done;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int done = REAL(gettimeofday)(now, zone);
    if (done == 0 && wrong_by) now->tv_sec += *wrong_by;
    return done;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
