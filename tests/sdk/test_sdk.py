"""Plimsoll's real binary, driven by Svix's own Python SDK from end to end.

    cargo xtask test --only sdk
    python tests/sdk/test_sdk.py target/release/plimsoll [NAME...]

Each function `it_…` is one check, in an application of its own; with NAMEs only the checks whose
name contains one of them are run. Prints a line for each, and `N passed, N failed` at the end.
"""

import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Everything here is local, whatever proxy the machine is told to use.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

import httpx
import standardwebhooks
import svix.webhooks
from svix.api import (
    ApplicationIn,
    ApplicationListOptions,
    ApplicationPatch,
    BackgroundTaskStatus,
    BackgroundTaskType,
    EndpointHeadersIn,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointListOptions,
    EndpointPatch,
    EndpointSecretRotateIn,
    EventTypeIn,
    EventTypeListOptions,
    EventTypePatch,
    MessageAttemptListByEndpointOptions,
    MessageAttemptListByMsgOptions,
    MessageCreateOptions,
    MessageGetOptions,
    MessageIn,
    MessageListOptions,
    RecoverIn,
    ReplayIn,
    Svix,
    SvixOptions,
)
from svix.exceptions import HttpError, HTTPValidationError

# How long anything that should happen may take before it counts as not happening.
PATIENCE = 20.0
# How long nothing must arrive where nothing should.
QUIET = 0.5
# How many seconds after each failed attempt the next one is made.
RETRIES = ["0", "1"]
ARGUMENTS = [
    *("--listen", "127.0.0.1:0"),
    *("--admin", "127.0.0.1:0"),
    *("--allow-private", "127.0.0.0/8"),
    *("--set", f"hooks.retry_schedule_seconds={','.join(RETRIES)}"),
]
SUCCESS, PENDING, FAIL = 0, 1, 2
SCHEDULED, MANUAL = 0, 1


class Receiver:
    """HTTP endpoints at /NAME that keep what they get and answer as they are told."""

    def __init__(self):
        self.lock = threading.Lock()
        self.got = {}
        self.answers = {}
        self.delays = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                name = self.path.strip("/")
                status, delay = receiver.take(name, Delivery(self.headers, body))
                time.sleep(delay)
                answer = b"received"
                self.send_response(status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, name, delivery):
        with self.lock:
            self.got.setdefault(name, []).append(delivery)
            answers = self.answers.get(name, [200])
            # The last answer is given for ever.
            status = answers.pop(0) if len(answers) > 1 else answers[0]
            return status, self.delays.get(name, 0)

    def endpoint(self, answers=(200,), delay=0):
        """A new endpoint: its name, and its URL."""
        name = uuid.uuid4().hex
        with self.lock:
            self.answers[name], self.delays[name] = list(answers), delay
        return name, f"http://127.0.0.1:{self.server.server_port}/{name}"

    def answer(self, name, *answers):
        with self.lock:
            self.answers[name] = list(answers)

    def deliveries(self, name):
        with self.lock:
            return list(self.got.get(name, []))

    def wait(self, name, count=1):
        return wait_for(
            lambda: (d := self.deliveries(name)) and len(d) >= count and d,
            lambda: f"{count} deliveries, there were {len(self.deliveries(name))}",
        )


class Delivery:
    def __init__(self, headers, body):
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    def verify(self, secret):
        """By both libraries, and by each family of header names alone."""
        standard = {k: v for k, v in self.headers.items() if k.startswith("webhook-")}
        other = {k: v for k, v in self.headers.items() if k.startswith("svix-")}
        assert len(standard) == 3 and len(other) == 3, self.headers
        standardwebhooks.Webhook(secret).verify(self.body, standard)
        svix.webhooks.Webhook(secret).verify(self.body, standard)
        svix.webhooks.Webhook(secret).verify(self.body, other)

    def is_signed_by(self, secret):
        try:
            self.verify(secret)
            return True
        except svix.webhooks.WebhookVerificationError:
            return False


