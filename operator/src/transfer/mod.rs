//! `arxiv-operator feed`: moves the state of a feed to another database, as lines of JSON.

mod lines;

use std::io::{BufWriter, Write, stdin, stdout};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use databases::{Pools, Store};
use service::settings::Environment;
use storage::{
    Access,
    feeds::{
        Feeds,
        transfer::{Line, Place},
    },
};

use self::lines::Lines;

/// How this command is listed by the database.
const APPLICATION: &str = "arxiv-operator feed";

/// The part of `--help` about the way from one cluster to another.
pub(crate) const HELP: &str = "\
To move a feed to another cluster:
  1. In the old one, let no run start any more, and wait until none is active:
       kubectl patch arxivfeed NAME -n TEAM --type=merge -p '{\"spec\":{\"suspend\":true}}'
       kubectl get arxivfeed NAME -n TEAM -o jsonpath='{.status.active}'    (prints nothing)
  2. kubectl exec -n OLD deploy/OLD-operator -- arxiv-operator feed export NAME --namespace TEAM > feed.ndjson
  3. kubectl exec -i -n NEW deploy/NEW-operator -- arxiv-operator feed import < feed.ndjson
  4. In the new cluster, within a week, create the ArxivFeed with the same namespace, name and search and the annotation
     arxiv-operator.dev/restored: \"true\". It goes on where the old one was: nothing comes twice, nothing is left out,
     and readers know the items that they have seen.
  5. Delete the old ArxivFeed.
The rows of its runs in `queries` and `results` stay where they are.

Environment (as of `run`; also in parts, DATABASE_RW_HOST, …, and in files, DATABASE_RW_URL_FILE, …):
  DATABASE_RW_URL, or DATABASE_RESULTS_RW_URL
                                the database with the results, as user arxiv_rw";

/// What is done.
#[derive(Subcommand)]
pub(crate) enum FeedCommand {
    /// Writes a feed to the standard output: what it has found and seen, and how far it is complete. Changes nothing.
    #[command(after_help = HELP)]
    Export(ExportArgs),
    /// Reads a feed from the standard input and writes it into the database: all of it, or nothing. An ArxivFeed that is created
    /// with the annotation arxiv-operator.dev/restored goes on with it.
    #[command(after_help = HELP)]
    Import(ImportArgs),
}

/// Which feed is exported.
#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The name of the ArxivFeed.
    name: String,
    /// Its namespace.
    #[arg(long, short)]
    namespace: String,
}

/// Where a feed is imported to.
#[derive(Args)]
pub(crate) struct ImportArgs {
    /// The namespace of the ArxivFeed that will go on with it; by default that of the old one.
    #[arg(long, short)]
    namespace: Option<String>,
    /// Its name; by default that of the old one.
    #[arg(long)]
    name: Option<String>,
}

/// Exports or imports a feed.
pub(crate) async fn feed(command: &FeedCommand) -> anyhow::Result<()> {
    let url = Store::ResultsRw.url(&Environment::of_process())?;
    let mut pools = Pools {
        application_name: APPLICATION,
        // A pooler may be in between.
        statement_cache: false,
        opened: Vec::new(),
    };
    let feeds = Feeds::new(pools.open("results", &url, Access::ReadWrite, 1)?);
    match command {
        FeedCommand::Export(args) => export(&feeds, args).await.context("the feed is not exported"),
        FeedCommand::Import(args) => import(&feeds, args).await.context("nothing is imported"),
    }
}

async fn export(feeds: &Feeds, args: &ExportArgs) -> anyhow::Result<()> {
    let mut out = BufWriter::new(stdout().lock());
    let exported = feeds.export(&args.namespace, &args.name, |line| {
        serde_json::to_writer(&mut out, &line)?;
        out.write_all(b"\n")
    });
    let counts = exported.await?;
    out.flush()?;
    service::notice!("exported: {} items, {} versions seen", counts.items, counts.seen);
    Ok(())
}

async fn import(feeds: &Feeds, args: &ImportArgs) -> anyhow::Result<()> {
    let mut lines = Lines::new(stdin().lock());
    let Some(Line::Feed(feed)) = lines.next()? else {
        bail!("the input does not begin with a feed, as `arxiv-operator feed export` writes it");
    };
    let place = Place {
        namespace: args.namespace.as_deref(),
        name: args.name.as_deref(),
    };
    let (namespace, name) = (feed.namespace.clone(), feed.name.clone());
    let own_name = place.name.unwrap_or(&name);
    if !crd::is_feed_name(own_name) {
        bail!("no ArxivFeed can have the name {own_name:?}; --name chooses another one");
    }
    let mut import = feeds.import(*feed, place).await?;
    let counts = loop {
        let Some(line) = lines.next()? else {
            bail!("the input ends before its last line: the export was broken off");
        };
        match line {
            Line::End(counts) => break counts,
            line => import.take(line).await?,
        }
    };
    if lines.next()?.is_some() {
        bail!("the input goes on after its last line: it is not one export");
    }
    import.end(counts).await?;
    let (namespace, name) = (place.namespace.unwrap_or(&namespace), place.name.unwrap_or(&name));
    service::notice!(
        "imported: {} items, {} versions seen. Now create the ArxivFeed {name} in the namespace {namespace} with the annotation \
         {}: \"true\", within a week",
        counts.items,
        counts.seen,
        crd::RESTORED_ANNOTATION,
    );
    Ok(())
}
