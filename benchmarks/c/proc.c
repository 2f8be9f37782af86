/* What the processes named with `-i` use, from /proc. */
#include "generator.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

/* CPU seconds, user and system, of the living threads of a process. */
double cpu_s(int pid) {
    char name[300], line[256];
    snprintf(name, sizeof name, "/proc/%d/task", pid);
    DIR *tasks = opendir(name);
    double ns = 0;
    if (!tasks) return 0;
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "/proc/%d/task/%.20s/schedstat", pid, task->d_name);
        FILE *file = fopen(name, "r");
        if (!file) continue;
        if (fgets(line, sizeof line, file)) ns += strtod(line, 0);
        fclose(file);
    }
    closedir(tasks);
    return ns / 1e9;
}

/* Its memory, shared pages counted in part. */
long pss_kb(int pid) {
    char name[64], line[256];
    long kb = 0;
    snprintf(name, sizeof name, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(name, "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %ld", &kb) == 1) break;
    fclose(file);
    return kb;
}
