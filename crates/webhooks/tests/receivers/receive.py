"""A receiver with TLS. It answers 204 to an event that the libraries of both standards accept, else 400, and prints what it got.

Arguments: the secret, and files with its certificate and key.
"""

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from standardwebhooks import Webhook, WebhookVerificationError

secret, certificate, key = sys.argv[1:]


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            Webhook(secret).verify(body, headers)
            event = from_http_event(HTTPMessage(headers=headers, body=body))
            assert event.get_id() == headers["webhook-id"]
            seen = {
                "id": event.get_id(), "type": event.get_type(), "source": event.get_source(), "subject": event.get_subject(),
                "time": event.get_time().isoformat(), "data": event.get_data(), "specversion": event.get_specversion(),
                "content": event.get_datacontenttype(), "path": self.path, "agent": headers["user-agent"],
            }
            status = 204
        except WebhookVerificationError as error:
            status, seen = 400, {"refused": str(error)}
        print(json.dumps(seen), flush=True)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
server.socket = context.wrap_socket(server.socket, server_side=True)
print(json.dumps({"port": server.server_address[1]}), flush=True)
server.serve_forever()
