"""Checks in place of those that schemathesis.toml turns off, because they ask for what is not meant."""

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

LIST = {"state", "limit", "continue"}
SEARCH = {"author", "title", "journal", "max_results"}

removed = set()


@schemathesis.check
def what_is_not_passed_over_is_checked(ctx, response, case):
    """GET /arxiv is a search or a list, and passes over the other one's parameters, as it does over all it does not know."""
    query = set(case.query or {})
    if case.operation.path == "/arxiv" and case.method == "GET" and not (query & LIST and query & SEARCH):
        return negative_data_rejection(ctx, response, case)


@schemathesis.check
def removed_is_told_as_removed(ctx, response, case):
    """Instead of "use after free": what is removed may still be told of, but only as removed."""
    path = case.operation.path
    if response.status_code in (201, 202) and "location" in response.headers:
        # A key makes a query anew under the name that it had.
        removed.discard(response.headers["location"][0].rsplit("/", 1)[-1])
    name = (case.path_parameters or {}).get("name")
    if path == "/arxiv/{name}" and case.method == "DELETE" and response.status_code == 204:
        removed.add(name)
    elif path == "/arxiv/{name}" and case.method == "GET" and response.status_code < 300 and name in removed:
        assert response.json().get("removed") is True, f"{name} was removed, and is told as if it were there"
