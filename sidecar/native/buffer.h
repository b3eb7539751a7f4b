/* Bytes that grow. One that had no room any more is `full` until it is emptied, and what it holds is worth nothing. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    char *data;
    size_t length, room;
    int full;
} Buffer;

static void empty(Buffer *buffer)
{
    buffer->length = 0;
    buffer->full = 0;
}

static void release(Buffer *buffer)
{
    PyMem_Free(buffer->data);
    memset(buffer, 0, sizeof *buffer);
}

static void put(Buffer *buffer, const char *data, size_t length)
{
    if (length == 0)
        return;
    if (buffer->room - buffer->length < length) {
        size_t room = 2 * buffer->room + length + 256;
        char *data_then = PyMem_Realloc(buffer->data, room);
        if (data_then == NULL) {
            buffer->full = 1;
            return;
        }
        buffer->data = data_then;
        buffer->room = room;
    }
    memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
}
#define PUT(buffer, words) put(buffer, words, sizeof(words) - 1)

static void put_number(Buffer *buffer, int64_t number)
{
    char text[24];
    size_t at = sizeof text;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        text[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left != 0);
    if (number < 0)
        text[--at] = '-';
    put(buffer, text + at, sizeof text - at);
}
