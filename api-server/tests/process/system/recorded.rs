//! Every recorded exchange with the existing service, against the running system.

use reqwest::{Method, Response, header};
use serde::Deserialize;
use serde_json::Value;
use testbed::TestEnv;
use testbed::arxiv::Mode;
use testbed::test_env::{EMPTY, SEED};

/// One line of the file.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    setup: String,
    method: String,
    path: String,
    body: Value,
    ours: Vec<u16>,
    same: bool,
    recorded: u16,
    response: Value,
    content_disposition: Option<String>,
    allow: Option<String>,
    upstream_saw: Option<String>,
}

/// All of them, in the order of the file.
pub(super) async fn every_case(env: &TestEnv) {
    let cases: Vec<Case> = include_str!("../../wire-cases.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(cases.len(), 164);
    let mut failures = Vec::new();
    let mut current = String::new();
    for case in &cases {
        // After a request that may have changed rows, the next case is set up again.
        if current != case.setup {
            set_up(env, &case.setup).await;
        }
        current = if case.method == "POST" {
            String::new()
        } else {
            case.setup.clone()
        };
        if case.setup.starts_with("upstream") {
            env.forget_pages().await;
            env.stack.arxiv().unwrap().clear_record();
        }
        if let Err(failure) = check(env, case).await {
            failures.push(format!("{}: {failure}", case.name));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} failed:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

async fn set_up(env: &TestEnv, setup: &str) {
    match setup {
        "empty" => env.execute(EMPTY).await,
        "seeded" => env.execute(SEED).await,
        upstream => {
            let mode: Mode = upstream.strip_prefix("upstream ").unwrap().parse().unwrap();
            env.stack.arxiv().unwrap().set(mode);
        }
    }
}

async fn check(env: &TestEnv, case: &Case) -> Result<(), String> {
    let response = send(env, case).await;
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let text = response.text().await.unwrap();
    if !case.ours.contains(&status) {
        return Err(format!("{status} where {:?} is right: {text}", case.ours));
    }
    let header = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    if status == case.recorded {
        if let Some(expected) = &case.allow
            && header(header::ALLOW).as_ref() != Some(expected)
        {
            return Err(format!("Allow is {:?}", header(header::ALLOW)));
        }
        let disposition = header(header::CONTENT_DISPOSITION);
        if disposition != case.content_disposition {
            return Err(format!("Content-Disposition is {disposition:?}"));
        }
        if case.same {
            let answer = if text.is_empty() {
                Value::from("")
            } else {
                serde_json::from_str(&text).unwrap()
            };
            let mut expected = ours(&case.response);
            // The recording's arXiv could not read a percent sign that was not encoded, and answered without a query.
            if case.name == "arxiv-api-percent" {
                expected["query"] = "search_query=ti:100%&id_list=&start=0&max_results=1".into();
            }
            compare("", &answer, &expected)?;
        }
    }
    if status == 405 && header(header::ALLOW).is_none() {
        return Err("405 without Allow".to_owned());
    }
    if status >= 400 && case.method != "HEAD" {
        let detail = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|mut body| body.get_mut("detail").map(Value::take));
        let fits = if status == 422 {
            detail.is_some_and(|d| d.is_array())
        } else {
            detail.is_some_and(|d| d.is_string())
        };
        if !fits {
            return Err(format!("no detail of the right form: {text}"));
        }
    }
    if status == 200 && case.upstream_saw.is_some() {
        let requests = env.stack.arxiv().unwrap().requests();
        let [request] = requests.as_slice() else {
            return Err(format!("{} requests to arXiv", requests.len()));
        };
        asked_what_was_typed(case, &request.search_query, request.max_results)?;
    }
    Ok(())
}

async fn send(env: &TestEnv, case: &Case) -> Response {
    let path = case.path.replace("{5000 x}", &"x".repeat(5000));
    let mut request = env.http.request(
        Method::from_bytes(case.method.as_bytes()).unwrap(),
        env.url(&path),
    );
    // A body that is a string was sent as it is; the name says when not as JSON.
    let body = match &case.body {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    if let Some(body) = body {
        let declared = if case.name.contains("text-plain") {
            "text/plain"
        } else {
            "application/json"
        };
        request = request.header(header::CONTENT_TYPE, declared).body(body);
    }
    request.send().await.unwrap()
}

/// What of a recorded answer is different with us: the query is decoded, and line breaks in titles are one space.
fn ours(recorded: &Value) -> Value {
    match recorded {
        Value::String(text) => Value::from(text.replace("&amp;", "&").replace("\n  ", " ")),
        Value::Array(items) => items.iter().map(ours).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| (key.clone(), ours(value)))
            .collect(),
        other => other.clone(),
    }
}

fn compare(at: &str, answer: &Value, expected: &Value) -> Result<(), String> {
    match (answer, expected) {
        (Value::String(_), Value::String(any)) if any == "…" => Ok(()),
        (Value::Number(_), Value::Number(_)) if at == ".timestamp" || at == ".sequence" => Ok(()),
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => Ok(()),
        (Value::Array(items), Value::Object(shape)) if shape.contains_key("_array_of") => {
            if Some(items.len() as u64) != shape["_array_of"].as_u64() {
                return Err(format!("{at} has {} items", items.len()));
            }
            compare(&format!("{at}[0]"), &items[0], &shape["_first"])?;
            match shape.get("_last") {
                Some(last) => compare(&format!("{at}[-1]"), &items[items.len() - 1], last),
                None => Ok(()),
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => items
            .iter()
            .zip(others)
            .enumerate()
            .try_for_each(|(i, (a, b))| compare(&format!("{at}[{i}]"), a, b)),
        (Value::Object(members), Value::Object(others)) if members.keys().eq(others.keys()) => members
            .iter()
            .try_for_each(|(key, value)| compare(&format!("{at}.{key}"), value, &others[key])),
        (answer, expected) if answer == expected => Ok(()),
        (answer, expected) => Err(format!("{at} is {answer}, not {expected}")),
    }
}

/// The words typed are the words searched for, each in its field; only their syntax is ours.
fn asked_what_was_typed(case: &Case, search_query: &str, max_results: u32) -> Result<(), String> {
    let url = reqwest::Url::parse(&format!("http://x{}", case.path)).unwrap();
    let last = |name: &str| {
        url.query_pairs()
            .filter(|(key, _)| key == name)
            .last()
            .map(|(_, value)| value.into_owned())
    };
    let mut typed = String::new();
    for (name, prefix) in [("author", "au:"), ("title", "ti:"), ("journal", "jr:")] {
        for word in last(name)
            .unwrap_or_default()
            .replace(['"', '\\', '(', ')'], " ")
            .split_whitespace()
        {
            typed += prefix;
            typed += word;
        }
    }
    // A phrase has its prefix once.
    let mut asked = String::new();
    for clause in search_query.split(" AND ") {
        let (prefix, words) = clause.split_at(3);
        for word in words.replace('"', "").split_whitespace() {
            asked += prefix;
            asked += word;
        }
    }
    if asked != typed {
        return Err(format!("arXiv was asked for {search_query:?}"));
    }
    let wanted = last("max_results").map_or(8, |text| text.trim().trim_end_matches(".0").parse().unwrap());
    if max_results != wanted {
        return Err(format!("arXiv was asked for {max_results} papers"));
    }
    Ok(())
}
