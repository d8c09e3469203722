/* A structured message: a sentence, and what it is about as fields. The journal gets the sentence
 * as MESSAGE and the fields as FDIAL_UID, FDIAL_TARGET, …; elsewhere it is one line, the sentence
 * with a tab and "uid=1000 target=…" behind it. fdiald(8) lists the fields.
 *
 * Never waits: where the reader does not keep up, the record is lost and the caller told. */
#pragma once

#include "daemon/base/log.h"
#include "proto/message.h"

#define LOG_RECORD_MAX        4096 /* bytes of a line; PIPE_BUF, so that lines never mix */
#define LOG_RECORD_VALUES_MAX 2048 /* bytes of all values, a NUL behind each */
#define LOG_VALUE_MAX         512  /* bytes of one value */
#define LOG_SENTENCE_MAX      1024 /* bytes */
#define LOG_FIELDS_MAX        48

struct log_field {
    const char *key; /* lower case, static */
    const char *value;
};

struct log_record {
    enum log_level level;
    struct log_field fields[LOG_FIELDS_MAX];
    size_t n_fields;
    char values[LOG_RECORD_VALUES_MAX];
    size_t n_values; /* bytes */
    char sentence[LOG_SENTENCE_MAX];
};

/* Empty. */
void log_record_init(struct log_record *record, enum log_level level);
/* Adds a field. What is too long is cut; anything but printable ASCII becomes '?'. Returns the
 * value as it will be shown. */
const char *log_record_add(struct log_record *record, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for bytes from anywhere: escaped (escape.h). */
const char *log_record_add_bytes(struct log_record *record, const char *key, struct text text);
/* The sentence, cut and made printable likewise. */
void log_record_say(struct log_record *record, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Returns false when it was lost. */
bool log_record_write(const struct log_record *record);

/* For tests: the line with its line break, and the journal's datagram (JOURNAL_NATIVE_PROTOCOL). */
size_t log_record_line(const struct log_record *record, const char *start,
                       char line[LOG_RECORD_MAX]);
size_t log_record_datagram(const struct log_record *record, char datagram[LOG_RECORD_MAX]);
