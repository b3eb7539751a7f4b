"""customers.csv is read as people save it, and refused with every fault and its line."""

import pytest

from writer.takeover.customer_map import CustomerMapError, read

PLAIN = "customer_id,user_id\ncus_1,ann\n"


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace(",", ";").encode(),
        b"User_ID , Customer_ID\n\n ann , cus_1 \n\n",
        b'"customer_id","user_id"\n"cus_1","ann"',
        b"customer_id,user_id,project_id\ncus_1,ann,\n",
    ],
)
def test_it_is_read_as_it_comes(data: bytes) -> None:
    """UTF-8 with and without a mark, UTF-16, comma, semicolon, quotes, blanks, columns in any order."""
    (row,) = read(data).values()
    assert (row.customer_id, row.user, row.project) == ("cus_1", "ann", None)


def test_users_may_have_any_name() -> None:
    """Commas, quotes and other scripts, and the project where it is given."""
    found = read('customer_id,user_id,project_id\ncus_1,"a,""b""",shop\ncus_2,Ωμέγα:1,shop\n'.encode())
    assert [(row.line, row.user, row.project) for row in found.values()] == [
        (2, 'a,"b"', "shop"),
        (3, "Ωμέγα:1", "shop"),
    ]


@pytest.mark.parametrize(
    ("data", "faults"),
    [
        (b"", ["the file is empty: it begins with the line customer_id,user_id,project_id"]),
        (b"cus_1,ann\n", ["no column customer_id", "no column user_id", "cus_1 is no column", "ann is no column"]),
        (b"customer_id,user_id,email\n", ["line 1: email is no column of ours"]),
        (b"customer_id,user_id,user_id\n", ["line 1: the column user_id stands twice"]),
        (
            b"customer_id,user_id,project_id\ncus_1,ann,a b\nsub_1,bob,\ncus_1,cy,\ncus_2,,\ncus_3\n",
            ["line 2: project_id must", "line 3: customer_id must be", "line 5: user_id must", "line 6: has 1 columns"],
        ),
        (b"customer_id,user_id\ncus_1,ann\n\ncus_1,bob\n", ["line 4: cus_1 stands in line 2 already"]),
        (b"customer_id,user_id\ncus_1,\xff\n", ["line 2: is not UTF-8 text"]),
        (b'customer_id,user_id\ncus_1,"ann\n', ["line 2: unexpected end of data"]),
    ],
)
def test_every_fault_is_told(data: bytes, faults: list[str]) -> None:
    """All at once, each with its line."""
    with pytest.raises(CustomerMapError) as refused:
        read(data)
    assert len(refused.value.faults) == len(faults)
    for told, expected in zip(refused.value.faults, faults, strict=True):
        assert expected in told


def test_a_wholly_wrong_file_is_told_in_few_words() -> None:
    """Fifty faults are enough."""
    with pytest.raises(CustomerMapError) as refused:
        read(b"customer_id,user_id\n" + b"x,y\n" * 1_000)
    assert len(refused.value.faults) == 51
