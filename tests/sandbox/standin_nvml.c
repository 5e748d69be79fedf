/* Stands in for the NVIDIA driver's library where there is no GPU: as many as $STANDIN_GPUS says, with
   $STANDIN_USED bytes in use, the last one split into two MIG instances where $STANDIN_MIG is set. */
#include <stdlib.h>
#include <string.h>

static int number(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

/* A handle is 1 + the GPU's number; a MIG instance's is 100 more for the first, 200 for the second. */
int nvmlInitWithFlags(unsigned flags) { return number("STANDIN_GPUS") < 0 ? -number("STANDIN_GPUS") : 0; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int code) { return "stand-in error"; }

int nvmlSystemGetDriverVersion(char *text, unsigned length) {
    strncpy(text, "999.1", length);
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = number("STANDIN_GPUS");
    return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    *handle = (void *)(long)(index + 1);
    return 0;
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned length) {
    long which = (long)handle;
    strncpy(text, which < 100 ? "GPU-a0000000" : "MIG-b0000000", length);
    text[5] = '0' + which % 100 - 1;
    text[6] = '0' + which / 100;
    return 0;
}

int nvmlDeviceGetName(void *handle, char *text, unsigned length) {
    strncpy(text, "Stand-in", length);
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long *info) {
    info[0] = 8ull << 30;
    info[2] = getenv("STANDIN_USED") ? strtoull(getenv("STANDIN_USED"), 0, 10) : 0;
    info[1] = info[0] - info[2];
    return 0;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    *current = *pending = getenv("STANDIN_MIG") && (long)handle == number("STANDIN_GPUS");
    return getenv("STANDIN_MIG") ? 0 : 3; /* not supported */
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned *count) {
    *count = 7;
    return 0;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned index, void **instance) {
    *instance = (void *)((long)handle + 100 * (index + 1));
    return index < 2 ? 0 : 6; /* not found */
}
