//! The metadata of the papers of results.

use paper::{PaperId, PaperVersion};

use super::super::Reads;
use crate::{
    StorageError,
    connection::{Kind, Session},
    reads::paper_key::id_columns,
};

/// Which version of a paper is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhichVersion {
    /// The one that the identifier names.
    Named,
    /// The newest one that is known here.
    Newest,
}

/// The statement that shows what is found, by the names of a paper's own JSON.
macro_rules! shown {
    ($found:literal) => {
        concat!(
            "with wanted as (select * from unnest($1::text[], $2::integer[]) as w(paper, version))
             select to_jsonb(shown)::text from (
                 select paper || case version when 0 then '' else 'v' || version end as id, title, authors, abstract,
                        comment, journal, doi, categories, published, updated, links
                 from (",
            $found,
            ") as found) as shown"
        )
    };
}
const NAMED: &str = shown!(
    "select p.* from wanted w join public.arxiv_papers p on p.paper = w.paper and p.version = w.version"
);
const NEWEST: &str = shown!(
    "select newest.* from wanted w cross join lateral
     (select * from public.arxiv_papers p where p.paper = w.paper order by p.version desc limit 1) newest"
);

impl Reads {
    /// The papers with these identifiers, as far as they are known here, in any order.
    pub async fn whole_papers(
        &self,
        ids: &[PaperId],
        which: WhichVersion,
    ) -> Result<Vec<PaperVersion>, StorageError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        Session::read(&self.results, Kind::Statement, async |session| {
            whole_papers(session, ids, which).await
        })
        .await
    }
}

/// The papers with these identifiers, as far as they are known here, in any order.
pub(crate) async fn whole_papers(
    session: &mut Session,
    ids: &[PaperId],
    which: WhichVersion,
) -> Result<Vec<PaperVersion>, StorageError> {
    let (papers, versions) = id_columns(ids);
    let texts = session.query_scalar::<String>(match which {
        WhichVersion::Named => NAMED,
        WhichVersion::Newest => NEWEST,
    });
    let texts = texts
        .bind(papers)
        .bind(versions)
        .fetch_all(session.conn())
        .await?;
    let read = |text: &String| serde_json::from_str(text).map_err(|_| StorageError::Unreadable);
    texts.iter().map(read).collect()
}
