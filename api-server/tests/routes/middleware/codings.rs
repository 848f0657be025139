//! Request bodies in a content coding.

use async_compression::tokio::bufread::{GzipEncoder, ZlibEncoder, ZstdEncoder};
use reqwest::header::ACCEPT_ENCODING;
use serde_json::{Value, json};
use testbed::test_env::json_body;
use tokio::io::AsyncReadExt;

use crate::support::{Api, url};

async fn coded(coding: &str, plain: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let done = match coding {
        "gzip" => GzipEncoder::new(plain).read_to_end(&mut bytes).await,
        "deflate" => ZlibEncoder::new(plain).read_to_end(&mut bytes).await,
        "zstd" => ZstdEncoder::new(plain).read_to_end(&mut bytes).await,
        _ => (&*plain).read_to_end(&mut bytes).await,
    };
    done.unwrap();
    bytes
}

/// Every endpoint with a body, with the status of its usual answer.
fn bodies() -> [(&'static str, Value, u16); 4] {
    [
        (
            "/arxiv",
            json!({"search": {"title": "coded"}, "max_results": 2}),
            201,
        ),
        ("/queries", json!({"start_timestamp": "2024-03-31T00:00:00"}), 200),
        (
            "/write-queries",
            json!({"query_id": 9100, "timestamp": 1, "status": 200, "num_results": 1, "num_entries": 1, "query": "coded"}),
            201,
        ),
        (
            "/write-results",
            json!({"query_id": 9100, "timestamp": 1, "results": [{"authors": "a", "title": "coded", "journal": ""}]}),
            201,
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_body_is_read_by_every_endpoint_or_refused_with_what_is_accepted() {
    let api = Api::start(&[]).await;
    for (path, body, expected) in bodies() {
        let send = async |coding: &str, body: Vec<u8>| {
            let request = api
                .http
                .post(url(path))
                .header("content-type", "application/json");
            api.respond(request.header("content-encoding", coding).body(body))
                .await
        };
        let plain = body.to_string().into_bytes();
        for coding in ["gzip", "deflate", "zstd", "identity"] {
            let response = send(coding, coded(coding, &plain).await).await;
            assert_eq!(response.status(), expected, "{path} {coding}");
        }
        for coding in ["br", "compress", "gzip, br"] {
            let response = send(coding, plain.clone()).await;
            assert_eq!(response.status(), 415, "{path} {coding}");
            assert_eq!(response.headers()[ACCEPT_ENCODING], "gzip, deflate, zstd");
            let detail = json_body(response).await["detail"].clone();
            assert!(detail.as_str().unwrap().contains("Content-Encoding"), "{detail}");
        }
        assert_eq!(send("gzip", plain).await.status(), 400, "{path}");
        // A kilobyte for each megabyte.
        let bomb = coded("gzip", &vec![b' '; 40 * 1024 * 1024]).await;
        assert_eq!(send("gzip", bomb).await.status(), 413, "{path}");
    }
    let count = "select count(*) from results where query_id = 9100";
    assert_eq!(api.databases.column::<i64>(count).await, [1]);
}
