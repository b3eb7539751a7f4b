/* What a start does a million times, and a check always; where this is not built, Python does the same by itself.
 *
 * pack and take: documents into records and pages, with their part in the digest (packing.py); what is not of the plain
 * shape, or wrong, is left to packing.py's other ways, which accept and refuse the same. bulks and mget: Redis's strings,
 * out of replies and into a command (replies.py). answer: the hot request (fast_lane.py); held: what a user holds, as
 * that reads it (embedded.py). Nothing is required of the bytes: every look at one is bounded.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "answer.h"
#include "arguments.h"
#include "blake2b.h"
#include "buffer.h"
#include "document.h"
#include "pages.h"
#include "replies.h"
#include "text.h"

/* Between two documents only the buffers' room is kept. */
typedef struct {
    Document document;
    Buffer record, canonical;
    uint8_t digest[DIGEST_BYTES];
} Work;

typedef enum { FAILED = -1, PACKED, DOUBTED, UNKNOWN } Outcome;

static void finish(Work *work)
{
    release(&work->document.skeleton);
    release(&work->document.owns);
    release(&work->record);
    release(&work->canonical);
}

static int put_bytes(Buffer *buffer, PyObject *bytes)
{
    char *data;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(bytes, &data, &length) < 0)
        return 0;
    put(buffer, data, (size_t)length);
    return 1;
}

/* [[0,1],"reference",from,to,…,epoch,revision,computed_at] */
static int write_record(Work *work, PyObject *granted)
{
    const Document *document = &work->document;
    Buffer *record = &work->record;
    Py_ssize_t row = 0;
    empty(record);
    for (int run = 0; run < document->run_count; run++) {
        put(record, run == 0 ? "[[" : ",[", 2);
        for (int i = 0; i < document->runs[run].rows; i++) {
            PyObject *grant = PyTuple_GetItem(granted, row++);
            if (i > 0)
                PUT(record, ",");
            if (grant == NULL || !put_bytes(record, grant))
                return 0;
        }
        PUT(record, "],");
        put(record, document->owns.data + document->runs[run].at, document->runs[run].length);
    }
    const int64_t numbers[] = {document->epoch, document->revision, document->computed_at};
    for (int i = 0; i < 3; i++) {
        PUT(record, ",");
        put_number(record, numbers[i]);
    }
    PUT(record, "]");
    return 1;
}

/* ["user",revision,[…]] */
static int write_canonical(Work *work, PyObject *shared)
{
    const Document *document = &work->document;
    Buffer *canonical = &work->canonical;
    char *at, *here;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(shared, &at, &length) < 0)
        return 0;
    const char *end = at + length;
    empty(canonical);
    PUT(canonical, "[\"");
    put(canonical, document->user, document->user_length);
    PUT(canonical, "\",");
    put_number(canonical, document->revision);
    PUT(canonical, ",");
    for (int run = 0; run < document->run_count; run++)
        for (int i = 0; i < document->runs[run].rows; i++) {
            if ((here = memchr(at, HERE, (size_t)(end - at))) == NULL)
                break;
            put(canonical, at, (size_t)(here - at));
            put(canonical, document->owns.data + document->runs[run].at, document->runs[run].length);
            at = here + 1;
        }
    put(canonical, at, (size_t)(end - at));
    return 1;
}

/* Record and digest of a document, in `work`. */
static Outcome pack_one(const char *data, size_t length, PyObject *middle, PyObject *paths, Work *work)
{
    char *between;
    Py_ssize_t between_length;
    Document *document = &work->document;
    if (PyBytes_AsStringAndSize(middle, &between, &between_length) < 0)
        return FAILED;
    if (!read_document(data, length, between, (size_t)between_length, document))
        return DOUBTED;
    PyObject *key = PyBytes_FromStringAndSize(document->skeleton.data, (Py_ssize_t)document->skeleton.length);
    PyObject *path = key == NULL ? NULL : PyDict_GetItemWithError(paths, key);
    Py_XDECREF(key);
    if (path == NULL)
        return PyErr_Occurred() ? FAILED : UNKNOWN;
    PyObject *granted = PyTuple_GetItem(path, 0), *shared = PyTuple_GetItem(path, 1);
    if (granted == NULL || shared == NULL || !write_record(work, granted) || !write_canonical(work, shared))
        return FAILED;
    if (work->record.full || work->canonical.full) {
        PyErr_NoMemory();
        return FAILED;
    }
    blake2b(work->canonical.data, work->canonical.length, work->digest);
    return PACKED;
}

static PyObject *pack(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    char *data;
    Py_ssize_t length;
    Work work = {0};
    const Document *document = &work.document;
    PyObject *answer = NULL;
    (void)module;
    if (!are_given(given, 3, "pack takes a document, what stands between its user and its epoch, and the paths known") ||
        PyBytes_AsStringAndSize(arguments[0], &data, &length) < 0)
        return NULL;
    Outcome outcome = pack_one(data, (size_t)length, arguments[1], arguments[2], &work);
    if (outcome == PACKED)
        answer = Py_BuildValue("y#LLy#y#", document->user, (Py_ssize_t)document->user_length, (long long)document->epoch,
                               (long long)document->revision, work.record.data, (Py_ssize_t)work.record.length,
                               (char *)work.digest, (Py_ssize_t)DIGEST_BYTES);
    else if (outcome == UNKNOWN)
        answer = PyBytes_FromStringAndSize(document->skeleton.data, (Py_ssize_t)document->skeleton.length);
    else if (outcome == DOUBTED)
        answer = Py_NewRef(Py_None);
    finish(&work);
    return answer;
}

