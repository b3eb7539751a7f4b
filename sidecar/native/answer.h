/* A whole answer to the hot request, as fast_lane.py makes it: of the most common question, where there is no doubt. */
#pragma once
#include "arguments.h"
#include "decision.h"
#include "pages.h"
#include "text.h"

#define LONGEST_ASKED 255

typedef struct {
    const char *data;
    size_t length;
} Piece;

typedef struct {
    Piece user, told, headers; /* told: what of the query follows `&feature=` */
} Question;

static const char VERSION[] = " HTTP/1.1\r\n";

/* What stands in a query as itself, in every reading of it. */
static int is_plain_in_query(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '@' && c <= 'Z') || (c >= '-' && c <= ':' && c != '/') || c == '_' || c == '~';
}

static int read_question(Text text, Question *found)
{
    if (!EXPECT(&text, "GET /api/v1/check?user_id="))
        return 0;
    found->user.data = text.at;
    while (text.at < text.end && is_plain_in_query(*text.at))
        text.at++;
    found->user.length = (size_t)(text.at - found->user.data);
    if (found->user.length < 1 || found->user.length > LONGEST_ASKED || !EXPECT(&text, "&feature="))
        return 0;
    const char *line_end = memmem(text.at, (size_t)(text.end - text.at), VERSION, sizeof(VERSION) - 1);
    if (line_end == NULL)
        return 0;
    found->told.data = text.at;
    found->told.length = (size_t)(line_end - text.at);
    found->headers.data = line_end + sizeof(VERSION) - 1;
    found->headers.length = (size_t)(text.end - found->headers.data);
    return 1;
}

static int piece_of(PyObject *bytes, Piece *found)
{
    char *data;
    Py_ssize_t length;
    if (bytes == NULL || PyBytes_AsStringAndSize(bytes, &data, &length) < 0)
        return 0;
    *found = (Piece){data, (size_t)length};
    return 1;
}

/* Whether the set has it; -1 with an exception. */
static int is_in(PyObject *set, Piece piece)
{
    PyObject *key = PyBytes_FromStringAndSize(piece.data, (Py_ssize_t)piece.length);
    int found = key == NULL ? -1 : PySet_Contains(set, key);
    Py_XDECREF(key);
    return found;
}

/* Borrowed; NULL where there is none, with an exception where that is one. */
static PyObject *value_of(PyObject *dict, Piece piece)
{
    PyObject *key = PyBytes_FromStringAndSize(piece.data, (Py_ssize_t)piece.length);
    PyObject *value = key == NULL ? NULL : PyDict_GetItemWithError(dict, key);
    Py_XDECREF(key);
    return value;
}

/* A user's record; NULL where there is none, with an exception where `pages` are no pages. */
static const char *record_of(Piece user, PyObject *pages, size_t *length)
{
    Piece page;
    Py_ssize_t count = PyList_Size(pages);
    if (count < 1 || !piece_of(PyList_GetItem(pages, place(user.data, user.length, count)), &page))
        return NULL;
    return find(page.data, page.length, user.data, user.length, length);
}

/* The form of what the user holds now, borrowed, and the text of its end. NULL where another way is to decide. */
static PyObject *decided(Piece user, PyObject *pages, PyObject *forms, int64_t now, char *end, size_t *end_length)
{
    size_t length;
    OnlyRun run;
    const char *record = record_of(user, pages, &length);
    *end_length = 0;
    if (record == NULL)
        return PyErr_Occurred() || PyList_Size(pages) < 1 ? NULL : PyDict_GetItemWithError(forms, Py_None);
    if (!read_only_run(record, length, &run) || now < run.from || now >= run.to)
        return NULL;
    if (run.to == INT64_MAX)
        memcpy(end, "null", *end_length = 4);
    else
        *end_length = (size_t)(put_moment(end, run.to) - end);
    return value_of(forms, (Piece){record, run.granted_length});
}

/* All pieces in one, behind the head of an answer of their length; NULL where that was not written yet. */
static PyObject *written(const Piece *pieces, int count, PyObject *heads)
{
    Py_ssize_t length = 0;
    Piece head;
    for (int i = 0; i < count; i++)
        length += (Py_ssize_t)pieces[i].length;
    PyObject *known = length < PyList_Size(heads) ? PyList_GetItem(heads, length) : NULL;
    if (known == NULL || known == Py_None || !piece_of(known, &head))
        return NULL;
    PyObject *answer = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)head.length + length);
    char *to = answer == NULL ? NULL : PyBytes_AsString(answer);
    if (to == NULL)
        return NULL;
    memcpy(to, head.data, head.length);
    to += head.length;
    for (int i = 0; i < count; to += pieces[i++].length)
        memcpy(to, pieces[i].data, pieces[i].length);
    return answer;
}

/* `held`: what the view saw, a list of pages and middle, and the forms by what is granted. */
static PyObject *answer_of(const Question *question, PyObject *held, PyObject *heads, int64_t now)
{
    char end[LONGEST_MOMENT];
    Piece pieces[7] = {[1] = question->user, [3] = {.data = end}};
    static const int of_form[] = {0, 2, 4, 6}; /* before, between, after, last; 5 is the middle */
    PyObject *seen = PyTuple_GetItem(held, 0), *forms = PyTuple_GetItem(held, 1);
    PyObject *pages = seen == NULL ? NULL : PyList_GetItem(seen, 0);
    if (forms == NULL || pages == NULL || !piece_of(PyList_GetItem(seen, 1), &pieces[5]))
        return NULL;
    PyObject *form = decided(question->user, pages, forms, now, end, &pieces[3].length);
    if (form == NULL || form == Py_None)
        return NULL;
    for (int i = 0; i < 4; i++)
        if (!piece_of(PyTuple_GetItem(form, i), &pieces[of_form[i]]))
            return NULL;
    if (pieces[4].length == 0) /* an answer that has no end, whatever the user's run has */
        pieces[3].length = 0;
    PyObject *answer = written(pieces, 7, heads);
    return answer == NULL ? NULL : Py_BuildValue("NN", Py_NewRef(form), answer);
}

static PyObject *answer(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    Piece data;
    Question question;
    PyObject *found = NULL;
    (void)module;
    if (!are_given(given, 5, "answer takes a request, plain headers, what is held by what is asked, heads, and now") ||
        !piece_of(arguments[0], &data))
        return NULL;
    int64_t now = PyLong_AsLongLong(arguments[4]);
    if (PyErr_Occurred())
        return NULL;
    if (read_question((Text){data.data, data.data + data.length}, &question) &&
        is_in(arguments[1], question.headers) == 1) {
        PyObject *held = value_of(arguments[2], question.told);
        if (held != NULL)
            found = answer_of(&question, held, arguments[3], now);
    }
    return found != NULL || PyErr_Occurred() ? found : Py_NewRef(Py_None);
}

static PyObject *held(PyObject *module, PyObject *const *arguments, Py_ssize_t given)
{
    Piece user;
    size_t length;
    OnlyRun run;
    (void)module;
    if (!are_given(given, 2, "held takes pages and a user") || !piece_of(arguments[1], &user))
        return NULL;
    const char *record = record_of(user, arguments[0], &length);
    if (PyErr_Occurred())
        return NULL;
    if (record == NULL || !read_only_run(record, length, &run))
        return Py_NewRef(Py_None);
    return Py_BuildValue("y#LL", record, (Py_ssize_t)run.granted_length, (long long)run.from, (long long)run.to);
}
