"""A whole federation with a site that attacks it: that costs nothing but lines in the journal."""

import sys

from fixtures.paths import ROOT
from fixtures.rehearsals import events, lay_out, lay_out_site, rehearse

from federator.deploy.local.forks import Forks

HOSTILE = ROOT / "tests" / "fakes" / "hostile_link.py"


def test_a_hostile_site_ends_neither_the_run_nor_another_site_s_link(tmp_path, monkeypatch):
    sites = {name: lay_out_site(tmp_path / name, n) for n, name in enumerate(("north", "south"))}
    sites["evil"] = lay_out_site(tmp_path / "evil", 3)
    run = rehearse(lay_out(tmp_path, sites, "min_sites: 2\nrounds: 2\n"))
    honest = Forks.start

    def start(self, name, arguments, env, read_only=None):
        if name != "evil.link":
            return honest(self, name, arguments, env, read_only)
        return self._processes.start(name, [sys.executable, str(HOSTILE), *arguments[1:]], env)

    monkeypatch.setattr(Forks, "start", start)
    monkeypatch.setenv("HOSTILE_LOG", str(run.folder / "logs" / "superlink.log"))
    list(run.events())

    (end,) = events(run.folder, "end")
    assert end["state"] == "finished"
    assert "written to 2 others" in (run.folder / "logs" / "evil.link.log").read_text()
    rounds = events(run.folder, "round")
    assert len(rounds) == 2
    for told in rounds:
        assert told["sites"]["north"]["ok"] and told["sites"]["south"]["ok"]
        assert not told["sites"]["evil"]["ok"]
    assert "gave no reason" in rounds[0]["sites"]["evil"]["reason"]
    assert "the server rejected what the site sent" in rounds[1]["sites"]["evil"]["reason"]
    warned = [e for e in events(run.folder, "site") if e["state"] == "warned"]
    refused = [e for e in warned if "that you had not signed" in e["reason"]]
    assert {e["site"] for e in refused} == {"north", "south"}
    for site in ("north", "south"):
        log = (run.folder / "logs" / f"{site}.link.log").read_text()
        assert "Traceback" not in log
