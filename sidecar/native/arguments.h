/* What every function of the module asks first. */
#pragma once

static int are_given(Py_ssize_t given, Py_ssize_t wanted, const char *what)
{
    if (given != wanted)
        PyErr_SetString(PyExc_TypeError, what);
    return given == wanted;
}
