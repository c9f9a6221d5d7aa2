"""A table of any make becomes columns of text, or an error that says what to do."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from melaudit.errors import DatasetError
from melaudit.images.files import Omissions
from melaudit.images.tables.table import Table, read_table

ROWS = (("a.jpg", "benign", "61"), ("b.jpg", "malignant", ""), ("ç.jpg", "benign", "47.5"))


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def joined(delimiter: str = ",", newline: str = "\n") -> str:
    return newline.join(delimiter.join(row) for row in (("image", "label", "age"), *ROWS)) + newline


def read(path: Path) -> Table:
    return read_table(path, Omissions())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(joined().encode(), id="plain"),
        pytest.param(joined(newline="\r\n").encode(), id="Windows line ends"),
        pytest.param(joined(newline="\r").encode(), id="old Macintosh line ends"),
        pytest.param(joined(";").encode(), id="semicolons"),
        pytest.param(joined("\t").encode(), id="tabs"),
        pytest.param(joined("|").encode(), id="bars"),
        pytest.param(joined().encode("utf-8-sig"), id="UTF-8 with a mark"),
        pytest.param(joined().encode("utf-16"), id="UTF-16"),
        pytest.param(b"\xfe\xff" + joined().encode("utf-16-be"), id="UTF-16, big end first"),
        pytest.param(joined().encode("utf-32"), id="UTF-32"),
        pytest.param(joined().encode("cp1252"), id="Windows-1252"),
        pytest.param(joined().rstrip("\n").encode(), id="no line end at the end"),
        pytest.param(b"\n\n" + joined(newline="\n\n").encode(), id="blank lines"),
        pytest.param(joined(" , ").replace(" , ", " ,").encode(), id="blanks around cells"),
        pytest.param(
            ('"image";"label";"age"\n' + joined(";").partition("\n")[2]).encode(), id="quotes"
        ),
    ],
)
def test_every_way_to_write_a_table_reads_the_same(content: bytes, tmp_path: Path) -> None:
    table = read(written(tmp_path, content))
    assert table.columns == ("image", "label", "age")
    assert tuple(zip(*map(table.text, table.columns), strict=True)) == tuple(
        tuple(cell or None for cell in row) for row in ROWS
    )
    assert table.values("age") == (61.0, None, 47.5)
    assert len(table) == 3


def test_windows_1252_is_said(tmp_path: Path) -> None:
    assert "Windows-1252" in read(written(tmp_path, joined().encode("cp1252"))).notes[0]
    assert read(written(tmp_path, joined())).notes == ()


def test_quoted_cells_may_hold_delimiters_and_line_ends(tmp_path: Path) -> None:
    table = read(written(tmp_path, 'image,"no;te"\n"a,b.jpg","two\nlines, ""quoted"""\n'))
    assert table.columns == ("image", "no;te")
    assert table.text("image") == ("a,b.jpg",)
    assert table.text("no;te") == ('two\nlines, "quoted"',)
    assert table.values("no;te") == ('two\\nlines, "quoted"',)


def test_rows_of_another_length_are_counted_and_left_out(tmp_path: Path) -> None:
    omitted = Omissions()
    content = "image,label\na.jpg,x\nb.jpg\nc.jpg,y,z\nd.jpg,y\n"
    assert read_table(written(tmp_path, content), omitted).text("image") == ("a.jpg", "d.jpg")
    assert omitted.counts == {"malformed_row": 2}
    assert omitted.examples == {"malformed_row": ("line 3", "line 4")}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2.5", "-3e2"], (1.0, 2.5, -300.0)),
        (["1", "", "NA"], (1.0, None, None)),
        (["007", "12"], ("007", "12")),
        (["0", "0.5"], (0.0, 0.5)),
        (["1_000", "1"], ("1_000", "1")),
        (["inf", "1"], ("inf", "1")),
        (["1e999", "1"], ("1e999", "1")),
        ([".", "1"], (".", "1")),
        (["male", "nan"], ("male", None)),
        (["\u202etxt", "a\u200b"], ("\\u202etxt", "a\\u200b")),
    ],
)
def test_cells_are_numbers_only_if_all_are(
    cells: list[str], expected: tuple[Any, ...], tmp_path: Path
) -> None:
    content = "image,x\n" + "".join(f"{i}.jpg,{cell}\n" for i, cell in enumerate(cells))
    assert read(written(tmp_path, content)).values("x") == expected


def test_columns_of_one_name_are_told_apart(tmp_path: Path) -> None:
    table = read(written(tmp_path, "image,x,x,,x_2\na.jpg,1,2,3,4\n"))
    assert table.columns == ("image", "x", "x_2", "", "x_2_2")
    assert table.values("x_2") == (2.0,)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"a.jpg,benign\nb.jpg,malignant\n", "no header"),
        (b"image,label\na\0.jpg,x\n", "NUL"),
        (b"PAR1" + bytes(100), "NUL"),
        (b"\xff\xfeabc", "is not"),
        (b"image,label\na.jpg," + b"x" * 70_000 + b"\n", "64 K"),
    ],
)
def test_what_is_no_table_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=says):
        read(written(tmp_path, content)).text("label")


