/* Reading text that may be anything: every look at a byte is bounded by `end`. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MOST_DIGITS 15

typedef struct {
    const char *at;
    const char *end;
} Text;

static int expect(Text *text, const char *words, size_t length)
{
    if ((size_t)(text->end - text->at) < length || memcmp(text->at, words, length) != 0)
        return 0;
    text->at += length;
    return 1;
}
#define EXPECT(text, words) expect(text, words, sizeof(words) - 1)

static int is_ascii(const char *data, size_t length)
{
    uint64_t seen = 0, word;
    size_t at = 0;
    for (; length - at >= sizeof word; at += sizeof word) {
        memcpy(&word, data + at, sizeof word);
        seen |= word;
    }
    for (; at < length; at++)
        seen |= (unsigned char)data[at];
    return (seen & 0x8080808080808080u) == 0;
}

/* Characters that stand in JSON as themselves, up to the next that does not. */
static size_t plain(Text *text)
{
    const char *from = text->at;
    while (text->at < text->end && *text->at >= ' ' && *text->at <= '~' && *text->at != '"' && *text->at != '\\')
        text->at++;
    return (size_t)(text->at - from);
}

static int digits(Text *text, int count, int *value)
{
    if (text->end - text->at < count)
        return 0;
    *value = 0;
    for (int i = 0; i < count; i++, text->at++) {
        if (*text->at < '0' || *text->at > '9')
            return 0;
        *value = *value * 10 + (*text->at - '0');
    }
    return 1;
}

static int count(Text *text, int64_t *value)
{
    const char *from = text->at;
    *value = 0;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9' && text->at - from <= MOST_DIGITS)
        *value = *value * 10 + (*text->at++ - '0');
    ptrdiff_t length = text->at - from;
    return length >= 1 && length <= MOST_DIGITS && (length == 1 || *from != '0');
}

static int days_in(int year, int month)
{
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 ? 28 + leap : 30 + (month + (month > 7)) % 2;
}

/* Days since 1970 in the Gregorian calendar: years begin in March, so that a leap day is a year's last. */
static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400, of_era = y % 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* 2026-01-31T12:00:00Z or 2026-01-31T12:00:00.000000Z, in microseconds since 1970. */
static int moment(Text *text, int64_t *value)
{
    int year, month, day, hour, minute, second, fraction = 0;
    if (!digits(text, 4, &year) || !EXPECT(text, "-") || !digits(text, 2, &month) || !EXPECT(text, "-") ||
        !digits(text, 2, &day) || !EXPECT(text, "T") || !digits(text, 2, &hour) || !EXPECT(text, ":") ||
        !digits(text, 2, &minute) || !EXPECT(text, ":") || !digits(text, 2, &second))
        return 0;
    if (EXPECT(text, ".") && !digits(text, 6, &fraction))
        return 0;
    if (!EXPECT(text, "Z") || year < 1 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) ||
        hour > 23 || minute > 59 || second > 59)
        return 0;
    int64_t seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    *value = seconds * 1000000 + fraction;
    return 1;
}