/* What `take` has taken. */
typedef struct {
    int64_t count, epoch, revision;
    uint8_t digest[DIGEST_BYTES];
} Taken;

/* PACKED where the page has the record now. */
static Outcome append_to(PyObject *pages, const Work *work, Taken *taken)
{
    char *page;
    Py_ssize_t page_length;
    const Document *document = &work->document;
    Py_ssize_t index = place(document->user, document->user_length, PyList_Size(pages));
    PyObject *before = PyList_GetItem(pages, index);
    if (before == NULL || PyBytes_AsStringAndSize(before, &page, &page_length) < 0)
        return FAILED;
    size_t held;
    if (find(page, (size_t)page_length, document->user, document->user_length, &held) != NULL)
        return DOUBTED;
    PyObject *after = appended(page, (size_t)page_length, document->user, document->user_length, work->record.data,
                               work->record.length);
    if (after == NULL || PyList_SetItem(pages, index, after) < 0)
        return FAILED;
    taken->count++;
    for (int i = 0; i < DIGEST_BYTES; i++)
        taken->digest[i] ^= work->digest[i];
    if (document->epoch > taken->epoch || (document->epoch == taken->epoch && document->revision > taken->revision)) {
        taken->epoch = document->epoch;
        taken->revision = document->revision;
    }
    return PACKED;
}

static Outcome take_one(PyObject *user, PyObject *data, PyObject *const *rest, Work *work, Taken *taken)
{
    char *bytes, *name;
    Py_ssize_t length, name_length;
    if (PyBytes_AsStringAndSize(data, &bytes, &length) < 0)
        return FAILED;
    if ((size_t)length > PyLong_AsSize_t(rest[3]))
        return PyErr_Occurred() ? FAILED : DOUBTED;
    Outcome outcome = pack_one(bytes, (size_t)length, rest[0], rest[1], work);
    if (outcome != PACKED)
        return outcome;
    if (user != Py_None) {
        if (PyBytes_AsStringAndSize(user, &name, &name_length) < 0)
            return FAILED;
        if ((size_t)name_length != work->document.user_length ||
            memcmp(name, work->document.user, (size_t)name_length) != 0)
            return DOUBTED;
    }
    return append_to(rest[2], work, taken);
}

static PyObject *take(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    Work work = {0};
    Taken taken = {0};
    (void)module;
    if (!are_given(given, 6, "take takes users, their documents, what pack takes, pages, and a document's most bytes"))
        return NULL;
    PyObject *users = arguments[0], *found = arguments[1], *left = PyList_New(0);
    Py_ssize_t count = PyList_Size(users);
    if (count >= 0 && PyList_Size(found) != count)
        PyErr_SetString(PyExc_ValueError, "there must be a document, or None, for each user");
    int failed = left == NULL || PyErr_Occurred() != NULL || PyList_Size(arguments[4]) < 1;
    for (Py_ssize_t i = 0; !failed && i < count; i++) {
        PyObject *data = PyList_GetItem(found, i);
        if (data == Py_None)
            continue;
        Outcome outcome = take_one(PyList_GetItem(users, i), data, arguments + 2, &work, &taken);
        if (outcome == DOUBTED || outcome == UNKNOWN) {
            PyObject *number = PyLong_FromSsize_t(i);
            failed = number == NULL || PyList_Append(left, number) < 0;
            Py_XDECREF(number);
        } else {
            failed = outcome == FAILED;
        }
    }
    finish(&work);
    if (failed) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "there are no pages");
        Py_XDECREF(left);
        return NULL;
    }
    return Py_BuildValue("Ly#LLN", (long long)taken.count, (char *)taken.digest, (Py_ssize_t)DIGEST_BYTES,
                         (long long)taken.epoch, (long long)taken.revision, left);
}

static PyObject *bulks(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    char *data;
    Py_ssize_t size, length, head, whole;
    (void)module;
    if (!are_given(given, 3, "bulks takes bytes, where to begin, and how many strings at most") ||
        PyBytes_AsStringAndSize(arguments[0], &data, &size) < 0)
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

static PyMethodDef methods[] = {
    {"answer", (PyCFunction)(void (*)(void))answer, METH_FASTCALL, NULL},
    {"bulks", (PyCFunction)(void (*)(void))bulks, METH_FASTCALL, NULL},
    {"held", (PyCFunction)(void (*)(void))held, METH_FASTCALL, NULL},
    {"pack", (PyCFunction)(void (*)(void))pack, METH_FASTCALL, NULL},
    {"take", (PyCFunction)(void (*)(void))take, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void)
{
    prepare_crc32();
    return PyModule_Create(&module);
}