class Server:
    """`plimsoll serve` on a data directory of its own."""

    def __init__(self, binary, data):
        self.binary, self.data = binary, data
        self.start()

    def start(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [self.binary, "serve", *ARGUMENTS, "--data", str(self.data)],
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            # A debug build would be killed by it at its first message: a release build knows no faults.
            env={k: v for k, v in os.environ.items() if not k.startswith("PLIMSOLL_")}
            | {"PLIMSOLL_FAULT": "accept.before:1=kill"},
        )
        try:
            self.url = wait_for(self.find_url, lambda: "an address to appear")
            wait_for(self.is_healthy, lambda: "the server to be healthy")
        except BaseException:
            self.process.kill()
            print(self.said())
            raise

    def find_url(self):
        assert self.process.poll() is None, f"serve ended with {self.process.returncode}"
        return listening_at(self.said())

    def is_healthy(self):
        try:
            return httpx.get(f"{self.url}/api/v1/health", timeout=1).is_success
        except httpx.RequestError:
            return False

    def said(self):
        # pread leaves alone the position that the server shares with us and writes at.
        return os.pread(self.log.fileno(), 1 << 20, 0).decode(errors="replace")

    def token(self, *arguments):
        command = [self.binary, "token", "--data", str(self.data), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout.strip().splitlines()[-1]

    def client(self, *arguments):
        return connect(self.url, self.token(*arguments))

    def terminate(self):
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE * 2)


def listening_at(said):
    """The URL in the line of JSON by which `serve` tells programs that it is ready."""
    for line in said.splitlines():
        try:
            return f"http://{json.loads(line)['listen']}"
        except (ValueError, TypeError, KeyError):
            pass
    return None


def connect(url, token):
    # No second tries: what the server answers at first is what is checked.
    return Svix(token, SvixOptions(server_url=url, retry_schedule=[], timeout=PATIENCE))


def wait_for(found, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE:.0f} s for {what()}")


def refused(status, action):
    """The error with which `action` is refused; it must have this status."""
    try:
        action()
    except (HttpError, HTTPValidationError) as error:
        assert error.status_code == status, f"{error.status_code}, not {status}: {error}"
        return error
    raise AssertionError(f"was not refused with {status}")


class World:
    """What a check gets: an application of its own, and short ways to do the usual."""

    def __init__(self, server, receiver, client):
        self.server, self.receiver, self.client = server, receiver, client
        self.app = client.application.create(ApplicationIn(name="Acme")).id

    def endpoint(self, answers=(200,), delay=0, **settings):
        """An endpoint: its name at the receiver, and what the API says of it."""
        name, url = self.receiver.endpoint(answers, delay)
        return name, self.client.endpoint.create(self.app, EndpointIn(url=url, **settings))

    def secret(self, endpoint):
        return self.client.endpoint.get_secret(self.app, endpoint.id).key

    # This SDK leaves content out of every answer unless it is asked for.
    def send(self, event_type="invoice.paid", payload=None, options=MessageCreateOptions(with_content=True), **more):
        message = MessageIn(event_type=event_type, payload=payload or {"amount": 1}, **more)
        return self.client.message.create(self.app, message, options)

    def attempts(self, message, **options):
        options = MessageAttemptListByMsgOptions(with_content=True, **options)
        return self.client.message_attempt.list_by_msg(self.app, message.id, options).data

    def destinations(self, message):
        return self.client.message_attempt.list_attempted_destinations(self.app, message.id).data

    def wait_status(self, message, endpoint, status):
        def found():
            return any(d.id == endpoint.id and d.status == status for d in self.destinations(message))

        return wait_for(found, lambda: f"status {status}, it is {self.destinations(message)}")


def pages(fetch, limit):
    """Every item, page by page through the iterators; and how many pages there were."""
    items, iterator, count = [], None, 0
    while True:
        page = fetch(limit, iterator)
        items += page.data
        count += 1
        assert len(page.data) <= limit and count < 100
        if page.done:
            return items, count
        assert page.iterator, "not done, and no iterator to go on"
        iterator = page.iterator


