/* A disk that fails on purpose, preloaded into the gateway by tests.
 *
 * It counts the write points of one folder: every write, truncation, sync and rename. Once the file FAULT_ARM is there, it
 * acts at the point FAULT_AT from then on:
 *
 *   enospc, eio   that call and the next FAULT_SPAN - 1 fail so, and nothing of them is written
 *   cut           the power goes: what no sync had covered is taken back, but for a part drawn by FAULT_SEED (a disk
 *                 writes in whatever order it likes), and the process is killed
 *
 * A sync covers its file; a rename is covered by a sync of its folder, and may or may not have reached the disk before.
 * Memory that is mapped and shared is not followed: SQLite's shared-memory file is made anew after a power cut anyway.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum what { WROTE, TRUNCATED, RENAMED };

/* One change that no sync has covered yet, with what stood there before. */
struct change {
    struct change *older;
    enum what what;
    char path[PATH_MAX];
    char other[PATH_MAX]; /* where a renamed file came from */
    char kept[PATH_MAX];  /* another name of the file that a rename replaced, or empty */
    off_t at;
    size_t length, before_length;
    off_t before_size;
    unsigned char *bytes, *before;
};

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct change *newest;
static const char *folder, *arm, *kind;
static long at_point = -1, span = 1, point;
static unsigned seed = 1;
static unsigned long kept_files;
static __thread int inside;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

__attribute__((constructor)) static void begin(void) {
    folder = getenv("FAULT_FOLDER");
    arm = getenv("FAULT_ARM");
    kind = getenv("FAULT_KIND");
    if (getenv("FAULT_AT")) at_point = atol(getenv("FAULT_AT"));
    if (getenv("FAULT_SPAN")) span = atol(getenv("FAULT_SPAN"));
    if (getenv("FAULT_SEED")) seed = (unsigned)atol(getenv("FAULT_SEED"));
}

static int in_folder(const char *path) {
    size_t length = folder ? strlen(folder) : 0;
    return length && strncmp(path, folder, length) == 0 && path[length] == '/' && !strstr(path, "-shm");
}

/* The path of a descriptor of ours; 0 where it is none. */
static int of(int fd, char path[PATH_MAX]) {
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, PATH_MAX - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return in_folder(path);
}

static void forget(struct change *change) {
    if (change->kept[0]) REAL(unlink)(change->kept);
    free(change->bytes);
    free(change->before);
    free(change);
}

static void restore_bytes(const char *path, off_t at, const unsigned char *bytes, size_t length) {
    int fd = open(path, O_WRONLY);
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
    }
}

static void redo(struct change *change) {
    if (change->what == WROTE) restore_bytes(change->path, change->at, change->bytes, change->length);
    if (change->what == TRUNCATED) REAL(truncate)(change->path, change->at);
    if (change->what == RENAMED) REAL(rename)(change->other, change->path);
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
        if ((seed >> 16) % 3 == 0) redo(oldest_first[next]);
    }
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Counts a write point; true when this call has to fail. */
static int fails(void) {
    if (!kind || at_point < 0 || !arm || access(arm, F_OK) != 0) return 0;
    point++;
    if (point < at_point || point >= at_point + span) return 0;
    if (strcmp(kind, "cut") == 0) cut();
    errno = strcmp(kind, "eio") == 0 ? EIO : ENOSPC;
    return 1;
}

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
    if (stat(path, &now) == 0) change->before_size = now.st_size;
    off_t end = what == TRUNCATED ? change->before_size : at + (off_t)length;
    if (end > change->before_size) end = change->before_size;
    if (end > at) {
        change->before = malloc((size_t)(end - at));
        int fd = open(path, O_RDONLY);
        ssize_t had = fd < 0 ? 0 : pread(fd, change->before, (size_t)(end - at), at);
        change->before_length = had > 0 ? (size_t)had : 0;
        if (fd >= 0) close(fd);
    }
    change->older = newest;
    newest = change;
    return change;
}

/* The newest change was made in full or in part, or not at all. */
static void made(struct change *change, ssize_t done, const struct iovec *parts, int count) {
    if (!change) return;
    if (done <= 0) {
        newest = change->older;
        forget(change);
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

static void covered(const char *path) {
    struct stat synced;
    int is_folder = stat(path, &synced) == 0 && S_ISDIR(synced.st_mode);
    size_t length = strlen(path);
    struct change **link = &newest;
    while (*link) {
        struct change *change = *link;
        int here = is_folder ? change->what == RENAMED && strncmp(change->path, path, length) == 0
                                   && strchr(change->path + length + 1, '/') == NULL
                             : change->what != RENAMED && strcmp(change->path, path) == 0;
        if (here) {
            /* What was written under the old name and never synced is now under the new one for good. */
            for (struct change *older = change->older; older && change->what == RENAMED; older = older->older)
                if (older->what != RENAMED && strcmp(older->path, change->other) == 0)
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

static off_t place(int fd) {
    struct stat now;
    if (fcntl(fd, F_GETFL) & O_APPEND) return fstat(fd, &now) == 0 ? now.st_size : 0;
    return lseek(fd, 0, SEEK_CUR);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    ssize_t done = -1;
    int error = 0;
    GUARDED(fd, path, {
        if (!fails()) {
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
        if (!fails()) {
            struct change *change = note(WROTE, path, place(fd), length);
            done = REAL(write)(fd, bytes, length);
            error = errno;
            made(change, done, &part, 1);
        } else error = errno;
    }, REAL(write)(fd, bytes, length))
    errno = error;
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    ssize_t done = -1;
    int error = 0;
    struct iovec part = {(void *)bytes, length};
    GUARDED(fd, path, {
        if (!fails()) {
            struct change *change = note(WROTE, path, at, length);
            done = REAL(pwrite)(fd, bytes, length, at);
            error = errno;
            made(change, done, &part, 1);
        } else error = errno;
    }, REAL(pwrite)(fd, bytes, length, at))
    errno = error;
    return done;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return pwrite(fd, bytes, length, at); }

int ftruncate(int fd, off_t size) {
    int done = -1, error = 0;
    GUARDED(fd, path, {
        if (!fails()) {
            struct change *change = note(TRUNCATED, path, size, 0);
            done = REAL(ftruncate)(fd, size);
            error = errno;
            if (change && done != 0) {
                newest = change->older;
                forget(change);
            }
        } else error = errno;
    }, REAL(ftruncate)(fd, size))
    errno = error;
    return done;
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int fsync(int fd) {
    int done = -1, error = 0;
    GUARDED(fd, path, {
        if (!fails()) {
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
        if (!fails()) {
            done = REAL(fdatasync)(fd);
            error = errno;
            if (done == 0) covered(path);
        } else error = errno;
    }, REAL(fdatasync)(fd))
    errno = error;
    return done;
}

int rename(const char *from, const char *to) {
    if (inside || !in_folder(to)) return REAL(rename)(from, to);
    int done = -1, error = 0;
    inside = 1;
    pthread_mutex_lock(&lock);
    if (!fails()) {
        struct change *change = note(RENAMED, to, 0, 0);
        if (change) {
            snprintf(change->other, sizeof change->other, "%s", from);
            snprintf(change->kept, sizeof change->kept, "%s.replaced-%lu", folder, ++kept_files);
            if (link(to, change->kept) != 0) change->kept[0] = 0;
        }
        done = REAL(rename)(from, to);
        error = errno;
        if (change && done != 0) {
            newest = change->older;
            forget(change);
        }
    } else error = errno;
    pthread_mutex_unlock(&lock);
    inside = 0;
    errno = error;
    return done;
}
