/* A document as writers write it: ASCII, its members in their order. It is cut into what it shares with others (the
 * skeleton: HERE for what was cut out of each row) and what is its own: of each row reference and times.
 */
#pragma once
#include "buffer.h"
#include "text.h"

#define LONGEST_USER 255
#define MOST_ROWS 256
#define HERE '\xff'

static const char CUT[] = ",\"source_ref\":\"";

/* Neighbouring rows with the same own part. */
typedef struct {
    const char *text; /* as it was cut out, so that the next row need not be read if it has the same */
    size_t text_length;
    size_t at, length; /* where it stands among `owns`: "reference",from,to */
    int rows;
} Run;

typedef struct {
    const char *user;
    size_t user_length;
    int64_t epoch, revision, computed_at;
    Run runs[MOST_ROWS];
    int run_count, row_count;
    Buffer skeleton, owns;
} Document;

static int read_head(Text *text, const char *middle, size_t middle_length, Document *found)
{
    if (!EXPECT(text, "{\"user_id\":\""))
        return 0;
    found->user = text->at;
    found->user_length = plain(text);
    return found->user_length >= 1 && found->user_length <= LONGEST_USER && expect(text, middle, middle_length) &&
           count(text, &found->epoch) && EXPECT(text, ",\"revision\":") && count(text, &found->revision) &&
           EXPECT(text, ",\"computed_at\":\"") && moment(text, &found->computed_at) &&
           EXPECT(text, "\",\"entitlements\":");
}

static int read_moments(Text *text, Buffer *owns)
{
    int64_t from, to;
    if (!EXPECT(text, "\",\"valid_from\":\"") || !moment(text, &from) || !EXPECT(text, "\",\"valid_to\":"))
        return 0;
    PUT(owns, "\",");
    put_number(owns, from);
    if (EXPECT(text, "null")) {
        PUT(owns, ",null");
        return 1;
    }
    if (!EXPECT(text, "\"") || !moment(text, &to) || !EXPECT(text, "\""))
        return 0;
    PUT(owns, ",");
    put_number(owns, to);
    return 1;
}

static int read_own(Text *text, Document *found)
{
    Run *before = found->run_count == 0 ? NULL : &found->runs[found->run_count - 1];
    Run run = {.text = text->at, .at = found->owns.length, .rows = 1};
    if (found->row_count++ == MOST_ROWS)
        return 0;
    if (before != NULL && expect(text, before->text, before->text_length) && EXPECT(text, ",\"value\":")) {
        before->rows++;
        return 1;
    }
    text->at = run.text;
    size_t reference_length = plain(text);
    PUT(&found->owns, "\"");
    put(&found->owns, run.text, reference_length);
    if (!read_moments(text, &found->owns) || found->owns.full)
        return 0;
    run.text_length = (size_t)(text->at - run.text);
    run.length = found->owns.length - run.at;
    if (before != NULL && before->length == run.length && /* the same moments, written otherwise */
        memcmp(found->owns.data + before->at, found->owns.data + run.at, run.length) == 0)
        before->rows++;
    else
        found->runs[found->run_count++] = run;
    return EXPECT(text, ",\"value\":");
}

static int read_rows(Text *text, Document *found)
{
    static const char here = HERE;
    const char *cut;
    while ((cut = memmem(text->at, (size_t)(text->end - text->at), CUT, sizeof(CUT) - 1)) != NULL) {
        put(&found->skeleton, text->at, (size_t)(cut - text->at));
        put(&found->skeleton, &here, 1);
        text->at = cut + sizeof(CUT) - 1;
        if (!read_own(text, found))
            return 0;
    }
    put(&found->skeleton, text->at, (size_t)(text->end - text->at));
    return found->row_count > 0 && !found->skeleton.full;
}

/* Whether `data` is such a document; `middle` stands between its user and its epoch. It must outlive `found`. */
static int read_document(const char *data, size_t length, const char *middle, size_t middle_length, Document *found)
{
    Text text = {data, data + length};
    found->run_count = found->row_count = 0;
    empty(&found->skeleton);
    empty(&found->owns);
    return is_ascii(data, length) && read_head(&text, middle, middle_length, found) && read_rows(&text, found);
}