def it_tells_its_health(world):
    for path in ("/api/v1/health", "/api/v1/health/"):
        assert httpx.get(world.server.url + path).is_success, path
    world.client.health.get()


def it_creates_changes_and_deletes_an_application(world):
    api, uid = world.client.application, f"uid-{uuid.uuid4()}"
    made = api.create(ApplicationIn(name="Umbrella", uid=uid, metadata={"plan": "gold"}))
    assert made.id.startswith("app_") and made.uid == uid and made.metadata == {"plan": "gold"}, made
    assert api.get(uid) == api.get(made.id) == made
    assert api.patch(uid, ApplicationPatch(name="Umbrella 2")).name == "Umbrella 2"
    assert api.get(uid).metadata == {"plan": "gold"}
    put = api.upsert(uid, ApplicationIn(name="Umbrella 3", uid=uid))
    assert put.id == made.id and put.name == "Umbrella 3" and put.metadata == {}, put
    api.delete(uid)
    assert refused(404, lambda: api.get(uid)).code == "not_found"


def it_gets_or_creates_an_application(world):
    api, uid = world.client.application, f"uid-{uuid.uuid4()}"
    first = api.get_or_create(ApplicationIn(name="Once", uid=uid))
    again = api.get_or_create(ApplicationIn(name="Once", uid=uid))
    assert first.id == again.id
    assert refused(409, lambda: api.create(ApplicationIn(name="Once", uid=uid))).code == "conflict"


def it_pages_through_applications(world):
    api = world.server.client("--org", "org_paging").application
    made = [api.create(ApplicationIn(name=f"app {n}")).id for n in range(7)]
    listed, count = pages(lambda n, i: api.list(ApplicationListOptions(limit=n, iterator=i)), 3)
    assert [app.id for app in listed] == made and count == 3, (count, listed, made)


def it_keeps_organisations_apart(world):
    other = world.server.client("--org", "org_other")
    refused(404, lambda: other.application.get(world.app))
    refused(404, lambda: other.message.create(world.app, MessageIn(event_type="a", payload={})))
    assert world.app not in [app.id for app in other.application.list().data]


def it_creates_changes_lists_and_archives_event_types(world):
    api = world.server.client("--org", "org_event_types").event_type
    names = [f"invoice.{n}" for n in range(5)]
    for name in names:
        assert api.create(EventTypeIn(name=name, description="an invoice")).name == name
    refused(409, lambda: api.create(EventTypeIn(name=names[0], description="again")))
    listed, count = pages(lambda n, i: api.list(EventTypeListOptions(limit=n, iterator=i)), 2)
    assert [one.name for one in listed] == names and count == 3, (count, listed)
    assert api.patch(names[0], EventTypePatch(description="other")).name == names[0]
    assert api.get(names[0]).description == "other"
    api.delete(names[0])
    assert names[0] not in [one.name for one in api.list().data]
    assert names[0] in [one.name for one in api.list(EventTypeListOptions(include_archived=True)).data]


def it_creates_changes_lists_and_deletes_endpoints(world):
    api = world.client.endpoint
    made = [world.endpoint(uid=f"uid-{n}", description=f"the {n}.")[1] for n in range(5)]
    assert all(one.id.startswith("ep_") and not one.disabled for one in made), made
    options = lambda n, i: EndpointListOptions(limit=n, iterator=i)
    listed, count = pages(lambda n, i: api.list(world.app, options(n, i)), 2)
    assert [one.id for one in listed] == [one.id for one in made] and count == 3, (count, listed)
    first = made[0]
    assert api.get(world.app, "uid-0") == api.get(world.app, first.id) == first
    changed = api.patch(world.app, first.id, EndpointPatch(disabled=True, channels=["a"]))
    assert changed.disabled and changed.channels == ["a"] and changed.url == first.url, changed
    api.delete(world.app, first.id)
    refused(404, lambda: api.get(world.app, first.id))
    refused(409, lambda: world.endpoint(uid="uid-1"))


