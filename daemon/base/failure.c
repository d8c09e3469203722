#include "daemon/base/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/escape.h"

void failure_set(struct failure *f, enum error_code code, int sys_errno)
{
    f->code = code;
    f->stage = error_stage(code);
    f->hop = 0;
    f->sys_errno = sys_errno;
    f->rule = NULL;
    f->narrowing = NULL;
    f->detail[0] = '\0';
}

void failure_format(struct failure *f, enum error_code code, int sys_errno, const char *format, ...)
{
    char raw[FAILURE_DETAIL_MAX + 1];
    va_list args;

    failure_set(f, code, sys_errno);
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    escape(f->detail, sizeof f->detail, raw, strlen(raw));
}
