"""What a person may ask pip to install."""

import pytest

from federator.federation.requirement_line import requirement_line


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("monai == 1.4.0", "monai==1.4.0"),
        ("monai[nibabel, tqdm]==1.4.0", "monai[nibabel,tqdm]==1.4.0"),
        ("torch===2.9.0+cpu", "torch===2.9.0+cpu"),
        ("torch==2.9.0;platform_machine=='x86_64'", 'torch==2.9.0; platform_machine == "x86_64"'),
        ("tools @ https://example.org/a%20b-1.0.whl#sha256=00", None),
        ("tools @ git+https://example.org/tools.git@0123abc", None),
        ("tools @ git+ssh://git@example.org/tools.git@0123abc", None),
    ],
)
def test_a_requirement_gets_its_usual_spelling(written: str, line: str | None) -> None:
    assert requirement_line(written) == (line or written.replace("tools @", "tools@"))


@pytest.mark.parametrize(
    "written",
    [
        "-r other.txt",
        "--index-url=https://evil.example",
        "monai==1.4.0 --index-url https://evil.example",
        "monai==1.4.0\n-r other.txt",
        "monai==1.4.0 # the newest",
        "tools @ https://example.org/x.whl --no-deps",
        'torch==2.9.0; os_name != "$(id)"',
        'torch==2.9.0; os_name != "`id`"',
        'torch==2.9.0; os_name != " # "',
        "torch===2.9.0&&id",
        "torch===2.9.0\\",
        "tools @ https://example.org/${HOME}/x.whl",
        "tools @ file:///home/ada/x.whl",
        "tools @ https://ada:secret@example.org/x.whl",
        "tools @ https://token@example.org/x.whl",
        "../tools",
        "",
        7,
        ["monai==1.4.0"],
    ],
)
def test_nothing_else_gets_through(written: object) -> None:
    with pytest.raises(ValueError, match=r"^(what pip installs|at an address)"):
        requirement_line(written)
