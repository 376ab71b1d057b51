"""Notices on their way: what arrives at a webhook and at a mail server of this machine."""

import email
import os
import ssl
import subprocess
import sys
import threading
import time

import pytest
from fakes.http_service import running
from fakes.sinks import Hook, mail_server

from federator.deploy.certificates import issue
from federator.errors import InputError
from federator.runtime.notify import process
from federator.runtime.notify.notices import Notice
from federator.runtime.notify.outbox import Outbox
from federator.runtime.notify.process import PAUSES, Sender
from federator.runtime.notify.settings import Mail, NotifySettings
from federator.runtime.notify.sinks import MailServer, NotSentError, Webhook

NOTICES = [
    Notice("site", "tumours", f"site {site} dropped out; it failed in round 2", "run-1", site)
    for site in ("north", "süd")
]


@pytest.fixture
def hook():
    with running(Hook()) as service:
        yield service


@pytest.fixture
def box(tmp_path):
    made = Outbox(tmp_path)
    for notice in NOTICES:
        made.put(notice, ("webhook", "mail"))
    return made


def mail(port, **more):
    return Mail(f"127.0.0.1:{port}", "fl@example.org", ("a@example.org", "b@example.org"), **more)


def test_each_notice_arrives_once_at_each_sink(hook, box, tmp_path):
    with mail_server() as (port, post):
        told = mail(port, user="fl")
        secrets = tmp_path / "webhook", tmp_path / "password"
        secrets[0].write_text(f"{hook.url}\n")
        secrets[1].write_text("open sesame\n")
        sinks = process.sinks(NotifySettings(True, told), *secrets)
        for _ in range(2):
            for name, sink in sinks.items():
                Sender(name, sink, tmp_path).send_waiting()
    assert [body["text"] for _, body in hook.received] == [f"tumours: {n.text}" for n in NOTICES]
    assert {path for path, _ in hook.received} == {"/services/SECRET"}
    assert hook.received[0][1]["site"] == "north"
    messages = [email.message_from_bytes(one.content, policy=email.policy.default)
                for one in post.received]  # fmt: skip
    assert [one["Subject"] for one in messages] == [
        f"tumours: site {notice.site} dropped out" for notice in NOTICES
    ]
    assert post.received[0].rcpt_tos == ["a@example.org", "b@example.org"]
    assert "süd dropped out; it failed in round 2" in messages[1].get_content()
    assert not box.waiting("webhook") + box.waiting("mail")


@pytest.mark.usefixtures("box")
def test_a_sink_that_is_down_for_a_while_gets_each_notice_once(hook, tmp_path, caplog):
    hook.status, waited = 503, []

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 2:
            hook.status, hook.received[:] = 200, []

    Sender("webhook", Webhook(hook.url), tmp_path, wait=wait).send_waiting()
    assert len(hook.received) == 2 and waited == list(PAUSES[:2])
    assert caplog.text.count("it answers 503: it is tried again") == 1
    assert "SECRET" not in caplog.text


def test_a_sink_that_stays_down_is_given_up_in_bounded_tries(box, tmp_path, caplog):
    waited = []
    with running(Hook()) as gone:
        url = gone.url
    Sender("webhook", Webhook(url), tmp_path, wait=waited.append).send_waiting()
    assert waited == [*PAUSES, *PAUSES] and not box.waiting("webhook")
    assert caplog.text.count("is given up: it does not answer (ConnectError)") == 2
    assert "SECRET" not in caplog.text and url not in caplog.text


def test_what_another_try_would_not_change_is_not_tried_again(hook, box, tmp_path):
    hook.status = 404
    Sender("webhook", Webhook(hook.url), tmp_path, wait=pytest.fail).send_waiting()
    assert len(hook.received) == 2 and not box.waiting("webhook")


