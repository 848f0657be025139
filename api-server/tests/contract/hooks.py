"""In place of the check "use after free": what is removed may still be told of, but only as removed."""

import schemathesis

removed = set()


@schemathesis.check
def removed_is_told_as_removed(ctx, response, case):
    path = case.operation.path
    if response.status_code in (201, 202) and "location" in response.headers:
        # A key makes a query anew under the name that it had.
        removed.discard(response.headers["location"][0].rsplit("/", 1)[-1])
    name = (case.path_parameters or {}).get("name")
    if path == "/arxiv/{name}" and case.method == "DELETE" and response.status_code == 204:
        removed.add(name)
    elif path == "/arxiv/{name}" and case.method == "GET" and response.status_code < 300 and name in removed:
        assert response.json().get("removed") is True, f"{name} was removed, and is told as if it were there"
