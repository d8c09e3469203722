/* The journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) is one datagram "KEY=value\n…":
 * written here, because sd_journal_sendv(3) waits as long as journald is stuck, and a worker must
 * not. */
#include "daemon/base/log_record.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/escape.h"

void log_record_init(struct log_record *record, enum log_level level)
{
    record->level = level;
    record->n_fields = 0;
    record->n_values = 0;
    record->sentence[0] = '\0';
}

static void make_printable(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

void log_record_say(struct log_record *record, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(record->sentence, sizeof record->sentence, format, args);
    va_end(args);
    make_printable(record->sentence);
}

/* Where the next value goes; *ret_size is 0 when there is no room. */
static char *next_value(struct log_record *record, size_t *ret_size)
{
    size_t left = sizeof record->values - record->n_values;

    if (record->n_fields == LOG_FIELDS_MAX)
        left = 0;
    *ret_size = left < LOG_VALUE_MAX ? left : LOG_VALUE_MAX;
    return record->values + record->n_values;
}

static const char *take_value(struct log_record *record, const char *key, char *value)
{
    make_printable(value);
    record->fields[record->n_fields++] = (struct log_field){key, value};
    record->n_values += strlen(value) + 1;
    return value;
}

const char *log_record_add(struct log_record *record, const char *key, const char *format, ...)
{
    va_list args;
    size_t size;
    char *value = next_value(record, &size);

    if (size == 0)
        return "";
    va_start(args, format);
    vsnprintf(value, size, format, args);
    va_end(args);
    return take_value(record, key, value);
}

const char *log_record_add_bytes(struct log_record *record, const char *key, struct text text)
{
    size_t size;
    char *value = next_value(record, &size);

    if (size == 0)
        return "";
    escape(value, size, text.data, text.n);
    return take_value(record, key, value);
}

struct output {
    char *data;
    size_t size, n;
};

static void put(struct output *out, char c)
{
    if (out->n < out->size)
        out->data[out->n++] = c;
}

static void put_string(struct output *out, const char *text)
{
    for (; *text; text++)
        put(out, *text);
}

/* A value that is not one plain word stands in quotes, and has no others in it. */
static void put_value(struct output *out, const char *value)
{
    bool is_plain = *value && !strpbrk(value, " \"=");

    if (!is_plain)
        put(out, '"');
    for (; *value; value++) {
        if (*value == '"')
            put_string(out, "\\x22");
        else
            put(out, *value);
    }
    if (!is_plain)
        put(out, '"');
}

size_t log_record_line(const struct log_record *record, const char *start,
                       char line[LOG_RECORD_MAX])
{
    struct output out = {line, LOG_RECORD_MAX - 1, 0};

    put_string(&out, start);
    put_string(&out, record->sentence);
    for (size_t i = 0; i < record->n_fields; i++) {
        size_t before = out.n;

        put(&out,
            i == 0 ? '\t' : ' '); /* a tab is nowhere else: what is before it can forge nothing */
        put_string(&out, record->fields[i].key);
        put(&out, '=');
        put_value(&out, record->fields[i].value);
        if (out.n == out.size) {
            out.n = before; /* whole or not at all */
            break;
        }
    }
    line[out.n++] = '\n';
    return out.n;
}

size_t log_record_datagram(const struct log_record *record, char datagram[LOG_RECORD_MAX])
{
    struct output out = {datagram, LOG_RECORD_MAX, 0};

    put_string(&out, "SYSLOG_IDENTIFIER=fdiald\nPRIORITY=");
    put(&out, (char)('0' + record->level));
    put_string(&out, "\nMESSAGE=");
    put_string(&out, record->sentence);
    put(&out, '\n');
    for (size_t i = 0; i < record->n_fields; i++) {
        put_string(&out, "FDIAL_");
        for (const char *c = record->fields[i].key; *c; c++)
            put(&out, (char)toupper((unsigned char)*c));
        put(&out, '=');
        put_string(&out, record->fields[i].value);
        put(&out, '\n');
    }
    return out.n;
}

bool log_record_write(const struct log_record *record)
{
    char text[LOG_RECORD_MAX];
    int r = log_send_to_journal(text, log_record_datagram(record, text));

    if (r != -ENOTCONN)
        return r == 0;
    return log_write_line(text, log_record_line(record, log_line_start(record->level), text));
}