def test_a_sink_that_is_down_holds_up_no_other(hook, box, tmp_path):
    with mail_server() as (port, post):
        post.refuses = True
        stuck = Sender("mail", MailServer(mail(port), ""), tmp_path, pauses=(60.0,))
        for sender in (stuck, Sender("webhook", Webhook(hook.url), tmp_path)):
            threading.Thread(target=sender.run, daemon=True).start()
        deadline = time.monotonic() + 30
        while box.waiting("webhook") and time.monotonic() < deadline:
            time.sleep(0.05)
    assert len(hook.received) == 2 and len(box.waiting("mail")) == 2


def test_the_wrong_password_is_told_without_it(box, tmp_path, caplog):
    with mail_server() as (port, post):
        sink = MailServer(mail(port, user="fl"), "close sesame")
        Sender("mail", sink, tmp_path, wait=pytest.fail).send_waiting()
    assert not post.received and "it does not take user and password" in caplog.text
    assert "sesame" not in caplog.text and not box.waiting("mail")


def test_mail_whose_certificate_nobody_vouches_for_is_not_sent(tmp_path):
    files = tmp_path / "crt", tmp_path / "key"
    for path, content in zip(files, issue(("127.0.0.1",), 1), strict=True):
        path.write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    refused = pytest.raises(NotSentError, match=r"it does not take the message \(SSLCert")
    with mail_server(tls_context=context) as (port, post), refused:
        MailServer(mail(port), "").send(NOTICES[0])
    assert not post.received


def test_without_tls_only_this_machine_is_spoken_to(monkeypatch):
    for url in ("http://example.org/x", "ftp://127.0.0.1/x", "example.org", "https://"):
        with pytest.raises(InputError, match="https://"):
            Webhook(url)
    Webhook("http://localhost:1/x")
    Webhook("https://example.org/x")
    with mail_server() as (port, post):
        monkeypatch.setattr("federator.runtime.notify.sinks._is_here", lambda _: False)
        with pytest.raises(NotSentError, match="SMTPNotSupportedError"):
            MailServer(mail(port), "").send(NOTICES[0])
    assert not post.received


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (NotifySettings(webhook=True), "no address: name its file in .env, WEBHOOK"),
        (NotifySettings(mail=mail(587, user="fl")), "the mail server's password is empty"),
    ],
)
def test_a_secret_that_is_missing_is_told(settings, words, tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match=words):
        process.sinks(settings, tmp_path / "empty", tmp_path / "empty")


def test_the_process_sends_what_its_environment_says(hook, box, tmp_path):
    """As its container starts it; a secret that is missing ends it in words."""
    (tmp_path / "hook").write_text(hook.url)
    environment = {
        **os.environ,
        "FEDERATOR_NOTIFY": NotifySettings(webhook=True).write(),
        "FEDERATOR_OUTBOX": str(tmp_path),
        "FEDERATOR_WEBHOOK": str(tmp_path / "hook"),
        "FEDERATOR_MAIL_PASSWORD": os.devnull,
        "HTTPS_PROXY": "",
    }
    command = [sys.executable, "-m", "federator.runtime", "notify"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as sender:
        deadline = time.monotonic() + 60
        while box.waiting("webhook") and time.monotonic() < deadline:
            time.sleep(0.05)
        sender.terminate()
        log = sender.stderr.read()
    assert [body["site"] for _, body in hook.received] == [notice.site for notice in NOTICES]
    assert "notices are sent by: webhook" in log and "SECRET" not in log
    environment["FEDERATOR_WEBHOOK"] = os.devnull
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("/dev/null: no address: name its file")


def test_what_is_no_notice_is_passed_over(hook, tmp_path, caplog):
    (tmp_path / "0001.webhook.json").write_text("[" * 100_000)
    (tmp_path / "0002.webhook.json").write_text('{"event": 1}')
    (tmp_path / "0003.webhook.json").write_text('{"else": "x"}')
    Sender("webhook", Webhook(hook.url), tmp_path).send_waiting()
    assert not hook.received and caplog.text.count("is no notice") == 3
    assert not list(tmp_path.iterdir())
