/* Pages of records, as pages.py lays them out. */
#pragma once
#include <stdint.h>
#include <string.h>

#define MARK '\xff'
#define VALUE '\xfe'

static uint32_t crc_table[256];

static void prepare_crc32(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
        crc_table[byte] = crc;
    }
}

/* zlib's. */
static uint32_t crc32(const char *data, size_t length)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < length; i++)
        crc = (crc >> 8) ^ crc_table[(crc ^ (uint8_t)data[i]) & 0xff];
    return ~crc;
}

/* The index of a key's page, of `pages` pages. */
static Py_ssize_t place(const char *key, size_t length, Py_ssize_t pages)
{
    uint32_t mask = 0;
    while ((Py_ssize_t)mask < pages - 1)
        mask = mask << 1 | 1;
    uint32_t index = crc32(key, length) & mask;
    return (Py_ssize_t)index < pages ? (Py_ssize_t)index : (Py_ssize_t)(index & (mask >> 1));
}

/* The record of a key, and its length; NULL where the page has none. */
static const char *find(const char *page, size_t page_length, const char *key, size_t length, size_t *record_length)
{
    const char *at = page, *end = page + page_length, *mark;
    if (length == 0) /* it would be found everywhere, and beyond the end */
        return NULL;
    while ((at = memmem(at, (size_t)(end - at), key, length)) != NULL) {
        const char *record = at + length + 1;
        if (at > page && at[-1] == MARK && record <= end && record[-1] == VALUE &&
            (mark = memchr(record, MARK, (size_t)(end - record))) != NULL) {
            *record_length = (size_t)(mark - record);
            return record;
        }
        at++;
    }
    return NULL;
}

/* The page with one more record; NULL with an exception where there is no room. */
static PyObject *appended(const char *page, size_t page_length, const char *key, size_t key_length, const char *record,
                          size_t record_length)
{
    PyObject *made = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(page_length + key_length + record_length + 2));
    char *to = made == NULL ? NULL : PyBytes_AsString(made);
    if (to == NULL)
        return NULL;
    memcpy(to, page, page_length);
    to += page_length;
    memcpy(to, key, key_length);
    to += key_length;
    *to++ = VALUE;
    memcpy(to, record, record_length);
    to[record_length] = MARK;
    return made;
}
