"""Posts what is new in a feed to a chat: checks who sent it (Standard Webhooks), and passes the papers on."""

import json
import os
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])  # whsec_…, the same as in the feed's Secret
chat = os.environ["CHAT_URL"]  # an incoming webhook of Mattermost, Rocket.Chat, Slack, …
posted = {}  # identifiers of what was posted: a delivery may come twice


def plain(text):
    """In one line, and without links and mentions of its own."""
    return " ".join(text.split()).replace("[", "(").replace("]", ")").replace("@", "@\u200b")


def message(data):
    lines = [f"**{data['feed']['name']}**: {len(data['items'])} new"]
    for paper in (item["paper"] for item in data["items"]):
        names = [plain(author["name"]) for author in paper["authors"]]
        authors = ", ".join(names[:3]) + (" et al." if names[3:] else "")
        lines.append(f"- [{plain(paper['title'])}](https://arxiv.org/abs/{paper['id']}) {authors}")
    return "\n".join(lines)


class Receiver(BaseHTTPRequestHandler):
    timeout = 10

    def do_POST(self):
        body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), 16 << 20))
        try:
            event = webhook.verify(body, dict(self.headers))
        except (WebhookVerificationError, ValueError):
            return self.send_error(401)
        if event["id"] not in posted:
            text = json.dumps({"text": message(event["data"])}).encode()
            request = urllib.request.Request(chat, text, {"Content-Type": "application/json"})
            try:
                urllib.request.urlopen(request, timeout=8).close()
            except OSError:
                return self.send_error(503)  # it comes again
            posted[event["id"]] = None
            while len(posted) > 1000:
                posted.pop(next(iter(posted)))
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(os.environ.get("PORT", "8080"))), Receiver).serve_forever()
