/* The parts of a start that take longest in Python; where this is not built, Python does the same by itself.
 *
 * cut: a document of the plainest kind is cut: ASCII, its members in the writers' order, each row with the same own part
 * (reference and times). For what is any different, or wrong, the answer is None, and packing.py's other ways see it,
 * which accept and refuse the same. bulks: Redis's strings, as far as they are whole (replies.py). appended: a record
 * into a page (pages.py). Nothing is required of the bytes: every look at one is bounded.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LONGEST_USER 255
#define MOST_DIGITS 15
#define HERE '\xff'
#define MARK '\xff'
#define VALUE '\xfe'

static const char CUT[] = ",\"source_ref\":\"";

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

static int is_ascii(const char *data, Py_ssize_t length)
{
    unsigned char seen = 0;
    for (Py_ssize_t i = 0; i < length; i++)
        seen |= (unsigned char)data[i];
    return seen < 0x80;
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

typedef struct {
    const char *user;
    size_t user_length;
    int64_t epoch, revision, computed_at;
    const char *own; /* the first row's own part, which all others must equal; NULL before it */
    size_t own_length, reference_length;
    int64_t valid_from, valid_to;
    int for_life;
} Document;

static int read_head(Text *text, const char *middle, Py_ssize_t middle_length, Document *found)
{
    if (!EXPECT(text, "{\"user_id\":\""))
        return 0;
    found->user = text->at;
    found->user_length = plain(text);
    return found->user_length >= 1 && found->user_length <= LONGEST_USER &&
           expect(text, middle, (size_t)middle_length) && count(text, &found->epoch) &&
           EXPECT(text, ",\"revision\":") && count(text, &found->revision) && EXPECT(text, ",\"computed_at\":\"") &&
           moment(text, &found->computed_at) && EXPECT(text, "\",\"entitlements\":");
}

static int read_own(Text *text, Document *found)
{
    if (found->own != NULL)
        return expect(text, found->own, found->own_length) && EXPECT(text, ",\"value\":");
    found->own = text->at;
    found->reference_length = plain(text);
    if (!EXPECT(text, "\",\"valid_from\":\"") || !moment(text, &found->valid_from) ||
        !EXPECT(text, "\",\"valid_to\":"))
        return 0;
    found->for_life = EXPECT(text, "null");
    if (!found->for_life && (!EXPECT(text, "\"") || !moment(text, &found->valid_to) || !EXPECT(text, "\"")))
        return 0;
    found->own_length = (size_t)(text->at - found->own);
    return EXPECT(text, ",\"value\":");
}

/* What is left between the cuts, with HERE for each; its length, or -1. There is room for all of the text. */
static Py_ssize_t read_rows(Text *text, Document *found, char *skeleton)
{
    char *to = skeleton;
    const char *cut;
    while ((cut = memmem(text->at, (size_t)(text->end - text->at), CUT, sizeof(CUT) - 1)) != NULL) {
        memcpy(to, text->at, (size_t)(cut - text->at));
        to += cut - text->at;
        *to++ = HERE; /* shorter than what is cut out */
        text->at = cut + sizeof(CUT) - 1;
        if (!read_own(text, found))
            return -1;
    }
    memcpy(to, text->at, (size_t)(text->end - text->at));
    return to + (text->end - text->at) - skeleton;
}

static PyObject *told(const Document *found, const char *skeleton, Py_ssize_t length)
{
    char ending[3 * 24 + 4], times[2 * 24 + 4];
    int ending_length = snprintf(ending, sizeof ending, "%lld,%lld,%lld]", (long long)found->epoch,
                                 (long long)found->revision, (long long)found->computed_at);
    int times_length = found->for_life ? snprintf(times, sizeof times, "\",%lld,null", (long long)found->valid_from)
                                       : snprintf(times, sizeof times, "\",%lld,%lld", (long long)found->valid_from,
                                                  (long long)found->valid_to);
    size_t own_length = 1 + found->reference_length + (size_t)times_length;
    char *own = PyMem_Malloc(own_length);
    if (own == NULL)
        return PyErr_NoMemory();
    own[0] = '"';
    memcpy(own + 1, found->own, found->reference_length);
    memcpy(own + 1 + found->reference_length, times, (size_t)times_length);
    PyObject *answer = Py_BuildValue("y#LLy#y#y#", found->user, (Py_ssize_t)found->user_length,
                                     (long long)found->epoch, (long long)found->revision, skeleton, length, own,
                                     (Py_ssize_t)own_length, ending, (Py_ssize_t)ending_length);
    PyMem_Free(own);
    return answer;
}

