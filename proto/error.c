/* Lookup tables made from the lists in error.h. Codes are sparse, so lookups are switches. */
#include "proto/error.h"

#include <errno.h>

const char *stage_name(uint32_t stage)
{
    switch (stage) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        STAGE_LIST(X)
#undef X
    }
    return "unknown";
}

const char *error_text(uint32_t code)
{
    switch (code) {
#define X(name, number, stage, error, text)                                                        \
    case number:                                                                                   \
        return text;
        ERROR_LIST(X)
#undef X
    }
    return "unknown error";
}

const char *error_name(uint32_t code)
{
    switch (code) {
#define X(name, number, stage, error, text)                                                        \
    case number:                                                                                   \
        return #name;
        ERROR_LIST(X)
#undef X
    }
    return "UNKNOWN";
}

int error_to_errno(uint32_t code)
{
    switch (code) {
#define X(name, number, stage, error, text)                                                        \
    case number:                                                                                   \
        return error;
        ERROR_LIST(X)
#undef X
    }
    return EPROTO;
}

enum stage error_stage(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        break;
#define X(name, number, stage, error, text)                                                        \
    case ERROR_##name:                                                                             \
        return STAGE_##stage;
        ERROR_LIST(X)
#undef X
    }
    return STAGE_REQUEST;
}

const char *relay_end_name(uint32_t end)
{
    switch (end) {
#define X(name, number, text)                                                                      \
    case number:                                                                                   \
        return text;
        RELAY_END_LIST(X)
#undef X
    }
    return "unknown";
}
