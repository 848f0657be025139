//! `cargo xtask demo`: the main job, told step by step.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use testbed::Stack;
use testbed::stack::Options;

use crate::output::result as say;
use crate::{cargo, signals, up};

/// Shows the main job on this machine: one search by REST, one by kubectl, and what is stored.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Ends after that, instead of keeping everything running to be tried.
    #[arg(long)]
    once: bool,
}

const QUERY: &str = "\
apiVersion: arxiv-operator.dev/v1alpha1
kind: ArxivQuery
metadata:
  name: literate-programming
spec:
  title: '\"literate programming\"'
  maxResults: 4
";

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let binaries = cargo::build_binaries(false)?;
    say(
        "1. Starting Postgres with a streaming replica, a Kubernetes control plane, a stand-in for arXiv, the operator",
    );
    say("   and the API server, each with an identity and rights of its own.");
    // From here on; before, a signal simply ends us.
    let end = signals::asked_to_end()?;
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
    say(&format!(
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
    up::until_end(&stack, end).await
}

async fn show(stack: &Stack) -> Result<()> {
    say("\n2. A search by REST. It becomes an ArxivQuery; the answer comes when the operator has run it.");
    get(stack, "/arxiv?author=knuth&max_results=3").await?;

    say(
        "\n3. A search by kubectl. arXiv asks for three seconds between requests, so it may wait for its turn.",
    );
    let file = stack.folder().join("literate-programming.yaml");
    fs::write(&file, QUERY)?;
    say(QUERY.trim_end());
    kubectl(stack, &["apply", "--filename", &file.display().to_string()]).await?;
    let wait = [
        "wait",
        "--for=condition=Finished",
        "arxivquery/literate-programming",
        "--timeout=60s",
    ];
    kubectl(stack, &wait).await?;
    kubectl(stack, &["get", "arxivqueries"]).await?;

    say("\n4. What is stored: a row for each search, a row for each paper.");
    let primary = &stack.databases.primary;
    let queries = "select query_id, to_timestamp(timestamp) at time zone 'UTC' as fetched, num_results, num_entries, query \
                   from queries order by id";
    say(primary.psql("arxiv", queries).await?.trim_end());
    let results = "select query_id, result_number, author, left(title, 30) || '…' as title, journal from results order by id";
    say(primary.psql("arxiv", results).await?.trim_end());

    say("5. The same through the API, read from the replica.");
    stack.databases.replica.wait_replayed(primary).await?;
    get(stack, "/results?page=0&items_per_page=3").await?;
    let asked = stack.arxiv()?.requests();
    say(&format!(
        "\narXiv was asked {} times, {:.1} s apart, over {} connection at a time.",
        asked.len(),
        stack.arxiv()?.min_spacing().unwrap_or_default().as_secs_f32(),
        stack.arxiv()?.max_open(),
    ));
    Ok(())
}

async fn get(stack: &Stack, target: &str) -> Result<()> {
    let url = stack.api_url()?.join(target)?;
    say(&format!("$ curl '{url}'"));
    let (status, body) = testbed::http_get(url).await?;
    say(&body);
    ensure!(status == 200, "the API server answered {status}");
    Ok(())
}

async fn kubectl(stack: &Stack, arguments: &[&str]) -> Result<()> {
    say(&format!("$ kubectl {}", arguments.join(" ")));
    let mut command = tokio::process::Command::new(stack.control_plane().kubectl());
    let command = command
        .args(arguments)
        .env("KUBECONFIG", stack.control_plane().admin_kubeconfig());
    let output = command.kill_on_drop(true).output().await?;
    say(String::from_utf8_lossy(&output.stdout).trim_end());
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
    say("\nEverything keeps running until Ctrl-C. What you could try in another terminal:");
    say(&format!(
        "  export KUBECONFIG={}",
        plane.admin_kubeconfig().display()
    ));
    say(&format!("  alias kubectl={}", plane.kubectl().display()));
    say("  kubectl describe arxivquery literate-programming      # its conditions and events");
    say("  kubectl explain arxivquery.spec                       # the fields");
    say(&format!(
        "  curl -i '{api}arxiv?title=graphs' -H 'Prefer: respond-async'   # an answer at once, the result later"
    ));
    say(&format!(
        "  curl '{api}queries?start_timestamp=2024-01-01T00:00:00'"
    ));
    say(&format!(
        "  curl '{control}' -d '{{\"mode\": \"503\", \"retry_after\": \"5\"}}'   # arXiv in trouble (\"ok\" ends it)"
    ));
    if let Some(operator) = stack.operators.first() {
        say(&format!("  curl '{}metrics'", operator.url()));
        say(&format!(
            "  kill -9 {}                                       # the operator; it is started again",
            operator.child().pid()
        ));
    }
    say(&format!(
        "  tail -f {}/*.log",
        stack.folder().join("logs").display()
    ));
    Ok(())
}
