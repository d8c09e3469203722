/* Records: their line, the journal's datagram, and that nothing in them forges or overflows. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/log_record.h"
#include "tests/lib/suite.h"

static struct log_record record;
static char text[LOG_RECORD_MAX + 1];

static const char *line(void)
{
    memset(text, '!', sizeof text);
    text[log_record_line(&record, "fdiald: ", text)] = '\0';
    return text;
}

static const char *datagram(void)
{
    memset(text, '!', sizeof text);
    text[log_record_datagram(&record, text)] = '\0';
    return text;
}

START_TEST(test_both_forms)
{
    log_record_init(&record, LOG_LEVEL_WARNING);
    log_record_add(&record, "uid", "%u", 1000u);
    log_record_add(&record, "bytes_sent", "%d", 7);
    log_record_say(&record, "it is %s", "so");
    ck_assert_str_eq(line(), "fdiald: it is so\tuid=1000 bytes_sent=7\n");
    ck_assert_str_eq(datagram(), "SYSLOG_IDENTIFIER=fdiald\nPRIORITY=4\nMESSAGE=it is so\n"
                                 "FDIAL_UID=1000\nFDIAL_BYTES_SENT=7\n");
}
END_TEST

static const struct sample {
    const char *value;
    size_t n;
    const char *in_line, *in_datagram;
} samples[] = {
    {"", 0, "v=\"\"\n", "FDIAL_V=\n"},
    {"tcp://h:1", 9, "v=tcp://h:1\n", "FDIAL_V=tcp://h:1\n"},
    {"a b", 3, "v=\"a b\"\n", "FDIAL_V=a b\n"},
    {"a=b", 3, "v=\"a=b\"\n", "FDIAL_V=a=b\n"},
    {"x\" uid=\"0", 9, "v=\"x\\x22 uid=\\x220\"\n", "FDIAL_V=x\" uid=\"0\n"},
    {"a\nFDIAL_UID=0", 13, "v=\"a\\x0aFDIAL_UID=0\"\n", "FDIAL_V=a\\x0aFDIAL_UID=0\n"},
    {"\t\r\0\x1b[2J\\", 8, "v=\\x09\\x0d\\x00\\x1b[2J\\x5c\n",
     "FDIAL_V=\\x09\\x0d\\x00\\x1b[2J\\x5c\n"},
    {"\xc3\xa4", 2, "v=\\xc3\\xa4\n", "FDIAL_V=\\xc3\\xa4\n"},
};

START_TEST(test_values)
{
    const struct sample *s = &samples[_i];

    log_record_init(&record, LOG_LEVEL_INFO);
    log_record_add_bytes(&record, "v", (struct text){s->value, s->n});
    ck_assert_str_eq(strrchr(line(), '\t') + 1, s->in_line);
    ck_assert_str_eq(strstr(datagram(), "FDIAL_"), s->in_datagram);
}
END_TEST

/* Not escaped by who adds it, and still nothing to be afraid of. */
START_TEST(test_formatted)
{
    log_record_init(&record, LOG_LEVEL_INFO);
    ck_assert_str_eq(log_record_add(&record, "v", "%s", "a\nFDIAL_UID=0\t\x7f\x80"),
                     "a?FDIAL_UID=0???");
    log_record_say(&record, "%s", "b\tuid=0\n<0>c");
    ck_assert_str_eq(line(), "fdiald: b?uid=0?<0>c\tv=\"a?FDIAL_UID=0???\"\n");
}
END_TEST

/* The longest of everything: whole fields, one line break, within the bounds. */
START_TEST(test_bounds)
{
    char *much = malloc(100000);
    static const char byte[] = {'a', '"', '\n'};
    const char *last;

    memset(much, byte[_i], 99999);
    much[99999] = '\0';
    log_record_init(&record, LOG_LEVEL_INFO);
    log_record_say(&record, "%s", much);
    for (size_t i = 0; i < 2 * LOG_FIELDS_MAX; i++)
        last =
            i % 2 ? log_record_add(&record, "key_of_some_length", "%s", much)
                  : log_record_add_bytes(&record, "key_of_some_length", (struct text){much, 99999});
    ck_assert_str_eq(last, "");
    ck_assert_uint_le(strlen(line()), LOG_RECORD_MAX);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
    if (byte[_i] == '"')
        ck_assert_int_eq(text[strlen(text) - 2], '"');
    ck_assert_uint_lt(strlen(datagram()), LOG_RECORD_MAX); /* nothing was cut */
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
    free(much);
}
END_TEST

START_TEST(test_many_fields)
{
    log_record_init(&record, LOG_LEVEL_INFO);
    for (size_t i = 0; i < 2 * LOG_FIELDS_MAX; i++)
        log_record_add(&record, "a_key_of_21_bytes_max", "1");
    ck_assert_uint_eq(record.n_fields, LOG_FIELDS_MAX);
    ck_assert_uint_lt(strlen(datagram()), LOG_RECORD_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log-record");
    TCase *tcase = tcase_create("log-record");

    tcase_add_test(tcase, test_both_forms);
    tcase_add_loop_test(tcase, test_values, 0, sizeof samples / sizeof *samples);
    tcase_add_test(tcase, test_formatted);
    tcase_add_loop_test(tcase, test_bounds, 0, 3);
    tcase_add_test(tcase, test_many_fields);
    suite_add_tcase(suite, tcase);
    return suite_run(suite);
}
