"""Sends signed deliveries to the example's receiver, and reads what it posts to a chat."""

import base64
import datetime
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from standardwebhooks import Webhook

LIMIT = 60
secret = "whsec_" + base64.b64encode(os.urandom(24)).decode()
messages, answers = [], []


class Chat(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = answers.pop() if answers else 200
        if status == 200:
            messages.append(body["text"])
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def event(event_id, papers):
    items = [{"position": n, "added": "2024-05-03T06:00:00Z", "paper": paper} for n, paper in enumerate(papers, 1)]
    data = {"feed": {"namespace": "science", "name": "sunflowers", "search": "abstract: sunflower"}, "items": items}
    return {"specversion": "1.0", "id": event_id, "type": "dev.arxiv-operator.feed.items", "data": data}


def deliver(document, key=secret, age=0):
    """The status that the receiver answers with."""
    body = document if isinstance(document, str) else json.dumps(document, ensure_ascii=False)
    sent = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
    headers = {
        "Content-Type": "application/cloudevents+json", "webhook-id": "d1",
        "webhook-timestamp": str(int(sent.timestamp())), "webhook-signature": Webhook(key).sign("d1", sent, body),
    }
    return post(body, headers)


def post(body, headers):
    request = urllib.request.Request(url, body.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


paper = {"id": "2405.00001v2", "title": "Sunflowers\n and @channel [petals]", "authors": [{"name": f"Author {n}"} for n in "ABCD"]}
other = {"id": "math/0309136v1", "title": "Two", "authors": [{"name": "Paul Erdős"}]}
chat = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Chat)
threading.Thread(target=chat.serve_forever, daemon=True).start()
port = free_port()
url = f"http://127.0.0.1:{port}/"
environment = {**os.environ, "WEBHOOK_SECRET": secret, "CHAT_URL": f"http://127.0.0.1:{chat.server_port}/hooks/x", "PORT": str(port)}
receiver = subprocess.Popen([sys.executable, sys.argv[1]], env=environment)
try:
    for end in iter(lambda until=time.monotonic() + LIMIT: time.monotonic() < until, False):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert receiver.poll() is None, "it has ended"
    assert deliver(event("e1", [paper, other])) == 204
    expected = (
        "**sunflowers**: 2 new\n"
        "- [Sunflowers and @\u200bchannel (petals)](https://arxiv.org/abs/2405.00001v2) Author A, Author B, Author C et al.\n"
        "- [Two](https://arxiv.org/abs/math/0309136v1) Paul Erdős"
    )
    assert messages == [expected], messages
    # The same delivery once more is posted once.
    assert deliver(event("e1", [paper, other])) == 204
    assert len(messages) == 1, messages
    # Of others, of long ago, without a signature, and with a broken one.
    foreign = "whsec_" + base64.b64encode(b"x" * 24).decode()
    assert deliver(event("e2", [paper]), key=foreign) == 401
    assert deliver(event("e2", [paper]), age=3600) == 401
    assert post("{}", {"Content-Type": "application/json"}) == 401
    broken = {"webhook-id": "d1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1"}
    assert post("{}", broken) == 401
    assert len(messages) == 1, messages
    # While the chat is down, the sender has to come again.
    answers.append(500)
    assert deliver(event("e3", [other])) == 503
    assert deliver(event("e3", [other])) == 204
    assert len(messages) == 2, messages
finally:
    receiver.kill()
    receiver.wait()