static PyObject *cut(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    char *data, *middle;
    Py_ssize_t length, middle_length;
    (void)module;
    if (given != 2) {
        PyErr_SetString(PyExc_TypeError, "cut takes a document, and what stands between its user and its epoch");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(arguments[0], &data, &length) < 0 ||
        PyBytes_AsStringAndSize(arguments[1], &middle, &middle_length) < 0)
        return NULL;
    Document found = {0};
    Text text = {data, data + length};
    if (!is_ascii(data, length) || !read_head(&text, middle, middle_length, &found))
        Py_RETURN_NONE;
    char *skeleton = PyMem_Malloc((size_t)(text.end - text.at) + 1);
    if (skeleton == NULL)
        return PyErr_NoMemory();
    Py_ssize_t left = read_rows(&text, &found, skeleton);
    PyObject *answer = left < 0 || found.own == NULL ? Py_NewRef(Py_None) : told(&found, skeleton, left);
    PyMem_Free(skeleton);
    return answer;
}

/* How many bytes a string of Redis's protocol, "$3\r\nabc\r\n", takes in all; 0 where it is not whole, or none. */
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

static PyObject *bulks(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    char *data;
    Py_ssize_t size, length, head, whole;
    (void)module;
    if (given != 3) {
        PyErr_SetString(PyExc_TypeError, "bulks takes bytes, where to begin, and how many strings at most");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(arguments[0], &data, &size) < 0)
        return NULL;
    Py_ssize_t at = PyLong_AsSsize_t(arguments[1]), most = PyLong_AsSsize_t(arguments[2]);
    if (PyErr_Occurred())
        return NULL;
    if (at < 0 || at > size)
        at = size;
    PyObject *found = PyList_New(0);
    while (found != NULL && most-- > 0 && (whole = bulk(data + at, data + size, &length, &head)) != 0) {
        PyObject *string = PyBytes_FromStringAndSize(data + at + head, length);
        if (string == NULL || PyList_Append(found, string) < 0)
            Py_CLEAR(found);
        Py_XDECREF(string);
        at += whole;
    }
    return found == NULL ? NULL : Py_BuildValue("Nn", found, at);
}

/* A page with one more record, or None where it has one of that key; see pages.py for the marks. */
static PyObject *appended(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    char *page, *key, *record, *to;
    Py_ssize_t page_length, key_length, record_length;
    (void)module;
    if (given != 3) {
        PyErr_SetString(PyExc_TypeError, "appended takes a page, a key and a record");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(arguments[0], &page, &page_length) < 0 ||
        PyBytes_AsStringAndSize(arguments[1], &key, &key_length) < 0 ||
        PyBytes_AsStringAndSize(arguments[2], &record, &record_length) < 0)
        return NULL;
    const char *end = page + page_length, *at = page;
    while (key_length > 0 && (at = memmem(at, (size_t)(end - at), key, (size_t)key_length)) != NULL) {
        if (at > page && at[-1] == MARK && at + key_length < end && at[key_length] == VALUE)
            Py_RETURN_NONE;
        at++;
    }
    PyObject *made = PyBytes_FromStringAndSize(NULL, page_length + key_length + record_length + 2);
    if (made == NULL || (to = PyBytes_AsString(made)) == NULL)
        return NULL;
    memcpy(to, page, (size_t)page_length);
    to += page_length;
    memcpy(to, key, (size_t)key_length);
    to += key_length;
    *to++ = VALUE;
    memcpy(to, record, (size_t)record_length);
    to[record_length] = MARK;
    return made;
}

static PyMethodDef methods[] = {
    {"appended", (PyCFunction)(void (*)(void))appended, METH_FASTCALL, NULL},
    {"bulks", (PyCFunction)(void (*)(void))bulks, METH_FASTCALL, NULL},
    {"cut", (PyCFunction)(void (*)(void))cut, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModule_Create(&module);
}
