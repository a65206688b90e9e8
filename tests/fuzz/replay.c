/* replay.c - runs a fuzzing harness over files instead of letting libFuzzer invent inputs: replay PATH...
 *
 * Linked with one fuzz_*.c each in the ordinary build, so that every seed, and every input that once broke
 * something, is a test with any compiler. A folder stands for the regular files in it; an empty or missing
 * one is a failure. */
#define _POSIX_C_SOURCE 200809L

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1 if the file was read and run. */
static int run_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    uint8_t *data = NULL;
    size_t size = 0, capacity = 0;
    for (;;) {
        if (size == capacity) {
            capacity = capacity ? capacity * 2 : 1 << 16;
            uint8_t *larger = realloc(data, capacity);
            if (!larger) break;
            data = larger;
        }
        size_t got = fread(data + size, 1, capacity - size, file);
        if (got == 0) break;
        size += got;
    }
    int read_all = feof(file) && !ferror(file);
    fclose(file);
    if (read_all) {
        /* A block of exactly the file's size: reading past its end is then seen by the sanitizer. */
        uint8_t *exact = malloc(size ? size : 1);
        if (exact) {
            if (size) memcpy(exact, data, size);
            LLVMFuzzerTestOneInput(exact, size);
            free(exact);
        } else {
            read_all = 0;
        }
    }
    free(data);
    return read_all;
}

/* How many inputs were run; -1 if one could not be. */
static int run_path(const char *path) {
    struct stat status;
    if (stat(path, &status)) return -1;
    if (!S_ISDIR(status.st_mode)) return run_file(path) ? 1 : -1;
    DIR *folder = opendir(path);
    if (!folder) return -1;
    int count = 0, failed = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[4096];
        int length = snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || length < 0 || (size_t)length >= sizeof name) continue;
        if (stat(name, &status) || !S_ISREG(status.st_mode)) continue;
        if (run_file(name))
            count++;
        else
            failed = 1;
    }
    closedir(folder);
    return failed ? -1 : count;
}

int main(int argc, char **argv) {
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = run_path(argv[i]);
        if (count < 0) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
        total += count;
    }
    printf("%d inputs\n", total);
    return total == 0;
}
