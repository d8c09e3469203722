#include "daemon/base/failure.h"

#include <stdarg.h>
#include <stdio.h>

void failure_set(struct failure *f, enum error_code code, int sys_errno)
{
    f->code = code;
    f->stage = error_stage(code);
    f->hop = 0;
    f->sys_errno = sys_errno;
    f->detail[0] = '\0';
}

static void escape(char *to, size_t size, const char *from)
{
    size_t n = 0;

    for (; *from; from++) {
        unsigned char c = (unsigned char)*from;
        bool is_plain = c >= 0x20 && c < 0x7f && c != '\\';

        if (n + (is_plain ? 1 : 4) >= size)
            break;
        if (is_plain)
            to[n++] = (char)c;
        else
            n += (size_t)snprintf(to + n, size - n, "\\x%02x", c);
    }
    to[n] = '\0';
}

void failure_format(struct failure *f, enum error_code code, int sys_errno, const char *format, ...)
{
    char raw[FAILURE_DETAIL_MAX + 1];
    va_list args;

    failure_set(f, code, sys_errno);
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    escape(f->detail, sizeof f->detail, raw);
}