def it_delivers_signed_and_unchanged(world):
    name, endpoint = world.endpoint()
    payload = {"zebra": 1, "amount": 12.5, "text": "čaj ☕ \"quoted\" </script>", "list": [None, True, {}], "a": ""}
    message = world.send(payload=payload, channels=["north"])
    assert message.id.startswith("msg_") and message.payload == payload, message
    [delivery] = world.receiver.wait(name)
    delivery.verify(world.secret(endpoint))
    sent = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    assert delivery.body == sent, (delivery.body, sent)
    headers = delivery.headers
    assert headers["webhook-id"] == headers["svix-id"] == message.id, headers
    assert headers["content-type"].startswith("application/json"), headers
    assert "user-agent" in headers, headers
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60, headers
    assert not delivery.is_signed_by("whsec_" + "A" * 32), "verifies with any secret"
    world.wait_status(message, endpoint, SUCCESS)


def it_signs_with_a_secret_of_the_callers(world):
    secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
    name, endpoint = world.endpoint(secret=secret)
    assert world.secret(endpoint) == secret
    world.send()
    world.receiver.wait(name)[0].verify(secret)


def it_delivers_to_every_endpoint(world):
    names = [world.endpoint()[0] for _ in range(10)]
    message = world.send()
    for name in names:
        assert world.receiver.wait(name)[0].headers["webhook-id"] == message.id
    wait_for(lambda: len(world.attempts(message)) == 10, lambda: "10 attempts")


def it_pages_through_messages_and_gets_one(world):
    made = [world.send(payload={"n": n}, event_id=f"{world.app}-{n}") for n in range(7)]
    api = world.client.message
    options = lambda n, i: MessageListOptions(limit=n, iterator=i)
    listed, count = pages(lambda n, i: api.list(world.app, options(n, i)), 3)
    assert [one.id for one in listed] == [one.id for one in reversed(made)] and count == 3, listed
    assert api.get(world.app, made[0].id, MessageGetOptions(with_content=True)).payload == {"n": 0}
    assert api.get(world.app, f"{world.app}-1").id == made[1].id
    only = api.list(world.app, MessageListOptions(event_types=["nothing.like.it"])).data
    assert only == [], only
    since = MessageListOptions(after=datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1))
    assert len(api.list(world.app, since).data) == 7
    refused(404, lambda: api.get(world.app, "msg_000000000000000000000000000"))


def it_refuses_a_repeated_event_id(world):
    event_id = f"event-{uuid.uuid4()}"
    assert world.send(event_id=event_id).event_id == event_id
    assert refused(409, lambda: world.send(event_id=event_id)).code == "conflict"


def it_returns_the_same_message_for_a_repeated_idempotency_key(world):
    name, _ = world.endpoint()
    options = MessageCreateOptions(idempotency_key=f"key-{uuid.uuid4()}")
    first, again = world.send(options=options), world.send(options=options)
    assert first.id == again.id, (first, again)
    world.receiver.wait(name)
    time.sleep(QUIET)
    assert len(world.receiver.deliveries(name)) == 1
    assert world.send(options=MessageCreateOptions(idempotency_key=f"key-{uuid.uuid4()}")).id != first.id


def it_leaves_the_content_out_when_asked(world):
    message = world.send(options=MessageCreateOptions(with_content=False), payload={"secret": 1})
    api = world.client.message
    assert message.payload == api.get(world.app, message.id).payload == {}, message
    assert api.get(world.app, message.id, MessageGetOptions(with_content=True)).payload == {"secret": 1}


def it_signs_with_the_old_and_the_new_secret_within_the_grace(world):
    name, endpoint = world.endpoint()
    old = world.secret(endpoint)
    rotated = world.client.endpoint.rotate_secret(world.app, endpoint.id, EndpointSecretRotateIn())
    new = world.secret(endpoint)
    assert new != old and rotated.key == new, (old, new, rotated)
    world.send()
    [delivery] = world.receiver.wait(name)
    delivery.verify(new)
    delivery.verify(old)


