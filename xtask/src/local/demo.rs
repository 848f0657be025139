//! `cargo xtask demo`: the main job, step by step.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use testbed::Stack;
use testbed::stack::Options;

use super::{mornings, signals, up};
use crate::cargo;
use crate::output::result as print;

/// Shows the main job on this machine: one search by REST, one by kubectl, the stored rows, and a feed on two mornings.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// End after that, instead of keeping everything running for trying it out.
    #[arg(long)]
    once: bool,
}

const QUERY: &str = "\
apiVersion: arxiv-operator.dev/v1alpha1
kind: ArxivQuery
metadata:
  name: literate-programming
spec:
  search:
    title: '\"literate programming\"'
  maxResults: 4
";

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let binaries = cargo::build_binaries(false)?;
    print(
        "1. Starting Postgres with a streaming replica, a Kubernetes control plane, a fake arXiv, the operator",
    );
    print("   and the API server, each with its own identity and rights.");
    // Only from here on: before, a signal may simply end the process.
    let end = signals::shutdown_signal()?;
    tokio::pin!(end);
    let options = Options {
        min_interval: Duration::from_secs(3),
        namespace: Some("default".into()),
        cluster_wide: true,
        own_control_plane: true,
        binaries: Some(binaries),
        ..Options::default()
    };
    let started = Instant::now();
    let stack = tokio::select! {
        started = Stack::start(options) => started?,
        () = &mut end => bail!("stopped before everything was ready"),
    };
    print(&format!(
        "   All ready after {:.1} s.",
        started.elapsed().as_secs_f32()
    ));
    tokio::select! {
        shown = show(&stack) => shown?,
        () = &mut end => return stack.stop().await,
    }
    if arguments.once {
        return stack.stop().await;
    }
    suggest(&stack)?;
    up::until_end(&stack, end, ()).await
}

async fn show(stack: &Stack) -> Result<()> {
    print(
        "\n2. A search by REST. It becomes an ArxivQuery; the response is sent when the operator has run it.",
    );
    get(stack, "/arxiv?author=knuth&max_results=3").await?;

    print(
        "\n3. A search by kubectl. arXiv asks for three seconds between requests, so it may wait in the queue.",
    );
    let file = stack.folder().join("literate-programming.yaml");
    fs::write(&file, QUERY)?;
    print(QUERY.trim_end());
    kubectl(stack, &["apply", "--filename", &file.display().to_string()]).await?;
    let wait = [
        "wait",
        "--for=condition=Finished",
        "arxivquery/literate-programming",
        "--timeout=60s",
    ];
    kubectl(stack, &wait).await?;
    kubectl(stack, &["get", "arxivqueries"]).await?;

    print("\n4. The stored rows: one for each search, one for each paper.");
    let primary = &stack.databases.primary;
    let queries = "select query_id, to_timestamp(timestamp) at time zone 'UTC' as fetched, num_results, num_entries, query \
                   from queries order by id";
    print(primary.psql("arxiv", queries).await?.trim_end());
    let results = "select query_id, result_number, author, left(title, 30) || '…' as title, journal from results order by id";
    print(primary.psql("arxiv", results).await?.trim_end());

    print("5. The same by the API, read from the replica.");
    stack.databases.replica.wait_replayed(primary).await?;
    get(stack, "/results?page=0&items_per_page=3").await?;
    let requests = stack.arxiv()?.requests();
    print(&format!(
        "\narXiv received {} requests, at least {:.1} s apart, over {} connection at a time.",
        requests.len(),
        stack.arxiv()?.min_spacing().unwrap_or_default().as_secs_f32(),
        stack.arxiv()?.max_open(),
    ));
    mornings::show(stack).await
}

async fn get(stack: &Stack, target: &str) -> Result<()> {
    let url = stack.api_url()?.join(target)?;
    print(&format!("$ curl '{url}'"));
    let (status, body) = testbed::http_get(url).await?;
    print(&body);
    ensure!(status == 200, "the API server answered {status}");
    Ok(())
}

pub(super) async fn kubectl(stack: &Stack, arguments: &[&str]) -> Result<()> {
    let quoted = arguments.iter().map(|argument| {
        if argument.contains('{') {
            format!("'{argument}'")
        } else {
            (*argument).to_owned()
        }
    });
    print(&format!("$ kubectl {}", quoted.collect::<Vec<_>>().join(" ")));
    let mut command = tokio::process::Command::new(stack.control_plane().kubectl());
    let command = command
        .args(arguments)
        .env("KUBECONFIG", stack.control_plane().admin_kubeconfig());
    let output = command.kill_on_drop(true).output().await?;
    print(String::from_utf8_lossy(&output.stdout).trim_end());
    ensure!(
        output.status.success(),
        "kubectl failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn suggest(stack: &Stack) -> Result<()> {
    let api = stack.api_url()?;
    let control = stack.arxiv()?.root().join("/_control")?;
    let plane = stack.control_plane();
    print("\nEverything keeps running until Ctrl-C. Commands to try in another terminal:");
    print(&format!(
        "  export KUBECONFIG={}",
        plane.admin_kubeconfig().display()
    ));
    print(&format!("  alias kubectl={}", plane.kubectl().display()));
    print("  kubectl describe arxivquery literate-programming      # its conditions and events");
    print("  kubectl explain arxivquery.spec                       # the fields");
    print(&format!(
        "  curl -i '{api}arxiv?title=graphs' -H 'Prefer: respond-async'   # a response at once, the result later"
    ));
    print(&format!(
        "  curl '{api}queries?start_timestamp=2024-01-01T00:00:00'"
    ));
    print(&format!(
        "  curl '{control}' -d '{{\"mode\": \"503\", \"retry_after\": \"5\"}}'   # arXiv is unavailable (\"ok\" ends it)"
    ));
    if let Some(operator) = stack.operators.first() {
        print(&format!("  curl '{}metrics'", operator.url()));
        print(&format!(
            "  kill -9 {}                                       # the operator; it is restarted",
            operator.child().pid()
        ));
    }
    print(&format!(
        "  tail -f {}/*.log",
        stack.folder().join("logs").display()
    ));
    Ok(())
}
