//! The commands of a runbook, which are run as they are written: those below `Look` show something while the alert fires,
//! those below `Fix` are for the cause that the test makes.

use chart::read;
use testbed::Postgres;

use crate::system::Monitored;

/// The pages of docs/runbooks.
pub(crate) struct Runbook<'a> {
    name: String,
    page: String,
    monitored: &'a Monitored,
}

/// One fenced block: its language and its text.
type Block = (String, String);

impl<'a> Runbook<'a> {
    pub(crate) fn read(name: &str, monitored: &'a Monitored) -> Self {
        let stack = &monitored.env.stack;
        let ledger = stack.databases.ledger_url();
        let password = ledger
            .split(['/', ':', '@'])
            .nth(4)
            .expect("a password")
            .to_owned();
        let page = read(&format!("docs/runbooks/{name}.md")).expect("a runbook");
        Self {
            name: name.to_owned(),
            page: page
                .replace("LEASE", "arxiv-operator")
                .replace("PASSWORD", &password),
            monitored,
        }
    }

    /// The commands that show the cause.
    pub(crate) async fn look(&self) {
        let blocks = self.blocks("\n## Look\n");
        assert!(!blocks.is_empty(), "{}", self.name);
        for block in blocks {
            let output = self.run(&block).await;
            assert!(
                !output.trim().is_empty(),
                "{}: {block:?} shows nothing",
                self.name
            );
        }
    }

    /// The commands that remove the cause.
    pub(crate) async fn fix(&self) {
        for block in self.blocks("\n## Fix\n") {
            self.run(&block).await;
        }
    }

    fn blocks(&self, heading: &str) -> Vec<Block> {
        let (_, rest) = self.page.split_once(heading).expect("the heading");
        let (part, _) = rest.split_once("\n## ").unwrap_or((rest, ""));
        let mut fenced = part.split("```").skip(1).step_by(2);
        let block = |text: &str| {
            let (language, text) = text.split_once('\n').expect("a block with lines");
            (language.to_owned(), text.trim().to_owned())
        };
        // Shown only: a console has pods, which this system does not.
        fenced
            .by_ref()
            .map(block)
            .filter(|(language, _)| language != "console")
            .collect()
    }

    async fn run(&self, (language, text): &Block) -> String {
        let stack = &self.monitored.env.stack;
        match language.as_str() {
            "promql" => {
                let text = text.replace("NAMESPACE", chart::NAMESPACE);
                let series = self.monitored.prometheus.query(&text).await.unwrap();
                series.iter().map(ToString::to_string).collect()
            }
            "sql" => {
                let (server, statement) = text.split_once('\n').expect("a first line with the server");
                let (server, database) = server
                    .trim_start_matches("-- ")
                    .split_once(", ")
                    .expect("a server");
                let server: &Postgres = match server {
                    "primary" => &stack.databases.primary,
                    "replica" => &stack.databases.replica,
                    other => panic!("{other}"),
                };
                server.psql(database, statement).await.unwrap()
            }
            "sh" => {
                let text = text.replace("NAMESPACE", stack.namespace());
                let arguments = text
                    .strip_prefix("kubectl ")
                    .expect("a call of kubectl")
                    .split(' ');
                let plane = stack.control_plane();
                let output = tokio::process::Command::new(plane.kubectl())
                    .arg("--kubeconfig")
                    .arg(plane.admin_kubeconfig())
                    .args(arguments)
                    .output()
                    .await
                    .unwrap();
                assert!(
                    output.status.success(),
                    "{text}: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
            other => panic!("{}: a block of {other:?}", self.name),
        }
    }
}