def it_sends_custom_headers(world):
    api = world.client.endpoint
    name, endpoint = world.endpoint(headers={"X-Made": "with"})
    world.send()
    assert world.receiver.wait(name)[0].headers["x-made"] == "with"
    api.set_headers(world.app, endpoint.id, EndpointHeadersIn(headers={"X-One": "1", "Authorization": "Basic YQ=="}))
    api.patch_headers(world.app, endpoint.id, EndpointHeadersPatchIn(headers={"X-Two": "2"}))
    shown = api.get_headers(world.app, endpoint.id)
    assert shown.headers.get("X-Two", shown.headers.get("x-two")) == "2", shown
    assert "authorization" in [one.lower() for one in shown.sensitive], shown
    world.send()
    headers = world.receiver.wait(name, 2)[1].headers
    assert (headers["x-one"], headers["x-two"], headers["authorization"]) == ("1", "2", "Basic YQ=="), headers
    assert "x-made" not in headers, headers
    reserved = EndpointHeadersIn(headers={"webhook-id": "forged"})
    refused(422, lambda: api.set_headers(world.app, endpoint.id, reserved))


def it_tries_again_after_a_failure_and_lists_the_attempts(world):
    name, endpoint = world.endpoint(answers=(500, 200))
    secret = world.secret(endpoint)
    message = world.send()
    first, second = world.receiver.wait(name, 2)
    first.verify(secret)
    second.verify(secret)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == message.id
    assert first.body == second.body
    world.wait_status(message, endpoint, SUCCESS)
    by_msg = world.attempts(message)
    assert [(a.status, a.response_status_code) for a in by_msg] == [(SUCCESS, 200), (FAIL, 500)], by_msg
    for attempt in by_msg:
        assert attempt.id.startswith("atmpt_") and attempt.endpoint_id == endpoint.id, attempt
        assert attempt.msg_id == message.id and attempt.trigger_type == SCHEDULED, attempt
        assert attempt.response == "received" and attempt.response_duration_ms >= 0, attempt
    api = world.client.message_attempt
    by_endpoint = api.list_by_endpoint(world.app, endpoint.id).data
    assert [a.id for a in by_endpoint] == [a.id for a in by_msg], by_endpoint
    failed = MessageAttemptListByEndpointOptions(status=FAIL)
    assert [a.response_status_code for a in api.list_by_endpoint(world.app, endpoint.id, failed).data] == [500]
    paged, _ = pages(lambda n, i: api.list_by_msg(world.app, message.id, MessageAttemptListByMsgOptions(limit=n, iterator=i)), 1)
    assert [a.id for a in paged] == [a.id for a in by_msg], paged
    assert api.get(world.app, message.id, by_msg[0].id).id == by_msg[0].id


def it_gives_up_after_the_last_attempt_and_resends_when_asked(world):
    name, endpoint = world.endpoint(answers=(500,))
    message = world.send()
    world.wait_status(message, endpoint, FAIL)
    assert len(world.receiver.deliveries(name)) == 1 + len(RETRIES)
    world.receiver.answer(name, 200)
    world.client.message_attempt.resend(world.app, message.id, endpoint.id)
    world.wait_status(message, endpoint, SUCCESS)
    newest = world.attempts(message)[0]
    assert (newest.status, newest.trigger_type) == (SUCCESS, MANUAL), newest
    world.receiver.deliveries(name)[-1].verify(world.secret(endpoint))


def it_filters_by_event_type(world):
    wanted, _ = world.endpoint(event_types=None)
    world.client.event_type.create(EventTypeIn(name="only.this", description="x"))
    filtered, _ = world.endpoint(event_types=["only.this"])
    world.send(event_type="not.this")
    hit = world.send(event_type="only.this")
    world.receiver.wait(wanted, 2)
    assert world.receiver.wait(filtered)[0].headers["webhook-id"] == hit.id
    time.sleep(QUIET)
    assert len(world.receiver.deliveries(filtered)) == 1


