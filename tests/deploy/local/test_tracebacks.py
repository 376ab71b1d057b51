"""What is read of the author's exceptions in a log."""

import pytest

from federator.deploy.local.tracebacks import Exceptions, last_exception
from federator.runtime.worker.author_code import FAILED

PLAIN = f"""\
2026-11-28 02:09:27,172 INFO data loaded (1)
2026-11-28 02:09:28,172 ERROR {FAILED}
Traceback (most recent call last):
  File "/app/task.py", line 95, in train
    loss = criterion(net(x), y)
           ^^^^^^^^^^^^^^^^^^^^
IndexError: Target 2 is out of bounds.
"""
CHAINED = f"""\
ERROR:federator:{FAILED}
Traceback (most recent call last):
  File "/app/task.py", line 3, in load
    return table[name]
KeyError: 'MRN'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/task.py", line 5, in load
    raise ValueError("no such patient") from None
ValueError: no such patient
INFO:federator:going on
"""
SEVERAL_LINES = f"""\
ERROR {FAILED}
Traceback (most recent call last):
  File "/app/task.py", line 3, in train
    net.load_state_dict(kept)
RuntimeError: Error(s) in loading state_dict for Model:
\tsize mismatch for layer.weight: copying a param with shape torch.Size([2]).
2026-11-28 02:09:29,172 INFO data loaded (2)
"""
PASSED_ON = f"""\
ERROR {FAILED}
Traceback (most recent call last):
  File "/lib/torch/_utils.py", line 750, in reraise
    raise exception
KeyError: Caught KeyError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "/app/task.py", line 9, in __getitem__
    return self.rows[index]
KeyError: 7
"""


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (PLAIN, "IndexError: Target 2 is out of bounds."),
        (CHAINED, "ValueError: no such patient"),
        (PLAIN + CHAINED, "ValueError: no such patient"),
        (
            SEVERAL_LINES,
            "RuntimeError: Error(s) in loading state_dict for Model:\n"
            "\tsize mismatch for layer.weight: copying a param with shape torch.Size([2]).",
        ),
        (PASSED_ON, "KeyError: 7"),
        (PLAIN.replace(FAILED, "test set"), None),
        (PLAIN.partition("Traceback")[0], None),
        ("", None),
    ],
)
def test_the_last_exception_of_the_authors(log, told):
    assert last_exception(log) == told


def test_each_exception_is_told_once_whichever_sites_it_is_of(tmp_path):
    north, south = (tmp_path / f"{name}.worker.log" for name in ("north", "south"))
    north.write_text(PLAIN)  # of an earlier run
    exceptions = Exceptions(tmp_path, ["north", "south"])
    assert list(exceptions.news()) == []
    with north.open("a") as log:
        log.write(PLAIN)
    south.write_text(PLAIN)
    (told,) = exceptions.news()
    assert (told["site"], told["log"]) == ("north", str(north))
    with north.open("a") as log:
        log.write(CHAINED)
    assert [one["text"] for one in exceptions.news()] == ["ValueError: no such patient"]
    assert list(exceptions.news()) == []
