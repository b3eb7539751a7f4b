/* What a record says of a plain feature, as quick_decision.py reads it: where it has a single run of rows. */
#pragma once
#include "pages.h"

#define LONGEST_MOMENT 29              /* with its quotation marks */
#define LAST_MOMENT 253402300799999999 /* 9999-12-31, the last that is written with four digits */
#define MOMENT_DIGITS 18

/* A record with a single run, as records.py lays it out: [[0,1],"reference",from,to,epoch,revision,computed_at] */
typedef struct {
    size_t granted_length; /* from its beginning on, the text of its grants */
    int64_t from, to;      /* microseconds; INT64_MAX where there is no end */
} OnlyRun;

/* A moment in microseconds since 1970, not before that and not after the year 9999. */
static int instant(const char *text, const char *end, int64_t *value)
{
    *value = 0;
    if (text == end || end - text > MOMENT_DIGITS)
        return 0;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        *value = *value * 10 + (*text - '0');
    }
    return *value <= LAST_MOMENT;
}

static int read_only_run(const char *record, size_t length, OnlyRun *found)
{
    const char *between = memmem(record, length, "],", 2), *before = record + length;
    const char *commas[5]; /* before from, to, epoch, revision, computed_at */
    if (between == NULL)
        return 0;
    const char *rest = between + 2;
    for (int i = 4; i >= 0; i--)
        if ((before = commas[i] = memrchr(rest, ',', (size_t)(before - rest))) == NULL)
            return 0;
    found->granted_length = (size_t)(between - record);
    if (memchr(rest, '[', (size_t)(commas[0] - rest)) != NULL || /* there may be another run */
        !instant(commas[0] + 1, commas[1], &found->from))
        return 0;
    found->to = INT64_MAX;
    return (commas[2] - commas[1] == 5 && memcmp(commas[1] + 1, "null", 4) == 0) ||
           instant(commas[1] + 1, commas[2], &found->to);
}

static char *put_digits(char *to, int64_t value, int count)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + count;
}

/* "2026-01-31T12:00:00Z", or with six digits of a second where they are not all 0; where it ends. */
static char *put_moment(char *to, int64_t moment)
{
    int64_t second = moment / 1000000 % 86400, fraction = moment % 1000000;
    /* days_since_1970 backwards: years begin in March. */
    int64_t day = moment / 86400000000 + 719468, era = day / 146097, of_era = day % 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    int64_t of_month = of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    const int64_t parts[] = {era * 400 + year + (month <= 2), month, of_month, second / 3600, second / 60 % 60, second % 60};
    static const char between[] = "--T::";
    *to++ = '"';
    for (int i = 0; i < 6; i++) {
        to = put_digits(to, parts[i], i == 0 ? 4 : 2);
        if (i < 5)
            *to++ = between[i];
    }
    if (fraction != 0) {
        *to++ = '.';
        to = put_digits(to, fraction, 6);
    }
    *to++ = 'Z';
    *to++ = '"';
    return to;
}