def it_filters_by_channel(world):
    every, _ = world.endpoint()
    filtered, _ = world.endpoint(channels=["north", "south"])
    world.send()
    world.send(channels=["west"])
    hit = world.send(channels=["west", "north"])
    world.receiver.wait(every, 3)
    assert world.receiver.wait(filtered)[0].headers["webhook-id"] == hit.id
    time.sleep(QUIET)
    assert len(world.receiver.deliveries(filtered)) == 1


def it_sends_nothing_to_a_disabled_endpoint(world):
    every, _ = world.endpoint()
    off, endpoint = world.endpoint(disabled=True)
    world.send()
    world.receiver.wait(every)
    time.sleep(QUIET)
    assert world.receiver.deliveries(off) == []
    world.client.endpoint.patch(world.app, endpoint.id, EndpointPatch(disabled=False))
    message = world.send()
    assert world.receiver.wait(off)[-1].headers["webhook-id"] == message.id


def it_sends_nothing_to_a_deleted_endpoint(world):
    every, _ = world.endpoint()
    gone, endpoint = world.endpoint()
    world.client.endpoint.delete(world.app, endpoint.id)
    world.send()
    world.receiver.wait(every)
    time.sleep(QUIET)
    assert world.receiver.deliveries(gone) == []


def it_recovers_what_failed_in_the_background(world):
    since = datetime.datetime.now(datetime.timezone.utc)
    name, endpoint = world.endpoint(answers=(500,))
    failed = [world.send(payload={"n": n}) for n in range(3)]
    for message in failed:
        world.wait_status(message, endpoint, FAIL)
    world.receiver.answer(name, 200)
    task = world.client.endpoint.recover(world.app, endpoint.id, RecoverIn(since=since))
    assert task.task == BackgroundTaskType.ENDPOINT_RECOVER, task
    for message in failed:
        world.wait_status(message, endpoint, SUCCESS)
    wait_for(lambda: is_finished(world, task), lambda: "the task to be finished")
    assert task.id in [one.id for one in world.client.background_task.list().data]


def it_replays_what_was_never_sent_to_an_endpoint(world):
    since = datetime.datetime.now(datetime.timezone.utc)
    missed = [world.send(payload={"n": n}) for n in range(3)]
    name, endpoint = world.endpoint()
    task = world.client.endpoint.replay_missing(world.app, endpoint.id, ReplayIn(since=since))
    assert task.task == BackgroundTaskType.ENDPOINT_REPLAY, task
    got = {delivery.headers["webhook-id"] for delivery in world.receiver.wait(name, 3)}
    assert got == {message.id for message in missed}, got
    wait_for(lambda: is_finished(world, task), lambda: "the task to be finished")


def it_keeps_background_tasks_of_organisations_apart(world):
    _, endpoint = world.endpoint()
    since = datetime.datetime.now(datetime.timezone.utc)
    task = world.client.endpoint.replay_missing(world.app, endpoint.id, ReplayIn(since=since))
    other = world.server.client("--org", "org_tasks")
    refused(404, lambda: other.background_task.get(task.id))
    assert other.background_task.list().data == []


def it_delivers_later_when_asked(world):
    name, endpoint = world.endpoint()
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    message = world.send(deliver_at=at)
    time.sleep(QUIET)
    assert world.receiver.deliveries(name) == []
    [delivery] = world.receiver.wait(name)
    assert time.time() >= at.timestamp() - 0.1, "too early"
    assert delivery.headers["webhook-id"] == message.id


def it_forgets_the_content_of_a_message(world):
    message = world.send(payload={"secret": 1})
    world.client.message.expunge_content(world.app, message.id)
    got = world.client.message.get(world.app, message.id, MessageGetOptions(with_content=True))
    assert "secret" not in json.dumps(got.payload), got