def rows(first: int, last: int, *, quoted: bool = False) -> str:
    mark = '"' if quoted else ""
    return "".join(f"{mark}isic_{i:04}.jpg{mark},nevus\n" for i in range(first, last))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param('image,label\n"a.jpg,x\n' + "b.jpg,y\n" * 10, 2, id="first row, to the end"),
        pytest.param(
            "image,label\n" + rows(0, 148) + '"' + rows(148, 300),
            150,
            id="before a name, to the end",
        ),
        pytest.param(
            "image,label\n" + rows(0, 148) + 'b.jpg,"nevus\n' + rows(149, 300), 150, id="label"
        ),
        pytest.param(
            "image,label\n" + rows(0, 148) + '"x_0148.jpg,nevus\n' + rows(149, 300, quoted=True),
            150,
            id="closed by the next quotation mark",
        ),
        pytest.param(
            "image,label\n" + rows(0, 8) + 'b.jpg,"nevus\nisic_0009.jpg,nevus"\n' + rows(9, 20),
            10,
            id="two rows in a label",
        ),
        pytest.param(
            "image,label\n" + rows(0, 8) + '"b_1.jpg,nevus\nisic_0009.jpg",nevus\n' + rows(9, 20),
            10,
            id="two rows in a name",
        ),
        pytest.param('"image,label\n' + rows(0, 20), 1, id="header"),
        pytest.param(
            "image,label\r" + rows(0, 8).replace("\n", "\r") + '"b.jpg,x\rc.jpg,y\r',
            10,
            id="line ends of the old Mac",
        ),
        pytest.param(
            "image,label\n" + rows(0, 8) + '"' + rows(0, 20_000), 10, id="more than a cell may hold"
        ),
    ],
)
def test_rows_in_an_open_quotation_mark_are_refused_with_the_line(
    content: str, line: int, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=rf"begins in line {line} .*quotation mark") as refused:
        read(written(tmp_path, content))
    assert "close it in that line" in str(refused.value)


@pytest.mark.parametrize(
    "comment",
    [
        "first line\nsecond line",
        "raised,\ndark, hairy",
        "seen 2024-01-01\nagain 2024-02-01, larger\n\n3 mm",
        "two, three\r\nfour, five, six, seven",
    ],
)
def test_comments_of_several_lines_are_no_rows(comment: str, tmp_path: Path) -> None:
    usual = "".join(f"isic_{i:04}.jpg,nevus,round and dark\n" for i in range(50))
    content = f'image,label,note\n{usual}isic_0050.jpg,nevus,"{comment}"\nisic_0051.jpg,nevus,\n'
    assert len(read(written(tmp_path, content))) == 52
    assert len(read(written(tmp_path, "note,image,label\n" + f'"{comment}",a.jpg,nevus\n'))) == 1


def parquet(folder: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / "table.parquet")
    return folder / "table.parquet"


def test_parquet_columns_of_any_plain_type_are_read(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        image=["a.jpg", "b.jpg", None],
        label=pa.array(["x", "y", "x"]).dictionary_encode(),
        target=[0, 1, None],
        score=[0.5, 1.0, float("nan")],
        flag=[True, False, None],
        vector=[[1], [2], [3]],
    )
    table = read(path)
    assert table.columns == ("image", "label", "target", "score", "flag")
    assert table.text("image") == ("a.jpg", "b.jpg", None)
    assert table.text("label") == ("x", "y", "x")
    assert table.text("target") == ("0", "1", None)
    assert table.values("score") == (0.5, 1.0, None)
    assert table.text("flag") == ("1", "0", None)
    assert "vector" in table.notes[0]


def test_images_inside_a_parquet_file_are_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="write them to files"):
        read(parquet(tmp_path, image=[{"bytes": b"x", "path": "a.jpg"}]))


@pytest.mark.parametrize("cut", [0, 4, 50, -4])
def test_a_broken_parquet_file_is_an_error(cut: int, tmp_path: Path) -> None:
    path = parquet(tmp_path, image=["a.jpg"] * 100)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DatasetError, match=r"table\.parquet"):
        read(path)


def test_damage_anywhere_in_a_parquet_file_is_an_error_or_harmless(tmp_path: Path) -> None:
    path = parquet(tmp_path, image=[f"{i}.jpg" for i in range(50)], label=["a", "b"] * 25)
    sound, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for place in random.integers(0, len(sound), 300):
        path.write_bytes(sound[:place] + b"\xc7" + sound[place + 1 :])
        try:
            table = read(path)
            assert all(len(table.values(column)) == len(table) for column in table.columns)
        except DatasetError:
            refused += 1
    assert refused > 50
