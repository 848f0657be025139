"""The main job with a client that was generated from the OpenAPI document: search, look at the query, read its results.

Arguments: the API's address. The generated package `arxiv_client` is on PYTHONPATH.
"""

import sys
import time

from arxiv_client import Client
from arxiv_client.api.backend import get_sequence
from arxiv_client.api.records import queries_get, results
from arxiv_client.api.searches import delete_query, read_query, read_query_results, search
from arxiv_client.models import Accepted, SearchResponse, HTTPValidationError, QueryView, Result

client = Client(base_url=sys.argv[1], timeout=60)

found = search.sync(client=client, author="knuth", max_results=3)
assert isinstance(found, SearchResponse), found
assert (found.status, found.num_entries) == (200, 3), found

accepted = search.sync(client=client, title="graphs", max_results=2, prefer="respond-async")
assert isinstance(accepted, Accepted), accepted
deadline = time.monotonic() + 60
while True:
    answer = read_query.sync_detailed(client=client, name=accepted.name)
    assert isinstance(answer.parsed, QueryView), answer
    if answer.status_code == 200:
        break
    assert answer.status_code == 202 and time.monotonic() < deadline, answer
    time.sleep(0.1)
assert answer.parsed.phase == "Succeeded", answer.parsed

papers = read_query_results.sync(client=client, name=accepted.name, items_per_page=10)
assert len(papers) == 2 and all(isinstance(paper, Result) for paper in papers), papers
assert len(results.sync(client=client, page=0, items_per_page=2)) == 2

queries = queries_get.sync(client=client, start_timestamp="2024-01-01T00:00:00")
assert any(query.num_results == found.num_results for query in queries), queries

wrong = search.sync(client=client, author="knuth", max_results=0)
assert isinstance(wrong, HTTPValidationError), wrong
assert wrong.detail[0].loc == ["query", "max_results"], wrong

assert get_sequence.sync(client=client).sequence > 0
assert delete_query.sync_detailed(client=client, name=accepted.name).status_code == 204