def it_counts_deliveries_of_an_endpoint(world):
    name, endpoint = world.endpoint()
    world.wait_status(world.send(), endpoint, SUCCESS)
    stats = world.client.endpoint.get_stats(world.app, endpoint.id)
    assert (stats.success, stats.pending, stats.sending, stats.fail) == (1, 0, 0, 0), stats


def is_finished(world, task):
    return world.client.background_task.get(task.id).status == BackgroundTaskStatus.FINISHED


def it_refuses_a_bad_token(world):
    good = world.server.token()
    head, body, signature = good.split(".")
    for bad in ("nonsense", f"{head}.{body}.{signature[:-4]}AAAA", f"{head}.{body}."):
        error = refused(401, lambda: connect(world.server.url, bad).application.list())
        assert error.code == "authentication_failed" and error.detail, error
    response = httpx.get(f"{world.server.url}/api/v1/app")
    assert response.status_code == 401 and response.json()["code"], response.text


def it_names_the_field_that_is_wrong(world):
    error = refused(422, lambda: world.send(event_type="spaces are not allowed"))
    [detail] = error.detail
    assert detail.loc[0] == "body" and "eventType" in detail.loc[-1] and detail.msg and detail.type, detail
    refused(422, lambda: world.client.endpoint.create(world.app, EndpointIn(url="not a url")))
    refused(422, lambda: world.client.application.create(ApplicationIn(name="x", uid="no spaces")))
    headers = {"authorization": f"Bearer {world.server.token()}"}
    path = f"{world.server.url}/api/v1/app/{world.app}/msg/"
    response = httpx.post(path, headers=headers, json={"eventType": "a.b"})
    assert response.status_code == 422 and isinstance(response.json()["detail"], list), response.text


def it_answers_what_does_not_exist_with_404(world):
    assert refused(404, lambda: world.client.application.get("app_nothing")).code == "not_found"
    refused(404, lambda: world.client.endpoint.get(world.app, "ep_nothing"))
    refused(404, lambda: world.client.event_type.get("no.such.type"))
    refused(404, lambda: world.client.message.create("nobody", MessageIn(event_type="a", payload={})))


def it_drains_on_sigterm_and_goes_on_after_a_restart(world):
    """The last check: it ends the server."""
    name, endpoint = world.endpoint(delay=1.0)
    message = world.send()
    world.receiver.wait(name)
    code = world.server.terminate()
    assert code == 0, f"exit code {code}\n{world.server.said()}"
    token = world.server.token()
    world.server.start()
    world.client = connect(world.server.url, token)
    world.wait_status(message, endpoint, SUCCESS)
    [attempt] = world.attempts(message)
    assert attempt.response_status_code == 200, attempt
    assert len(world.receiver.deliveries(name)) == 1, "delivered again after a drain that had finished it"
    world.receiver.delays[name] = 0
    after = world.send()
    assert world.receiver.wait(name, 2)[-1].headers["webhook-id"] == after.id


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    binary, names = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    checks = [one for name, one in globals().items() if name.startswith("it_")]
    if names:
        checks = [one for one in checks if any(name in one.__name__ for name in names)]
    failed = []
    with tempfile.TemporaryDirectory(prefix="plimsoll-sdk-") as folder:
        server = Server(binary, pathlib.Path(folder) / "data")
        try:
            receiver, client = Receiver(), server.client()
            for check in checks:
                start = time.monotonic()
                try:
                    check(World(server, receiver, client))
                    word = "ok"
                except Exception:
                    traceback.print_exc(file=sys.stdout)
                    failed.append(check.__name__)
                    word = "FAILED"
                print(f"{word:<7}{time.monotonic() - start:6.2f} s  {check.__name__}")
        finally:
            server.process.kill()
            server.process.wait()
            if failed:
                print(f"what the server said:\n{server.said()}")
    for name in failed:
        print(f"failed: {name}")
    print(f"{len(checks) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
