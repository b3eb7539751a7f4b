/* Redis's protocol, as far as many strings go. */
#pragma once
#include <stdint.h>
#include <string.h>

/* How many bytes a string, "$3\r\nabc\r\n", takes in all; 0 where it is not whole, or none. */
static Py_ssize_t bulk(const char *from, const char *end, Py_ssize_t *length, Py_ssize_t *head)
{
    const char *at = from;
    int64_t told = 0;
    if (at == end || *at++ != '$')
        return 0;
    const char *first = at;
    while (at < end && *at >= '0' && *at <= '9' && at - first < 10)
        told = told * 10 + (*at++ - '0');
    if (at == first || end - at < 2 || at[0] != '\r' || at[1] != '\n')
        return 0;
    at += 2;
    if (end - at < told + 2)
        return 0;
    *head = at - from;
    *length = (Py_ssize_t)told;
    return *head + *length + 2;
}
