"""CVAT for images 1.1, as CVAT writes it."""

from io import BytesIO

import pytest

from core.errors import InvalidRequest
from core.feedback.imports.archive import Archive
from core.feedback.imports.inspection import inspect
from tests.unit.feedback.imports.archives import SETTINGS, boxes_in, inspected, picture, silent, told

META = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta>
    <task>
      <id>4</id>
      <name>transformers</name>
      <mode>annotation</mode>
      <labels>
        <label>
          <name>cold joint</name>
          <type>any</type>
          <attributes>
          </attributes>
        </label>
      </labels>
    </task>
    <dumped>2025-10-01 11:38:28.799808+00:00</dumped>
  </meta>
"""
BOX_XML = """\
<box label="cold joint" source="manual" occluded="0" xtl="16.00" ytl="12.00" xbr="48.00" ybr="36.00"
 z_order="0">
  <attribute name="severity">high</attribute>
</box>"""
BOX = ("cold joint", (16.0, 12.0, 48.0, 36.0))


def files_of(*shapes: str, image: str = 'name="a.jpg" width="64" height="48"') -> dict[str, bytes | str]:
    shown = "\n".join(shapes)
    text = f'{META}<image id="0" {image}>\n{shown}\n</image>\n</annotations>'
    return {"annotations.xml": text, "images/a.jpg": picture()}


def test_the_export_as_it_is() -> None:
    inspection = inspected(files_of(BOX_XML))
    assert inspection.format_name == "cvat"
    assert boxes_in(inspection) == {"images/a.jpg": [BOX]}
    assert inspection.problems == ()


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (BOX_XML.replace("z_order", 'rotation="90.00" z_order'), (20.0, 8.0, 44.0, 40.0)),
        (
            '<polygon label="cold joint" source="manual" occluded="0" z_order="0" '
            'points="16.00,12.00;48.00,20.00;30.00,36.00"></polygon>',
            BOX[1],
        ),
        ('<ellipse label="cold joint" occluded="0" cx="32.00" cy="24.00" rx="16.00" ry="12.00"/>', BOX[1]),
        (
            '<ellipse label="cold joint" cx="32.00" cy="24.00" rx="16.00" ry="12.00" rotation="90.00"/>',
            (20.0, 8.0, 44.0, 40.0),
        ),
        ('<mask label="cold joint" rle="3, 5" left="16" top="12" width="32" height="24"/>', BOX[1]),
        (
            '<cuboid label="cold joint" xtl1="16" ytl1="14" xbl1="16" ybl1="30" xtr1="40" ytr1="14" '
            'xbr1="40" ybr1="36" xtl2="48" ytl2="12" xbl2="48" ybl2="30" '
            'xtr2="20" ytr2="12" xbr2="20" ybr2="30"/>',
            BOX[1],
        ),
    ],
)
def test_shapes_become_the_boxes_around_them_and_are_told(shape: str, box: tuple[float, ...]) -> None:
    inspection = inspected(files_of(shape))
    assert boxes_in(inspection) == {"images/a.jpg": [("cold joint", box)]}
    (problem,) = inspection.problems
    assert problem.costs == "nothing"
    assert problem.detail.endswith("around them: 1.")


def test_a_box_that_was_turned_by_nothing_is_upright() -> None:
    assert inspected(files_of(BOX_XML.replace("z_order", 'rotation="0.00" z_order'))).problems == ()


def test_what_has_no_box_is_told() -> None:
    skeleton = (
        '<skeleton label="bushing" source="manual" z_order="0">'
        '<points label="1" outside="0" occluded="0" points="54.47,34.81"></points></skeleton>'
    )
    inspection = inspected(
        files_of(
            BOX_XML,
            '<polyline label="wire" points="1.00,1.00;2.00,2.00"></polyline>',
            '<points label="wheel" points="574.90,939.48"></points>',
            skeleton,
            '<tag label="blurred" source="manual"></tag>',
            BOX_XML.replace("occluded", 'outside="1" occluded'),
        )
    )
    assert boxes_in(inspection) == {"images/a.jpg": [BOX]}
    assert [(problem.place, problem.costs) for problem in inspection.problems] == [
        ("image a.jpg", "box"),
        ("image a.jpg", "box"),
        ("image a.jpg", "box"),
        (None, "nothing"),
        (None, "nothing"),
    ]
    assert inspection.boxes_left_out == 3


def test_an_image_without_shapes_is_one_without_boxes() -> None:
    assert boxes_in(inspected(files_of())) == {"images/a.jpg": []}


def test_a_project_with_subsets() -> None:
    image = '<image id="{0}" name="a.jpg" subset="{1}" task_id="{0}" width="64" height="48">{2}</image>'
    images = image.format(0, "Train", BOX_XML) + image.format(1, "Validation", "")
    files = {
        "annotations.xml": f"{META}{images}</annotations>",
        "images/Train/a.jpg": picture(1),
        "images/Validation/a.jpg": picture(2),
    }
    assert told(inspected(files)) == []


@pytest.mark.parametrize(
    "shape",
    [
        '<box label="x" xtl="1" ytl="1" xbr="2"/>',
        '<box xtl="1" ytl="1" xbr="2" ybr="2"/>',
        '<box label="x" xtl="nan" ytl="1" xbr="2" ybr="2"/>',
        '<box label="x" xtl="inf" ytl="1" xbr="2" ybr="2" rotation="10"/>',
        '<polygon label="x" points=""/>',
        '<polygon label="x" points="1,2;3"/>',
        '<ellipse label="x" cx="1" cy="2" rx="3" ry="three"/>',
    ],
)
def test_a_shape_that_cannot_be_read_leaves_its_image_out(shape: str) -> None:
    inspection = inspected(files_of(BOX_XML, shape))
    assert boxes_in(inspection) == {}
    assert told(inspection) == [("annotations.xml", "image a.jpg", "image")]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ('name="a.jpg" width="640" height="480"', "640 x 480 px"),
        ('name="a.jpg" width="wide" height="48"', "'wide'"),
        ('name="a.jpg"', "'width' is missing"),
        ('name="b.jpg" width="64" height="48"', "b.jpg is not in the archive"),
        ('width="64" height="48"', "is not in the archive"),
    ],
)
def test_an_image_that_does_not_fit_is_told(image: str, words: str) -> None:
    inspection = inspected(files_of(BOX_XML, image=image))
    assert boxes_in(inspection) == {}
    assert words in inspection.problems[0].detail


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'


@pytest.mark.parametrize(
    "text",
    [
        META,
        f"{LAUGHS}<annotations><image name='&b;'/></annotations>",
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>',
        '<annotations><track id="0" label="x"><box frame="0"/></track></annotations>',
        '<annotations><image name="a.jpg" name="b.jpg"/></annotations>',
        "<annotations>" + "<a>" * 3_000_000,
    ],
    ids=["cut short", "entities", "external", "video", "malformed", "endless"],
)
def test_xml_that_is_not_read_is_refused(text: str) -> None:
    files = [("annotations.xml", BytesIO(text.encode())), ("a.jpg", BytesIO(picture()))]
    with Archive(files, SETTINGS) as archive, pytest.raises(InvalidRequest, match=r"annotations\.xml"):
        inspect(archive, None, silent)
